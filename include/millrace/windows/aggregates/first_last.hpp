// SPDX-License-Identifier: Apache-2.0
/// \file
/// The first or last record of a window: by slice, and in order of arrival within a slice. Pure
/// values.
#pragma once

#include <millrace/windows/projection.hpp>

#include <functional>
#include <optional>
#include <utility>

namespace millrace {

/// \see first_of
template <class T, class Projection>
class first_aggregate {
 public:
  using state = std::optional<T>;

  explicit first_aggregate(Projection projection = {}) : projection_(projection) {}

  template <class In>
  void add(state& s, const In& in) const {
    if (!s) s = project(projection_, in);
  }
  void merge(state& s, const state& later) const {
    if (!s) s = later;
  }
  T result(const state& s) const { return s.value_or(T{}); }

 private:
  [[no_unique_address]] Projection projection_;
};

/// \see last_of
template <class T, class Projection>
class last_aggregate {
 public:
  using state = std::optional<T>;

  explicit last_aggregate(Projection projection = {}) : projection_(projection) {}

  template <class In>
  void add(state& s, const In& in) const {
    s = project(projection_, in);
  }
  void merge(state& s, const state& later) const {
    if (later) s = later;
  }
  T result(const state& s) const { return s.value_or(T{}); }

 private:
  [[no_unique_address]] Projection projection_;
};

/// `first_of(&reading::bikes)` or `first_of(f)`.
template <class Projection>
auto first_of(Projection projection) {
  return first_aggregate<projected_t<Projection>, Projection>(projection);
}

/// `last_of(&reading::bikes)` or `last_of(f)`.
template <class Projection>
auto last_of(Projection projection) {
  return last_aggregate<projected_t<Projection>, Projection>(projection);
}

}  // namespace millrace
