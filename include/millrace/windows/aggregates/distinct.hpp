// SPDX-License-Identifier: Apache-2.0
/// \file
/// How many different values there are, about. Pure values.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/record/key.hpp>
#include <millrace/windows/aggregates/hyperloglog.hpp>
#include <millrace/windows/projection.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>

namespace millrace {

namespace detail {

/// Equal values have equal hashes, the same in every run; all 64 bits are mixed (the finalizer of
/// MurmurHash3).
template <class T>
std::uint64_t distinct_hash(const T& value) {
  std::uint64_t h = 0;
  if constexpr (std::is_floating_point_v<T>) {
    const double number = value == 0 ? 0.0 : static_cast<double>(value);  // -0 is 0
    h = std::bit_cast<std::uint64_t>(number);
  } else {
    h = key_hash<T>{}(value);
  }
  h ^= h >> 33U;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 33U;
  h *= 0xc4ceb9fe1a85ec53ULL;
  return h ^ h >> 33U;
}

}  // namespace detail

/// The number of different values of a part of the records. \see count_distinct
template <class Projection>
class distinct_count {
 public:
  using state = hyperloglog;
  static constexpr bool commutative = true;

  /// \throws topology_error for a precision out of range
  distinct_count(Projection projection, int precision)
      : projection_(projection), precision_(precision) {
    if (precision < hyperloglog::least_precision || precision > hyperloglog::most_precision) {
      throw topology_error("count_distinct: the precision (" + std::to_string(precision) +
                           ") must be 4 to 18");
    }
  }

  template <class In>
  void add(state& s, const In& in) const {
    const auto& value = project(projection_, in);
    s.add(detail::distinct_hash<std::remove_cvref_t<decltype(value)>>(value), precision_);
  }
  void merge(state& s, const state& later) const { s.merge(later, precision_); }
  std::uint64_t result(const state& s) const {
    return static_cast<std::uint64_t>(std::llround(s.estimate()));
  }

 private:
  [[no_unique_address]] Projection projection_;
  int precision_;
};

/// `count_distinct(&visit::user)`: exact up to `2^precision / 16` different values (256 by
/// default), then with a standard error of `1.04 / sqrt(2^precision)` (1.6 %). State: up to
/// `2^precision` bytes, 8 to 32 per different value while there are few.
template <class Projection = std::identity>
auto count_distinct(Projection projection = {}, int precision = 12) {
  return distinct_count<Projection>(projection, precision);
}

}  // namespace millrace
