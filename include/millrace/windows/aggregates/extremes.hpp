// SPDX-License-Identifier: Apache-2.0
/// \file
/// Smallest and largest value. Pure values.
#pragma once

#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <functional>
#include <limits>
#include <optional>
#include <type_traits>

namespace millrace {

namespace detail {

enum class extreme_side { smallest, largest };

/// An extreme without a flag: empty is the far end of the type.
template <class T, extreme_side Side>
struct extreme_number {
  using limits = std::numeric_limits<T>;
  static constexpr T far_end() noexcept {
    if constexpr (Side == extreme_side::smallest) {
      return limits::has_infinity ? limits::infinity() : limits::max();
    } else {
      return limits::has_infinity ? -limits::infinity() : limits::lowest();
    }
  }

  T value = far_end();

  BOOST_DESCRIBE_CLASS(extreme_number, (), (value), (), ())
};

}  // namespace detail

/// The smallest or largest of a part of the records; of equal ones the first. NaN is ignored (with
/// nothing but NaN, an infinity is the result). \see min_of, max_of
template <class T, class Projection, detail::extreme_side Side>
class extreme_of {
  static constexpr bool is_number = std::is_arithmetic_v<T>;

 public:
  using state = std::conditional_t<is_number, detail::extreme_number<T, Side>, std::optional<T>>;
  static constexpr bool commutative = true;

  explicit extreme_of(Projection projection = {}) : projection_(projection) {}

  template <class In>
    requires requires(const Projection& p, const In& in) { static_cast<T>(project(p, in)); }
  void add(state& s, const In& in) const {
    take(s, static_cast<const T&>(project(projection_, in)));
  }
  void merge(state& s, const state& later) const {
    if constexpr (is_number) {
      take(s, later.value);
    } else if (later) {
      take(s, *later);
    }
  }
  T result(const state& s) const {
    if constexpr (is_number) {
      return s.value;
    } else {
      return s ? *s : T{};
    }
  }

 private:
  static bool better(const T& a, const T& b) {
    if constexpr (Side == detail::extreme_side::smallest) {
      return a < b;
    } else {
      return b < a;
    }
  }
  static void take(state& s, const T& value) {
    if constexpr (is_number) {
      s.value = better(value, s.value) ? value : s.value;
    } else if (!s || better(value, *s)) {
      s = value;
    }
  }

  [[no_unique_address]] Projection projection_;
};

/// `min_of(&reading::bikes)`, `min_of(f)`, `min_of()`; for everything with `<`.
template <class Projection = std::identity>
auto min_of(Projection projection = {}) {
  constexpr auto side = detail::extreme_side::smallest;
  return extreme_of<projected_t<Projection>, Projection, side>(projection);
}

/// The largest, otherwise like `min_of`.
template <class Projection = std::identity>
auto max_of(Projection projection = {}) {
  constexpr auto side = detail::extreme_side::largest;
  return extreme_of<projected_t<Projection>, Projection, side>(projection);
}

}  // namespace millrace
