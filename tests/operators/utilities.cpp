// SPDX-License-Identifier: Apache-2.0
// Bounds, refusals and side outputs of the ready-made process functions; ranks of window results.

#include <millrace/operators/deduplicate.hpp>
#include <millrace/operators/process.hpp>
#include <millrace/operators/rate_limit.hpp>
#include <millrace/operators/sample.hpp>
#include <millrace/operators/sort.hpp>
#include <millrace/operators/top_of_window.hpp>
#include <millrace/operators/window_results.hpp>
#include <millrace/state/list_state.hpp>
#include <millrace/state/map_state.hpp>
#include <millrace/state/value_state.hpp>
#include <millrace/testing/operator_harness.hpp>

#include "catch.hpp"

#include <string>

using namespace millrace;
using namespace millrace::testing;
using namespace std::chrono_literals;

namespace {

timestamp at(std::int64_t t) { return timestamp{duration{t}}; }

struct identity_function {
  int operator()(int v) const { return v; }
};

/// One key, records one tick apart.
template <class Harness>
void push_all(Harness& h, key_table<int>& keys, std::vector<int> values, std::int64_t from = 0) {
  for (const int v : values) h.push({{v, at(from++)}}, {keys.find_or_insert(1)});
}

template <class F, class State>
using function_operator = process_operator<int, State, int, F, no_timer, no_timer>;

}  // namespace

TEST_CASE("deduplicate remembers no more ids than it may, and lets the others pass") {
  using function = deduplicate_function<int, identity_function>;
  using op = function_operator<function, function::state>;
  auto keys = std::make_shared<key_table<int>>();
  const side_output<int> duplicates("duplicates");
  const deduplicate_options options{.within = 100us, .most_ids = 2};
  operator_harness<op, int> h([&] { return op({{}, options, duplicates}, {}, {}, keys); });
  h.open();
  push_all(h, *keys, {1, 2, 1, 3, 3, 2});
  CHECK(h.results().size() == 4);  // 1 2 3 3
  CHECK(h.task().counters().filtered.value() == 2);
  CHECK(h.task().metrics().counter("ids_not_remembered").value() == 2);
  h.send(control::watermark(at(99)));  // before the end of 1 and 2, and there is still no room
  push_all(h, *keys, {3}, 100);
  CHECK(h.results().size() == 5);
  h.send(control::watermark(at(101)));
  push_all(h, *keys, {3, 3}, 102);
  CHECK(h.results().size() == 6);
}

TEST_CASE("options that make no sense are refused with the name of the operator") {
  CHECK_THROWS_WITH(deduplicate_options{}.validate("twins"),
                    Catch::Matchers::ContainsSubstring("twins"));
  CHECK_THROWS_AS((rate_limit_options{.records = 0}.validate("r")), topology_error);
  CHECK_THROWS_AS((rate_limit_options{.per = 0us}.validate("r")), topology_error);
  CHECK_THROWS_AS((rate_limit_options{.records = 1, .per = 8000h, .burst = ~0U}.validate("r")),
                  topology_error);
  CHECK_THROWS_AS(every_nth{0}.validate("s"), topology_error);
  CHECK_THROWS_AS((random_share{1.5}.validate("s")), topology_error);
  CHECK_NOTHROW((rate_limit_options{.records = 100, .per = 1s}.validate("r")));
}

TEST_CASE("rate_limit never overflows, whatever the times") {
  using op = function_operator<rate_limit_function<int>, token_bucket>;
  auto keys = std::make_shared<key_table<int>>();
  const side_output<int> excess("excess");
  const rate_limit_options options{.records = ~0U, .per = 1us, .burst = ~0U};
  operator_harness<op, int> h([&] { return op({options, excess}, {}, {}, keys); });
  h.open();
  h.push({{1, min_timestamp}, {2, max_timestamp}, {3, at(0)}},
         {keys->find_or_insert(1), keys->find_or_insert(1), keys->find_or_insert(1)});
  CHECK(h.results().size() == 3);
}

