// SPDX-License-Identifier: Apache-2.0
/// \file
/// Covariance of two numbers per record, and the straight line through them, in one pass. Pure
/// values.
#pragma once

#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <cstdint>
#include <limits>

namespace millrace {

/// Means and sums of squared deviations and of their products. Values are taken relative to the
/// first pair; merged by Pebay's formulas, as in `moments_state`.
struct pair_moments_state {
  double count = 0;
  double pivot_x = 0;
  double pivot_y = 0;
  double mean_x = 0;  ///< of `x - pivot_x`
  double mean_y = 0;
  double squares_x = 0;  ///< sum of squared deviations
  double squares_y = 0;
  double products = 0;  ///< sum of products of deviations

  void add(double x, double y) noexcept {
    if (count == 0) {
      pivot_x = x;
      pivot_y = y;
    }
    const double before = count;
    count += 1;
    const double dx = x - pivot_x - mean_x;
    const double dy = y - pivot_y - mean_y;
    const double step_x = dx / count;
    mean_x += step_x;
    mean_y += dy / count;
    squares_x += dx * step_x * before;
    squares_y += dy * (dy / count) * before;
    products += step_x * dy * before;
  }

  void merge(const pair_moments_state& o) noexcept {
    if (o.count == 0) return;
    if (count == 0) {
      *this = o;
      return;
    }
    const double total = count + o.count;
    const double dx = (o.pivot_x - pivot_x) + (o.mean_x - mean_x);
    const double dy = (o.pivot_y - pivot_y) + (o.mean_y - mean_y);
    const double weight = count * (o.count / total);
    squares_x += o.squares_x + dx * dx * weight;
    squares_y += o.squares_y + dy * dy * weight;
    products += o.products + dx * dy * weight;
    mean_x += dx * (o.count / total);
    mean_y += dy * (o.count / total);
    count = total;
  }
};
BOOST_DESCRIBE_STRUCT(pair_moments_state, (),
                      (count, pivot_x, pivot_y, mean_x, mean_y, squares_x, squares_y, products))

/// `y = intercept + slope * x`, by least squares. NaN where there is no answer: the slope when all
/// x are equal, `r2` when all x or all y are.
struct regression_result {
  std::uint64_t count = 0;
  double slope = 0;
  double intercept = 0;
  double r2 = 0;          ///< share of the variance of y that the line explains, 0 to 1
  double covariance = 0;  ///< of the population

  bool operator==(const regression_result&) const = default;
};
BOOST_DESCRIBE_STRUCT(regression_result, (), (count, slope, intercept, r2, covariance))

/// \see covariance, linear_regression
template <class X, class Y>
class pair_moments {
 public:
  using state = pair_moments_state;

  pair_moments(X x, Y y) : x_(x), y_(y) {}

  template <class In>
    requires(numeric_projection<X, In> && numeric_projection<Y, In>)
  void add(state& s, const In& in) const {
    s.add(static_cast<double>(project(x_, in)), static_cast<double>(project(y_, in)));
  }
  void merge(state& s, const state& later) const noexcept { s.merge(later); }

 private:
  [[no_unique_address]] X x_;
  [[no_unique_address]] Y y_;
};

/// The covariance of the population: `covariance{&reading::load, &reading::temperature}`.
template <class X, class Y>
class covariance : public pair_moments<X, Y> {
 public:
  using pair_moments<X, Y>::pair_moments;
  double result(const pair_moments_state& s) const noexcept {
    return s.count == 0 ? 0 : s.products / s.count;
  }
};
template <class X, class Y>
covariance(X, Y) -> covariance<X, Y>;

/// A line through the pairs: `linear_regression{x, y}`, a `regression_result`. State: 64 bytes; two
/// divisions per record.
template <class X, class Y>
class linear_regression : public pair_moments<X, Y> {
 public:
  using pair_moments<X, Y>::pair_moments;
  regression_result result(const pair_moments_state& s) const noexcept {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    if (s.count == 0) return {0, none, none, none, 0};
    regression_result r;
    r.count = static_cast<std::uint64_t>(s.count);
    r.covariance = s.products / s.count;
    r.slope = s.squares_x == 0 ? none : s.products / s.squares_x;
    r.intercept = s.pivot_y + s.mean_y - r.slope * (s.pivot_x + s.mean_x);
    r.r2 = s.squares_x == 0 || s.squares_y == 0
               ? none
               : (s.products / s.squares_x) * (s.products / s.squares_y);
    if (r.r2 > 1) r.r2 = 1;  // by rounding
    return r;
  }
};
template <class X, class Y>
linear_regression(X, Y) -> linear_regression<X, Y>;

}  // namespace millrace
