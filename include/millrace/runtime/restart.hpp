// SPDX-License-Identifier: Apache-2.0
/// \file
/// When a pipeline that has failed is started again, from inside the process (the strategies are
/// those of Apache Flink). Plain values.
///
///     p.checkpoint_to(storage).restart(fixed_delay_restart{.attempts = 5, .delay = 2s});
///     p.run();  // throws the last error when it gives up
#pragma once

#include <millrace/base/error.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace millrace {

/// So many times in all, each after the same time.
struct fixed_delay_restart {
  std::size_t attempts = 3;
  std::chrono::nanoseconds delay = std::chrono::seconds{10};
};

/// Each time after a longer time, drawn from [delay * (1 - jitter), delay]. After a run of
/// `reset_after` without a failure it begins again with the first delay and all attempts.
struct exponential_restart {
  std::chrono::nanoseconds first_delay = std::chrono::seconds{1};
  std::chrono::nanoseconds longest_delay = std::chrono::minutes{1};
  double multiplier = 2;
  double jitter = 0.1;  ///< 0 to 1
  std::chrono::nanoseconds reset_after = std::chrono::minutes{10};
  std::optional<std::size_t> attempts{};  ///< by default any number
};

/// Always, unless there have been more than `failures` within the time.
struct failure_rate_restart {
  std::size_t failures = 3;
  std::chrono::nanoseconds within = std::chrono::minutes{5};
  std::chrono::nanoseconds delay = std::chrono::seconds{10};
};

using restart_policy =
    std::variant<std::monostate, fixed_delay_restart, exponential_restart, failure_rate_restart>;

/// Applies a policy. Not thread safe.
class restart_decision {
 public:
  restart_decision() = default;

  /// \throws topology_error for options that make no sense
  explicit restart_decision(restart_policy policy) : policy_(policy) {
    std::visit([](const auto& p) { validate(p); }, policy_);
  }

  bool any() const noexcept { return policy_.index() != 0; }

  /// A failure at monotonic time `now`, of a run that has lasted `age`; `random` is any number. How
  /// long to wait before the restart, or nothing: give up. O(1) amortized.
  std::optional<std::chrono::nanoseconds> after_failure(std::chrono::nanoseconds now,
                                                        std::chrono::nanoseconds age,
                                                        std::uint64_t random) {
    return std::visit([&](const auto& p) { return decide(p, now, age, random); }, policy_);
  }

 private:
  using time = std::chrono::nanoseconds;
  using answer = std::optional<time>;

  [[noreturn]] static void refuse(const std::string& rule) {
    throw topology_error("restart policy: " + rule);
  }
  static void validate(std::monostate) {}
  static void validate(const fixed_delay_restart& p) {
    if (p.delay < time::zero()) refuse("the delay must not be negative");
  }
  static void validate(const exponential_restart& p) {
    if (p.first_delay < time::zero() || p.longest_delay < p.first_delay) {
      refuse("0 <= first_delay <= longest_delay is needed");
    }
    if (!(p.multiplier >= 1)) refuse("the multiplier must be at least 1");
    if (!(p.jitter >= 0 && p.jitter <= 1)) refuse("the jitter must be 0 to 1");
  }
  static void validate(const failure_rate_restart& p) {
    if (p.delay < time::zero()) refuse("the delay must not be negative");
    if (p.within <= time::zero()) refuse("failures are counted within a positive time");
  }

  static answer decide(std::monostate, time, time, std::uint64_t) { return std::nullopt; }

  answer decide(const fixed_delay_restart& p, time, time, std::uint64_t) {
    if (failures_++ >= p.attempts) return std::nullopt;
    return p.delay;
  }

  answer decide(const exponential_restart& p, time, time age, std::uint64_t random) {
    if (age >= p.reset_after) failures_ = 0;
    if (failures_ == 0) next_ = p.first_delay;
    if (p.attempts && failures_ >= *p.attempts) return std::nullopt;
    ++failures_;
    const auto delay = static_cast<double>(next_.count());
    const auto longest = static_cast<double>(p.longest_delay.count());
    next_ = time{static_cast<std::int64_t>(std::min(delay * p.multiplier, longest))};
    const double share = static_cast<double>(random % 1024) / 1024;
    return time{static_cast<std::int64_t>(delay * (1 - p.jitter * share))};
  }

  answer decide(const failure_rate_restart& p, time now, time, std::uint64_t) {
    while (!times_.empty() && times_.front() <= now - p.within) times_.pop_front();
    times_.push_back(now);
    if (times_.size() > p.failures) return std::nullopt;
    return p.delay;
  }

  restart_policy policy_;
  std::size_t failures_ = 0;
  time next_{};
  std::deque<time> times_;  // of failures
};

}  // namespace millrace
