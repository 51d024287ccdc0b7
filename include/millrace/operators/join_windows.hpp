// SPDX-License-Identifier: Apache-2.0
/// \file
/// The windows of a window join over records that are kept once and in order of time: which windows
/// a time lies in, and which stretch of the records a window is. Immutable values.
#pragma once

#include <millrace/windows/assigners.hpp>
#include <millrace/windows/slice_grid.hpp>
#include <millrace/windows/window.hpp>

#include <concepts>
#include <cstdint>

namespace millrace {

/// Tumbling and sliding windows, or sessions: per key of both inputs together, ended by a gap.
class join_windows {
 public:
  /// \throws topology_error, as the assigners' `validate`
  join_windows(const sliding& spec) : spec_(checked(spec)), grid_(spec) {}
  join_windows(const tumbling& spec) : join_windows(static_cast<sliding>(checked(spec))) {}
  join_windows(const session& spec)
      : spec_{checked(spec).gap, spec.gap}, grid_(spec_), is_session_(true) {}

  bool is_session() const noexcept { return is_session_; }
  duration gap() const noexcept { return spec_.size; }
  const sliding& spec() const noexcept { return spec_; }
  const slice_grid& grid() const noexcept { return grid_; }

  using index = slice_grid::index;
  static constexpr index last_index = INT64_MAX;

  index first_window(timestamp t) const noexcept { return grid_.first_window(grid_.slice_of(t)); }
  index last_window(timestamp t) const noexcept { return grid_.last_window(grid_.slice_of(t)); }

  /// The first window that this watermark does not end.
  index first_open(timestamp watermark) const noexcept {
    return watermark == max_timestamp ? last_index : grid_.first_unfired(watermark);
  }

  /// The watermark that ends a window. With slides below 8 us, watermarks beyond 2^60 us count as
  /// that (slice_grid.hpp): windows that end later end with the input.
  timestamp end_of(index k) const noexcept {
    const timestamp end = grid_.window_at(k).max_timestamp();
    return grid_.effective(end) < end ? max_timestamp : end;
  }

  /// The session of records between these times.
  window session_of(timestamp first, timestamp last) const noexcept {
    return {first, saturating_add(last, spec_.size)};
  }
  /// Whether records of these times are in one session. \pre `earlier <= later`
  bool touch(timestamp earlier, timestamp later) const noexcept {
    return later <= saturating_add(earlier, spec_.size);
  }

 private:
  template <class S>
  static const S& checked(const S& spec) {
    spec.validate();
    if constexpr (requires { spec.clock; }) {
      if (spec.clock != time_domain::event_time) {
        throw topology_error("window join: windows of event time only");
      }
    }
    return spec;
  }

  sliding spec_;
  slice_grid grid_;
  bool is_session_ = false;
};

}  // namespace millrace
