// SPDX-License-Identifier: Apache-2.0
/// \file
/// Timers of one operator by key: a `timer_queue` that keeps the keys with timers in the key table,
/// and lets them go with their last one. Not thread safe.
#pragma once

#include <millrace/state/keyed_state.hpp>
#include <millrace/state/timers.hpp>

#include <memory>
#include <utility>

namespace millrace {

template <class K>
class keyed_timers {
 public:
  explicit keyed_timers(std::shared_ptr<key_table<K>> table) : latest_(std::move(table)) {}

  /// Sets a timer; at most one per key and time. O(log n)
  void set(slot_index slot, timestamp time) {
    latest_timer* last = latest_.find(slot);
    if (last == nullptr) {
      latest_.obtain(slot) = {time, false};
    } else if (time == last->time) {
      last->deleted = false;
      return;
    } else if (time > last->time) {
      if (last->deleted) queue_.erase(slot, last->time);
      *last = {time, false};
    }
    queue_.set(slot, time);
  }

  /// Deletes a timer, if it is set. O(log n)
  void erase(slot_index slot, timestamp time) {
    latest_timer* last = latest_.find(slot);
    if (last == nullptr) return;
    // The key's latest entry stays queued: when its time comes, the key is let go.
    if (time == last->time) {
      last->deleted = true;
    } else {
      queue_.erase(slot, time);
    }
  }

  /// A time before which no timer is due, `max_timestamp` if there is none; may belong to a timer
  /// that has been deleted.
  timestamp next_time() { return queue_.next_time(); }

  /// Calls `fire(slot, time) -> bool` for all timers due, as `timer_queue::advance`.
  template <class F>
  bool advance(timestamp watermark, F&& fire) {
    return queue_.advance(watermark, [&](slot_index slot, timestamp time) {
      const latest_timer last = *latest_.find(slot);
      if (time != last.time) return fire(slot, time);
      if (!last.deleted) return fire_last(slot, time, fire);
      latest_.reset(slot);
      return true;
    });
  }

  void save(snapshot_writer& to) const {
    auto& self = const_cast<keyed_timers&>(*this);
    std::size_t count = 0;
    self.for_each_set([&](slot_index, timestamp) { ++count; });
    to.varint(count);
    self.for_each_set([&](slot_index slot, timestamp time) {
      latest_.save_key(to, slot);
      save_value(to, time);
    });
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(1);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      const slot_index slot = latest_.restore_key(from);
      timestamp time{};
      restore_value(from, time);
      if (slot != no_slot) set(slot, time);
    }
  }

 private:
  struct latest_timer {
    timestamp time{};
    bool deleted = false;
  };

  // The entry is taken out first, so that the function may set the same timer again.
  template <class F>
  bool fire_last(slot_index slot, timestamp time, F& fire) {
    latest_.find(slot)->deleted = true;
    const bool go_on = fire(slot, time);
    const latest_timer* last = latest_.find(slot);
    if (last->time == time) {
      if (last->deleted) {
        latest_.reset(slot);
      } else {
        queue_.set(slot, time);
      }
    }
    return go_on;
  }

  template <class F>
  void for_each_set(F&& visit) {
    queue_.for_each([&](slot_index slot, timestamp time) {
      const latest_timer* last = latest_.find(slot);
      if (last->time != time || !last->deleted) visit(slot, time);
    });
  }

  keyed_state<K, latest_timer> latest_;
  timer_queue queue_;
};

}  // namespace millrace
