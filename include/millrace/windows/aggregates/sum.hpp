// SPDX-License-Identifier: Apache-2.0
/// \file
/// Sums: exact for integers, compensated for floating point. Pure values.
#pragma once

#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <type_traits>

namespace millrace {

/// A 128-bit sum of 64-bit integers: exact, whatever comes in between, for up to 2^64 of them.
struct wide_sum {
  std::uint64_t low = 0;
  std::int64_t high = 0;

  constexpr void add(std::int64_t value) noexcept {
    add(static_cast<std::uint64_t>(value), -static_cast<std::int64_t>(value < 0));
  }
  constexpr void add(std::uint64_t value) noexcept { add(value, 0); }
  constexpr void add(const wide_sum& o) noexcept { add(o.low, o.high); }
  constexpr void subtract(const wide_sum& o) noexcept { add(~o.low + 1, ~o.high + (o.low == 0)); }

  /// The value, clamped to what `T` (a 64-bit integer) can hold.
  template <std::integral T>
  constexpr T clamped() const noexcept {
    if constexpr (std::is_signed_v<T>) {
      if (high == (static_cast<std::int64_t>(low) < 0 ? -1 : 0)) return static_cast<T>(low);
      return high < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
    } else {
      if (high == 0) return low;
      return high < 0 ? 0 : std::numeric_limits<T>::max();
    }
  }
  constexpr double to_double() const noexcept {
    if (high == (static_cast<std::int64_t>(low) < 0 ? -1 : 0)) {
      return static_cast<double>(static_cast<std::int64_t>(low));
    }
    return static_cast<double>(high) * 18446744073709551616.0 + static_cast<double>(low);
  }

 private:
  constexpr void add(std::uint64_t l, std::int64_t h) noexcept {
    low += l;
    high += h + static_cast<std::int64_t>(low < l);
  }
};
BOOST_DESCRIBE_STRUCT(wide_sum, (), (low, high))

/// A sum of doubles with the rounding errors summed beside it (Neumaier, ZAMM 54, 1974): the error
/// of the result does not grow with the number of values unless they cancel beyond 1 in 10^16.
struct compensated_sum {
  double sum = 0;
  double compensation = 0;

  constexpr void add(double value) noexcept {
    // Knuth's TwoSum: without the branch on magnitudes, and the same error term.
    const double total = sum + value;
    const double part = total - sum;
    compensation += (sum - (total - part)) + (value - part);
    sum = total;
  }
  constexpr void add(const compensated_sum& o) noexcept {
    add(o.sum);
    compensation += o.compensation;
  }
  double value() const noexcept {
    const double corrected = sum + compensation;
    return std::isnan(corrected) ? sum : corrected;  // infinities have no error term
  }
};
BOOST_DESCRIBE_STRUCT(compensated_sum, (), (sum, compensation))

/// The sum of a part of the records. Integers (and bool) give an exact `std::int64_t` or
/// `std::uint64_t`, clamped if the total does not fit; everything else a `double`.
template <class T, class Projection>
class sum_of {
 public:
  using value_type =
      std::conditional_t<std::is_integral_v<T>,
                         std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>,
                         double>;
  using state = std::conditional_t<std::is_integral_v<T>, wide_sum, compensated_sum>;
  static constexpr bool commutative = true;

  explicit sum_of(Projection projection = {}) : projection_(projection) {}

  template <class In>
    requires numeric_projection<Projection, In>
  void add(state& s, const In& in) const {
    s.add(static_cast<value_type>(project(projection_, in)));
  }
  void merge(state& s, const state& later) const noexcept { s.add(later); }
  void subtract(state& s, const state& part) const noexcept
    requires std::is_integral_v<T>
  {
    s.subtract(part);
  }
  value_type result(const state& s) const noexcept {
    if constexpr (std::is_integral_v<T>) {
      return s.template clamped<value_type>();
    } else {
      return s.value();
    }
  }

 private:
  [[no_unique_address]] Projection projection_;
};

/// `sum(&reading::bikes)`, `sum(f)`, `sum()` for records that are numbers.
template <class Projection = std::identity>
auto sum(Projection projection = {}) {
  return sum_of<projected_t<Projection>, Projection>(projection);
}

}  // namespace millrace
