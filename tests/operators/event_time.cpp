// SPDX-License-Identifier: Apache-2.0
// event_time in pipelines: every strategy at parallelism 1 to 4, quarantine, silence, and the
// account of where records are.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "oracle/random_stream.hpp"

#include "catch.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using oracle::at;
using oracle::event;

namespace {

const auto time_of = [](const event& e) { return at(e.time); };
const auto key_of = [](const event& e) { return e.key; };

// Every hundredth of a tick-scale says that nothing older follows.
struct mark {
  std::optional<timestamp> operator()(const event& e, timestamp) const {
    return e.value == 0 ? std::optional(at(e.time - 100)) : std::nullopt;
  }
};

struct own_generator {
  void on_record(const event&, timestamp t, watermark_output&) { greatest = std::max(greatest, t); }
  void on_periodic(watermark_output& out) const { out.emit(saturating_sub(greatest, 100us)); }
  timestamp greatest = min_timestamp;
};

/// Rising per key, the keys far from each other.
std::vector<event> keys_with_clocks(oracle::random_source& random) {
  std::vector<event> all;
  std::map<int, std::int64_t> clock;
  for (int i = 0; i < 2'000; ++i) {
    const int key = static_cast<int>(random.below(8));
    clock[key] += random.between(1, 10 + key);
    all.push_back({key, clock[key], static_cast<int>(random.below(10)), i});
  }
  return all;
}

using counts = std::map<std::pair<int, std::int64_t>, std::uint64_t>;

counts count_windows(const std::vector<event>& events, std::int64_t size) {
  counts all;
  for (const auto& e : events) ++all[{e.key, e.time / size * size}];
  return all;
}

using counted_window = window_result<int, std::uint64_t>;

template <class Strategy>
void check_at_every_parallelism(const std::string& what, Strategy strategy, bool complete) {
  oracle::for_each_case(4, [&](oracle::random_source& random) {
    const auto events = keys_with_clocks(random);
    std::optional<std::vector<std::string>> alone;
    for (std::size_t workers = 1; workers <= 4; ++workers) {
      INFO(what << " on " << workers << " workers");
      testing::simulation sim({.workers = workers, .seed = random.bits()});
      memory::sink<counted_window> out;
      memory::sink<event> late;
      const side_output<event> late_tag("late");
      pipeline p("strategies");
      p.parallelism(workers);
      auto windows = p.source("in", memory::source<event>(events))
                         .event_time(time_of, strategy)
                         .key_by(key_of)
                         .window(tumbling{duration{50}})
                         .late_to(late_tag)
                         .aggregate("counts", count{});
      windows.to("out", out);
      windows.side(late_tag).to("late", late);
      p.start(sim);
      sim.run_to_end();
      std::uint64_t counted = late.size();
      std::vector<std::string> lines;
      counts found;
      for (const auto& r : out.values()) {
        counted += r.value;
        const auto start = r.window.start.time_since_epoch().count();
        found[{r.key, start}] = r.value;
        lines.push_back(std::to_string(r.key) + " " + std::to_string(start) + " " +
                        std::to_string(r.value));
      }
      CHECK(counted == events.size());
      if (complete) CHECK(found == count_windows(events, 50));
      std::sort(lines.begin(), lines.end());
      if (!alone) alone = lines;
      CHECK(lines == *alone);
    }
  });
}

}  // namespace

TEST_CASE("every strategy gives the same results at parallelism 1 to 4") {
  // Keys drift apart by more than any bound: only a watermark per key loses nothing.
  check_at_every_parallelism("per key", per_key(key_of, {.idle_after = 1h}), false);
  check_at_every_parallelism("per partition", per_partition(key_of, {.expected = 8}), true);
  check_at_every_parallelism("bounded lag", bounded_lag{1h}, true);
  check_at_every_parallelism("punctuated", punctuated(mark{}), false);
  check_at_every_parallelism("generator", own_generator{}, false);
}

