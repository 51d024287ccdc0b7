// SPDX-License-Identifier: Apache-2.0
// Random pipelines that crash at random moments and go on from their last checkpoint give what one
// gives that never crashed: nothing is lost, nothing comes twice.

#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "simulation/crash_runs.hpp"
#include "simulation/random_pipeline.hpp"

#include <random>

using namespace random_pipelines;

namespace {

auto random_graph(const parameters& given) {
  return [&given](pipeline& p, const transactional_sink& out) { assemble(p, given, out); };
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
    const auto without = run_with_crashes(always(1), random_graph(given), random, 0);
    for (std::size_t workers = 1; workers <= 3; ++workers) {
      INFO("round " << round << ", " << workers << " workers");
      const auto with = run_with_crashes(always(workers), random_graph(given), random, 4);
      crashes += with.crashes;
      checkpoints += with.checkpoints;
      REQUIRE(difference(with.rows, without.rows) == "");
    }
  }
  CHECK(crashes > 50);
  CHECK(checkpoints > 200);
}

TEST_CASE("pipelines that go on at another parallelism give what they give without crashes") {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int crashes = 0;
  int changes = 0;
  for (int round = 0; round < 250; ++round) {
    INFO("round " << round);
    const parameters given = random_parameters(random);
    const auto without = run_with_crashes(always(1), random_graph(given), random, 0);
    std::size_t last = 0;
    const auto any = [&] {
      const std::size_t next = 1 + random() % 4;
      changes += last != 0 && next != last ? 1 : 0;
      return last = next;
    };
    const auto with = run_with_crashes(any, random_graph(given), random, 5);
    crashes += with.crashes;
    REQUIRE(difference(with.rows, without.rows) == "");
  }
  CHECK(crashes > 100);
  CHECK(changes > 75);
}
