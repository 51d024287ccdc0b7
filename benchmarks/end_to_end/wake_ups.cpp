// SPDX-License-Identifier: Apache-2.0
// How often one worker wakes another: the hand-off benchmark, with the system calls counted that
// wake. Prints a row.
#include "floors/hand_off.hpp"

#include "harness/replay_source.hpp"
#include "harness/rows.hpp"
#include "harness/system_calls.hpp"

#include <millrace/dsl/pipeline.hpp>
#include <millrace/record/key.hpp>

#include <cstdio>
#include <exception>

namespace bench {
namespace {

/// A key that the second of two workers owns.
std::uint64_t remote_key() {
  for (std::uint64_t key = 0;; ++key) {
    const auto group = millrace::key_group(millrace::key_hash<std::uint64_t>{}(key));
    if (millrace::worker_of(group, 2) == 1) return key;
  }
}

void measure_wake_ups() {
  constexpr std::size_t passes = 200;
  const auto block = floors::make_events({});
  floors::total result;
  millrace::pipeline p{"hand-off"};
  p.parallelism(2);
  p.source("events", replay_source(block, passes))
      .key_by([key = remote_key()](const floors::event&) { return key; })
      .to("sum", noting_sink([&result](const floors::event& e) { result.add(e); }));
  p.run();
  const double batches = static_cast<double>(result.count) / 512;
  print_row({.name = "hand_off",
             .measure = "wake-ups/batch",
             .ours = static_cast<double>(system_calls.wakes) / batches,
             .target = "9",
             .wants = relation::at_most,
             .limit = 1,
             .note = "batches of 512"});
}

}  // namespace
}  // namespace bench

int main() {
  try {
    bench::measure_wake_ups();
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}
