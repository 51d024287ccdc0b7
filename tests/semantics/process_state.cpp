// SPDX-License-Identifier: Apache-2.0
// Process functions with all kinds of state, times to live in both clocks, and timers in both
// clocks, on random scripts, against a log of writes that is searched on every read.

#include <millrace/operators/process.hpp>
#include <millrace/state/list_state.hpp>
#include <millrace/state/map_state.hpp>
#include <millrace/state/value_state.hpp>

#include "catch.hpp"
#include "oracle/process_oracle.hpp"

#include <boost/describe.hpp>

#include <functional>
#include <string>

using namespace millrace;
using oracle::event;
using oracle::program;

namespace {

constexpr duration ticks(std::int64_t n) { return duration{n}; }

struct everything {
  value_state<int, state_options{.ttl = ticks(program::value_ttl)}> value;
  value_state<int, state_options{.ttl = ticks(program::read_ttl), .refresh = ttl_refresh::on_read}>
      read;
  list_state<int, state_options{.limit = program::list_limit, .ttl = ticks(program::list_ttl)}>
      list;
  map_state<int, int,
            state_options{.limit = program::map_limit,
                          .ttl = ticks(program::map_ttl),
                          .clock = time_domain::processing_time}>
      map;
  reducing_state<int, std::plus<>,
                 state_options{.ttl = ticks(program::sum_ttl),
                               .clock = time_domain::processing_time,
                               .refresh = ttl_refresh::on_read}>
      sum;
};
BOOST_DESCRIBE_STRUCT(everything, (), (value, read, list, map, sum))

timestamp next_multiple(timestamp t, std::int64_t grid) {
  return oracle::at(program::next_multiple(t.time_since_epoch().count(), grid));
}

template <class Context>
std::string seen(everything& s, Context& ctx) {
  std::string line;
  if (const int* v = s.value.get(ctx)) line += "v" + std::to_string(*v);
  if (const int* v = s.read.get(ctx)) line += " r" + std::to_string(*v);
  s.list.for_each(ctx, [&](int v) { line += " l" + std::to_string(v); });
  s.map.for_each(ctx,
                 [&](int k, int v) { line += " m" + std::to_string(k) + "=" + std::to_string(v); });
  if (const int* v = s.sum.get(ctx)) line += " s" + std::to_string(*v);
  return line;
}

struct on_record {
  template <class Context>
  void operator()(const event& e, everything& s, Context& ctx) const {
    const int x = e.value;
    const timestamp due = next_multiple(ctx.time(), program::event_grid);
    const timestamp wall_due = next_multiple(ctx.now(), program::wall_grid);
    bool cleared = false;
    switch (program::operation(x)) {
      case 0: s.value.set(ctx, x); break;
      case 1: s.read.update(ctx, [x](int& v) { v = x; }); break;
      case 2: s.list.add(ctx, x); break;
      case 3: s.map.put(ctx, program::map_key(x), x); break;
      case 4: s.sum.add(ctx, x); break;
      case 5:
        ctx.timer_at(due);
        ctx.timer_at(due);
        break;
      case 6:
        ctx.processing_timer_at(wall_due);
        ctx.processing_timer_at(wall_due);
        break;
      case 7: ctx.delete_timer(due); break;
      case 8:
        ctx.delete_processing_timer(wall_due);
        s.map.erase(program::map_key(x));
        break;
      case 9:
        if (x % 20 == 9) {
          ctx.clear_state();
          cleared = true;
        }
        break;
    }
    everything nothing;
    ctx.emit(std::to_string(ctx.key()) + " record " + std::to_string(e.id) + ": " +
             seen(cleared ? nothing : s, ctx));
  }
};

struct on_timer {
  template <class Context>
  void operator()(timestamp time, everything& s, Context& ctx) const {
    const auto n = time.time_since_epoch().count();
    std::string what = "timer ";
    if (ctx.clock() == time_domain::processing_time) {
      what = "wall timer ";
      s.map.put(ctx, 7, static_cast<int>(n));
    } else if (s.value.get(ctx) != nullptr && n < INT64_MAX - 1000) {
      ctx.timer_at(time + duration{program::event_grid});
    }
    ctx.emit(std::to_string(ctx.key()) + " " + what + std::to_string(n) + ": " + seen(s, ctx));
  }
};

using op = process_operator<int, everything, std::string, on_record, no_timer, on_timer>;
using driver = oracle::timed_driver<op>;

}  // namespace

