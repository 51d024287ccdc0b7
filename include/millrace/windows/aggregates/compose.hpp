// SPDX-License-Identifier: Apache-2.0
/// \file
/// Several aggregates over the same records as one. As thread safe as its parts.
#pragma once

#include <millrace/windows/aggregate.hpp>

#include <cstddef>
#include <tuple>
#include <utility>

namespace millrace {

/// \see compose, compose_as
template <class Result, class... A>
class composition {
 public:
  using state = std::tuple<typename A::state...>;
  static constexpr bool commutative = (commutative_aggregate<A> && ...);
  static constexpr bool needs_event_time = (event_time_aggregate<A> || ...);

  explicit composition(A... parts) : parts_(std::move(parts)...) {}

  template <class In>
    requires(!needs_event_time && (aggregate_for<A, In> && ...))
  void add(state& s, const In& in) const {
    each([&](const auto& part, auto index) { part.add(std::get<index.value>(s), in); });
  }
  template <class In>
    requires(needs_event_time && (aggregate_for<A, In> && ...))
  void add(state& s, const In& in, timestamp time) const {
    each([&](const auto& part, auto index) {
      fold_record(part, std::get<index.value>(s), in, time);
    });
  }
  void merge(state& s, const state& later) const {
    each([&](const auto& part, auto index) {
      part.merge(std::get<index.value>(s), std::get<index.value>(later));
    });
  }
  void subtract(state& s, const state& part_state) const
    requires(invertible_aggregate<A> && ...)
  {
    each([&](const auto& part, auto index) {
      part.subtract(std::get<index.value>(s), std::get<index.value>(part_state));
    });
  }
  Result result(const state& s) const { return results(s, std::index_sequence_for<A...>{}); }

 private:
  template <class F>
  void each(F&& f) const {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (f(std::get<I>(parts_), std::integral_constant<std::size_t, I>{}), ...);
    }(std::index_sequence_for<A...>{});
  }
  template <std::size_t... I>
  Result results(const state& s, std::index_sequence<I...>) const {
    return Result{std::get<I>(parts_).result(std::get<I>(s))...};
  }

  std::tuple<A...> parts_;
};

/// `compose(count{}, sum(&reading::bikes), max_of(&reading::bikes))`: the result is a `std::tuple`
/// of the results.
template <class... A>
auto compose(A... parts) {
  return composition<std::tuple<aggregate_result_t<A>...>, A...>(std::move(parts)...);
}

/// `compose_as<summary>(count{}, sum(...))`: the result is `summary{count, sum}`.
template <class Result, class... A>
auto compose_as(A... parts) {
  static_assert(
      requires { Result{std::declval<aggregate_result_t<A>>()...}; },
      "compose_as<R>(a, b, ...): R must be constructible as R{result of a, of b, ...}");
  return composition<Result, A...>(std::move(parts)...);
}

}  // namespace millrace
