// SPDX-License-Identifier: Apache-2.0
// Map, filter, map, sum (W1), with a filter that cannot be predicted and with one that can.
#include "floors/fused_chain.hpp"

#include "harness/replay_source.hpp"
#include "operators/programs.hpp"

#include <millrace/dsl/pipeline.hpp>

#include <bit>
#include <memory>

namespace bench {

namespace {

template <bool (*Keep)(double)>
double run_pipeline(const floors::event_block& block, std::size_t passes) {
  double sum = 0;
  millrace::pipeline p{"fused chain"};
  p.source("events", replay_source(block, passes))
      .map([](const floors::event& e) { return floors::scaled(e); })
      .filter([](double v) { return Keep(v); })
      .map([](double v) { return floors::shifted(v); })
      .to("sum", noting_sink([&sum](double v) { sum += v; }));
  p.run();
  return sum;
}

template <bool (*Keep)(double)>
std::vector<contestant> prepare(scale) {
  auto block = std::make_shared<floors::event_block>(floors::make_events({}));
  const auto as = [block](auto run) {
    return [block, run](std::size_t passes) {
      const double sum = run(*block, passes);
      return outcome{block->events.size() * passes, std::bit_cast<std::uint64_t>(sum)};
    };
  };
  return {{"ours", as(run_pipeline<Keep>)}, {"floor", as(floors::fused_chain<Keep>)}};
}

}  // namespace

benchmark fused_chain() {
  return {.name = "fused_chain",
          .what = "map, filter 50 % (random), map, sum; 24-byte events, block of 65,536",
          .passes = 200,
          .few = 10,
          .many = 30,
          .goals = {{"13", "floor", goal::of::time, 1.05}},
          .prepare = prepare<floors::wanted>};
}

benchmark fused_chain_predictable() {
  return {.name = "fused_chain_predictable",
          .what = "the same with a filter that keeps everything",
          .passes = 500,
          .few = 10,
          .many = 30,
          .prepare = prepare<floors::nearly_all>};
}

}  // namespace bench
