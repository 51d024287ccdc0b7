// SPDX-License-Identifier: Apache-2.0
// Sketches, moments and ranks in windows of random pipelines, and the best results of each window:
// the same at any parallelism, and those of a sort.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>
#include <millrace/windows/aggregates/distinct.hpp>
#include <millrace/windows/aggregates/quantiles.hpp>

#include "catch.hpp"
#include "oracle/random_batches.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

using namespace millrace;
using oracle::event;

namespace {

struct parameters {
  oracle::event_batches batches;
  duration lag{}, window{};
};

parameters random_parameters(oracle::random_source& random) {
  return {oracle::random_batches(random), duration{random.below(60)},
          duration{random.between(1, 150)}};
}

std::string time_text(timestamp t) { return std::to_string(t.time_since_epoch().count()); }

std::vector<std::string> run(const parameters& given, std::size_t workers, std::uint64_t seed) {
  testing::simulation sim({.workers = workers, .seed = seed});
  pipeline p("random");
  p.parallelism(workers).ring_batches(2 + seed % 3);
  memory::sink<std::string> out;
  auto keyed =
      p.source("in", oracle::batch_source(given.batches))
          .event_time([](const event& e) { return oracle::at(e.time); }, bounded_lag{given.lag})
          .key_by([](const event& e) { return e.key; });
  const auto value = [](const event& e) { return e.value; };
  auto stats =
      keyed.window(tumbling{given.window})
          .aggregate("stats", compose(quantile(0.9, value), count_distinct(value), skewness{value},
                                      latest(&event::id), top_k(2, value, &event::id)));
  using result = typename decltype(stats)::value_type;
  const auto stats_text = [](const result& r) {
    const auto& [high, different, skew, last, best] = r.value;
    return std::to_string(r.key) + " " + time_text(r.window.start) + ": " + std::to_string(high) +
           " " + std::to_string(different) + " " + std::to_string(skew) + " " +
           std::to_string(last) + " " + std::to_string(best[0].value);
  };
  stats.map([=](const result& r) { return "stats " + stats_text(r); }).to("stats out", out);
  stats.top_of_windows("top", [](const result& r) { return std::get<1>(r.value); }, {.n = 3})
      .map([=](const ranked<result>& r) {
        return "top " + std::to_string(r.rank) + " " + stats_text(r.value);
      })
      .to("top out", out);
  p.start(sim);
  p.wait();
  auto all = out.values();
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("sketches and ranks in windows give the same results at any parallelism") {
  oracle::for_each_case(40, [](oracle::random_source& random) {
    const parameters given = random_parameters(random);
    const auto alone = run(given, 1, 1);
    for (std::size_t workers = 2; workers <= 4; ++workers) {
      INFO(workers << " workers");
      CHECK(run(given, workers, random.bits() % 1000) == alone);
    }
  });
}

TEST_CASE("the best of each window are those of a sort over all keys") {
  oracle::for_each_case(100, [](oracle::random_source& random) {
    parameters given = random_parameters(random);
    given.lag = duration{100};  // nothing is late
    const auto all = run(given, 1, 1);
    // "stats <key> <start>: <quantile> <different> ..." with the score in the fifth place
    struct line {
      int key, different;
      long start;
      std::string text;
    };
    std::vector<line> results;
    for (const auto& text : oracle::with_prefix(all, "stats ")) {
      line l{0, 0, 0, text.substr(6)};
      double quantile = 0;
      REQUIRE(std::sscanf(text.c_str(), "stats %d %ld: %lf %d", &l.key, &l.start, &quantile,
                          &l.different) == 4);
      results.push_back(std::move(l));
    }
    std::sort(results.begin(), results.end(), [](const line& a, const line& b) {
      if (a.start != b.start) return a.start < b.start;
      return a.different != b.different ? a.different > b.different : a.key < b.key;
    });
    std::vector<std::string> expected;
    int rank = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
      rank = i > 0 && results[i].start == results[i - 1].start ? rank + 1 : 1;
      if (rank <= 3) expected.push_back("top " + std::to_string(rank) + " " + results[i].text);
    }
    std::sort(expected.begin(), expected.end());
    CHECK(oracle::with_prefix(all, "top ") == expected);
  });
}
