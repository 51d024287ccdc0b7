// SPDX-License-Identifier: Apache-2.0
// Process functions with broadcast state that applies by event time: which updates each record and
// each timer has seen, against a count by hand, in every way the harness knows.

#include <millrace/operators/broadcast_process.hpp>

#include "catch.hpp"
#include "oracle/joins_run.hpp"

#include <set>

using namespace millrace;

namespace {

struct rules {
  std::int64_t seen = 0;
};
BOOST_DESCRIBE_STRUCT(rules, (), (seen))
struct nothing {
  int unused = 0;
};
BOOST_DESCRIBE_STRUCT(nothing, (), (unused))

using result = joined<oracle::event, oracle::event>;

oracle::event with_id(std::int64_t id) { return {0, 0, 0, static_cast<int>(id)}; }

struct note_record {
  template <class C>
  void operator()(const oracle::event& e, nothing&, const rules& r, C& c) const {
    c.emit(result{e, with_id(r.seen)});
    c.timer_at(saturating_add(c.time(), duration{10}));
  }
};
struct note_timer {
  template <class C>
  void operator()(timestamp, nothing&, const rules& r, C& c) const {
    c.emit(result{with_id(100'000 + c.key()), with_id(r.seen)});
    c.clear_state();
  }
};
struct add_update {
  void operator()(const oracle::event& e, rules& r) const { r.seen += e.id; }
};

template <updates When>
using op = broadcast_process_operator<When, int, oracle::event, oracle::event, nothing, rules,
                                      result, note_record, add_update, note_timer>;

oracle::outcome expected(const std::vector<oracle::arrival>& all) {
  oracle::outcome out;
  const auto seen_at = [&](std::int64_t time) {
    int sum = 0;
    for (const auto& a : all) {
      if (a.side == 1 && a.record.time <= time && a.watermark < time) sum += a.record.id;
    }
    return sum;
  };
  std::set<std::pair<std::int64_t, int>> timers;
  for (const auto& a : all) {
    if (a.side != 0) continue;
    if (a.record.time <= a.watermark) {
      out.late[0].push_back(a.record.id);
      continue;
    }
    out.results.emplace_back(a.record.id, seen_at(a.record.time), a.record.time);
    timers.insert({oracle::plus(a.record.time, 10), a.record.key});
  }
  for (const auto& [time, key] : timers) {
    out.results.emplace_back(100'000 + key, seen_at(time), time);
  }
  out.sort();
  return out;
}

}  // namespace

TEST_CASE("by event time, records and timers see the updates that are not newer than they") {
  oracle::for_each_case(500, [](oracle::random_source& random) {
    const auto steps = oracle::random_script<2>(random, oracle::random_shape(random));
    oracle::check_join(
        steps, expected(oracle::arrivals(steps)), [&](const auto& s, const oracle::way& how) {
          using by_time = op<updates::by_event_time>;
          return oracle::run_join<by_time>(
              s, how, [&](auto keys, auto left, auto) { return by_time({}, {}, {}, keys, left); });
        });
  });
}

TEST_CASE("on arrival, records see the updates that have come before them") {
  using at_once = op<updates::on_arrival>;
  auto keys = std::make_shared<key_table<int>>();
  testing::operator_harness<at_once, oracle::event, oracle::event> h(
      [&] { return at_once({}, {}, {}, keys, side_output<oracle::event>("late")); });
  h.open();
  const auto slot = keys->find_or_insert(1);
  h.push<0>({{{1, 50, 0, 1}, oracle::at(50)}}, {slot});
  h.push<1>({{{0, 90, 0, 7}, oracle::at(90)}});
  h.push<0>({{{1, 40, 0, 2}, oracle::at(40)}}, {slot});
  REQUIRE(h.results().size() == 2);
  CHECK(h.results()[0].value.right.id == 0);
  CHECK(h.results()[1].value.right.id == 7);
}
