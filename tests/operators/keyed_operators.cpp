// SPDX-License-Identifier: Apache-2.0
// Windows, process functions and broadcast pairs in every way the harness knows: one record at a
// time, in batches, saved and restored after every batch, and with an output that is always full.

#include <millrace/operators/broadcast.hpp>
#include <millrace/operators/process.hpp>
#include <millrace/operators/window_aggregate.hpp>
#include <millrace/testing/operator_harness.hpp>
#include <millrace/windows/aggregates.hpp>

#include "catch.hpp"

#include <boost/describe.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>

using namespace millrace;
using namespace millrace::testing;

namespace {

struct reading {
  int key = 0;
  int value = 0;
};
BOOST_DESCRIBE_STRUCT(reading, (), (key, value))

timestamp at(std::int64_t t) { return timestamp{duration{t}}; }
std::int64_t ticks(timestamp t) { return t.time_since_epoch().count(); }

using step = script_step<reading>;

int key_of(const step& s) { return std::get<1>(s.what).value.key; }

struct script {
  std::vector<step> steps;
  std::vector<emitted<reading>> records;  // those that are not behind the watermark
};

/// Records in order of time within `disorder`, none of them late, and watermarks between.
script random_script(std::mt19937& random, int keys) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  script s;
  std::int64_t low = -50;
  const int n = 10 + pick(80);
  for (int i = 0; i < n; ++i) {
    if (pick(5) == 0) {
      low += pick(30);
      s.steps.push_back({0, control::watermark(at(low))});
      continue;
    }
    const emitted<reading> r{{pick(keys), pick(100)}, at(low + 1 + pick(50))};
    s.records.push_back(r);
    s.steps.push_back({0, r});
  }
  s.steps.push_back({0, control::watermark(max_timestamp)});
  return s;
}

template <class Results, class Line>
std::multiset<std::string> lines(const Results& results, Line&& line) {
  std::multiset<std::string> all;
  for (const auto& r : results) all.insert(line(r));
  return all;
}

/// Runs in all ways; each must print the expected lines.
template <class Verifier, class Line>
void check_all(Verifier& v, const std::vector<step>& steps,
               const std::multiset<std::string>& expected, Line&& line) {
  REQUIRE((lines(v.run(steps, 1, false, false), line) == expected));
  REQUIRE((lines(v.run(steps, 7, false, true), line) == expected));
  REQUIRE((lines(v.run(steps, 1000, false, false), line) == expected));
  REQUIRE((lines(v.run(steps, 3, true, false), line) == expected));
  REQUIRE((lines(v.run(steps, 3, true, true), line) == expected));
}

}  // namespace

TEST_CASE("windows give the same results in every way of running") {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  INFO("seed " << seed);
  std::mt19937 random(seed);
  auto aggregate = compose(count{}, sum(&reading::value));
  using op = window_aggregate_operator<int, reading, decltype(aggregate)>;
  using harness = operator_harness<op, reading>;
  for (int round = 0; round < 60; ++round) {
    const int slide = 1 + static_cast<int>(random() % 20);
    const sliding windows{.size = duration{1 + static_cast<int>(random() % 60)},
                          .slide = duration{slide}};
    const script given = random_script(random, 5);
    std::map<std::pair<int, std::int64_t>, std::pair<int, int>> folds;
    for (const auto& r : given.records) {
      for (const auto& w : windows_of(windows, r.time)) {
        auto& f = folds[{r.value.key, ticks(w.start)}];
        ++f.first;
        f.second += r.value.value;
      }
    }
    std::multiset<std::string> expected;
    for (const auto& [k, f] : folds) {
      expected.insert(std::to_string(k.first) + " " + std::to_string(k.second) + ": " +
                      std::to_string(f.first) + " " + std::to_string(f.second));
    }
    operator_verifier<op, int, reading> v(
        [&](std::shared_ptr<key_table<int>> keys) {
          return std::make_unique<harness>([&] {
            return op(windows, duration{0}, aggregate, keys, side_output<reading>("late"));
          });
        },
        key_of);
    INFO("round " << round);
    check_all(v, given.steps, expected, [](const auto& e) {
      return std::to_string(e.value.key) + " " + std::to_string(ticks(e.value.window.start)) +
             ": " + std::to_string(std::get<0>(e.value.value)) + " " +
             std::to_string(std::get<1>(e.value.value));
    });
  }
}

