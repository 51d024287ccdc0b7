// SPDX-License-Identifier: Apache-2.0
// Records handed to a second worker (W5). They all have one key, which that worker owns.
#include "floors/hand_off.hpp"

#include "harness/replay_source.hpp"
#include "operators/programs.hpp"

#include <millrace/dsl/pipeline.hpp>
#include <millrace/record/key.hpp>

#include <bit>
#include <memory>

namespace bench {

namespace {

/// A key that the second of two workers owns.
std::uint64_t remote_key() {
  std::uint64_t key = 0;
  while (millrace::worker_of(millrace::key_group(millrace::key_hash<std::uint64_t>{}(key)), 2) !=
         1) {
    ++key;
  }
  return key;
}

floors::total run_pipeline(const floors::event_block& block, std::size_t passes) {
  floors::total result;
  millrace::pipeline p{"hand-off"};
  p.parallelism(2);
  p.source("events", replay_source(block, passes))
      .key_by([key = remote_key()](const floors::event&) { return key; })
      .to("sum", noting_sink([&result](const floors::event& e) { result.add(e); }));
  p.run();
  return result;
}

}  // namespace

benchmark hand_off() {
  return {.name = "hand_off",
          .what =
              "24-byte events to a second thread that adds them up (ours: key_by to another "
              "worker)",
          .clock = clock_kind::wall,
          .passes = 400,
          .goals = {{"9", "floor", goal::of::speed, 0.5}, {"9", "asio::post", goal::of::speed, 50}},
          .prepare = [](scale) {
            auto block = std::make_shared<floors::event_block>(floors::make_events({}));
            const auto as = [block](auto run) {
              return [block, run](std::size_t passes) {
                const floors::total t = run(*block, passes);
                return outcome{t.count, std::bit_cast<std::uint64_t>(t.sum)};
              };
            };
            return std::vector<contestant>{{"ours", as(run_pipeline)},
                                           {"floor", as(floors::hand_off_by_ring)},
                                           {"asio::post", as(floors::hand_off_by_post), 100}};
          }};
}

}  // namespace bench
