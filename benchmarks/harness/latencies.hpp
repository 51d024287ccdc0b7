// SPDX-License-Identifier: Apache-2.0
/// \file
/// Any number of latencies in fixed memory, with an error of at most 3 %. Not thread safe.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bench {

/// Buckets: 32 between each power of two of a nanosecond and the next.
class latencies {
 public:
  void add(std::uint64_t nanoseconds) noexcept {
    ++counts_[bucket(nanoseconds)];
    ++count_;
    if (nanoseconds > greatest_) greatest_ = nanoseconds;
  }

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t greatest() const noexcept { return greatest_; }

  /// The upper end of the bucket with the quantile `q` in [0, 1], in nanoseconds.
  double quantile(double q) const noexcept {
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > rank) return upper(i);
    }
    return static_cast<double>(greatest_);
  }

 private:
  static constexpr unsigned bits = 5;
  static std::size_t bucket(std::uint64_t ns) noexcept {
    if (ns < 1U << bits) return ns;
    const auto power = static_cast<unsigned>(std::bit_width(ns)) - 1 - bits;
    return (static_cast<std::size_t>(power + 1) << bits) + ((ns >> power) & ((1U << bits) - 1));
  }
  static double upper(std::size_t i) noexcept {
    if (i < 1U << bits) return static_cast<double>(i);
    const std::size_t power = (i >> bits) - 1;
    return static_cast<double>(((i & ((1U << bits) - 1)) + (1U << bits) + 1) << power);
  }

  std::array<std::uint64_t, (64 - bits + 1) << bits> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t greatest_ = 0;
};

}  // namespace bench
