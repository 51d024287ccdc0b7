// SPDX-License-Identifier: Apache-2.0
/// \file
/// Theodolite's use cases 2 to 4 (Henning, Hasselbring: Theodolite, 2021): power consumption of
/// sensors, as data and as loops over all records with ordinary containers. Results as digests,
/// whatever their order. Pure functions.
#pragma once

#include "floors/data.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace floors::theodolite {

struct reading {
  std::uint32_t sensor = 0;
  double watts = 0;
  std::int64_t time = 0;
};
using readings = std::span<const reading>;

inline constexpr std::int64_t minute = 60 * second;
inline constexpr std::int64_t day = 24 * 60 * minute;

/// All sensors in turn, `between` microseconds apart, in order. Multiples of 1/4 below 1,024.
inline std::vector<reading> make_readings(std::size_t many, std::uint32_t sensors,
                                          std::int64_t between) {
  random_numbers random(9);
  std::vector<reading> all;
  const std::int64_t start = 1'700'000'000 * second / day * day;
  for (std::size_t i = 0; i < many; ++i) {
    all.push_back({static_cast<std::uint32_t>(i % sensors),
                   static_cast<double>(random.below(4096)) / 4,
                   start + static_cast<std::int64_t>(i) * between});
  }
  return all;
}

struct statistics {
  double sum = 0;
  double least = 1e300;
  double greatest = -1e300;
  std::uint64_t count = 0;
  void add(double v) {
    sum += v;
    least = std::min(least, v);
    greatest = std::max(greatest, v);
    ++count;
  }
};

inline void add_statistics(digest& d, std::uint64_t key, std::int64_t end, double count,
                           double mean, double least, double greatest) noexcept {
  d.add(key, end, mean, least + 3 * count, greatest);
}

/// Statistics per sensor and minute.
inline digest uc2(readings in) {
  std::map<std::pair<std::int64_t, std::uint32_t>, statistics> windows;
  for (const reading& r : in) windows[{r.time / minute, r.sensor}].add(r.watts);
  digest d;
  for (const auto& [at, s] : windows) {
    const auto count = static_cast<double>(s.count);
    add_statistics(d, at.second, (at.first + 1) * minute, count, s.sum / count, s.least,
                   s.greatest);
  }
  return d;
}

inline std::uint64_t hour_of_day(std::int64_t time) {
  return static_cast<std::uint64_t>(time % day / (60 * minute));
}

/// Mean per sensor and hour of the day, over 30 days by one day.
inline digest uc3(readings in) {
  using sum_and_count = std::pair<double, std::uint64_t>;
  std::map<std::pair<std::int64_t, std::uint64_t>, sum_and_count> days;
  for (const reading& r : in) {
    auto& [sum, count] = days[{r.time / day, r.sensor * 24ULL + hour_of_day(r.time)}];
    sum += r.watts;
    ++count;
  }
  std::map<std::pair<std::int64_t, std::uint64_t>, sum_and_count> windows;
  for (const auto& [at, part] : days) {
    for (std::int64_t from = at.first; from > at.first - 30; --from) {
      auto& [sum, count] = windows[{from, at.second}];
      sum += part.first;
      count += part.second;
    }
  }
  digest d;
  for (const auto& [at, all] : windows) {
    d.add(at.second, (at.first + 30) * day, all.first / static_cast<double>(all.second), 0, 0);
  }
  return d;
}

/// Which group a sensor is in: ten groups, and from time to time every sensor moves to the next.
struct grouping {
  std::int64_t from = 0;
  std::uint32_t shift = 0;
  std::uint32_t group_of(std::uint32_t sensor) const noexcept { return (sensor + shift) % 10; }
};
inline std::vector<grouping> groupings() {
  const std::int64_t start = 1'700'000'000 * second / day * day;
  std::vector<grouping> all{{0, 0}};
  for (std::uint32_t i = 1; i < 20; ++i) all.push_back({start + i * 50 * second, i});
  return all;
}
inline const grouping& grouping_at(const std::vector<grouping>& all, std::int64_t time) {
  const auto after = std::upper_bound(all.begin(), all.end(), time,
                                      [](std::int64_t t, const grouping& g) { return t < g.from; });
  return *(after - 1);
}
inline std::uint32_t parent_of(std::uint32_t group) { return group / 5; }

/// Per second: each sensor's last value, summed up per group, and those per parent.
inline digest uc4(readings in) {
  const auto all = groupings();
  std::map<std::pair<std::int64_t, std::uint32_t>, double> last;
  for (const reading& r : in) last[{r.time / second, r.sensor}] = r.watts;
  std::map<std::pair<std::int64_t, std::uint32_t>, double> groups;
  std::map<std::pair<std::int64_t, std::uint32_t>, double> parents;
  for (const auto& [at, watts] : last) {
    const auto group = grouping_at(all, (at.first + 1) * second - 1).group_of(at.second);
    groups[{at.first, group}] += watts;
    parents[{at.first, parent_of(group)}] += watts;
  }
  digest d;
  for (const auto& [at, watts] : groups) d.add(at.second, (at.first + 1) * second, watts, 1, 0);
  for (const auto& [at, watts] : parents) d.add(at.second, (at.first + 1) * second, watts, 2, 0);
  return d;
}

}  // namespace floors::theodolite
