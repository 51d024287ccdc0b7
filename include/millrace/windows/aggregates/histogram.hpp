// SPDX-License-Identifier: Apache-2.0
/// \file
/// How many values lie between fixed bounds. Pure values.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace millrace {

/// `counts[0]` values lie below the first bound, `counts[i]` in `[bounds[i - 1], bounds[i])`, the
/// last one's at the last bound or above.
struct histogram_result {
  std::vector<std::uint64_t> counts;
  std::uint64_t not_a_number = 0;

  bool operator==(const histogram_result&) const = default;
};
BOOST_DESCRIBE_STRUCT(histogram_result, (), (counts, not_a_number))

/// `histogram({0, 10, 20, 50}, &reading::bikes)`: O(log of the bounds) per record. State: 8 bytes
/// per interval, none while empty.
template <class Projection = std::identity>
class histogram {
 public:
  using state = histogram_result;
  static constexpr bool commutative = true;

  /// \throws topology_error unless there is a bound and they rise strictly
  explicit histogram(std::vector<double> bounds, Projection projection = {})
      : bounds_(std::move(bounds)), projection_(projection) {
    bool rising = !bounds_.empty() && bounds_[0] == bounds_[0];
    for (std::size_t i = 1; i < bounds_.size(); ++i) rising &= bounds_[i - 1] < bounds_[i];
    if (!rising) throw topology_error("histogram: at least one bound is needed, in rising order");
  }

  template <class In>
    requires numeric_projection<Projection, In>
  void add(state& s, const In& in) const {
    const auto x = static_cast<double>(project(projection_, in));
    if (s.counts.empty()) s.counts.resize(bounds_.size() + 1);
    if (x != x) {
      ++s.not_a_number;
      return;
    }
    const auto above = std::upper_bound(bounds_.begin(), bounds_.end(), x);
    ++s.counts[static_cast<std::size_t>(above - bounds_.begin())];
  }
  void merge(state& s, const state& later) const {
    if (later.counts.empty()) return;
    if (s.counts.size() < later.counts.size()) s.counts.resize(later.counts.size());
    for (std::size_t i = 0; i < later.counts.size(); ++i) s.counts[i] += later.counts[i];
    s.not_a_number += later.not_a_number;
  }
  void subtract(state& s, const state& part) const noexcept {
    for (std::size_t i = 0; i < part.counts.size() && i < s.counts.size(); ++i) {
      s.counts[i] -= part.counts[i];
    }
    s.not_a_number -= part.not_a_number;
  }
  state result(const state& s) const { return s; }

  const std::vector<double>& bounds() const noexcept { return bounds_; }

 private:
  std::vector<double> bounds_;
  [[no_unique_address]] Projection projection_;
};

/// `n + 1` bounds from `first`, `width` apart.
inline std::vector<double> even_bounds(double first, double width, std::size_t n) {
  std::vector<double> bounds(n + 1);
  for (std::size_t i = 0; i <= n; ++i) bounds[i] = first + static_cast<double>(i) * width;
  return bounds;
}

}  // namespace millrace
