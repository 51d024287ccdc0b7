// SPDX-License-Identifier: Apache-2.0
// Windows around restarts and clocks that misbehave. Everything else is in tests/semantics.

#include <millrace/operators/window_aggregate.hpp>
#include <millrace/operators/window_operator.hpp>
#include <millrace/testing/operator_harness.hpp>
#include <millrace/windows/aggregates/count.hpp>
#include <millrace/windows/contents.hpp>

#include "catch.hpp"

#include <memory>
#include <stdexcept>
#include <string>

using namespace millrace;
using namespace millrace::testing;
using namespace std::chrono_literals;

namespace {

using result = to_window_result<int, std::uint64_t>;
using sessions = window_operator<int, int, folded_content<count>, at_window_end, result>;
using slices = window_aggregate_operator<int, int, count>;
using keys_type = std::shared_ptr<key_table<int>>;

sessions make_sessions(const keys_type& keys, session spec) {
  return {spec, {}, folded_content<count>(count{}), {}, {}, keys, side_output<int>("late")};
}

template <class Op>
struct running {
  keys_type keys = std::make_shared<key_table<int>>();
  operator_harness<Op, int> harness;

  template <class Make>
  explicit running(Make make) : harness([&] { return make(keys); }) {}
  void push(timestamp t) { harness.push({{1, t}}, {keys->find_or_insert(7)}); }
};

template <class Op, class Make>
void check_goes_on(Make make) {
  running<Op> before(make);
  before.harness.open();
  before.push(timestamp{10s});
  before.harness.send(control::watermark(max_timestamp));
  before.harness.send(control::end());
  CHECK(before.harness.results().size() == 1);
  running<Op> after(make);
  after.harness.restore(before.harness.snapshot());
  after.harness.open();
  after.push(timestamp{20s});
  after.harness.send(control::watermark(timestamp{60s}));
  REQUIRE(after.harness.results().size() == 1);
  CHECK(after.harness.results()[0].value.value == 1);
}

}  // namespace

TEST_CASE("a stream that was stopped goes on behind its saved end") {
  check_goes_on<sessions>([](const keys_type& keys) { return make_sessions(keys, {5s}); });
  check_goes_on<slices>([](const keys_type& keys) {
    return slices(tumbling{5s}, {}, count{}, keys, side_output<int>("late"));
  });
}

TEST_CASE("windows are not restored from other windows") {
  running<sessions> before([](const keys_type& keys) { return make_sessions(keys, {5s}); });
  before.harness.open();
  before.push(timestamp{10s});
  running<sessions> after([](const keys_type& keys) { return make_sessions(keys, {6s}); });
  CHECK_THROWS_AS(after.harness.restore(before.harness.snapshot()), std::runtime_error);
}

TEST_CASE("a wall clock that goes back stands still for windows") {
  running<sessions> s([](const keys_type& keys) {
    return make_sessions(keys, {5s, time_domain::processing_time});
  });
  s.harness.env().wall = timestamp{100s};
  s.harness.open();
  s.push({});
  s.harness.advance(3s);
  s.push({});
  s.harness.env().wall = timestamp{50s};
  s.push({});
  CHECK(s.harness.results().empty());
  s.harness.env().wall = timestamp{108s};
  s.harness.advance(1ms);
  REQUIRE(s.harness.results().empty());  // the alarm has not gone off; the next record looks
  s.push({});
  REQUIRE(s.harness.results().size() == 1);
  CHECK(s.harness.results()[0].value.value == 3);
  CHECK(s.harness.results()[0].value.window == window{timestamp{100s}, timestamp{108s}});
  CHECK(s.harness.results()[0].time == timestamp{108s} - one_tick);
}
