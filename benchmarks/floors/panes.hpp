// SPDX-License-Identifier: Apache-2.0
/// \file
/// Floor of keyed event-time windows with few panes: a record is folded into the pane of its slide,
/// a window is the sum of its panes. Panes lie one after the other, each with the states of all
/// keys. Not thread safe.
#pragma once

#include "floors/data.hpp"
#include "floors/key_index.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace floors {

/// Sum, least, greatest, count.
struct totals {
  double sum = 0;
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
  std::uint64_t count = 0;

  void add(double x) noexcept {
    sum += x;
    least = x < least ? x : least;
    greatest = greatest < x ? x : greatest;
    ++count;
  }
  void merge(const totals& o) noexcept {
    sum += o.sum;
    least = o.least < least ? o.least : least;
    greatest = greatest < o.greatest ? o.greatest : greatest;
    count += o.count;
  }
};

/// The same and the sum of squares, for mean and standard deviation.
struct moments {
  double sum = 0;
  double squares = 0;
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
  double count = 0;

  void add(double x) noexcept {
    sum += x;
    squares += x * x;
    least = x < least ? x : least;
    greatest = greatest < x ? x : greatest;
    count += 1;
  }
  void merge(const moments& o) noexcept {
    sum += o.sum;
    squares += o.squares;
    least = o.least < least ? o.least : least;
    greatest = greatest < o.greatest ? o.greatest : greatest;
    count += o.count;
  }
  double mean() const noexcept { return sum / count; }
  double deviation() const noexcept {
    const double spread = squares - sum * mean();
    return spread > 0 ? std::sqrt(spread / count) : 0;
  }
};

struct window_options {
  std::int64_t slide = second;
  std::int64_t panes = 10;          ///< per window
  std::int64_t bound = second / 2;  ///< the watermark is this far behind the greatest time
  std::size_t keys = 10'000;
};

/// The ring of panes behind the two floors of windows, and which of them records go to.
template <class State>
class pane_ring {
 public:
  pane_ring(std::int64_t panes, std::size_t keys)
      : keys_(keys), size_(static_cast<std::size_t>(panes) + 6), states_(size_ * keys) {}

  State* pane(std::int64_t number) noexcept {
    return &states_[static_cast<std::size_t>(number) % size_ * keys_];
  }
  void clear(std::int64_t number) { std::fill_n(pane(number), keys_, State{}); }

 private:
  std::size_t keys_;
  std::size_t size_;
  std::vector<State> states_;
};

/// `emit(number of the key, key, window end, state)` for every window that has fired.
template <class State, class Emit>
class pane_windows {
 public:
  pane_windows(const window_options& o, Emit emit)
      : o_(o), emit_(std::move(emit)), index_(o.keys), ring_(o.panes, o.keys) {}

  /// Folds a record in and returns the number of its key.
  std::uint32_t add(std::uint64_t key, double value, std::int64_t time) {
    const std::uint32_t k = index_(key);
    greatest_ = time > greatest_ ? time : greatest_;
    if (static_cast<std::uint64_t>(time) - open_start_ < static_cast<std::uint64_t>(o_.slide)) {
      open_[k].add(value);
    } else {
      elsewhere(k, value, time);
    }
    return k;
  }

  /// The time of a record that is not to be folded in.
  void see(std::int64_t time) noexcept { greatest_ = time > greatest_ ? time : greatest_; }

  /// Fires what the watermark has passed. To be called at the end of a run of records.
  void advance() { fire_until(greatest_ - o_.bound - 1); }

  /// Fires all that is left.
  void finish() { fire_until((newest_ + o_.panes) * o_.slide); }

 private:
  __attribute__((noinline)) void elsewhere(std::uint32_t k, double value, std::int64_t time) {
    const std::int64_t pane = time / o_.slide;
    if (next_ == 0) next_ = pane - o_.panes;
    if (pane < next_) return;
    State* states = ring_.pane(pane);
    states[k].add(value);
    if (pane > newest_) {
      newest_ = pane;
      open_ = states;
      open_start_ = static_cast<std::uint64_t>(pane * o_.slide);
    }
  }

  __attribute__((noinline)) void fire_until(std::int64_t watermark) {
    while ((next_ + o_.panes) * o_.slide - 1 <= watermark) {
      fire(next_);
      ring_.clear(next_++);
    }
  }

  void fire(std::int64_t window) {
    const std::uint32_t keys = index_.size();
    const std::int64_t end = (window + o_.panes) * o_.slide;
    parts_.clear();
    for (std::int64_t p = window; p < window + o_.panes; ++p) parts_.push_back(ring_.pane(p));
    for (std::uint32_t k = 0; k < keys; ++k) {
      State all = parts_[0][k];
      for (std::size_t p = 1; p < parts_.size(); ++p) all.merge(parts_[p][k]);
      if (all.count != 0) emit_(k, index_.key(k), end, all);
    }
  }

  window_options o_;
  Emit emit_;
  key_index index_;
  pane_ring<State> ring_;
  std::vector<const State*> parts_;  // of the window that fires
  State* open_ = nullptr;
  std::uint64_t open_start_ = ~std::uint64_t{0} / 2;
  std::int64_t newest_ = 0;
  std::int64_t next_ = 0;  // first pane of the next window to fire
  std::int64_t greatest_ = 0;
};

/// Replays a block through windows, runs of `run_length` at a time.
template <class Windows>
void replay(const event_block& block, std::size_t passes, Windows& windows) {
  for (std::size_t p = 0; p < passes; ++p) {
    const std::int64_t later = static_cast<std::int64_t>(p) * block.span();
    for (std::size_t from = 0; from < block.events.size(); from += run_length) {
      const std::size_t to = std::min(from + run_length, block.events.size());
      for (std::size_t i = from; i < to; ++i) {
        const event& e = block.events[i];
        windows.add(e.key, e.value, e.time + later);
      }
      windows.advance();
    }
  }
  windows.finish();
}

}  // namespace floors
