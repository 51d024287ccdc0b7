// SPDX-License-Identifier: Apache-2.0
/// \file
/// Skew in one pass, by central moments about a pivot. Pure values.
#pragma once

#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <cmath>
#include <functional>

namespace millrace {

/// Count, mean, and sums of squared and cubed deviations from it. Values are taken relative to the
/// first one, so that a large common offset costs no digits; the sums are updated and merged by the
/// formulas of Pebay (Sandia report SAND2008-6212), which never subtract large numbers.
struct moments_state {
  double count = 0;
  double pivot = 0;
  double mean = 0;    ///< of `x - pivot`
  double second = 0;  ///< sum of `(x - pivot - mean)^2`
  double third = 0;   ///< sum of `(x - pivot - mean)^3`

  void add(double x) noexcept {
    pivot = count == 0 ? x : pivot;
    const double before = count;
    count += 1;
    const double delta = x - pivot - mean;
    const double step = delta / count;
    const double square = delta * step * before;
    third += square * step * (count - 2) - 3 * step * second;
    second += square;
    mean += step;
  }

  void merge(const moments_state& o) noexcept {
    if (o.count == 0) return;
    if (count == 0) {
      *this = o;
      return;
    }
    const double total = count + o.count;
    const double delta = (o.pivot - pivot) + (o.mean - mean);
    const double step = delta / total;
    third += o.third + delta * step * step * count * o.count * (count - o.count) +
             3 * step * (count * o.second - o.count * second);
    second += o.second + delta * step * count * o.count;
    mean += step * o.count;
    count = total;
  }

  /// Third standardized moment of the population, g1; 0 when all values are equal.
  double skewness() const noexcept {
    if (!(second > 0)) return second == 0 ? 0 : second;
    return std::sqrt(count) * third / (second * std::sqrt(second));
  }
};
BOOST_DESCRIBE_STRUCT(moments_state, (), (count, pivot, mean, second, third))

/// The skewness of the population: `skewness{&reading::bikes}`. A division per record. State: 40
/// bytes. A NaN or infinity makes it NaN.
template <class Projection = std::identity>
class skewness {
 public:
  using state = moments_state;

  explicit skewness(Projection projection = {}) : projection_(projection) {}

  template <class In>
    requires numeric_projection<Projection, In>
  void add(state& s, const In& in) const {
    s.add(static_cast<double>(project(projection_, in)));
  }
  void merge(state& s, const state& later) const noexcept { s.merge(later); }
  double result(const state& s) const noexcept { return s.skewness(); }

 private:
  [[no_unique_address]] Projection projection_;
};

}  // namespace millrace
