// SPDX-License-Identifier: Apache-2.0
/// \file
/// RIoTBench (Shukla, Chaturvedi, Simmhan: RIoTBench, 2017), CITY data: SenML records of about 380
/// bytes with five observations as texts, and the kernels that the dataflows are made of. The
/// kernels are used by both sides; the dataflows by hand are in riotbench_flows.hpp. Not thread
/// safe.
#pragma once

#include "floors/data.hpp"
#include "floors/documents.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace floors::riot {

inline constexpr std::size_t kinds = 5;
inline constexpr std::array<std::string_view, kinds> kind_names{"temperature", "humidity", "light",
                                                                "dust", "airquality_raw"};
inline constexpr std::array<std::string_view, kinds> units{"far", "per", "per", "per", "per"};

/// What ETL keeps; outside it becomes null.
inline constexpr std::array<double, kinds> least{-12.5, 10.7, 1345, 186.61, 17};
inline constexpr std::array<double, kinds> greatest{43.1, 95.2, 26282, 5188.21, 363};

/// Null is NaN.
inline constexpr double null = std::numeric_limits<double>::quiet_NaN();

using observations = std::array<double, kinds>;

/// Values have two decimals; one in twenty is out of its range. Events come every 10 us.
inline document_block make_city(std::size_t events, std::uint64_t sensors) {
  random_numbers random(7);
  document_block block;
  constexpr std::int64_t between = 10;
  for (std::size_t i = 0; i < events; ++i) {
    const auto decimal = [&](std::uint64_t whole) {
      const std::uint64_t hundredths = random.below(100);
      return std::to_string(whole) + (hundredths < 10 ? ".0" : ".") + std::to_string(hundredths);
    };
    std::string text = R"({"e":[{"u":"string","n":"source","sv":"ci4l)" +
                       std::to_string(100'000 + random.below(sensors)) + R"("},{"v":"6.)" +
                       std::to_string(10'000 + random.below(90'000)) +
                       R"(","u":"lon","n":"longitude"},{"v":"53.)" +
                       std::to_string(10'000 + random.below(90'000)) +
                       R"(","u":"lat","n":"latitude"})";
    for (std::size_t k = 0; k < kinds; ++k) {
      const auto from = static_cast<std::uint64_t>(std::max(0.0, least[k])) + 1;
      const auto to = static_cast<std::uint64_t>(greatest[k]);
      const std::uint64_t whole = random.below(20) == 0 ? to + 1 : from + random.below(to - from);
      text += R"(,{"v":")" + decimal(whole) + R"(","u":")" + std::string(units[k]) + R"(","n":")" +
              std::string(kind_names[k]) + R"("})";
    }
    text += R"(],"bt":)" +
            std::to_string(1'700'000'000'000 + static_cast<std::int64_t>(i) * between / 1000) + "}";
    block.add(text);
  }
  block.close(static_cast<std::int64_t>(events) * between);
  return block;
}

inline std::uint64_t hash_text(std::string_view text, std::uint64_t seed) noexcept {
  for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return seed ^ seed >> 29U;
}

