// SPDX-License-Identifier: Apache-2.0
/// \file
/// The arithmetic of slices. Event time is cut at every start and every end of a window, so that a
/// window is a run of whole slices and a record belongs to one slice. Immutable values.
///
/// Cutting at edges makes at most two slices per slide whatever the sizes are; a grid of
/// `gcd(size, slide)` would make `size / gcd` per window (10 s by 3.001 s: 10,000 instead of 7).
/// Slices and windows are numbered; computations are in 128 bits and clamped at the ends of time.
/// With slides below 8 us, for which 64 bits cannot number all windows, times beyond 2^60 us
/// (36,500 years) before or after 1970 count as that.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/windows/window.hpp>

#include <cstdint>
#include <vector>

namespace millrace {

class slice_grid {
 public:
  using index = std::int64_t;

  /// \pre `spec.validate()` does not throw
  constexpr explicit slice_grid(const sliding& spec) noexcept
      : size_(spec.size.count()),
        slide_(spec.slide.count()),
        offset_(floor_mod(spec.offset.count(), spec.slide.count())),
        remainder_(size_ % slide_),
        per_slide_(remainder_ == 0 ? 1 : 2),
        per_window_(per_slide_ * (size_ / slide_) + (remainder_ == 0 ? 0 : 1)),
        limit_(slide_ < 8 ? std::int64_t{1} << 60 : INT64_MAX) {}

  /// The time as which a watermark counts; `max_timestamp` stays what it is.
  constexpr timestamp effective(timestamp watermark) const noexcept {
    if (watermark == max_timestamp) return watermark;
    return timestamp{duration{limited(watermark)}};
  }

  /// Slices per slide: 1 if the size is a multiple of the slide, else 2.
  constexpr index slices_per_slide() const noexcept { return per_slide_; }
  /// Slices per window.
  constexpr index slices_per_window() const noexcept { return per_window_; }

  constexpr index slice_of(timestamp t) const noexcept {
    std::int64_t since = 0;
    if (__builtin_sub_overflow(limited(t), offset_, &since)) {
      // Only at the early end of time: the division is that of one slide later.
      since = limited(t) + (slide_ - offset_);
      return slice_since(since) - per_slide_;
    }
    return slice_since(since);
  }

  /// First time of a slice; one past the last time of slice `i` is `slice_start(i + 1)`.
  constexpr timestamp slice_start(index i) const noexcept {
    if (remainder_ == 0) return clamp(wide{i} * slide_ + offset_);
    const wide slide = floor_divide(i, 2);
    return clamp(slide * slide_ + offset_ + (wide{i} - 2 * slide) * remainder_);
  }

  /// Window `k` consists of the slices `[first_slice(k), first_slice(k) + slices_per_window())`.
  constexpr index first_slice(index k) const noexcept { return k * per_slide_; }

  constexpr window window_at(index k) const noexcept {
    const wide start = wide{k} * slide_ + offset_;
    return {clamp(start), clamp(start + size_)};
  }

  /// The windows with slice `i` are `[first_window(i), last_window(i)]`; none if that is empty.
  constexpr index first_window(index i) const noexcept {
    return (i - per_window_ + per_slide_) >> shift();
  }
  constexpr index last_window(index i) const noexcept { return i >> shift(); }

  /// The first window that a watermark does not fire. \pre `watermark < max_timestamp`
  constexpr index first_unfired(timestamp watermark) const noexcept {
    wide end = wide{limited(watermark)} + 2;
    if (end > INT64_MAX) end = INT64_MAX;
    return static_cast<index>(-floor_divide(wide{size_} + offset_ - end, slide_));
  }

 private:
  __extension__ typedef __int128 wide;

  constexpr std::int64_t limited(timestamp t) const noexcept {
    const std::int64_t count = t.time_since_epoch().count();
    return count > limit_ ? limit_ : count < -limit_ && limit_ != INT64_MAX ? -limit_ : count;
  }
  // Slices per slide are 1 or 2; shifts round down, and need no division.
  constexpr int shift() const noexcept { return static_cast<int>(per_slide_) - 1; }
  constexpr index slice_since(std::int64_t since) const noexcept {
    const std::int64_t slide = floor_div(since, slide_);
    if (remainder_ == 0) return slide;
    return 2 * slide + (floor_mod(since, slide_) >= remainder_ ? 1 : 0);
  }
  static constexpr wide floor_divide(wide value, wide divisor) noexcept {
    return value / divisor - (value % divisor < 0 ? 1 : 0);
  }
  static constexpr timestamp clamp(wide t) noexcept {
    if (t <= INT64_MIN) return min_timestamp;
    if (t >= INT64_MAX) return max_timestamp;
    return timestamp{duration{static_cast<std::int64_t>(t)}};
  }

  std::int64_t size_;
  std::int64_t slide_;
  std::int64_t offset_;     // in [0, slide)
  std::int64_t remainder_;  // of size / slide
  std::int64_t per_slide_;
  std::int64_t per_window_;
  std::int64_t limit_;
};

/// The windows that contain a time, in order. O(windows). \pre `spec.validate()` does not throw
inline std::vector<window> windows_of(const sliding& spec, timestamp t) {
  const slice_grid grid(spec);
  const slice_grid::index slice = grid.slice_of(t);
  std::vector<window> all;
  for (auto k = grid.first_window(slice); k <= grid.last_window(slice); ++k) {
    all.push_back(grid.window_at(k));
  }
  return all;
}

}  // namespace millrace
