// SPDX-License-Identifier: Apache-2.0
/// \file
/// Floor of keyed sliding windows of many panes, records in order: two stacks over panes, for all
/// keys at once (Tangwongsan, Hirzel, Schneider: In-order sliding-window aggregation in worst-case
/// constant time, 2021). Its flips pause for all keys; the library's windows do not. Not thread
/// safe.
#pragma once

#include "floors/data.hpp"
#include "floors/key_index.hpp"
#include "floors/panes.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace floors {

/// `emit(number of the key, key, window end, state)`. \pre times do not go back
template <class State, class Emit>
class two_stack_windows {
 public:
  two_stack_windows(const window_options& o, Emit emit)
      : o_(o), emit_(std::move(emit)), index_(o.keys), ring_(o.panes, o.keys), back_(o.keys) {}

  void add(std::uint64_t key, double value, std::int64_t time) {
    const std::uint32_t k = index_(key);
    if (static_cast<std::uint64_t>(time) - open_start_ >= static_cast<std::uint64_t>(o_.slide)) {
      move_to(time / o_.slide);
    }
    open_[k].add(value);
    greatest_ = time;
  }

  void advance() { fire_until(greatest_ - o_.bound - 1); }
  void finish() { fire_until((newest_ + o_.panes) * o_.slide); }

 private:
  __attribute__((noinline)) void move_to(std::int64_t pane) {
    if (open_ == nullptr) {
      next_ = pane - o_.panes + 1;
      middle_ = next_ + o_.panes - 1;
    }
    newest_ = pane;
    open_ = ring_.pane(pane);
    open_start_ = static_cast<std::uint64_t>(pane * o_.slide);
  }

  __attribute__((noinline)) void fire_until(std::int64_t watermark) {
    while ((next_ + o_.panes) * o_.slide - 1 <= watermark) fire(next_++);
  }

  void fire(std::int64_t window) {
    const std::uint32_t keys = index_.size();
    const std::int64_t last = window + o_.panes - 1;
    const State* newest = ring_.pane(last);
    for (std::uint32_t k = 0; k < keys; ++k) back_[k].merge(newest[k]);
    if (window == middle_) flip(window, last, keys);
    const std::int64_t end = (last + 1) * o_.slide;
    const State* front = ring_.pane(window);
    for (std::uint32_t k = 0; k < keys; ++k) {
      State all = front[k];
      if (window < middle_) all.merge(back_[k]);
      if (all.count != 0) emit_(k, index_.key(k), end, all);
    }
    ring_.clear(window);
  }

  void flip(std::int64_t window, std::int64_t last, std::uint32_t keys) {
    for (std::int64_t p = last - 1; p >= window; --p) {
      State* earlier = ring_.pane(p);
      const State* later = ring_.pane(p + 1);
      for (std::uint32_t k = 0; k < keys; ++k) earlier[k].merge(later[k]);
    }
    std::fill(back_.begin(), back_.end(), State{});
    middle_ = last + 1;
  }

  window_options o_;
  Emit emit_;
  key_index index_;
  pane_ring<State> ring_;
  std::vector<State> back_;
  State* open_ = nullptr;
  std::uint64_t open_start_ = ~std::uint64_t{0} / 2;
  std::int64_t newest_ = 0;
  std::int64_t next_ = 0;    // first pane of the next window to fire
  std::int64_t middle_ = 0;  // panes before it hold the sum up to it
  std::int64_t greatest_ = 0;
};

}  // namespace floors
