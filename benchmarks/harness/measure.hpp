// SPDX-License-Identifier: Apache-2.0
/// \file
/// Interleaved runs and the statistics of their ratios. Not thread safe.
#pragma once

#include "harness/benchmark.hpp"

#include <string>
#include <vector>

namespace bench {

/// Median, least and greatest of a few figures.
struct spread {
  double median = 0;
  double least = 0;
  double greatest = 0;
};
spread spread_of(std::vector<double> values);

struct measured {
  std::string contestant;
  spread nanoseconds;  ///< per event
  spread ratio;        ///< time of the first contestant over this one's, pair by pair
};

/// Runs all contestants once to warm up and compare digests, then `repetitions` times in turns.
/// \throws std::runtime_error when digests differ
std::vector<measured> measure(const benchmark& b, std::size_t repetitions);

/// One timed run; nanoseconds per event.
double time_per_event(const benchmark& b, const contestant& c, std::size_t passes, outcome& result);

}  // namespace bench
