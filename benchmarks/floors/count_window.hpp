// SPDX-License-Identifier: Apache-2.0
/// \file
/// Floor of sliding count windows with the greatest value: two stacks in one ring
/// (Tangwongsan, Hirzel, Schneider: In-order sliding-window aggregation in worst-case constant
/// time, 2021; there "Two-Stacks Lite"). Not thread safe.
#pragma once

#include "floors/data.hpp"
#include "floors/key_index.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace floors {

/// The greatest of the last `size` values.
class two_stacks_lite {
 public:
  explicit two_stacks_lite(std::size_t size) : values_(size) {}

  double add(double value) noexcept {
    if (count_ == values_.size()) {
      if (front_ == 0) flip();
      --front_;
    } else {
      ++count_;
    }
    values_[next_] = value;
    next_ = next_ + 1 == values_.size() ? 0 : next_ + 1;
    back_ = std::max(back_, value);
    if (front_ == 0) return back_;
    const std::size_t oldest = next_;  // of the ring, which is full
    return std::max(values_[oldest], back_);
  }

 private:
  static constexpr double none = -std::numeric_limits<double>::infinity();

  /// Each value becomes the greatest from there to the newest.
  __attribute__((noinline)) void flip() noexcept {
    double greatest = none;
    for (std::size_t i = values_.size(); i-- > 0;) {
      double& v = values_[(next_ + i) % values_.size()];
      greatest = v = std::max(v, greatest);
    }
    front_ = values_.size();
    back_ = none;
  }

  std::vector<double> values_;
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  std::size_t front_ = 0;  // so many of the oldest are sums
  double back_ = none;
};

/// `note(key, greatest)` once there are `size` values of the key, then for each. With
/// `from_the_first` it is called for incomplete windows, too.
template <class Note>
void count_windows(const event_block& block, std::size_t passes, std::size_t keys, std::size_t size,
                   Note&& note) {
  key_index index(keys);
  std::vector<two_stacks_lite> windows(keys, two_stacks_lite(size));
  for (std::size_t p = 0; p < passes; ++p) {
    for (const event& e : block.events) note(e.key, windows[index(e.key)].add(e.value));
  }
}

}  // namespace floors
