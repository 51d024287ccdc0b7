// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a window holds until it fires: the state of an aggregate, or all its records. A content is
/// a copyable object that describes what is done with its `state`. Not thread safe.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/aggregate.hpp>
#include <millrace/windows/evictors.hpp>
#include <millrace/windows/window.hpp>

#include <optional>
#include <span>
#include <utility>

namespace millrace {

/// Folds records as they come. O(1) per record and window; one state of the aggregate per window.
template <class A>
class folded_content {
 public:
  using result_type = aggregate_result_t<A>;

  struct state {
    typename A::state fold{};
    bool filled = false;

    void save(snapshot_writer& to) const {
      save_value(to, filled);
      if (filled) save_value(to, fold);
    }
    void restore(snapshot_reader& from) {
      restore_value(from, filled);
      if (filled) restore_value(from, fold);
    }
  };

  explicit folded_content(A aggregate) : aggregate_(std::move(aggregate)) {}

  template <class T>
  void add(state& s, const T& value, timestamp time) const {
    fold_record(aggregate_, s.fold, value, time);
    s.filled = true;
  }
  void merge(state& s, state&& later) const {
    if (!later.filled) return;
    if (s.filled) {
      aggregate_.merge(s.fold, later.fold);
    } else {
      s = std::move(later);
    }
  }
  static bool empty(const state& s) noexcept { return !s.filled; }
  static void clear(state& s) {
    s.fold = typename A::state{};
    s.filled = false;
  }
  /// Calls `use(result)`. \pre not empty
  template <class Use>
  void fire(state& s, const window&, Use&& use) const {
    use(aggregate_.result(s.fold));
  }

 private:
  [[no_unique_address]] A aggregate_;
};

namespace detail {

template <class Evictor, class T, class Use>
void fire_records(const Evictor& evictor, window_records<T>& records, const window& w, Use&& use) {
  if constexpr (requires { evictor.before(records, w); }) evictor.before(records, w);
  if (!records.empty()) use(records);
  if constexpr (requires { evictor.after(records, w); }) evictor.after(records, w);
}

}  // namespace detail

/// Keeps all records, for functions over them.
template <class T, class Evictor>
class recorded_content {
 public:
  using state = window_records<T>;

  explicit recorded_content(Evictor evictor) : evictor_(std::move(evictor)) {}

  static void add(state& s, const T& value, timestamp time) { s.push(value, time); }
  static void merge(state& s, state&& later) { s.append(std::move(later)); }
  static bool empty(const state& s) noexcept { return s.empty(); }
  static void clear(state& s) { s.clear(); }
  /// Calls `use(std::span<const window_record<T>>)`, unless the evictor leaves nothing.
  template <class Use>
  void fire(state& s, const window& w, Use&& use) const {
    detail::fire_records(evictor_, s, w, [&](const state& left) { use(left.view()); });
  }

 private:
  [[no_unique_address]] Evictor evictor_;
};

/// All records as an aggregate, for windows over slices: each is kept once, whatever the overlap.
template <class T>
struct gathering {
  using state = window_records<T>;
  static constexpr bool folds_directly = true;

  void add(state& s, const T& value, timestamp time) const { s.push(value, time); }
  void merge(state& s, const state& later) const { s.append(later); }
  std::span<const window_record<T>> result(const state& s) const noexcept { return s.view(); }
};

/// Keeps all records, folded anew whenever the window fires: aggregates behind an evictor.
template <class T, class Evictor, class A>
class evicted_content {
 public:
  using state = window_records<T>;
  using result_type = aggregate_result_t<A>;

  evicted_content(Evictor evictor, A aggregate)
      : evictor_(std::move(evictor)), aggregate_(std::move(aggregate)) {}

  static void add(state& s, const T& value, timestamp time) { s.push(value, time); }
  static void merge(state& s, state&& later) { s.append(std::move(later)); }
  static bool empty(const state& s) noexcept { return s.empty(); }
  static void clear(state& s) { s.clear(); }
  template <class Use>
  void fire(state& s, const window& w, Use&& use) const {
    detail::fire_records(evictor_, s, w, [&](const state& left) {
      typename A::state fold{};
      for (const auto& r : left) fold_record(aggregate_, fold, r.value, r.time);
      use(aggregate_.result(fold));
    });
  }

 private:
  [[no_unique_address]] Evictor evictor_;
  [[no_unique_address]] A aggregate_;
};

/// What `reduce(f)` folds with: the first record, then `f(so far, next)`, which must be
/// associative.
template <class T, class F>
class reduction {
 public:
  using state = std::optional<T>;

  explicit reduction(F f) : f_(std::move(f)) {}

  void add(state& s, const T& value) const {
    if (s) {
      s = f_(std::as_const(*s), value);
    } else {
      s = value;
    }
  }
  void merge(state& s, const state& later) const {
    if (later) add(s, *later);
  }
  T result(const state& s) const { return *s; }

 private:
  [[no_unique_address]] F f_;
};

}  // namespace millrace
