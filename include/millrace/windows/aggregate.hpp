// SPDX-License-Identifier: Apache-2.0
/// \file
/// What an aggregate is: an object that describes how records are folded into a state, states are
/// merged, and a result is read. Built from lambdas with `make_aggregate`. As thread safe as the
/// functions it holds; they should be pure.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace millrace {

/// Takes records without, or with their event time.
template <class A, class In>
concept adds_record =
    requires(const A& a, typename A::state& state, const In& in) { a.add(state, in); };
template <class A, class In>
concept adds_timed_record = requires(const A& a, typename A::state& state, const In& in,
                                     timestamp time) { a.add(state, in, time); };

/// Folds records of type `In`. `A` is copyable and holds no data of its own; `A::state` is the
/// accumulator. Needed:
/// - `typename A::state`, copyable; default constructed it is empty, and merging an empty state
///   into another, or another into an empty one, yields the other;
/// - `a.add(state, in)` folds in one record; or `a.add(state, in, time)`, with its event time;
/// - `a.merge(state, later)` appends what was folded from records of later slices. It must be
///   associative; it need not be commutative;
/// - `a.result(state)` for a state with at least one record.
template <class A, class In>
concept aggregate_for =
    std::copy_constructible<A> && std::default_initializable<typename A::state> &&
    std::copyable<typename A::state> &&
    (adds_record<A, In> || adds_timed_record<A, In>)&&requires(const A& a, typename A::state& state,
                                                               const typename A::state& later) {
      a.merge(state, later);
      a.result(later);
      requires !std::is_void_v<decltype(a.result(later))>;
    };

/// An aggregate that can take records out again: `a.subtract(state, part)` undoes a merge.
template <class A>
concept invertible_aggregate = requires(const A& a, typename A::state& state,
                                        const typename A::state& part) { a.subtract(state, part); };

/// Whether `merge` may take its parts in any order: `static constexpr bool commutative = true`.
template <class A>
inline constexpr bool commutative_aggregate = requires { requires A::commutative; };

/// Whether windows are to be combined from slices anew each time, because states grow with their
/// records: `static constexpr bool folds_directly = true`.
template <class A>
inline constexpr bool direct_aggregate = requires { requires A::folds_directly; };

/// Whether the result depends on event times that `add` is given (those read from the record by a
/// projection do not count): `static constexpr bool needs_event_time = true`.
template <class A>
inline constexpr bool event_time_aggregate = requires { requires A::needs_event_time; };

/// Folds in a record, with its event time if the aggregate wants that.
template <class A, class In>
MILLRACE_ALWAYS_INLINE void fold_record(const A& a, typename A::state& state, const In& in,
                                        timestamp time) {
  if constexpr (adds_timed_record<A, In>) {
    a.add(state, in, time);
  } else {
    a.add(state, in);
  }
}

template <class A>
using aggregate_result_t = std::remove_cvref_t<decltype(std::declval<const A&>().result(
    std::declval<const typename A::state&>()))>;

/// An aggregate made of an empty accumulator and functions. See `make_aggregate`.
template <class S, class Add, class Merge, class Result>
class function_aggregate {
 public:
  using state = std::optional<S>;

  function_aggregate(S initial, Add add, Merge merge, Result result)
      : initial_(std::move(initial)),
        add_(std::move(add)),
        merge_(std::move(merge)),
        result_(std::move(result)) {}

  template <class In>
    requires std::invocable<const Add&, S&, const In&>
  void add(state& s, const In& in) const {
    if (!s) s = initial_;
    add_(*s, in);
  }
  void merge(state& s, const state& later) const {
    if (!later) return;
    if (!s) {
      s = later;
    } else {
      merge_(*s, *later);
    }
  }
  decltype(auto) result(const state& s) const { return result_(s ? *s : initial_); }

 private:
  S initial_;
  [[no_unique_address]] Add add_;
  [[no_unique_address]] Merge merge_;
  [[no_unique_address]] Result result_;
};

/// An aggregate from an empty accumulator, `add(S&, const In&)`, `merge(S&, const S& later)` and
/// `result(const S&)`; without the last the accumulator is the result.
template <std::copyable S, class Add, class Merge, class Result>
auto make_aggregate(S initial, Add add, Merge merge, Result result) {
  static_assert(std::invocable<const Merge&, S&, const S&>,
                "make_aggregate: merge must be callable as merge(S&, const S&)");
  static_assert(std::invocable<const Result&, const S&>,
                "make_aggregate: result must be callable as result(const S&)");
  return function_aggregate<S, Add, Merge, Result>(std::move(initial), std::move(add),
                                                   std::move(merge), std::move(result));
}
template <std::copyable S, class Add, class Merge>
auto make_aggregate(S initial, Add add, Merge merge) {
  return make_aggregate(std::move(initial), std::move(add), std::move(merge),
                        [](const S& s) { return s; });
}

}  // namespace millrace
