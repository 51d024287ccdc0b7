// SPDX-License-Identifier: Apache-2.0
/// \file
/// Event time: 64-bit microseconds since the Unix epoch, with arithmetic that saturates at the
/// ends and never wraps. All functions are pure.
#pragma once

#include <chrono>
#include <cstdint>

namespace millrace {

/// The tick of event time.
using duration = std::chrono::microseconds;

/// A point in event time (UTC). Times before 1970 are negative and legal.
using timestamp = std::chrono::sys_time<duration>;

/// Which clock decides: that of the records (watermarks), or the wall clock of the worker.
enum class time_domain : std::uint8_t { event_time, processing_time };

inline constexpr timestamp min_timestamp{duration::min()};
inline constexpr timestamp max_timestamp{duration::max()};

/// The smallest step of event time; a window `[start, end)` contains times up to `end - one_tick`.
inline constexpr duration one_tick{1};

/// `a + b`, clamped to the representable range.
constexpr std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return b < 0 ? INT64_MIN : INT64_MAX;
  return sum;
}

/// `t + d`, clamped; the two ends of time absorb every addition, so that "never" stays "never".
constexpr timestamp saturating_add(timestamp t, duration d) noexcept {
  if (t == min_timestamp || t == max_timestamp) return t;
  return timestamp{duration{saturating_add(t.time_since_epoch().count(), d.count())}};
}

/// `t - d`, clamped as above.
constexpr timestamp saturating_sub(timestamp t, duration d) noexcept {
  if (d == duration::min()) return saturating_add(saturating_add(t, duration::max()), one_tick);
  return saturating_add(t, -d);
}

/// The remainder that has the sign of the divisor. \pre `divisor > 0`
constexpr std::int64_t floor_mod(std::int64_t value, std::int64_t divisor) noexcept {
  const std::int64_t remainder = value % divisor;
  return remainder < 0 ? remainder + divisor : remainder;
}

/// The quotient rounded towards minus infinity. \pre `divisor > 0`
constexpr std::int64_t floor_div(std::int64_t value, std::int64_t divisor) noexcept {
  return value / divisor - static_cast<std::int64_t>(value % divisor < 0);
}

}  // namespace millrace
