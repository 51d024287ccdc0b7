// SPDX-License-Identifier: Apache-2.0
/// \file
/// Timers of windows. Each window keeps its own few; a queue for all windows of an operator holds
/// the time of the next one of each, and is corrected when that comes up, so that a session that
/// grows with every record costs nothing. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/state/keyed_state.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace millrace {

/// A few times, each once. The first two need no memory of their own. O(n)
class timer_set {
 public:
  void set(timestamp time) {
    if (contains(time)) return;
    if (count_ < few) {
      times_[count_++] = time;
    } else {
      if (!more_) more_ = std::make_unique<std::vector<timestamp>>();
      more_->push_back(time);
    }
  }
  /// Returns whether it was set.
  bool erase(timestamp time) {
    for (std::uint32_t i = 0; i < count_; ++i) {
      if (times_[i] != time) continue;
      times_[i] = times_[--count_];
      if (more_ && !more_->empty()) {
        times_[count_++] = more_->back();
        more_->pop_back();
      }
      return true;
    }
    return more_ && std::erase(*more_, time) != 0;
  }
  std::optional<timestamp> next() const noexcept {
    std::optional<timestamp> least;
    for_each([&](timestamp t) { least = least ? std::min(*least, t) : t; });
    return least;
  }
  bool contains(timestamp time) const noexcept {
    bool found = false;
    for_each([&](timestamp t) { found = found || t == time; });
    return found;
  }
  bool empty() const noexcept { return count_ == 0; }
  void clear() noexcept {
    count_ = 0;
    if (more_) more_->clear();
  }
  template <class F>
  void for_each(F&& visit) const {
    for (std::uint32_t i = 0; i < count_; ++i) visit(times_[i]);
    if (!more_) return;
    for (const timestamp t : *more_) visit(t);
  }

  void save(snapshot_writer& to) const {
    to.varint(count_ + (more_ ? more_->size() : 0));
    for_each([&](timestamp t) { save_value(to, t); });
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(8);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      timestamp t{};
      restore_value(from, t);
      set(t);
    }
  }

 private:
  static constexpr std::uint32_t few = 2;

  timestamp times_[few];
  std::unique_ptr<std::vector<timestamp>> more_;  // only used when times_ is full
  std::uint32_t count_ = 0;
};

/// What a window's trigger has asked for.
struct window_timers {
  timer_set event;
  timer_set processing;
};

/// When to look at which window next, by (time, slot, window). A window may be in it more than
/// once; its owner knows which entry counts. O(log n)
class window_queue {
 public:
  struct entry {
    timestamp time;
    std::uint64_t window;  ///< its serial number
    slot_index slot;

    bool operator>(const entry& o) const noexcept {
      if (time != o.time) return time > o.time;
      return slot != o.slot ? slot > o.slot : window > o.window;
    }
  };

  void push(const entry& e) {
    heap_.push_back(e);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
  }
  /// The first one with `time <= until`, taken out.
  std::optional<entry> pop(timestamp until) {
    if (heap_.empty() || heap_.front().time > until) return std::nullopt;
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
    const entry e = heap_.back();
    heap_.pop_back();
    return e;
  }
  std::optional<timestamp> next_time() const noexcept {
    if (heap_.empty()) return std::nullopt;
    return heap_.front().time;
  }

  /// Throws away entries for which `counts(entry)` is false, when they may be the larger part.
  template <class F>
  void compact(std::size_t windows, F&& counts) {
    if (heap_.size() <= 2 * windows + 64) return;
    std::erase_if(heap_, [&](const entry& e) { return !counts(e); });
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>{});
  }
  std::size_t size() const noexcept { return heap_.size(); }

 private:
  std::vector<entry> heap_;
};

}  // namespace millrace