TEST_CASE(
    "records from the future go to the side output, or become dead letters, and are counted") {
  for (const bool side : {true, false}) {
    testing::simulation sim({.start = at(1'000)});
    memory::sink<event> out, future;
    memory::sink<dead_letter> dead;
    const side_output<event> tag("future");
    pipeline p("future");
    const std::vector<event> events{
        {0, 990, 0, 0}, {0, 99'000, 0, 1}, {0, 1'100, 0, 2}, {0, 1'101, 0, 3}, {0, 1'000, 0, 4}};
    auto timed = p.source("in", memory::source<event>(events))
                     .event_time(time_of, bounded_lag{.most_ahead = 100us}, {.future = tag});
    timed.to("out", out);
    if (side) timed.side(tag).to("future", future);
    p.dead_letters().to("dead", dead);
    p.start(sim);
    sim.run_to_end();
    CHECK(out.values() == std::vector<event>{events[0], events[2], events[4]});
    CHECK(future.size() == (side ? 2U : 0U));
    CHECK(dead.size() == (side ? 0U : 2U));
    for (const auto& s : p.status().operators) {
      if (!s.name.starts_with("event_time")) continue;
      CHECK(s.records_in == 5);
      CHECK(s.records_in == s.records_out + s.filtered + s.dead_letters);
      for (const auto& m : s.metrics) {
        if (m.name == "quarantined") CHECK(m.value == 2);
      }
    }
    // One broken clock has made nobody late.
    if (side) CHECK(future.values()[0].id == 1);
  }
}

TEST_CASE("a stream that gives nothing but records from the future is a silent one") {
  testing::simulation sim({.start = at(0)});
  memory::queue<event> in;
  memory::sink<event> out;
  pipeline p("broken");
  p.source("broken", in)
      .event_time(time_of, bounded_lag{.idle_after = 100us, .most_ahead = 1s})
      .merge(p.source("good", memory::queue<event>()).event_time(time_of, bounded_lag{}))
      .to("out", out);
  p.start(sim);
  in.push({0, 10, 0, 0});
  sim.run_until_idle();
  for (int i = 0; i < 10; ++i) {
    in.push({0, 3'600'000'000, 0, i});
    sim.advance(20us);
  }
  CHECK(p.explain_stall(0s).empty());
  CHECK(out.size() == 1);
  p.cancel();
  sim.run_until_idle();
}

TEST_CASE("per key: the last windows fire by the clock when all devices have gone quiet") {
  testing::simulation sim;
  memory::queue<event> in;
  memory::sink<counted_window> out;
  pipeline p("quiet");
  p.source("in", in)
      .event_time(time_of, per_key(key_of, {.bound = 1s, .idle_after = 5s}))
      .key_by(key_of)
      .window(tumbling{10s})
      .aggregate("counts", count{})
      .to("out", out);
  p.start(sim);
  in.push({1, 3'000'000, 0, 0});
  in.push({2, 7'000'000, 0, 1});
  sim.advance(4s);
  CHECK(out.size() == 0);
  sim.advance(20s);
  CHECK(out.size() == 2);
  in.close();
  sim.run_to_end();
  CHECK(out.size() == 2);
}

TEST_CASE("partitions beyond the limit have no say and are counted") {
  testing::simulation sim;
  memory::queue<event> in;
  memory::sink<event> out;
  pipeline p("limit");
  p.source("in", in).event_time(time_of, per_partition(key_of, {.most = 2})).to("out", out);
  p.start(sim);
  for (int key = 0; key < 4; ++key) in.push({key, 100 - key, 0, key});
  sim.run_until_idle();
  const auto status = p.status().operators;
  CHECK(status[1].watermark == at(98));
  for (const auto& m : status[1].metrics) {
    if (m.name == "partitions_ignored") CHECK(m.value == 2);
  }
  in.close();
  sim.run_to_end();
  CHECK(out.size() == 4);
}

TEST_CASE("text may name a partition") {
  testing::simulation sim;
  memory::queue<event> in;
  memory::sink<event> out;
  pipeline p("text");
  static const std::vector<std::string> names{"north", "south"};
  p.source("in", in)
      .event_time(time_of, per_partition([](const event& e) {
                    return std::string_view(names[static_cast<std::size_t>(e.key)]);
                  }))
      .to("out", out);
  p.start(sim);
  in.push({0, 10, 0, 0});
  in.push({1, 20, 0, 1});
  in.push({0, 30, 0, 2});
  sim.run_until_idle();
  CHECK(p.status().operators[1].watermark == at(19));
  in.close();
  sim.run_to_end();
}

TEST_CASE("per key without a time of silence is refused") {
  CHECK_THROWS_AS(per_key(key_of, {}), topology_error);
}
