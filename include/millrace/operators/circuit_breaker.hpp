// SPDX-License-Identifier: Apache-2.0
/// \file
/// A circuit breaker: after enough failures in a row a peer is left alone for a while, then asked
/// once. Pure: time is passed in. Not thread safe. (Nygard, "Release It!", 2007)
#pragma once

#include <chrono>
#include <cstdint>

namespace millrace {

struct breaker_options {
  std::uint32_t failures = 0;  ///< in a row, before it opens; 0: never
  std::chrono::nanoseconds open_for = std::chrono::seconds{5};
};

class circuit_breaker {
 public:
  enum class state : std::uint8_t { closed, open, half_open };

  explicit circuit_breaker(breaker_options options = {}) : options_(options) {}

  /// Whether a call may be made now. In the half-open state one at a time.
  bool allow(std::chrono::nanoseconds now) noexcept {
    if (state_ == state::open && now >= retry_at_) {
      state_ = state::half_open;
      probing_ = false;
    }
    if (state_ == state::open) return false;
    if (state_ == state::half_open) {
      if (probing_) return false;
      probing_ = true;
    }
    return true;
  }

  void succeeded() noexcept {
    failures_ = 0;
    state_ = state::closed;
    probing_ = false;
  }

  void failed(std::chrono::nanoseconds now) noexcept {
    if (options_.failures == 0) return;
    ++failures_;
    if (state_ != state::half_open && failures_ < options_.failures) return;
    state_ = state::open;
    probing_ = false;
    retry_at_ = now + options_.open_for;
  }

  /// A call that was allowed was given up without a verdict on the peer.
  void forgotten() noexcept { probing_ = false; }

  state current() const noexcept { return state_; }

 private:
  breaker_options options_;
  state state_ = state::closed;
  std::uint32_t failures_ = 0;
  bool probing_ = false;
  std::chrono::nanoseconds retry_at_{};
};

}  // namespace millrace
