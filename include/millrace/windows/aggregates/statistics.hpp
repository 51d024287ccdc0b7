// SPDX-License-Identifier: Apache-2.0
/// \file
/// Count, extremes, sum, mean and spread of one number per record in one pass: stable, mergeable,
/// and without a division per record. Pure values.
#pragma once

#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

namespace millrace {

/// What `statistics` yields. The deviations are those of the population (divided by `count`).
struct statistics_result {
  std::uint64_t count = 0;
  double min = 0;
  double max = 0;
  double sum = 0;
  double mean = 0;
  double sum_of_squared_deviations = 0;
  double standard_deviation = 0;

  bool operator==(const statistics_result&) const = default;
};
BOOST_DESCRIBE_STRUCT(statistics_result, (),
                      (count, min, max, sum, mean, sum_of_squared_deviations, standard_deviation))

/// Sums of `x - pivot` and its square, about the first value as pivot. That the pivot is one of
/// the values is what makes it stable: the squared deviations are at least `(pivot - mean)^2`, so
/// subtracting `n (pivot - mean)^2` loses at most a factor `n` of the 2^53 of a double, however
/// large the mean is. Integers stay exact while their sums are below 2^53. A NaN or infinity makes
/// sum, mean and deviations NaN; the extremes ignore NaN.
/// (Chan, Golub, LeVeque: Algorithms for computing the sample variance, 1983, shifted data.)
struct statistics_state {
  double count = 0;  // a double: merging needs it as one, and 2^53 records are enough
  double pivot = 0;
  double sum = 0;      ///< of `x - pivot`
  double squares = 0;  ///< of `(x - pivot)^2`
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();

  void add(double x) noexcept {
    pivot = count == 0 ? x : pivot;
    const double d = x - pivot;
    count += 1;
    sum += d;
    squares += d * d;
    min = x < min ? x : min;
    max = max < x ? x : max;
  }

  /// Moves the other sums to this pivot and adds them.
  void merge(const statistics_state& o) noexcept {
    if (count == 0) {
      *this = o;
      return;
    }
    const double shift = o.pivot - pivot;
    const double moved = o.count * shift;
    sum += o.sum + moved;
    squares += o.squares + shift * (o.sum + (o.sum + moved));
    count += o.count;
    min = o.min < min ? o.min : min;
    max = max < o.max ? o.max : max;
  }

  double sum_of_squared_deviations() const noexcept {
    if (count == 0) return 0;
    const double spread = squares - sum * (sum / count);
    return spread < 0 ? 0 : spread;
  }

  statistics_result result() const noexcept {
    if (count == 0) return {};
    statistics_result r;
    r.count = static_cast<std::uint64_t>(count);
    r.min = min;
    r.max = max;
    r.sum = count * pivot + sum;
    r.mean = pivot + sum / count;
    r.sum_of_squared_deviations = sum_of_squared_deviations();
    r.standard_deviation = std::sqrt(r.sum_of_squared_deviations / count);
    return r;
  }
};
BOOST_DESCRIBE_STRUCT(statistics_state, (), (count, pivot, sum, squares, min, max))

/// `statistics{&reading::bikes}`, `statistics{f}`, `statistics{}` for records that are numbers.
/// State: 48 bytes; a record costs one comparison, five additions, one product.
template <class Projection = std::identity>
class statistics {
 public:
  using state = statistics_state;

  explicit statistics(Projection projection = {}) : projection_(projection) {}

  template <class In>
    requires numeric_projection<Projection, In>
  void add(state& s, const In& in) const {
    s.add(static_cast<double>(project(projection_, in)));
  }
  void merge(state& s, const state& later) const noexcept { s.merge(later); }
  statistics_result result(const state& s) const noexcept { return s.result(); }

 private:
  [[no_unique_address]] Projection projection_;
};

/// The mean of a part of the records, a `double`.
template <class Projection = std::identity>
class mean : public statistics<Projection> {
 public:
  using statistics<Projection>::statistics;
  double result(const statistics_state& s) const noexcept { return s.result().mean; }
};
template <class Projection>
mean(Projection) -> mean<Projection>;

/// The variance of the population.
template <class Projection = std::identity>
class variance : public statistics<Projection> {
 public:
  using statistics<Projection>::statistics;
  double result(const statistics_state& s) const noexcept {
    return s.count == 0 ? 0 : s.sum_of_squared_deviations() / s.count;
  }
};
template <class Projection>
variance(Projection) -> variance<Projection>;

/// The unbiased estimate from a sample, divided by `count - 1`; 0 for a single record.
template <class Projection = std::identity>
class sample_variance : public statistics<Projection> {
 public:
  using statistics<Projection>::statistics;
  double result(const statistics_state& s) const noexcept {
    return s.count < 2 ? 0 : s.sum_of_squared_deviations() / (s.count - 1);
  }
};
template <class Projection>
sample_variance(Projection) -> sample_variance<Projection>;

/// The standard deviation of the population.
template <class Projection = std::identity>
class standard_deviation : public statistics<Projection> {
 public:
  using statistics<Projection>::statistics;
  double result(const statistics_state& s) const noexcept { return s.result().standard_deviation; }
};
template <class Projection>
standard_deviation(Projection) -> standard_deviation<Projection>;

}  // namespace millrace
