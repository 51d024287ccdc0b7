// SPDX-License-Identifier: Apache-2.0
/// \file
/// In which order the slices of a window are combined. The order depends on the window alone, so
/// that results are the same bit for bit at any parallelism, in any replay, and when a late record
/// makes a window fire again. Immutable values.
///
/// Short windows: from left to right. Long ones: slices form groups at multiples of `group`; a
/// window is the rest of the group in which it starts (combined from right to left), whole groups
/// (each from left to right, then from left to right), and the beginning of the group in which it
/// ends (left to right). With `group` about the square root of the window, moving on by a slice
/// costs about five merges per key, and repairing a key after a late record `2 group`; no operation
/// is ever as long as the window times the keys.
#pragma once

#include <millrace/base/time.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace millrace {

class fold_plan {
 public:
  using index = std::int64_t;

  /// Windows of at most so many slices are combined directly.
  static constexpr index direct_limit = 16;

  explicit fold_plan(index slices_per_window)
      : slices_(slices_per_window),
        group_(slices_per_window <= direct_limit
                   ? 0
                   : static_cast<index>(std::sqrt(static_cast<double>(slices_per_window)))) {}

  /// For aggregates whose states grow with the records: partial folds would be copies of them.
  static fold_plan direct_only(index slices_per_window) {
    fold_plan plan(slices_per_window);
    plan.group_ = 0;
    return plan;
  }

  bool direct() const noexcept { return group_ == 0; }
  index slices() const noexcept { return slices_; }
  /// Slices per group. \pre `!direct()`; then at least 4, and at most a quarter of the window
  index group() const noexcept { return group_; }
  index group_of(index slice) const noexcept { return floor_div(slice, group_); }

 private:
  index slices_;
  index group_;
};

}  // namespace millrace
