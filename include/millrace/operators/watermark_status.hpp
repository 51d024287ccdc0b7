// SPDX-License-Identifier: Apache-2.0
/// \file
/// What is known of a part's event time from outside: written by its worker, read by any thread.
#pragma once

#include <millrace/base/metrics.hpp>
#include <millrace/base/time.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace millrace {

/// A watermark and when it moved last, on the monotonic clock.
class watermark_progress {
 public:
  timestamp watermark() const noexcept { return timestamp{duration{time_.value()}}; }

  /// Nothing before the first move.
  std::optional<std::chrono::nanoseconds> since() const noexcept {
    if (since_.value() == never) return std::nullopt;
    return std::chrono::nanoseconds{since_.value()};
  }

  void moved(timestamp to, std::chrono::nanoseconds now) noexcept {
    time_.set(to.time_since_epoch().count());
    since_.set(now.count());
  }

 private:
  static constexpr std::int64_t never = INT64_MIN;
  gauge time_{min_timestamp.time_since_epoch().count()};
  gauge since_{never};
};

/// Why a part's watermark stands where it stands, as the part itself sees it.
struct stall_cause {
  timestamp watermark = min_timestamp;
  std::optional<std::chrono::nanoseconds> since;  ///< on the monotonic clock of its worker
  bool makes_watermarks = false;                  ///< it is an `event_time` step
  std::uint64_t records = 0;                      ///< that have come so far
  std::string partition;                          ///< whose time it waits for, if there are several
  std::optional<timestamp> next_time;             ///< a record later than this moves it
  std::chrono::nanoseconds idle_after{};          ///< silence after which it lets go; zero: never
  std::string aligned_with;                       ///< the stream that a paused one waits for
};

}  // namespace millrace
