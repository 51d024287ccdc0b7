// SPDX-License-Identifier: Apache-2.0
/// \file
/// Processing time for operators: a wall clock that never goes back, and an alarm that brings
/// `on_resume`. Not thread safe; belongs to one operator, which must not move after `open`.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/base/time.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>

namespace millrace {

class clock_alarm {
 public:
  /// Before anything else but `restore`. `resume()` is called when an alarm goes off.
  template <class Context>
  void open(Context& context) {
    env_ = &context.env();
    resume_ = [&context] { context.request_resume(); };
    tick();
  }

  /// The wall clock, or the latest time it has shown.
  timestamp now() const noexcept { return now_; }
  timestamp tick() noexcept { return now_ = std::max(now_, env_->now()); }
  void restore(timestamp now) noexcept { now_ = std::max(now_, now); }

  /// Goes off when the clock has passed `time`, or a minute from now at the latest. Only the
  /// earliest alarm counts. O(1) if one that is as early is set.
  void set(timestamp time) {
    if (timer_ != 0 && due_ <= time) return;
    cancel();
    due_ = time;
    const auto now = env_->now().time_since_epoch().count();
    const auto wait = saturating_add(saturating_add(time.time_since_epoch().count(), 1), -now);
    timer_ = env_->call_after(duration{std::clamp<std::int64_t>(wait, 0, longest.count())}, [this] {
      timer_ = 0;
      resume_();
    });
  }
  void cancel() noexcept {
    if (env_ != nullptr && timer_ != 0) env_->cancel_timer(timer_);
    timer_ = 0;
  }

 private:
  static constexpr duration longest = std::chrono::minutes{1};  // the wall clock may jump

  environment* env_ = nullptr;
  std::function<void()> resume_;
  timestamp now_ = min_timestamp;
  timestamp due_{};
  timer_id timer_ = 0;
};

}  // namespace millrace
