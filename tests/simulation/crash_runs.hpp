// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs a pipeline that crashes at random moments and goes on from its last checkpoint.
#pragma once

#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "simulation/random_pipeline.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>

namespace random_pipelines {

struct run_result {
  lines rows;
  int crashes = 0;
  std::uint64_t checkpoints = 0;
};

/// One life after the other on the same storage, the last one to its end; each with the parallelism
/// that `workers_of_next()` says. `assemble(pipeline&, const transactional_sink&)` builds it.
template <class Workers, class Assemble>
run_result run_with_crashes(Workers workers_of_next, Assemble assemble, std::mt19937& random,
                            int crashes, unsigned most_steps = 200) {
  using namespace std::chrono_literals;
  run_result result;
  auto storage = std::make_shared<memory_checkpoints>();
  const auto rows = std::make_shared<database>();
  for (int life = 0;; ++life) {
    const std::size_t workers = workers_of_next();
    testing::simulation sim({.workers = workers, .seed = random()});
    pipeline p("random");
    p.parallelism(workers).ring_batches(2 + random() % 3);
    p.checkpoint_to(storage, {.every = 1h});
    assemble(p, transactional_sink{rows});
    p.start(sim);
    const bool last = life == crashes;
    std::uint64_t steps = last ? ~std::uint64_t{0} : random() % most_steps;
    for (; steps > 0 && !sim.ended(); --steps) {
      if (random() % 8 == 0) p.checkpoint_now();
      if (!sim.step() && !sim.step()) sim.advance(1ms);
    }
    result.checkpoints += p.status().checkpoints.completed;
    if (sim.ended()) {
      p.wait();  // throws what it has failed with
      break;
    }
    REQUIRE_FALSE(last);
    ++result.crashes;
    p.cancel();
    sim.run_to_end();
  }
  result.rows = rows->rows;
  std::sort(result.rows.begin(), result.rows.end());
  return result;
}

inline auto always(std::size_t workers) {
  return [workers] { return workers; };
}

}  // namespace random_pipelines
