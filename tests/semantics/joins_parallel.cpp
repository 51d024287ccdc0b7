// SPDX-License-Identifier: Apache-2.0
// All joins in one pipeline, at parallelism 1 to 4 and in any order of scheduling: the same
// results.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "oracle/random_stream.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace millrace;

namespace {

using lines = std::vector<std::string>;

struct sums {
  std::int64_t seen = 0;
};

std::string id(const oracle::event& e) { return std::to_string(e.id); }
std::string id(const std::optional<oracle::event>& e) { return e ? id(*e) : "none"; }

/// Distinct times per key and side, so that ties do not depend on who comes first.
std::vector<oracle::event> random_events(oracle::random_source& random, int offset) {
  std::vector<oracle::event> all;
  const int n = static_cast<int>(random.between(0, 60));
  std::int64_t clock = random.between(-500, 500);
  for (int i = 0; i < n; ++i) {
    clock += random.between(0, 8);
    const std::int64_t time = (clock - random.between(0, 30)) * 128 + i * 2 + offset;
    all.push_back({static_cast<int>(random.below(7)), time, static_cast<int>(random.below(100)),
                   static_cast<int>(i * 2 + offset)});
  }
  return all;
}

lines run(const std::vector<oracle::event>& left, const std::vector<oracle::event>& right,
          std::size_t workers, std::uint64_t seed) {
  testing::simulation sim({.workers = workers, .seed = seed});
  pipeline p("joins");
  p.parallelism(workers);
  memory::sink<std::string> out;
  const auto timed = [&p](const char* name, const std::vector<oracle::event>& events) {
    return p.source(name, memory::source(events))
        .event_time([](const oracle::event& e) { return oracle::at(e.time); },
                    bounded_lag{duration{128 * 31}});
  };
  auto all_left = timed("left", left);
  auto all_right = timed("right", right);
  auto l = all_left.key_by(&oracle::event::key);
  auto r = all_right.key_by(&oracle::event::key);
  const auto note = [&out](auto joined, const char* name) {
    joined
        .map([name](const auto& j) {
          return std::string(name) + " " + id(j.left) + " " + id(j.right);
        })
        .to(name, out);
  };
  const duration reach{128 * 20};
  note(l.interval_join<join_kind::full>("interval", r, {.lower = -reach, .upper = reach}), "i");
  note(l.window_join<join_kind::full>("sliding", r, sliding{.size = 3 * reach, .slide = reach}),
       "w");
  note(l.window_join<join_kind::left>("sessions", r, session{.gap = reach}), "s");
  note(l.as_of_join<join_kind::left>("as of", r, {.direction = as_of::nearest, .tolerance = reach}),
       "a");
  note(l.left_join_latest("latest", r), "l");
  auto table = r.map([](const oracle::event& e) {
    return e.value < 10 ? std::nullopt : std::optional<oracle::event>(e);
  });
  note(l.temporal_join<join_kind::left>("table", table), "t");
  l.connect<updates::by_event_time>(all_right.broadcast())
      .process<std::string>(
          "rules",
          [](const oracle::event& e, sums&, const sums& rules, auto& ctx) {
            ctx.emit("r " + id(e) + " " + std::to_string(rules.seen));
          },
          [](const oracle::event& e, sums& rules) { rules.seen += e.id; })
      .to("r", out);
  p.start(sim);
  p.wait();
  auto all = out.values();
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("joins give the same results at any parallelism") {
  oracle::for_each_case(60, [](oracle::random_source& random) {
    const auto left = random_events(random, 0);
    const auto right = random_events(random, 1);
    const lines alone = run(left, right, 1, 1);
    for (std::size_t workers = 2; workers <= 4; ++workers) {
      INFO(workers << " workers");
      REQUIRE(run(left, right, workers, random.bits()) == alone);
    }
    const auto counted = std::count_if(alone.begin(), alone.end(),
                                       [](const std::string& s) { return s.starts_with("l "); });
    CHECK(static_cast<std::size_t>(counted) == left.size());
  });
}
