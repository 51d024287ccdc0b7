// SPDX-License-Identifier: Apache-2.0
// Random pipelines give the same results at any parallelism and in any order of scheduling, and
// where a plain loop can say what they must be, those.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "simulation/random_pipeline.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace millrace;

using namespace random_pipelines;

namespace {

lines run(const parameters& given, std::size_t workers, std::uint64_t seed) {
  testing::simulation sim({.workers = workers, .seed = seed});
  pipeline p("random");
  p.parallelism(workers).ring_batches(2 + seed % 3);
  const auto rows = std::make_shared<database>();
  assemble(p, given, transactional_sink{rows});
  p.start(sim);
  p.wait();
  auto all = rows->rows;
  std::sort(all.begin(), all.end());
  return all;
}

struct fold {
  std::uint64_t count = 0;
  std::int64_t sum = 0;
};

/// What windows must say when nothing is late: straight from the records.
lines expected_windows(const parameters& given) {
  std::map<std::pair<int, std::int64_t>, fold> folds;
  for (const auto& batch : given.batches) {
    for (const auto& e : batch) {
      if (e.value % given.modulus != 0) continue;
      const std::int64_t size = given.windows.size.count();
      const std::int64_t slide = given.windows.slide.count();
      for (std::int64_t start = e.time - size + 1; start <= e.time; ++start) {
        if (((start - given.windows.offset.count()) % slide + slide) % slide != 0) continue;
        auto& f = folds[{e.key, start}];
        ++f.count;
        f.sum += e.value;
      }
    }
  }
  lines all;
  for (const auto& [at, f] : folds) {
    all.push_back("window " + std::to_string(at.first) + " " + std::to_string(at.second) + ": " +
                  std::to_string(f.count) + " " + std::to_string(f.sum));
  }
  std::sort(all.begin(), all.end());
  return all;
}

/// Whether every record comes before the watermark reaches it.
bool in_time(const parameters& given) {
  std::int64_t greatest = INT64_MIN / 2;
  std::int64_t watermark = INT64_MIN / 2;
  for (const auto& batch : given.batches) {
    for (const auto& e : batch) {
      if (e.value % given.modulus != 0) continue;
      if (e.time <= watermark) return false;
      greatest = std::max(greatest, e.time);
    }
    watermark = std::max(watermark, greatest - given.lag.count() - 1);
  }
  return true;
}

lines with_prefix(const lines& all, const std::string& prefix) {
  lines some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some),
               [&](const std::string& l) { return l.starts_with(prefix); });
  return some;
}

}  // namespace

TEST_CASE("random pipelines give the same results at any parallelism") {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int compared = 0;
  for (int round = 0; round < 150; ++round) {
    const parameters given = random_parameters(random);
    const lines alone = run(given, 1, 1);
    for (std::size_t workers = 2; workers <= 4; ++workers) {
      INFO("round " << round << ", " << workers << " workers");
      REQUIRE(difference(run(given, workers, random()), alone) == "");
    }
    if (in_time(given)) {
      ++compared;
      INFO("round " << round);
      REQUIRE(difference(with_prefix(alone, "window"), expected_windows(given)) == "");
    }
  }
  CHECK(compared > 20);
}
