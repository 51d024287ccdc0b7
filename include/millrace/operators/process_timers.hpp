// SPDX-License-Identifier: Apache-2.0
/// \file
/// The clocks of a process function: timers in event and processing time, and the freeing of state
/// whose time to live has ended. Not thread safe: one copy per worker.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/state/keyed_timers.hpp>
#include <millrace/state/slab.hpp>
#include <millrace/state/timers.hpp>
#include <millrace/state/ttl.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
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

/// Calls back when the wall clock has reached a time. Follows jumps of the wall clock within a
/// minute.
class wall_alarm {
 public:
  /// Asks for a call of `call` at `time`; one that has been asked for before that comes instead,
  /// and who gets it looks what to do next.
  template <class F>
  void set(environment& env, timestamp time, F call) {
    if (time >= due_ || time == max_timestamp) return;
    cancel();
    env_ = &env;
    due_ = time;
    constexpr duration most = std::chrono::minutes(1);
    const timestamp now = env.now();
    const duration wait = time <= now ? duration{0} : time > now + most ? most : time - now;
    id_ = env.call_after(wait, [this, call] {
      id_ = 0;
      due_ = max_timestamp;
      call();
    });
  }

  void cancel() noexcept {
    if (id_ != 0) env_->cancel_timer(id_);
    id_ = 0;
    due_ = max_timestamp;
  }

 private:
  environment* env_ = nullptr;
  timer_id id_ = 0;
  timestamp due_ = max_timestamp;
};

/// Timers and clocks of one process operator. What is not used takes no memory.
template <class K>
class process_timers {
 public:
  explicit process_timers(std::shared_ptr<key_table<K>> keys) : keys_(std::move(keys)) {}

  key_table<K>& keys() noexcept { return *keys_; }

  keyed_timers<K>& of(timer_clock clock) {
    auto& timers = clock == timer_clock::event ? event_ : processing_;
    if (!timers) timers.emplace(keys_);
    return *timers;
  }
  expiry_queue& expiries(timer_clock clock) noexcept {
    return clock == timer_clock::event ? event_expiries_ : processing_expiries_;
  }

  /// How far event time has passed: the watermark, and while timers fire, the time of the last one.
  timestamp event_time() const noexcept { return event_time_; }
  void event_time_reached(timestamp time) noexcept { event_time_ = std::max(event_time_, time); }

  /// Calls `fire(slot, time) -> bool` for timers that are due; false from it stops. Returns whether
  /// none is left.
  template <class F>
  bool advance(timer_clock clock, timestamp now, F&& fire) {
    auto& timers = clock == timer_clock::event ? event_ : processing_;
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
    for (const timer_clock clock : {timer_clock::event, timer_clock::processing}) {
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
