// SPDX-License-Identifier: Apache-2.0
/// \file
/// One node of the plan over a stretch of time, its instances summed up. Plain values.
#pragma once

#include <millrace/dashboard/detail/interval.hpp>

namespace millrace::detail {

struct node_figures {
  std::uint64_t records_in = 0;
  std::uint64_t records_out = 0;
  std::uint64_t filtered = 0;
  std::uint64_t late = 0;
  std::uint64_t dead_letters = 0;
  double in = 0;     ///< records per second
  double out = 0;    ///< records per second
  double busy = 0;   ///< share of a worker's time, of the busiest instance
  double fill = -1;  ///< of the fullest queue into it; negative: none
  double lag = 0;    ///< seconds, of the slowest instance
  bool lag_known = false;
  std::int64_t state_bytes = -1;
  std::int64_t checkpoint_bytes = -1;
  std::int64_t in_flight = -1;
  timestamp watermark = max_timestamp;  ///< of the slowest instance that has not finished
  bool blocked = false;
  bool finished = true;
  latency_histogram::reading latency;
};

MILLRACE_DECL node_figures figures_of(const status_interval& time, std::size_t node);

/// What the queues into a node tell: how full they are. Negative: there are none.
inline double fill_of(const status_interval& time, std::size_t node) {
  double fill = -1;
  for (const auto& s : time.now.operators) {
    if (s.node == node) fill = std::max(fill, s.queue_fill);
  }
  return fill;
}

}  // namespace millrace::detail

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/dashboard/impl/node_figures.ipp>
#endif
