// SPDX-License-Identifier: Apache-2.0
/// \file
/// Asynchronous calls: options, and the reply handle that an asynchronous function gets. The handle
/// may be completed from any thread; everything else belongs to the operator's worker.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/operators/circuit_breaker.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace millrace {

enum class async_order : std::uint8_t {
  ordered,       ///< results leave in the order of their inputs
  unordered,     ///< free order between two watermarks: lower latency
  as_completed,  ///< results leave when they come, watermarks wait for those before them: a slow
                 ///< lane does not hold up the others
};

/// What becomes of a record whose call has failed for good (or timed out).
enum class on_failure : std::uint8_t {
  dead_letter,  ///< with the error as reason
  ignore,       ///< dropped; counted as filtered
  fail,         ///< the pipeline fails, see `failures_allowed`
};

/// What becomes of a record whose lane is full.
enum class on_overflow : std::uint8_t {
  wait,    ///< back-pressure: everything waits for this lane
  refuse,  ///< the call fails with errc::overloaded, so that other lanes are not held up
};

struct retry_options {
  std::uint32_t attempts = 1;  ///< in all; 1: no retry. All attempts share the timeout.
  std::chrono::nanoseconds first_delay = std::chrono::milliseconds{100};
  std::chrono::nanoseconds longest_delay = std::chrono::seconds{10};
  double multiplier = 2.0;  ///< 1.0: fixed delays. Each delay is drawn from [delay/2, delay].
  std::function<bool(const error&)> when{};  ///< which errors are retried; by default all
};

struct async_options {
  std::size_t in_flight = 64;  ///< calls at a time; with lanes: per lane
  std::chrono::nanoseconds timeout = std::chrono::seconds{10};  ///< over all attempts
  async_order order = async_order::unordered;
  on_failure failure = on_failure::dead_letter;
  retry_options retry{};
  std::uint32_t failures_allowed = 0;  ///< with on_failure::fail: that many ...
  std::chrono::nanoseconds failures_within = std::chrono::minutes{1};  ///< ... in this time
  std::size_t waiting = 1024;   ///< records that may wait per lane
  std::size_t most_lanes = 64;  ///< further names share the last lane
  on_overflow overflow = on_overflow::wait;
  breaker_options breaker{};  ///< per lane
};

/// Where replies go. Implemented by the operator; kept alive by the handles.
template <class R>
class reply_target {
 public:
  virtual ~reply_target() = default;
  virtual void complete(std::uint64_t call, R value) = 0;
  virtual void fail(std::uint64_t call, error reason) = 0;
  virtual void on_cancel(std::uint64_t call, std::function<void()> hook) = 0;
  virtual environment& env() = 0;
  virtual metric_group* metrics() { return nullptr; }
};

/// Completes one attempt of one call, once; later completions are ignored. Dropped without an
/// answer it fails with errc::abandoned, so that no slot is ever lost. Move-only.
template <class R>
class async_reply {
 public:
  using result_type = R;

  async_reply() = default;
  async_reply(std::shared_ptr<reply_target<R>> target, std::uint64_t call)
      : target_(std::move(target)), call_(call) {}
  async_reply(async_reply&& other) noexcept = default;
  async_reply& operator=(async_reply&& other) noexcept {
    std::swap(target_, other.target_);
    std::swap(call_, other.call_);
    return *this;
  }
  ~async_reply() {
    if (target_) std::exchange(target_, {})->fail(call_, {make_error_code(errc::abandoned), {}});
  }

  /// The answer. Thread safe against the operator, not against other uses of this handle.
  void operator()(R value) {
    if (target_) std::exchange(target_, {})->complete(call_, std::move(value));
  }

  void fail(error reason) {
    if (target_) std::exchange(target_, {})->fail(call_, std::move(reason));
  }
  void fail(errc code, std::string message = {}) {
    fail(error{make_error_code(code), std::move(message)});
  }

  /// Called on the worker's thread when the answer is no longer wanted (timeout, end): give up the
  /// I/O. To be set on the worker's thread, before the function returns.
  void on_cancel(std::function<void()> hook) {
    if (target_) target_->on_cancel(call_, std::move(hook));
  }

  /// The worker's environment: executor, clock, timers. On the worker's thread only, while
  /// unanswered.
  environment& env() const { return target_->env(); }

  /// Where the operator counts, for what the function wants to count; null when nobody does. On the
  /// worker's thread only, while unanswered. It lives as long as the pipeline.
  metric_group* metrics() const { return target_->metrics(); }

 private:
  std::shared_ptr<reply_target<R>> target_;
  std::uint64_t call_ = 0;
};

/// `f(const T&, async_reply<R>)` starts a call and returns at once. The record stays valid until
/// the reply is completed or dropped, or the call is cancelled.
template <class F, class T, class R>
concept async_function = std::invocable<F&, const T&, async_reply<R>>;

}  // namespace millrace
