// SPDX-License-Identifier: Apache-2.0
/// \file
/// The records of a window, for functions that want all of them, and evictors, which take some out
/// before or after the function sees them. Pure values; not thread safe in use.
///
/// An evictor is a copyable object with `void before(window_records<T>&, const window&) const`, or
/// `void after(...)`, or both.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/assigners.hpp>
#include <millrace/windows/window.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace millrace {

/// A record of a window, with its event time (processing time in windows that go by that).
template <class T>
struct window_record {
  T value;
  timestamp time;

  friend bool operator==(const window_record&, const window_record&) = default;
};

/// Records in order of arrival; where sessions have become one, those of the earlier session first.
/// Appending and erasing at the front are O(1) amortized.
template <class T>
class window_records {
 public:
  std::size_t size() const noexcept { return records_.size() - first_; }
  bool empty() const noexcept { return size() == 0; }
  std::span<const window_record<T>> view() const noexcept {
    return std::span<const window_record<T>>(records_).subspan(first_);
  }
  auto begin() const noexcept { return view().begin(); }
  auto end() const noexcept { return view().end(); }

  void push(const T& value, timestamp time) { records_.push_back({value, time}); }
  void append(const window_records& later) {
    records_.insert(records_.end(), later.begin(), later.end());
  }
  void append(window_records&& later) {
    records_.insert(
        records_.end(),
        std::make_move_iterator(later.records_.begin() + static_cast<std::ptrdiff_t>(later.first_)),
        std::make_move_iterator(later.records_.end()));
    later.clear();
  }

  /// Takes out the first `n`, or all if there are fewer.
  void erase_front(std::size_t n) {
    first_ += std::min(n, size());
    if (2 * first_ < records_.size()) return;
    records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  /// Takes out those for which `drop(const window_record<T>&)` is true. O(n)
  template <class F>
  void erase_if(F&& drop) {
    records_.erase(std::remove_if(records_.begin() + static_cast<std::ptrdiff_t>(first_),
                                  records_.end(), std::ref(drop)),
                   records_.end());
  }
  /// Forgets all; memory stays.
  void clear() noexcept {
    records_.clear();
    first_ = 0;
  }

  void save(snapshot_writer& to) const {
    to.varint(size());
    for (const auto& r : view()) {
      save_value(to, r.time);
      save_value(to, r.value);
    }
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(8);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      window_record<T> r{};
      restore_value(from, r.time);
      restore_value(from, r.value);
      records_.push_back(std::move(r));
    }
  }

 private:
  std::vector<window_record<T>> records_;
  std::size_t first_ = 0;  // those before it are gone
};

/// An evictor for records of type `T`.
template <class E, class T>
concept evictor_for =
    std::copy_constructible<E> &&
    (
        requires(const E& e, window_records<T>& r, const window& w) { e.before(r, w); } ||
        requires(const E& e, window_records<T>& r, const window& w) { e.after(r, w); });

/// Takes out nothing.
struct no_evictor {};

/// Keeps the last `count` records (Flink: CountEvictor).
struct count_evictor {
  std::size_t count;

  template <class T>
  void before(window_records<T>& records, const window&) const {
    if (records.size() > count) records.erase_front(records.size() - count);
  }
};

/// What turns a global window that fires with every `step`-th record into windows of `size`
/// records: those that no later window holds go at once.
struct count_window_evictor {
  count_window spec;

  template <class T>
  void before(window_records<T>& records, const window&) const {
    keep(records, spec.size);
  }
  template <class T>
  void after(window_records<T>& records, const window&) const {
    keep(records, spec.size - spec.step());
  }

 private:
  template <class T>
  static void keep(window_records<T>& records, std::int64_t n) {
    const std::size_t most = n > 0 ? static_cast<std::size_t>(n) : 0;
    if (records.size() > most) records.erase_front(records.size() - most);
  }
};

/// Keeps records newer than the newest one less `keep` (Flink: TimeEvictor).
struct time_evictor {
  duration keep;

  template <class T>
  void before(window_records<T>& records, const window&) const {
    timestamp newest = min_timestamp;
    for (const auto& r : records) newest = std::max(newest, r.time);
    const timestamp oldest{
        duration{saturating_add(newest.time_since_epoch().count(), -keep.count())}};
    records.erase_if([oldest](const window_record<T>& r) { return r.time <= oldest; });
  }
};

/// Takes out records with `difference(record, last) >= threshold`, `last` being the record that
/// came last (Flink: DeltaEvictor).
template <class Difference>
struct delta_evictor {
  delta_evictor(double at_least, Difference f) : threshold(at_least), difference(std::move(f)) {}

  template <class T>
  void before(window_records<T>& records, const window&) const {
    if (records.empty()) return;
    const T last = records.view().back().value;
    records.erase_if([&](const window_record<T>& r) {
      return std::invoke(difference, r.value, last) >= threshold;
    });
  }

  double threshold;
  Difference difference;
};

}  // namespace millrace
