// SPDX-License-Identifier: Apache-2.0
/// \file
/// The windows that cannot be cut into slices of time: sessions, counts and the global window; and
/// `window_assigner`, which is any kind of window of time. Plain values.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/base/time.hpp>
#include <millrace/windows/slice_grid.hpp>
#include <millrace/windows/window.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <variant>

namespace millrace {

/// Windows that last as long as records of a key follow each other within `gap`: each record opens
/// `[t, t + gap)`, and windows that overlap or touch become one (Flink: EventTimeSessionWindows).
struct session {
  duration gap;
  time_domain clock = time_domain::event_time;

  /// \throws topology_error: `0 < gap <= sliding::max_size`.
  void validate() const {
    if (gap > duration::zero() && gap <= sliding::max_size) return;
    throw topology_error("session windows with a gap of " + std::to_string(gap.count()) +
                         " us: the gap must be positive and at most 2^60 us");
  }
};

/// The last `size` records of a key, whenever `slide` more have come; `slide` 0 is `size`: one
/// window after the other. Event time and lateness play no part. A window that is not complete when
/// the input ends does not fire; at first, sliding ones fire with fewer records (Flink:
/// countWindow).
struct count_window {
  /// A window may hold this many records at most.
  static constexpr std::int64_t max_size = 1 << 30;

  std::int64_t size;
  std::int64_t slide = 0;

  constexpr std::int64_t step() const noexcept { return slide == 0 ? size : slide; }

  /// \throws topology_error: `0 < size, slide <= max_size`.
  void validate() const {
    if (size > 0 && size <= max_size && step() > 0 && step() <= max_size) return;
    throw topology_error("count windows of " + std::to_string(size) + " by " +
                         std::to_string(step()) + ": both must be positive and at most 2^30");
  }
};

/// One window for all time. It fires when a trigger says so, never by itself; it is never late.
struct global {
  void validate() const noexcept {}
};

/// The window of `global` and of counts.
inline constexpr window all_time{min_timestamp, max_timestamp};

/// Tumbling, sliding, session or global windows, decided at run time.
class window_assigner {
 public:
  window_assigner(const sliding& spec) : spec_((spec.validate(), spec)), grid_(spec) {}
  window_assigner(const tumbling& spec) : window_assigner((spec.validate(), sliding(spec))) {}
  window_assigner(const session& spec) : spec_((spec.validate(), spec)) {}
  window_assigner(const global& spec) : spec_(spec) {}

  bool merges() const noexcept { return std::holds_alternative<session>(spec_); }
  bool is_global() const noexcept { return std::holds_alternative<global>(spec_); }

  /// Which clock ends the windows. Global windows never end.
  time_domain clock() const noexcept {
    if (const auto* s = std::get_if<sliding>(&spec_)) return s->clock;
    if (const auto* s = std::get_if<session>(&spec_)) return s->clock;
    return time_domain::event_time;
  }

  /// As which a watermark counts: see slice_grid.hpp.
  timestamp effective(timestamp watermark) const noexcept {
    return std::holds_alternative<sliding>(spec_) ? grid_.effective(watermark) : watermark;
  }

  /// Calls `visit(window)` for the windows of a record, in order. Returns whether there are any.
  template <class F>
  bool assign(timestamp time, F&& visit) const {
    if (const auto* s = std::get_if<session>(&spec_)) {
      const auto start = time.time_since_epoch().count();
      visit(window{time, timestamp{duration{saturating_add(start, s->gap.count())}}});
      return true;
    }
    if (is_global()) {
      visit(all_time);
      return true;
    }
    const slice_grid::index slice = grid_.slice_of(time);
    const slice_grid::index last = grid_.last_window(slice);
    slice_grid::index k = grid_.first_window(slice);
    if (k > last) return false;
    for (; k <= last; ++k) visit(grid_.window_at(k));
    return true;
  }

  /// When nothing remains of a window, in its own clock. `lateness` counts in event time only.
  timestamp cleanup_time(const window& w, duration lateness) const noexcept {
    if (is_global()) return max_timestamp;
    const timestamp end = w.max_timestamp();
    return clock() == time_domain::event_time ? saturating_add(end, lateness) : end;
  }

  /// For error messages and for comparison with what was saved.
  std::string description() const {
    const auto us = [](duration d) { return std::to_string(d.count()) + " us"; };
    const std::string by = clock() == time_domain::event_time ? "event time" : "processing time";
    if (const auto* s = std::get_if<sliding>(&spec_)) {
      return "windows of " + us(s->size) + " by " + us(s->slide) + ", offset " + us(s->offset) +
             ", in " + by;
    }
    if (const auto* s = std::get_if<session>(&spec_)) {
      return "sessions with a gap of " + us(s->gap) + " in " + by;
    }
    return "global windows";
  }

 private:
  std::variant<sliding, session, global> spec_;
  slice_grid grid_{sliding{one_tick, one_tick}};
};

}  // namespace millrace
