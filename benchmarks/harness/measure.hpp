// SPDX-License-Identifier: Apache-2.0
/// \file
/// Interleaved runs and the statistics of their ratios. Not thread safe.
#pragma once

#include "harness/benchmark.hpp"
#include "harness/spread.hpp"

#include <string>
#include <vector>

namespace bench {

struct measured {
  std::string contestant;
  spread nanoseconds;  ///< per event
  spread ratio;        ///< time of the first contestant over this one's, pair by pair
  bool pause = false;  ///< the longest pause in nanoseconds, not the time per event
};

/// Runs all contestants once to warm up and compare digests, then `repetitions` times in turns.
/// \throws std::runtime_error when digests differ
std::vector<measured> measure(const benchmark& b, std::size_t repetitions);

/// One timed run; nanoseconds per event.
double time_per_event(const benchmark& b, const contestant& c, std::size_t passes, outcome& result);

/// The same in nanoseconds, by both clocks.
struct time_taken {
  std::uint64_t processor_ns = 0;
  std::uint64_t wall_ns = 0;
};
time_taken time_of(const contestant& c, std::size_t passes, outcome& result);

}  // namespace bench