/// Lets through what has been added, and some others.
class bloom_filter {
 public:
  explicit bloom_filter(std::uint64_t sensors) {
    std::size_t bits = 1024;
    while (bits < 16 * sensors) bits *= 2;
    bits_.resize(bits / 64);
    // Nine in ten sensors are known.
    for (std::uint64_t i = 0; i < sensors; ++i) {
      if (i % 10 != 9) add("ci4l" + std::to_string(100'000 + i));
    }
  }
  bool contains(std::string_view source) const noexcept {
    const std::uint64_t a = hash_text(source, 14'695'981'039'346'656'037ULL);
    const std::uint64_t b = a * 0x9e3779b97f4a7c15ULL | 1U;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const std::uint64_t bit = (a + i * b) >> 20U & (bits_.size() * 64 - 1);
      if ((bits_[bit / 64] >> (bit % 64) & 1U) == 0) return false;
    }
    return true;
  }

 private:
  void add(std::string_view source) noexcept {
    const std::uint64_t a = hash_text(source, 14'695'981'039'346'656'037ULL);
    const std::uint64_t b = a * 0x9e3779b97f4a7c15ULL | 1U;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const std::uint64_t bit = (a + i * b) >> 20U & (bits_.size() * 64 - 1);
      bits_[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
  }
  std::vector<std::uint64_t> bits_;
};

/// A null becomes the mean of the last five values of its sensor and kind, if there are any.
struct interpolation {
  static constexpr std::size_t size = 5;
  std::array<double, size> last{};
  std::uint8_t count = 0;
  std::uint8_t next = 0;

  double operator()(double value) noexcept {
    if (value != value) {
      if (count == 0) return value;
      double sum = 0;
      for (std::uint8_t i = 0; i < count; ++i) sum += last[i];
      return sum / count;
    }
    last[next] = value;
    next = static_cast<std::uint8_t>((next + 1U) % size);
    count = std::min<std::uint8_t>(static_cast<std::uint8_t>(count + 1U), size);
    return value;
  }
};

/// One-dimensional Kalman filter, q .125, r .32, p0 30.
struct kalman {
  double estimate = 0;
  double error = 30;

  double operator()(double measured) noexcept {
    const double predicted = error + 0.125;
    const double gain = predicted / (predicted + 0.32);
    estimate += gain * (measured - estimate);
    error = (1 - gain) * predicted;
    return estimate;
  }
};

/// A line through the last ten values; what it says about ten steps ahead, in sum.
struct sliding_regression {
  static constexpr std::size_t size = 10;
  std::array<double, size> values{};
  std::uint32_t count = 0;

  /// NaN until there are ten.
  double operator()(double value) noexcept {
    values[count++ % size] = value;
    if (count < size) return null;
    double sum_y = 0;
    double sum_xy = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const double y = values[(count + i) % size];
      sum_y += y;
      sum_xy += static_cast<double>(i) * y;
    }
    constexpr double n = size;
    constexpr double sum_x = n * (n - 1) / 2;
    constexpr double sum_xx = (n - 1) * n * (2 * n - 1) / 6;
    const double slope = (n * sum_xy - sum_x * sum_y) / (n * sum_xx - sum_x * sum_x);
    const double start = (sum_y - slope * sum_x) / n;
    return n * start + slope * (n * n + sum_x);  // at n, n + 1, ... 2n - 1
  }
};

/// Second moment of ten values, block by block; NaN while a block is open.
struct block_moment {
  double sum_of_squares = 0;
  std::uint32_t count = 0;

  double operator()(double value) noexcept {
    sum_of_squares += value * value;
    if (++count < 10) return null;
    const double moment = sum_of_squares / 10;
    *this = {};
    return moment;
  }
};

/// Mean of ten values, block by block; the mean of the last complete block.
struct block_average {
  double sum = 0;
  double mean = null;
  std::uint32_t count = 0;

  double operator()(double value) noexcept {
    sum += value;
    if (++count == 10) {
      mean = sum / 10;
      sum = 0;
      count = 0;
    }
    return mean;
  }
};

/// What PRED predicts with; `from` is the event time (us) at which the model takes over.
struct model {
  std::int64_t from = 0;
  std::array<double, kinds> weights{};
  double split = 0;  ///< of the tree, on temperature

  double line(const observations& o) const noexcept {
    double y = 0;
    for (std::size_t k = 0; k < kinds; ++k) y += weights[k] * o[k];
    return y;
  }
  int leaf(const observations& o) const noexcept {
    if (o[0] < split) return o[1] < 50 ? 0 : 1;
    if (o[3] < 2000) return o[4] < 100 ? 2 : 3;
    return o[2] < 10'000 ? 4 : 5;
  }
};

/// Two of them; the second takes over half a second of event time after the first.
inline std::vector<model> models() {
  const std::int64_t start = 1'700'000'000 * second;
  return {{0, {0.5, 0.25, 0.001, 0.01, 0.1}, 20},
          {start + second / 2, {0.25, 0.5, 0.002, 0.005, 0.2}, 25}};
}

inline void append_number(std::string& out, double value) {
  char digits[32];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

/// ETL's output: SenML again, annotated.
inline void write_senml(std::string& out, std::string_view source, double longitude,
                        double latitude, const observations& o, std::int64_t milliseconds) {
  out.append(R"({"e":[{"u":"string","n":"source","sv":")").append(source);
  out.append(R"("},{"v":")");
  append_number(out, longitude);
  out.append(R"(","u":"lon","n":"longitude"},{"v":")");
  append_number(out, latitude);
  out.append(R"(","u":"lat","n":"latitude"})");
  for (std::size_t k = 0; k < kinds; ++k) {
    out.append(R"(,{"v":")");
    if (o[k] == o[k]) append_number(out, o[k]);
    out.append(R"(","u":")").append(units[k]).append(R"(","n":")").append(kind_names[k]);
    out.append(R"("})");
  }
  out.append(R"(],"bt":)");
  char digits[32];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), milliseconds).ptr);
  out.append(R"(,"meta":"city=ci4l,version=1"})");
}

inline void add_text(digest& d, std::string_view text) noexcept {
  d.add(hash_text(text, 1), text.size());
}

}  // namespace floors::riot
