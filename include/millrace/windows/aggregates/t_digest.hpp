// SPDX-License-Identifier: Apache-2.0
/// \file
/// t-digest: quantiles of any number of values in bounded memory. Not thread safe.
#pragma once

#include <millrace/state/snapshot.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

namespace millrace {

/// The merging t-digest of Dunning and Ertl (arXiv:1902.04023) with the scale function k1. With
/// compression d it keeps at most d centroids; one of them spans at most about
/// `2 pi sqrt(q (1 - q)) / d` of the ranks around quantile q, and `(pi / d)^2` at the ends; that is
/// how far off a quantile may be in rank. It holds in the tests, for sorted and merged input, too,
/// but is no proof: input can be made up against any digest. Up to d values it is exact. Values
/// that are not finite are left out.
class t_digest {
 public:
  static constexpr double least_compression = 20;
  static constexpr double most_compression = 10'000;

  /// Amortized O(log d).
  void add(double x, double compression) {
    if (!std::isfinite(x)) return;
    if (fresh_.size() >= static_cast<std::size_t>(compression)) compress(compression);
    fresh_.push_back(x);
  }

  /// O(d log d); as many `add`s while the other one is exact.
  void merge(const t_digest& o, double compression) {
    if (!o.centroids_.empty()) {
      centroids_.insert(centroids_.end(), o.centroids_.begin(), o.centroids_.end());
      weight_ += o.weight_;
      min_ = std::min(min_, o.min_);
      max_ = std::max(max_, o.max_);
      compress(compression);
    }
    for (const double x : o.fresh_) add(x, compression);
  }

  /// Values seen.
  double count() const noexcept { return weight_ + static_cast<double>(fresh_.size()); }

  /// Makes `quantile` possible: everything is in the sorted centroids.
  void settle(double compression) {
    if (centroids_.empty()) {
      std::sort(fresh_.begin(), fresh_.end());
    } else if (!fresh_.empty()) {
      compress(compression);
    }
  }

  /// The value below which a share `q` (0 to 1) of the values lies, interpolated between
  /// neighbours as R's type 7 does; NaN if there is none. \pre settled
  double quantile(double q) const {
    const double n = count();
    if (n == 0) return std::numeric_limits<double>::quiet_NaN();
    const double target = std::clamp(q, 0.0, 1.0) * (n - 1);
    if (centroids_.empty()) return exact(target);
    return std::max(min_, std::min(max_, interpolated(target)));
  }

  std::size_t memory_bytes() const noexcept {
    return centroids_.capacity() * sizeof(centroid) + fresh_.capacity() * sizeof(double);
  }

  void save(snapshot_writer& to) const {
    to.varint(centroids_.size());
    for (const centroid& c : centroids_) {
      to.number(c.mean);
      to.number(c.weight);
    }
    to.varint(fresh_.size());
    for (const double x : fresh_) to.number(x);
    to.number(min_);
    to.number(max_);
  }
  void restore(snapshot_reader& from) {
    *this = {};
    const std::size_t n = from.count(2 * sizeof(double));
    centroids_.reserve(n);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      const auto mean = from.number<double>();
      const auto weight = from.number<double>();
      if (!std::isfinite(mean) || !(weight >= 1)) return from.fail("a centroid without weight");
      centroids_.push_back({mean, weight});
      weight_ += weight;
    }
    const std::size_t fresh = from.count(sizeof(double));
    fresh_.reserve(fresh);
    for (std::size_t i = 0; i < fresh && !from.failed(); ++i) {
      fresh_.push_back(from.number<double>());
      if (!std::isfinite(fresh_.back())) return from.fail("a value that is not finite");
    }
    min_ = from.number<double>();
    max_ = from.number<double>();
  }
  static std::string snapshot_description() { return "t_digest/1"; }

 private:
  struct centroid {
    double mean;
    double weight;
  };

  // Sorts everything and joins neighbours as long as they span at most 1 on the scale of k1.
  void compress(double d) {
    if (!fresh_.empty()) {
      const auto [least, most] = std::minmax_element(fresh_.begin(), fresh_.end());
      min_ = std::min(min_, *least);
      max_ = std::max(max_, *most);
      weight_ += static_cast<double>(fresh_.size());
      for (const double x : fresh_) centroids_.push_back({x, 1});
      fresh_.clear();
    }
    std::sort(centroids_.begin(), centroids_.end(),
              [](const centroid& a, const centroid& b) { return a.mean < b.mean; });
    double before = 0;
    double limit = weight_ * quantile_of(scale(0, d) + 1, d);
    std::size_t last = 0;
    for (std::size_t i = 1; i < centroids_.size(); ++i) {
      const centroid next = centroids_[i];
      centroid& current = centroids_[last];
      if (before + current.weight + next.weight <= limit) {
        current.weight += next.weight;
        current.mean = std::lerp(current.mean, next.mean, next.weight / current.weight);
        continue;
      }
      before += current.weight;
      limit = weight_ * quantile_of(scale(before / weight_, d) + 1, d);
      centroids_[++last] = next;
    }
    centroids_.resize(last + 1, centroid{});
  }

  static double scale(double q, double d) {
    return d / (2 * std::numbers::pi) * std::asin(std::clamp(2 * q - 1, -1.0, 1.0));
  }
  static double quantile_of(double k, double d) {
    if (k >= d / 4) return 1;
    return (std::sin(k * 2 * std::numbers::pi / d) + 1) / 2;
  }

  double exact(double target) const {
    const auto i = static_cast<std::size_t>(target);
    if (i + 1 >= fresh_.size()) return fresh_.back();
    return std::lerp(fresh_[i], fresh_[i + 1], target - static_cast<double>(i));
  }

  // A centroid stands in the middle of the ranks it has; the first and last values are known.
  double interpolated(double target) const {
    double place = 0;
    double value = min_;
    double before = 0;
    for (const centroid& c : centroids_) {
      const double middle = before + (c.weight - 1) / 2;
      if (target < middle) {
        return std::lerp(value, c.mean, (target - place) / (middle - place));
      }
      place = middle;
      value = c.mean;
      before += c.weight;
    }
    const double end = before - 1;
    if (!(end > place)) return max_;
    return std::lerp(value, max_, std::min(1.0, (target - place) / (end - place)));
  }

  std::vector<centroid> centroids_;  // by mean
  std::vector<double> fresh_;        // not yet in centroids
  double weight_ = 0;                // of the centroids
  double min_ = std::numeric_limits<double>::infinity();
  double max_ = -std::numeric_limits<double>::infinity();
};

}  // namespace millrace
