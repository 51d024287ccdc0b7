// SPDX-License-Identifier: Apache-2.0
/// \file
/// Floor of the fused chain: map, filter, map, sum as one loop. Pure functions.
#pragma once

#include "floors/data.hpp"

namespace floors {

/// The functions of the chain, for the library's program, too.
inline double scaled(const event& e) noexcept { return e.value * 2 + 1; }
inline bool wanted(double v) noexcept { return v > 1024; }  // half of them, not to be predicted
inline double shifted(double v) noexcept { return v * 0.5 - 3; }

/// As above, for a filter that can be predicted.
inline bool nearly_all(double v) noexcept { return v > 0; }

template <bool (*Keep)(double)>
double fused_chain(const event_block& block, std::size_t passes) {
  double sum = 0;
  for (std::size_t p = 0; p < passes; ++p) {
    for (const event& e : block.events) {
      const double v = scaled(e);
      if (Keep(v)) sum += shifted(v);
    }
  }
  return sum;
}

}  // namespace floors
