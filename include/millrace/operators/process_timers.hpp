// SPDX-License-Identifier: Apache-2.0
/// \file
/// The clocks of a process function: timers in event and processing time, and the freeing of state
/// whose time to live has ended. Not thread safe: one copy per worker.
#pragma once

#include <millrace/state/keyed_timers.hpp>
#include <millrace/state/slab.hpp>
#include <millrace/state/timers.hpp>
#include <millrace/state/ttl.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace millrace {

/// When keys have something to free: one entry per key, the earliest. Keys that are gone by then do
/// no harm.
class expiry_queue {
 public:
  /// O(1) when the key has an earlier entry, else O(log keys).
  void at(slot_index slot, timestamp time) {
    if (time == max_timestamp) return;
    timestamp& next = next_.obtain(slot, max_timestamp);
    if (next <= time) return;
    next = time;
    queue_.set(slot, time);
  }

  /// Calls `free(slot) -> timestamp` for the keys that are due; it returns the key's next entry, or
  /// `max_timestamp`.
  template <class F>
  void advance(timestamp now, F&& free) {
    queue_.advance(now, [&](slot_index slot, timestamp time) {
      const timestamp* next = next_.find(slot);
      if (next == nullptr || *next != time) return;  // there was an earlier one
      next_.reset(slot);
      at(slot, free(slot));
    });
  }

  timestamp next_time() { return queue_.next_time(); }

 private:
  slab<timestamp> next_;
  timer_queue queue_;
};

/// Timers and clocks of one process operator. What is not used takes no memory.
template <class K>
class process_timers {
 public:
  explicit process_timers(std::shared_ptr<key_table<K>> keys) : keys_(std::move(keys)) {}

  key_table<K>& keys() noexcept { return *keys_; }

  keyed_timers<K>& of(time_domain clock) {
    auto& timers = clock == time_domain::event_time ? event_ : processing_;
    if (!timers) timers.emplace(keys_);
    return *timers;
  }
  expiry_queue& expiries(time_domain clock) noexcept {
    return clock == time_domain::event_time ? event_expiries_ : processing_expiries_;
  }

  /// How far event time has passed: the watermark, and while timers fire, the time of the last one.
  timestamp event_time() const noexcept { return event_time_; }
  void event_time_reached(timestamp time) noexcept { event_time_ = std::max(event_time_, time); }

  /// Calls `fire(slot, time) -> bool` for timers that are due; false from it stops. Returns whether
  /// none is left.
  template <class F>
  bool advance(time_domain clock, timestamp now, F&& fire) {
    auto& timers = clock == time_domain::event_time ? event_ : processing_;
    return !timers || timers->advance(now, std::forward<F>(fire));
  }

  /// The earliest time in the wall clock at which something is to be done.
  timestamp next_processing_time() {
    const timestamp timer = processing_ ? processing_->next_time() : max_timestamp;
    return std::min(timer, processing_expiries_.next_time());
  }

  void save(snapshot_writer& to) const {
    for (const auto* timers : {&event_, &processing_}) {
      to.number(timers->has_value());
      if (*timers) (*timers)->save(to);
    }
  }
  void restore(snapshot_reader& from) {
    for (const time_domain clock : {time_domain::event_time, time_domain::processing_time}) {
      if (from.number<bool>()) of(clock).restore(from);
    }
  }

 private:
  std::shared_ptr<key_table<K>> keys_;
  std::optional<keyed_timers<K>> event_;
  std::optional<keyed_timers<K>> processing_;
  expiry_queue event_expiries_;
  expiry_queue processing_expiries_;
  timestamp event_time_ = min_timestamp;
};

}  // namespace millrace
