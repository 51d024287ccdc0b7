// SPDX-License-Identifier: Apache-2.0
/// \file
/// The seam to the outside world. Every part of a pipeline reads clocks, waits, draws random
/// numbers and does I/O through the `environment` of its worker, so that a test can replace all of
/// it and run in virtual time. Heavy headers stay out: the executor is defined in base/asio.hpp.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/log.hpp>
#include <millrace/base/time.hpp>

#include <chrono>
#include <cstdint>
#include <functional>

namespace millrace {

/// Wraps the Asio executor of a worker; complete after including `<millrace/base/asio.hpp>`.
struct io_executor;

struct trace_context;

/// Names a pending timer; 0 is none.
using timer_id = std::uint64_t;

/// What a worker offers to the parts that run on it. All functions but `post` must be called on the
/// worker's thread, and all callbacks run there.
class environment {
 public:
  environment() = default;
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;
  virtual ~environment() = default;

  /// Wall-clock time; may jump in both directions.
  virtual timestamp now() const = 0;

  /// Time since an arbitrary origin; never goes back. For timeouts, back-off and rates.
  virtual std::chrono::nanoseconds monotonic() const = 0;

  /// Runs `callback` once after `delay` of monotonic time. O(log n) in pending timers.
  virtual timer_id call_after(std::chrono::nanoseconds delay, std::function<void()> callback) = 0;

  /// Forgets a timer; without effect when it has run already or `id` is 0.
  virtual void cancel_timer(timer_id id) noexcept = 0;

  /// Runs `callback` on the worker's thread, soon. Thread safe.
  virtual void post(std::function<void()> callback) = 0;

  /// Whether the caller is on the worker's thread (strand). Thread safe.
  virtual bool on_worker() const noexcept { return true; }

  /// 64 random bits; seeded in simulations. For jitter and ids, not for secrets.
  virtual std::uint64_t random() = 0;

  /// Where asynchronous I/O of this worker runs: an implicit strand, completions never overlap.
  virtual io_executor& executor() = 0;

  virtual const logger& log() const = 0;

  /// The trace of the record being worked on, to be handed on to other programs; null when there is
  /// none, or it is to be kept here. Valid until the caller returns. See base/trace_context.hpp.
  const trace_context* trace() const noexcept { return trace_; }
  void set_trace(const trace_context* current) noexcept { trace_ = current; }

 private:
  const trace_context* trace_ = nullptr;
};

}  // namespace millrace