TEST_CASE("a random share is about that share of each key, and the same in every run") {
  using op = function_operator<sample_function<int, random_share>, sample_counter>;
  const auto run = [](std::uint64_t seed) {
    auto keys = std::make_shared<key_table<int>>();
    operator_harness<op, int> h([&] { return op({{0.2, seed}, {}}, {}, {}, keys); });
    h.open();
    std::vector<std::vector<int>> picked;
    for (int k = 0; k < 3; ++k) {
      const std::size_t before = h.results().size();
      for (int i = 0; i < 5'000; ++i) h.push({{i, at(i)}}, {keys->find_or_insert(k)});
      auto& values = picked.emplace_back();
      for (std::size_t i = before; i < h.results().size(); ++i) {
        values.push_back(h.results()[i].value);
      }
      CHECK(values.size() > 800);
      CHECK(values.size() < 1'200);
    }
    CHECK(picked[0] != picked[1]);
    return picked;
  };
  CHECK(run(7) == run(7));
  CHECK(run(7) != run(8));
}

TEST_CASE("a sort that is full gives up on records instead of growing") {
  using op = sort_operator<int>;
  operator_harness<op, int> h([] { return op({.most_held = 2}); });
  h.open();
  h.push({{3, at(3)}, {1, at(1)}, {2, at(2)}});
  REQUIRE(h.dead_letters.size() == 1);
  CHECK(h.dead_letters[0].reason.find("(2)") != std::string::npos);
  h.send(control::watermark(at(3)));
  REQUIRE(h.results().size() == 2);
  CHECK(h.results()[0].value == 1);
  CHECK(h.results()[1].value == 3);
}

TEST_CASE("the first record of all may lie at the beginning of time") {
  using op = sort_operator<int>;
  operator_harness<op, int> h([] { return op(); });
  h.open();
  h.push({{1, min_timestamp}});
  h.send(control::watermark(at(0)));
  CHECK(h.results().size() == 1);
  CHECK(h.task().counters().late.value() == 0);
}

namespace {

using windowed = window_result<int, int>;

struct score_of {
  int operator()(const windowed& r) const { return r.value; }
};
using top = top_of_window_operator<windowed, score_of>;

std::vector<int> ranks_and_keys(const std::vector<emitted<ranked<windowed>>>& all) {
  std::vector<int> numbers;
  for (const auto& e : all) {
    numbers.push_back(static_cast<int>(e.value.rank) * 100 + e.value.value.key);
  }
  return numbers;
}

emitted<windowed> of(int key, std::int64_t start, int value) {
  const window w{at(start), at(start + 10)};
  return {{key, w, value}, w.max_timestamp()};
}

}  // namespace

TEST_CASE("results of windows are ranked when the window ends, ties by key") {
  for (const bool full : {false, true}) {
    const auto make = [] { return top({.n = 2}, {}, side_output<windowed>("late")); };
    auto h = std::make_unique<operator_harness<top, windowed>>(make);
    h->output_is_always_full(full);
    h->open();
    h->push({of(3, 0, 5), of(1, 0, 7), of(9, 10, 1), of(2, 0, 5)});
    const std::string bytes = h->snapshot();
    h = std::make_unique<operator_harness<top, windowed>>(make);
    h->output_is_always_full(full);
    h->restore(bytes);
    h->open();
    h->push({of(4, 0, 4)});
    CHECK(h->results().empty());
    h->send(control::watermark(at(9)));
    CHECK(ranks_and_keys(h->results()) == std::vector<int>{101, 202});
    CHECK(h->results()[0].time == at(9));
    h->push({of(5, 0, 50)});
    CHECK(h->task().counters().late.value() == 1);
    h->send(control::watermark(max_timestamp));
    CHECK(ranks_and_keys(h->results()) == std::vector<int>{101, 202, 109});
  }
}

TEST_CASE("no more windows are kept open than allowed") {
  operator_harness<top, windowed> h(
      [] { return top({.n = 2, .most_windows = 1}, {}, side_output<windowed>("late")); });
  h.open();
  h.push({of(1, 0, 1), of(1, 10, 1), of(2, 0, 1)});
  CHECK(h.dead_letters.size() == 1);
  h.send(control::watermark(max_timestamp));
  CHECK(h.results().size() == 2);
}

namespace {

struct not_described {
  value_state<int, state_options{.ttl = 5s}> value;
};
struct writes {
  template <class Context>
  void operator()(int v, not_described& s, Context& ctx) const {
    s.value.set(ctx, v);
  }
};

}  // namespace

TEST_CASE("a time to live that nobody could end is refused") {
  using op = function_operator<writes, not_described>;
  auto keys = std::make_shared<key_table<int>>();
  operator_harness<op, int> h([&] { return op({}, {}, {}, keys); });
  h.open();
  try {
    push_all(h, *keys, {1});
    FAIL("nothing was thrown");
  } catch (const std::exception& e) {
    CHECK(std::string(e.what()).find("BOOST_DESCRIBE_STRUCT") != std::string::npos);
  }
}

TEST_CASE("a map or list keeps to its limit") {
  struct nobody {
    timestamp clock_time(time_domain) const { return {}; }
    timestamp passed_time(time_domain) const { return {}; }
    void expire_at(time_domain, timestamp) const {}
  } ctx;
  map_state<int, int, state_options{.limit = 2}> map;
  CHECK(map.put(ctx, 1, 10));
  CHECK(map.put(ctx, 2, 20));
  CHECK(!map.put(ctx, 3, 30));
  CHECK(map.put(ctx, 2, 21));
  CHECK(map.erase(1));
  CHECK(map.update(ctx, 3, [](int& v) { v += 3; }));
  CHECK(*map.find(ctx, 3) == 3);
  CHECK(map.size(ctx) == 2);
  list_state<int, state_options{.limit = 3}> list;
  int dropped = 0;
  for (int i = 0; i < 100; ++i) dropped += list.add(ctx, i) ? 0 : 1;
  CHECK(dropped == 97);
  CHECK(list.values(ctx) == std::vector<int>{97, 98, 99});
  value_state<std::string> name;
  CHECK(name.value_or(ctx, "nobody") == "nobody");
  name.update(ctx, [](std::string& s) { s += "x"; });
  CHECK(*name.get(ctx) == "x");
}
