// SPDX-License-Identifier: Apache-2.0
/// \file
/// Event-time timers of one operator, by key slot: at most one per slot and time, fired in order of
/// (time, slot) as the watermark passes them. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/state/snapshot.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <vector>

namespace millrace {

/// A heap of registrations and deletions; equal entries come out side by side and the last one
/// decides. Registering and deleting are O(log n) amortized. Entries that cancel each other are
/// thrown away at the latest when they are half of the heap, so memory is O(timers that are set).
class timer_queue {
 public:
  /// Sets a timer; a second one for the same slot and time changes nothing. A time that the
  /// watermark has passed already fires in the next `advance`, or in the running one.
  void set(slot_index slot, timestamp time) { push(slot, time, 1); }

  /// Deletes a timer; nothing happens if it is not set.
  void erase(slot_index slot, timestamp time) { push(slot, time, 0); }

  /// The earliest timer, `max_timestamp` if there is none (or exactly that one: see `empty`).
  timestamp next_time() {
    settle();
    return heap_.empty() ? max_timestamp : heap_.front().time;
  }

  bool empty() {
    settle();
    return heap_.empty();
  }

  /// Calls `fire(slot, time)` for every timer with `time <= watermark` in order of (time, slot).
  /// The timer is no longer set when it is called, and it may set and delete timers; those that
  /// are due fire in this call. If `fire` returns false, the call ends after that timer and a later
  /// one goes on. Returns whether all due timers have fired.
  template <class F>
  bool advance(timestamp watermark, F&& fire) {
    while (!heap_.empty() && heap_.front().time <= watermark) {
      const entry due = pop_run();
      if (!due.is_set()) continue;
      if constexpr (std::is_void_v<std::invoke_result_t<F&, slot_index, timestamp>>) {
        fire(due.slot, due.time);
      } else {
        if (!fire(due.slot, due.time)) return heap_.empty() || heap_.front().time > watermark;
      }
    }
    return true;
  }

  /// Calls `visit(slot, time)` for every timer in order of (time, slot). O(n log n).
  template <class F>
  void for_each(F&& visit) {
    compact();
    for (const entry& e : heap_) visit(e.slot, e.time);
  }

  /// Appends all timers; `write_key(writer, slot)` stores what finds the slot again.
  template <class F>
  void save(snapshot_writer& writer, F&& write_key) {
    compact();
    writer.varint(heap_.size());
    for (const entry& e : heap_) {
      writer.number(e.time.time_since_epoch().count());
      write_key(writer, e.slot);
    }
  }

  /// Adds timers that `save` wrote; `read_key(reader)` returns the slot, or `no_slot` for a key
  /// that lives elsewhere now.
  template <class F>
  void restore(snapshot_reader& reader, F&& read_key) {
    const std::size_t n = reader.count(sizeof(std::int64_t));
    for (std::size_t i = 0; i < n && !reader.failed(); ++i) {
      const timestamp time{duration{reader.number<std::int64_t>()}};
      const slot_index slot = read_key(reader);
      if (!reader.failed() && slot != no_slot) set(slot, time);
    }
  }

  /// Entries held, deleted ones included: at most twice the timers that are set, plus 64.
  std::size_t entries() const noexcept { return heap_.size(); }
  std::size_t memory_bytes() const noexcept { return heap_.capacity() * sizeof(entry); }

 private:
  struct entry {
    timestamp time;
    slot_index slot;
    std::uint32_t order;  // registrations count up; the lowest bit says set (1) or erased (0)

    bool is_set() const noexcept { return (order & 1) != 0; }
    bool same(const entry& o) const noexcept { return time == o.time && slot == o.slot; }
    bool operator>(const entry& o) const noexcept {
      if (time != o.time) return time > o.time;
      if (slot != o.slot) return slot > o.slot;
      return order > o.order;
    }
  };

  void push(slot_index slot, timestamp time, std::uint32_t is_set) {
    if (heap_.size() >= compact_at_ || next_order_ == UINT32_MAX / 2) compact();
    heap_.push_back({time, slot, next_order_++ * 2 | is_set});
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
  }

  entry pop() {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
    const entry e = heap_.back();
    heap_.pop_back();
    return e;
  }

  // The entry that decides over its slot and time.
  entry pop_run() {
    entry e = pop();
    while (!heap_.empty() && heap_.front().same(e)) e = pop();
    return e;
  }

  // Leaves a timer that is set on top, or nothing.
  void settle() {
    while (!heap_.empty()) {
      const entry e = pop_run();
      if (!e.is_set()) continue;
      heap_.push_back(e);
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
      return;
    }
  }

  // Afterwards the heap is sorted, which is a heap, too, and holds each timer once.
  void compact() {
    std::sort(heap_.begin(), heap_.end(), [](const entry& a, const entry& b) { return b > a; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < heap_.size(); ++i) {
      if (i + 1 < heap_.size() && heap_[i].same(heap_[i + 1])) continue;
      if (heap_[i].is_set()) heap_[kept++] = {heap_[i].time, heap_[i].slot, 1};
    }
    heap_.resize(kept, entry{});
    next_order_ = 1;
    compact_at_ = std::max<std::size_t>(64, 2 * kept);
  }

  std::vector<entry> heap_;
  std::size_t compact_at_ = 64;
  std::uint32_t next_order_ = 1;
};

}  // namespace millrace
