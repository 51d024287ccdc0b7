// SPDX-License-Identifier: Apache-2.0
/// \file
/// How long to wait before the next try: exponential growth with full jitter. Pure arithmetic, no
/// clock and no random source of its own. Not thread safe: one per connection.
#pragma once

#include <millrace/base/result.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace millrace::net {

/// The bounds of a `backoff`.
struct backoff_options {
  std::chrono::nanoseconds shortest = std::chrono::milliseconds{10};  ///< of every wait
  std::chrono::nanoseconds initial = std::chrono::milliseconds{200};  ///< ceiling of the first wait
  std::chrono::nanoseconds longest = std::chrono::seconds{30};        ///< ceiling of every wait
  double factor = 2.0;  ///< by which the ceiling grows from wait to wait; >= 1

  bool operator==(const backoff_options&) const = default;
};

/// Whether 0 <= shortest <= initial <= longest and factor >= 1; otherwise an error with the fix.
inline result<void> validate(const backoff_options& options) {
  if (options.shortest.count() < 0) return {errc::out_of_range, "shortest must not be negative"};
  if (options.initial < options.shortest) {
    return {errc::out_of_range, "initial must not be below shortest"};
  }
  if (options.longest < options.initial) {
    return {errc::out_of_range, "longest must not be below initial"};
  }
  if (!(options.factor >= 1.0)) return {errc::out_of_range, "factor must be 1 or more"};
  return {};
}

/// Waits that are uniform in [shortest, ceiling], where the ceiling is initial, initial * factor,
/// ... up to longest. The jitter keeps clients that failed together from coming back together
/// (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
class backoff {
 public:
  /// \pre `validate(options)` holds
  explicit backoff(const backoff_options& options = {}) noexcept
      : options_(options), ceiling_(options.initial) {}

  /// The next wait; `random_bits` are 64 uniform bits, e.g. of `environment::random()`. O(1).
  std::chrono::nanoseconds next(std::uint64_t random_bits) noexcept {
    const auto wait = draw(ceiling_, random_bits);
    const double grown = static_cast<double>(ceiling_.count()) * options_.factor;
    const bool at_end = !(grown < static_cast<double>(options_.longest.count()));
    ceiling_ =
        at_end ? options_.longest : std::chrono::nanoseconds{static_cast<std::int64_t>(grown)};
    if (attempts_ != UINT32_MAX) ++attempts_;
    return wait;
  }

  /// Starts over; to be called when the peer has proved to work, not merely when it accepted a
  /// connection.
  void reset() noexcept {
    ceiling_ = options_.initial;
    attempts_ = 0;
  }

  /// Calls of `next` since the start or the last `reset`.
  std::uint32_t attempts() const noexcept { return attempts_; }

  /// The upper bound of the next wait.
  std::chrono::nanoseconds ceiling() const noexcept { return ceiling_; }

  const backoff_options& options() const noexcept { return options_; }

 private:
  std::chrono::nanoseconds draw(std::chrono::nanoseconds ceiling,
                                std::uint64_t random_bits) const noexcept {
    constexpr double unit = 1.0 / 9007199254740992.0;  // 2^-53: the bits that a double holds
    const double uniform = static_cast<double>(random_bits >> 11U) * unit;
    const auto span = static_cast<double>((ceiling - options_.shortest).count());
    const auto wait =
        options_.shortest + std::chrono::nanoseconds{static_cast<std::int64_t>(uniform * span)};
    return std::clamp(wait, options_.shortest, ceiling);
  }

  backoff_options options_;
  std::chrono::nanoseconds ceiling_;
  std::uint32_t attempts_ = 0;
};

}  // namespace millrace::net
