// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the kill test publishes, and what must come out of it: computed from the messages alone,
/// with nothing of the library. Plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace kill_test {

struct event {
  std::int64_t number = 0;
  std::int64_t key = 0;
  std::int64_t value = 0;
  std::int64_t at = 0;  // microseconds
};

inline constexpr std::int64_t second = 1'000'000;
inline constexpr std::int64_t window = 5 * second;
inline constexpr std::int64_t reach = second;       // of the join, to both sides
inline constexpr std::int64_t delay = 700'000;      // of the timers
inline constexpr std::int64_t lag = 60 * second;    // of the watermark
inline constexpr std::int64_t end_key = 1'000'000;  // of the last message, which fires the rest
inline constexpr std::int64_t keys = 7;

/// Every 100 ms one event, at most 2 s out of order; far less than `lag`.
inline std::vector<event> make_events(std::mt19937& random, int count) {
  std::vector<event> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(
        {i, static_cast<std::int64_t>(random() % keys), static_cast<std::int64_t>(random() % 1000),
         100 * second + i * (second / 10) + static_cast<std::int64_t>(random() % 2000) * 1000});
  }
  all.push_back({count, end_key, 1, 1'000'000 * second});  // its own results never come
  return all;
}

/// All lines, sorted.
inline std::vector<std::string> expected_lines(const std::vector<event>& all) {
  const auto text = [](std::initializer_list<std::int64_t> numbers) {
    std::string line;
    for (const auto n : numbers) line += " " + std::to_string(n);
    return line;
  };
  std::vector<std::string> lines;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> sums;   // key, window
  std::map<std::int64_t, std::map<std::int64_t, std::int64_t>> timers;  // key: time, once each
  for (const auto& e : all) {
    if (e.key == end_key) continue;
    sums[{e.key, e.at - e.at % window}] += e.value;
    timers[e.key][e.at + delay] = 0;
    if (e.value % 2 != 0) continue;
    for (const auto& f : all) {
      if (f.key != e.key || f.value % 2 == 0) continue;
      if (f.at >= e.at - reach && f.at <= e.at + reach)
        lines.push_back("j" + text({e.number, f.number}));
    }
  }
  for (const auto& [of, sum] : sums) lines.push_back("w" + text({of.first, of.second, sum}));
  for (const auto& [key, times] : timers) {
    std::int64_t n = 0;
    for (const auto& each : times) lines.push_back("t" + text({key, each.first, ++n}));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace kill_test
