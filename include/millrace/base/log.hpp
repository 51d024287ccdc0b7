// SPDX-License-Identifier: Apache-2.0
/// \file
/// The log hook. The library never prints: it hands lines to the application's logger, at a
/// bounded rate per place. `logger` may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

namespace millrace {

enum class log_level { debug, info, warning, error };

/// One line, valid during the call.
struct log_record {
  log_level level;
  std::string_view component;  ///< the operator or connection that speaks
  std::string_view message;
};

/// Forwards lines to the application's function; without one they are dropped.
class logger {
 public:
  using function = std::function<void(const log_record&)>;

  logger() = default;
  explicit logger(function sink, log_level least = log_level::info)
      : sink_(std::move(sink)), least_(least) {}

  bool enabled(log_level level) const noexcept { return sink_ && level >= least_; }

  void write(log_level level, std::string_view component, std::string_view message) const {
    if (enabled(level)) sink_({level, component, message});
  }
  void debug(std::string_view component, std::string_view message) const {
    write(log_level::debug, component, message);
  }
  void info(std::string_view component, std::string_view message) const {
    write(log_level::info, component, message);
  }
  void warning(std::string_view component, std::string_view message) const {
    write(log_level::warning, component, message);
  }
  void error(std::string_view component, std::string_view message) const {
    write(log_level::error, component, message);
  }

 private:
  function sink_;
  log_level least_ = log_level::info;
};

/// Lets `burst` lines through per `period` and counts the others, so that a storm of bad records
/// costs a few lines. Not thread safe: one per operator instance.
class rate_limit {
 public:
  explicit rate_limit(std::uint32_t burst = 10,
                      std::chrono::nanoseconds period = std::chrono::seconds{10}) noexcept
      : burst_(burst), period_(period) {}

  /// Whether a line may be written at monotonic time `now`.
  bool allow(std::chrono::nanoseconds now) noexcept {
    if (now - started_ >= period_ || used_ == 0) {
      if (now - started_ >= period_) used_ = 0;
      if (used_ == 0) started_ = now;
    }
    if (used_ < burst_) {
      ++used_;
      return true;
    }
    ++suppressed_;
    return false;
  }

  /// Lines swallowed since the last call.
  std::uint64_t take_suppressed() noexcept { return std::exchange(suppressed_, 0); }

 private:
  std::uint32_t burst_;
  std::chrono::nanoseconds period_;
  std::chrono::nanoseconds started_{};
  std::uint32_t used_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace millrace
