// SPDX-License-Identifier: Apache-2.0
/// \file
/// The last minutes of every node of a pipeline, in a ring of bounded size. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/runtime/plan.hpp>
#include <millrace/runtime/status.hpp>

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

struct history_options {
  std::size_t samples = 300;     ///< kept per node, at most
  std::size_t values = 100'000;  ///< kept in all, of 32 bytes each; large graphs keep fewer samples
};

class pipeline_history {
 public:
  explicit pipeline_history(history_options options = {}) : options_(options) {}

  /// Takes what happened between two samples. O(operators).
  MILLRACE_DECL void add(const pipeline_status& before, const pipeline_status& now,
                         const pipeline_plan& plan);

  /// `{"operator": ..., "columns": [...], "samples": [[...], ...]}`, oldest first; no samples when
  /// there is no such node.
  MILLRACE_DECL std::string json(const pipeline_plan& plan, std::string_view node) const;

  std::size_t size() const noexcept { return rows_.size(); }

 private:
  /// Summed up over the instances of a node. NaN: unknown.
  struct point {
    float in;       ///< records per second
    float out;      ///< records per second
    float busy;     ///< share of a worker's time, of the busiest instance
    float blocked;  ///< share of the time
    float held_up;
    float fill;
    float lag;  ///< seconds
    float in_flight;
  };
  struct row {
    double age;  ///< seconds since the start
    std::vector<point> nodes;
  };

  history_options options_;
  std::deque<row> rows_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/dashboard/impl/history.ipp>
#endif
