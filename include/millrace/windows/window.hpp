// SPDX-License-Identifier: Apache-2.0
/// \file
/// Windows of time and the two assigners whose windows can be cut into slices: tumbling and
/// sliding; the others are in assigners.hpp. Plain values.
///
/// At the ends of time: a window that reaches beyond what `timestamp` can hold is cut there. One
/// whose end is cut (or is exactly the last timestamp) contains that last timestamp, and fires
/// when the watermark is `max_timestamp`, which means that nothing follows.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/base/time.hpp>

#include <boost/describe/class.hpp>

#include <cstdint>
#include <string>

namespace millrace {

/// `[start, end)` in event time, or in processing time.
struct window {
  timestamp start{};
  timestamp end{};

  /// The last time inside: the time of its results, and the watermark that fires it.
  constexpr timestamp max_timestamp() const noexcept {
    return end == millrace::max_timestamp ? end : saturating_sub(end, one_tick);
  }
  constexpr bool contains(timestamp t) const noexcept { return start <= t && t <= max_timestamp(); }
  bool operator==(const window&) const = default;
};
BOOST_DESCRIBE_STRUCT(window, (), (start, end))

/// Windows of `size` that start every `slide`, at times `t` with `t = offset (mod slide)`. `size`
/// need not be a multiple of `slide`. With `slide > size` there are times in no window.
struct sliding {
  /// More windows at once than this is refused.
  static constexpr std::int64_t max_overlap = 1 << 20;
  /// Longest size and slide: about 36,500 years.
  static constexpr duration max_size{std::int64_t{1} << 60};

  duration size;
  duration slide;
  duration offset{};
  time_domain clock = time_domain::event_time;

  /// \throws topology_error that says which rule is broken: `0 < size, slide <= max_size`,
  /// `|offset| < slide`, `size / slide <= max_overlap`.
  void validate() const {
    const auto refuse = [this](const std::string& rule) {
      throw topology_error("sliding windows of " + std::to_string(size.count()) + " us by " +
                           std::to_string(slide.count()) + " us: " + rule);
    };
    if (size <= duration::zero() || size > max_size) {
      refuse("the size must be positive and at most 2^60 us");
    }
    if (slide <= duration::zero() || slide > max_size) {
      refuse("the slide must be positive and at most 2^60 us");
    }
    if (offset >= slide || offset <= -slide) {
      refuse("the offset (" + std::to_string(offset.count()) +
             " us) must be smaller than the slide");
    }
    if (size / slide > max_overlap) {
      refuse("a record would be in more than 2^20 windows; use a longer slide");
    }
  }
};

/// Windows of `size`, one after the other: `start = t - floor_mod(t - offset, size)`.
struct tumbling {
  duration size;
  duration offset{};
  time_domain clock = time_domain::event_time;

  /// The same windows as sliding ones.
  constexpr operator sliding() const noexcept { return {size, size, offset, clock}; }

  /// \throws topology_error: `0 < size <= sliding::max_size`, `|offset| < size`.
  void validate() const {
    if (size <= duration::zero() || size > sliding::max_size) {
      throw topology_error("tumbling windows of " + std::to_string(size.count()) +
                           " us: the size must be positive and at most 2^60 us");
    }
    if (offset >= size || offset <= -size) {
      throw topology_error("tumbling windows of " + std::to_string(size.count()) +
                           " us: the offset (" + std::to_string(offset.count()) +
                           " us) must be smaller than the size");
    }
  }
};

}  // namespace millrace