namespace {

struct tally {
  int count = 0;
  int sum = 0;
};
BOOST_DESCRIBE_STRUCT(tally, (), (count, sum))

/// Sums up to a timer that the first record of a round sets; every third record deletes it.
struct on_reading {
  template <class Context>
  void operator()(const reading& r, tally& t, Context& ctx) const {
    const timestamp due = at((ticks(ctx.time()) / 40 + 2) * 40);
    ctx.timer_at(due);
    ctx.timer_at(due);
    if (r.value % 3 == 0) ctx.delete_timer(due);
    ++t.count;
    t.sum += r.value;
  }
};
struct on_due {
  template <class Context>
  void operator()(timestamp time, tally& t, Context& ctx) const {
    ctx.emit(std::to_string(ctx.key()) + " at " + std::to_string(ticks(time)) + ": " +
             std::to_string(t.count) + " " + std::to_string(t.sum));
    if (t.count > 4) ctx.clear_state();
  }
};

/// The same by hand: records and watermarks one by one, timers in a sorted set.
std::multiset<std::string> expected_tallies(const std::vector<step>& steps) {
  std::map<int, tally> states;
  std::set<std::pair<std::int64_t, int>> timers;
  std::multiset<std::string> out;
  for (const auto& s : steps) {
    if (const auto* c = std::get_if<control>(&s.what)) {
      // Keys with equal times are independent of each other.
      while (!timers.empty() && timers.begin()->first <= ticks(c->time)) {
        const auto [time, key] = *timers.begin();
        timers.erase(timers.begin());
        auto& t = states[key];
        out.insert(std::to_string(key) + " at " + std::to_string(time) + ": " +
                   std::to_string(t.count) + " " + std::to_string(t.sum));
        if (t.count > 4) states.erase(key);
      }
      continue;
    }
    const auto& r = std::get<1>(s.what);
    const std::pair due{(ticks(r.time) / 40 + 2) * 40, r.value.key};
    timers.insert(due);
    if (r.value.value % 3 == 0) timers.erase(due);
    auto& t = states[r.value.key];
    ++t.count;
    t.sum += r.value.value;
  }
  return out;
}

}  // namespace

TEST_CASE("process functions with timers give the same results in every way of running") {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  INFO("seed " << seed);
  std::mt19937 random(seed);
  using op = process_operator<int, tally, std::string, on_reading, no_timer, on_due>;
  using harness = operator_harness<op, reading>;
  for (int round = 0; round < 100; ++round) {
    const script given = random_script(random, 4);
    operator_verifier<op, int, reading> v(
        [](std::shared_ptr<key_table<int>> keys) {
          return std::make_unique<harness>([&] { return op({}, {}, {}, keys); });
        },
        key_of);
    INFO("round " << round);
    check_all(v, given.steps, expected_tallies(given.steps), [](const auto& e) { return e.value; });
  }
}

TEST_CASE("a key without state and timers leaves the key table") {
  auto keys = std::make_shared<key_table<int>>();
  using op = process_operator<int, tally, std::string, on_reading, no_timer, on_due>;
  operator_harness<op, reading> h([&] { return op({}, {}, {}, keys); });
  h.open();
  for (int k = 0; k < 100; ++k) {
    for (int i = 0; i < 5; ++i) h.push({{{k, 1}, at(k)}}, {keys->find_or_insert(k)});
  }
  keys->sweep();
  CHECK(keys->size() == 100);
  h.send(control::watermark(max_timestamp));
  keys->sweep();
  CHECK(keys->size() == 0);
}

TEST_CASE("records that wait for a broadcast value are saved, and go on in their order") {
  using op = with_operator<reading, std::string>;
  using harness = operator_harness<op, reading, std::string>;
  harness before([] { return op(with_options{}); });
  before.open();
  before.push<0>({{{1, 1}, at(1)}, {{2, 2}, at(2)}});
  before.send<0>(control::watermark(at(2)));
  CHECK(before.results().empty());
  CHECK(before.controls().empty());
  harness after([] { return op(with_options{}); });
  after.restore(before.snapshot());
  after.open();
  after.push<1>({{"rules", at(0)}});
  REQUIRE(after.results().size() == 2);
  CHECK(after.results()[1].value.value.value == 2);
  CHECK(*after.results()[1].value.shared == "rules");
  harness again([] { return op(with_options{}); });
  again.restore(after.snapshot());
  again.open();
  again.push<0>({{{3, 3}, at(3)}});
  CHECK(again.results().size() == 1);
}
