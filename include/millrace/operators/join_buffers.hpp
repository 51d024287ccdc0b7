// SPDX-License-Identifier: Apache-2.0
/// \file
/// Where records of joins wait: per key and side in order of time, over all keys until their time
/// has come, and the alarms by which keys are looked at again. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/state/keyed_state.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace millrace {

/// A vector whose front can be taken off: what is in front of the rest is moved over when the
/// vector would have to grow and half of it is free. Everything is amortized O(1).
template <class T>
class line {
 public:
  bool empty() const noexcept { return head_ == items_.size(); }
  std::size_t size() const noexcept { return items_.size() - head_; }
  T& operator[](std::size_t i) noexcept { return items_[head_ + i]; }
  const T& operator[](std::size_t i) const noexcept { return items_[head_ + i]; }
  T& front() noexcept { return items_[head_]; }
  const T& front() const noexcept { return items_[head_]; }
  T& back() noexcept { return items_.back(); }
  const T& back() const noexcept { return items_.back(); }
  auto begin() noexcept { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() noexcept { return items_.end(); }
  auto begin() const noexcept { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() const noexcept { return items_.end(); }

  void push_back(T&& item) {
    if (MILLRACE_UNLIKELY(items_.size() == items_.capacity())) make_room();
    items_.push_back(std::move(item));
  }
  /// O(what is behind `i`)
  void insert(std::size_t i, T&& item) {
    if (items_.size() == items_.capacity()) make_room();
    items_.insert(begin() + static_cast<std::ptrdiff_t>(i), std::move(item));
  }
  /// O(what is behind `i`)
  void erase(std::size_t i) { items_.erase(begin() + static_cast<std::ptrdiff_t>(i)); }
  void pop_front() noexcept { pop_front(1); }
  void pop_front(std::size_t n) noexcept {
    head_ += n;
    if (head_ != items_.size()) return;
    items_.clear();
    head_ = 0;
  }

 private:
  MILLRACE_NOINLINE void make_room() {
    if (head_ * 2 < items_.size() || head_ == 0) return;
    items_.erase(items_.begin(), begin());
    head_ = 0;
  }

  std::vector<T> items_;
  std::size_t head_ = 0;
};

/// A value and its event time.
template <class T>
struct timed_value {
  timestamp time{};
  T value{};
};

template <class T>
void save_timed(snapshot_writer& to, const line<timed_value<T>>& all) {
  to.varint(all.size());
  for (const auto& e : all) {
    save_value(to, e.time);
    save_value(to, e.value);
  }
}
template <class T>
void restore_timed(snapshot_reader& from, line<timed_value<T>>& all) {
  const std::size_t n = from.count(1);
  for (std::size_t i = 0; i < n && !from.failed(); ++i) {
    timed_value<T> e{};
    restore_value(from, e.time);
    restore_value(from, e.value);
    if (!from.failed()) all.push_back(std::move(e));
  }
}

/// Records of one key and side by time; equal times in order of arrival. Memory is that of the
/// records and of as many free places.
template <class T>
class time_sorted {
 public:
  using entry = timed_value<T>;

  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  entry& operator[](std::size_t i) noexcept { return entries_[i]; }
  const entry& operator[](std::size_t i) const noexcept { return entries_[i]; }
  entry& front() noexcept { return entries_.front(); }
  const entry& front() const noexcept { return entries_.front(); }
  entry& back() noexcept { return entries_.back(); }
  void pop_front(std::size_t n = 1) noexcept { entries_.pop_front(n); }

  /// O(1) in order, otherwise O(records that are newer). Returns its place.
  std::size_t insert(timestamp time, T&& value) {
    if (MILLRACE_LIKELY(entries_.empty() || entries_.back().time <= time)) {
      entries_.push_back({time, std::move(value)});
      return entries_.size() - 1;
    }
    const std::size_t at = first_after(time);
    entries_.insert(at, {time, std::move(value)});
    return at;
  }

  /// Place of the first record for which `is_behind(time)` holds; records it does not hold for
  /// must be in front of those. O(log n)
  template <class F>
  std::size_t first_where(F&& is_behind) const {
    const auto found = std::partition_point(entries_.begin(), entries_.end(),
                                            [&](const entry& e) { return !is_behind(e.time); });
    return static_cast<std::size_t>(found - entries_.begin());
  }
  std::size_t first_from(timestamp t) const {
    return first_where([t](timestamp u) { return u >= t; });
  }
  std::size_t first_after(timestamp t) const {
    if (entries_.empty() || entries_.back().time <= t) return entries_.size();
    return first_where([t](timestamp u) { return u > t; });
  }

  void save(snapshot_writer& to) const { save_timed(to, entries_); }
  void restore(snapshot_reader& from) {
    line<entry> added;
    restore_timed(from, added);
    for (auto& e : added) insert(e.time, std::move(e.value));
  }

 private:
  line<entry> entries_;
};

/// Things that wait for a time, over all keys; they come out by time, equal times in order of
/// arrival. Those that come in order wait in a line, O(1); only the others go through a heap,
/// O(log of those).
template <class T>
class time_queue {
 public:
  using entry = timed_value<T>;

  bool empty() const noexcept { return line_.empty() && heap_.empty(); }
  std::size_t size() const noexcept { return line_.size() + heap_.size(); }

  void push(timestamp time, T&& value) {
    if (MILLRACE_LIKELY(line_.empty() || line_.back().time <= time)) {
      line_.push_back({time, std::move(value)});
    } else {
      heap_.push_back({time, order_++, std::move(value)});
      std::push_heap(heap_.begin(), heap_.end(), later{});
    }
  }

  /// \pre not empty
  timestamp next_time() const noexcept {
    return heap_is_next() ? heap_.front().time : line_.front().time;
  }
  bool due(timestamp watermark) const noexcept { return !empty() && next_time() <= watermark; }

  /// Takes the next one out. \pre not empty
  entry pop() {
    if (MILLRACE_UNLIKELY(heap_is_next())) return pop_heap();
    entry next = std::move(line_.front());
    line_.pop_front();
    return next;
  }

  /// Takes the next one out and calls `use(time, value)` with it, without moving it in the good
  /// case. `use` must not push. \pre not empty
  template <class F>
  void pop(F&& use) {
    if (MILLRACE_UNLIKELY(heap_is_next())) {
      entry next = pop_heap();
      return use(next.time, next.value);
    }
    entry& next = line_.front();
    use(next.time, next.value);
    line_.pop_front();
  }

  /// In the order in which they would come out, apart from those of the heap.
  template <class F>
  void for_each(F&& visit) const {
    for (const entry& e : line_) visit(e.time, e.value);
    auto disordered = heap_;
    std::sort(disordered.begin(), disordered.end(),
              [](const auto& a, const auto& b) { return later{}(b, a); });
    for (const auto& e : disordered) visit(e.time, e.value);
  }

 private:
  struct heap_entry {
    timestamp time{};
    std::uint64_t order = 0;
    T value{};
  };
  struct later {
    bool operator()(const heap_entry& a, const heap_entry& b) const noexcept {
      return a.time != b.time ? a.time > b.time : a.order > b.order;
    }
  };

  // Of equal times the one in the line has come first: behind it nothing older is accepted there.
  bool heap_is_next() const noexcept {
    if (MILLRACE_LIKELY(heap_.empty())) return false;
    return line_.empty() || heap_.front().time < line_.front().time;
  }
  MILLRACE_NOINLINE entry pop_heap() {
    std::pop_heap(heap_.begin(), heap_.end(), later{});
    entry next{heap_.back().time, std::move(heap_.back().value)};
    heap_.pop_back();
    return next;
  }

  line<entry> line_;
  std::vector<heap_entry> heap_;
  std::uint64_t order_ = 0;
};

/// A record that waits for its time, and its key.
template <class T>
struct waiting_record {
  slot_index slot = no_slot;
  T value{};
};

/// Writes waiting records with their keys, which `states` knows, and finds them again.
template <class T, class States>
void save_waiting(snapshot_writer& to, const time_queue<waiting_record<T>>& all,
                  const States& states) {
  to.varint(all.size());
  all.for_each([&](timestamp time, const waiting_record<T>& w) {
    states.save_key(to, w.slot);
    save_value(to, time);
    save_value(to, w.value);
  });
}
template <class T, class States>
void restore_waiting(snapshot_reader& from, time_queue<waiting_record<T>>& all, States& states) {
  const std::size_t n = from.count(1);
  for (std::size_t i = 0; i < n && !from.failed(); ++i) {
    waiting_record<T> w{};
    timestamp time{};
    w.slot = states.restore_key(from);
    restore_value(from, time);
    restore_value(from, w.value);
    if (w.slot != no_slot) all.push(time, std::move(w));
  }
}

/// When a key is to be looked at next. Part of the key's state, not saved: an operator sets it
/// again when it restores.
struct key_alarm {
  timestamp time{};
  bool set = false;
};

/// Wakes keys when the watermark reaches their alarms. Per key only the earliest one counts.
class key_alarms {
 public:
  /// O(1) when alarms are set in order.
  void set(slot_index slot, key_alarm& alarm, timestamp time) {
    if (alarm.set && alarm.time <= time) return;
    alarm = {time, true};
    queue_.push(time, slot_index{slot});
  }

  /// Calls `wake(slot) -> bool` for every key whose alarm, the member `alarm` of its state, has
  /// come; it is no longer set then. Ends, as false, when `wake` returns false: then the key has
  /// set its alarm again.
  template <class States, class Wake>
  bool advance(timestamp watermark, States& states, Wake&& wake) {
    while (queue_.due(watermark)) {
      const auto next = queue_.pop();
      auto* state = states.find(next.value);
      if (state == nullptr || !state->alarm.set || state->alarm.time != next.time) continue;
      state->alarm.set = false;
      if (!wake(next.value)) return false;
    }
    return true;
  }

 private:
  time_queue<slot_index> queue_;
};

}  // namespace millrace
