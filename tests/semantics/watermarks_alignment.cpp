// SPDX-License-Identifier: Apache-2.0
// Sources kept together in event time: nobody runs ahead by more than the drift and a batch, and
// nobody waits for ever.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "oracle/random_stream.hpp"

#include "catch.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using oracle::at;

namespace {

std::vector<oracle::event> rising(oracle::random_source& random, int source, int records) {
  std::vector<oracle::event> all;
  std::int64_t clock = random.between(0, 200);
  const auto step = random.between(1, 30);
  for (int i = 0; i < records; ++i) {
    clock += random.between(0, step);
    all.push_back({source, clock - random.between(0, 10), 0, i});
  }
  return all;
}

const auto time_of = [](const oracle::event& e) { return at(e.time); };

struct member_state {
  std::uint64_t records = 0;
  timestamp watermark = min_timestamp;
  bool finished = false;
};

std::map<std::string, member_state> members(const pipeline& p) {
  std::map<std::string, member_state> all;
  for (const auto& s : p.status().operators) {
    if (s.name.starts_with("event_time")) all[s.name] = {s.records_in, s.watermark, s.finished};
  }
  return all;
}

}  // namespace

TEST_CASE("an aligned source is not polled while it is ahead by more than the drift") {
  oracle::for_each_case(60, [](oracle::random_source& random) {
    const auto drift = duration{random.between(0, 300)};
    testing::simulation sim({.workers = 1, .seed = random.bits()});
    pipeline p("aligned");
    const watermark_alignment together(drift, 1s);
    memory::sink<oracle::event> out;
    const auto sources = random.between(2, 4);
    std::size_t expected = 0;
    for (int s = 0; s < sources; ++s) {
      auto records = rising(random, s, static_cast<int>(random.between(0, 4'000)));
      expected += records.size();
      const auto name = std::to_string(s);
      p.source("in-" + name, memory::source<oracle::event>(std::move(records)))
          .event_time(time_of, bounded_lag{duration{10}}, {.aligned = together})
          .to("out-" + name, out);
    }
    p.start(sim);
    auto before = members(p);
    bool ahead = false;
    const auto check = [&] {
      auto now = members(p);
      timestamp least = max_timestamp;
      for (const auto& [name, m] : now) {
        if (!m.finished) least = std::min(least, m.watermark);
      }
      for (const auto& [name, m] : now) {
        const auto& old = before[name];
        const bool polled = m.records > old.records;
        if (polled && old.watermark > saturating_add(least, drift)) ahead = true;
      }
      before = std::move(now);
    };
    while (sim.step()) check();
    sim.run_to_end();
    CHECK_FALSE(ahead);
    CHECK(out.size() == expected);
  });
}

TEST_CASE("silent and ended streams do not stop the aligned ones") {
  oracle::for_each_case(60, [](oracle::random_source& random) {
    testing::simulation sim(
        {.workers = static_cast<std::size_t>(random.between(1, 3)), .seed = random.bits()});
    pipeline p("silent");
    p.parallelism(1);
    const watermark_alignment together(duration{random.between(0, 100)}, 100ms);
    memory::sink<oracle::event> out;
    std::deque<memory::queue<oracle::event>> queues(static_cast<std::size_t>(random.between(2, 4)));
    std::vector<std::vector<oracle::event>> records;
    std::size_t expected = 0;
    for (std::size_t s = 0; s < queues.size(); ++s) {
      records.push_back(rising(random, static_cast<int>(s), static_cast<int>(random.below(300))));
      expected += records.back().size();
      const auto name = std::to_string(s);
      p.source("in-" + name, queues[s])
          .event_time(time_of, bounded_lag{duration{5}}, {.aligned = together})
          .key_by([](const oracle::event& e) { return e.key; })
          .to("out-" + name, out);
    }
    p.start(sim);
    std::vector<std::size_t> next(queues.size(), 0);
    for (int round = 0; round < 200; ++round) {
      const auto s = static_cast<std::size_t>(random.below(static_cast<int>(queues.size())));
      for (auto n = random.between(1, 20); n > 0 && next[s] < records[s].size(); --n) {
        queues[s].push(records[s][next[s]++]);
      }
      if (random.one_in(3)) sim.advance(std::chrono::milliseconds{random.between(1, 60)});
    }
    for (std::size_t s = 0; s < queues.size(); ++s) {
      for (; next[s] < records[s].size(); ++next[s]) queues[s].push(records[s][next[s]]);
    }
    // Nobody has ended: all is delivered nevertheless.
    for (int i = 0; i < 400 && out.size() < expected; ++i) sim.advance(100ms);
    CHECK(out.size() == expected);
    for (auto& q : queues) q.close();
    sim.run_to_end();
  });
}

TEST_CASE("a stream that is paused by its group is not taken for a silent one") {
  testing::simulation sim;
  pipeline p("paused");
  const watermark_alignment together(duration{10}, 10s);
  memory::sink<int> out;
  memory::queue<int> fast, slow;
  const auto time_of_int = [](int i) { return at(i); };
  const bounded_lag lag{.idle_after = 1s};
  const auto merged =
      p.source("fast", fast)
          .event_time(time_of_int, lag, {.aligned = together})
          .merge(
              p.source("slow", slow).event_time(time_of_int, bounded_lag{}, {.aligned = together}));
  merged.to("out", out);
  p.start(sim);
  slow.push(0);
  fast.push(100);
  sim.run_until_idle();
  fast.push(120);
  sim.advance(5s);
  CHECK(out.values() == std::vector<int>{100, 0});
  // Had the fast one been idle, the slow one alone would decide, and it comes further than that.
  slow.push(150);
  sim.run_until_idle();
  CHECK(out.values() == std::vector<int>{100, 0, 150, 120});
  for (const auto& s : p.status().operators) {
    if (s.name.starts_with("merge")) CHECK(s.watermark == at(119));
  }
  fast.close();
  slow.close();
  sim.run_to_end();
}

TEST_CASE("an alignment without a bound on silence is refused") {
  CHECK_THROWS_AS(watermark_alignment(1s, 0s), topology_error);
  CHECK_THROWS_AS(watermark_alignment(duration{-1}), topology_error);
}
