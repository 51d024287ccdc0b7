// SPDX-License-Identifier: Apache-2.0
// Random pipelines that crash at random moments and go on from their last checkpoint give what one
// gives that never crashed: nothing is lost, nothing comes twice.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "simulation/random_pipeline.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace random_pipelines;
using namespace std::chrono_literals;

namespace {

struct run_result {
  lines rows;
  int crashes = 0;
  std::uint64_t checkpoints = 0;
};

/// One life after the other on the same storage, the last one to its end.
run_result run_with_crashes(const parameters& given, std::size_t workers, std::mt19937& random,
                            int crashes) {
  run_result result;
  auto storage = std::make_shared<memory_checkpoints>();
  const auto rows = std::make_shared<database>();
  for (int life = 0;; ++life) {
    testing::simulation sim({.workers = workers, .seed = random()});
    pipeline p("random");
    p.parallelism(workers).ring_batches(2 + random() % 3);
    p.checkpoint_to(storage, {.every = 1h});
    assemble(p, given, transactional_sink{rows});
    p.start(sim);
    const bool last = life == crashes;
    for (std::uint64_t steps = last ? ~std::uint64_t{0} : random() % 200; steps > 0; --steps) {
      if (random() % 8 == 0) p.checkpoint_now();
      if (!sim.step() && !sim.step()) break;
    }
    result.checkpoints += p.status().checkpoints.completed;
    if (sim.ended()) break;
    REQUIRE_FALSE(last);
    ++result.crashes;
    p.cancel();
    sim.run_to_end();
  }
  result.rows = rows->rows;
  std::sort(result.rows.begin(), result.rows.end());
  return result;
}

}  // namespace

TEST_CASE("pipelines that crash and go on from a checkpoint give what they give without crashes") {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int crashes = 0;
  std::uint64_t checkpoints = 0;
  for (int round = 0; round < 150; ++round) {
    const parameters given = random_parameters(random);
    const auto without = run_with_crashes(given, 1, random, 0);
    for (std::size_t workers = 1; workers <= 3; ++workers) {
      INFO("round " << round << ", " << workers << " workers");
      const auto with = run_with_crashes(given, workers, random, 4);
      crashes += with.crashes;
      checkpoints += with.checkpoints;
      REQUIRE(difference(with.rows, without.rows) == "");
    }
  }
  CHECK(crashes > 50);
  CHECK(checkpoints > 200);
}
