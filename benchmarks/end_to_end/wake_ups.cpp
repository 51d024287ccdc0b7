// SPDX-License-Identifier: Apache-2.0
// How often workers are woken: the hand-off benchmark, counting how often its threads went to sleep
// (voluntary context switches: what sleeps has to be woken). Prints a row.
#include "floors/hand_off.hpp"

#include "harness/replay_source.hpp"
#include "harness/rows.hpp"

#include <millrace/dsl/pipeline.hpp>
#include <millrace/record/key.hpp>

#include <sys/resource.h>

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

std::uint64_t times_asleep() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<std::uint64_t>(used.ru_nvcsw);
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
  const std::uint64_t before = times_asleep();
  p.run();
  const std::uint64_t after = times_asleep();
  const double batches = static_cast<double>(result.count) / 512;
  print_row({.name = "hand_off",
             .measure = "wake-ups/batch",
             .ours = static_cast<double>(after - before) / batches,
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