TEST_CASE("state, times to live and timers in both clocks are those of a log of writes") {
  driver d(
      [](std::shared_ptr<key_table<int>> keys) {
        return std::make_unique<driver::harness>([&] { return op({}, {}, {}, keys); });
      },
      nullptr);
  oracle::for_each_case(2500, [&](oracle::random_source& random) {
    auto shape = oracle::random_shape(random);
    if (random.one_in(2)) shape.lag = std::max(shape.lag, shape.disorder);
    const auto script = oracle::timed_script(random, shape, random.between(1, 30));
    oracle::process_oracle expected;
    expected.run(script);
    for (const auto& mode : oracle::random_modes(random, oracle::in_time(shape))) {
      INFO("batches of " << mode.batch << (mode.restore ? ", restored" : "")
                         << (mode.full ? ", full output" : ""));
      d.run(script, mode);
      const auto found = oracle::sorted_lines(d.results, [](const std::string& s) { return s; });
      REQUIRE(oracle::first_difference(found, expected.lines) == "");
    }
  });
}

TEST_CASE("expired state is freed with its key, also when the key has gone quiet") {
  auto keys = std::make_shared<key_table<int>>();
  driver::harness h([&] { return op({}, {}, {}, keys); });
  h.open();
  for (int k = 0; k < 100; ++k) {
    for (const int value : {0, 1, 2}) {
      h.push({{{k, 10, value, k}, oracle::at(10)}}, {keys->find_or_insert(k)});
    }
    for (const int value : {3, 4}) {
      h.push({{{k, 10, value, k}, oracle::at(10)}}, {keys->find_or_insert(k)});
    }
  }
  const auto left = [&] {
    keys->sweep();
    return keys->size();
  };
  CHECK(left() == 100);
  h.send(control::watermark(oracle::at(10 + 60)));  // longer than every time to live in event time
  CHECK(left() == 100);
  h.advance(duration{30});
  CHECK(left() == 100);
  h.advance(duration{30});
  CHECK(left() == 0);
}

TEST_CASE("processing-time timers fire once after a restore, at once if their time has passed") {
  using harness = driver::harness;
  const auto make = [](std::shared_ptr<key_table<int>> keys) {
    return std::make_unique<harness>([&] { return op({}, {}, {}, keys); });
  };
  auto keys = std::make_shared<key_table<int>>();
  auto before = make(keys);
  before->open();
  before->push({{{1, 5, 6, 0}, oracle::at(5)}}, {keys->find_or_insert(1)});  // due at 10
  before->advance(duration{3});
  CHECK(before->results().size() == 1);
  const std::string bytes = before->snapshot();
  keys = std::make_shared<key_table<int>>();
  auto after = make(keys);
  after->env().wall = oracle::at(500);
  after->restore(bytes);
  after->open();
  after->advance(duration{0});
  REQUIRE(after->results().size() == 1);
  CHECK(after->results()[0].value.substr(0, 15) == "1 wall timer 10");
  after->advance(duration{100'000'000});
  CHECK(after->results().size() == 1);
}

TEST_CASE("a wall clock that jumps ahead is noticed within a minute") {
  const timestamp far = oracle::at(3'600'000'000);
  const auto set_far = [far](const event&, everything&, auto& ctx) {
    ctx.processing_timer_at(far);
  };
  using far_op =
      process_operator<int, everything, std::string, decltype(set_far), no_timer, on_timer>;
  auto keys = std::make_shared<key_table<int>>();
  testing::operator_harness<far_op, event> h([&] { return far_op(set_far, {}, {}, keys); });
  h.open();
  h.push({{{1, 5, 6, 0}, oracle::at(5)}}, {keys->find_or_insert(1)});
  h.env().wall = far - std::chrono::seconds(30);
  h.advance(std::chrono::seconds(59));
  CHECK(h.results().empty());
  h.advance(std::chrono::seconds(1));
  CHECK(h.results().size() == 1);
}

TEST_CASE("a wall clock that is set back stands still: what has expired stays unseen") {
  auto keys = std::make_shared<key_table<int>>();
  driver::harness h([&] { return op({}, {}, {}, keys); });
  h.env().wall = oracle::at(1'000);
  h.open();
  const auto push = [&](int value) {
    h.push({{{1, 5, value, 0}, oracle::at(5)}}, {keys->find_or_insert(1)});
    return h.results().back().value;
  };
  CHECK(push(4) == "1 record 0:  s4");
  h.env().wall = oracle::at(1'000 + program::sum_ttl);
  CHECK(push(7) == "1 record 0: ");
  h.env().wall = oracle::at(1'000);
  CHECK(push(7) == "1 record 0: ");
}
