// SPDX-License-Identifier: Apache-2.0
/// \file
/// Who calls `worker::step`: threads of the library's own, or the application's executor. Asio
/// stays in the `.ipp`.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/log.hpp>
#include <millrace/runtime/execution.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace millrace {

/// Provides seats for workers and runs them.
class driver {
 public:
  virtual ~driver() = default;

  /// One seat per worker; to be called once, before `start`.
  virtual std::vector<worker_seat> seats() = 0;

  /// Opens the workers and lets them run; returns at once. `on_end` is called when the last worker
  /// has left, on some thread.
  virtual void start(execution& work, std::function<void()> on_end) = 0;

  /// Whether time is the real one; in a simulation nothing may happen on other threads.
  virtual bool real_time() const noexcept { return true; }

  /// After `join`: time passes, `delay` of it, and then it can be asked for seats and started
  /// again. False when it cannot.
  virtual bool renew(std::chrono::nanoseconds /*delay*/) { return false; }

  /// Waits until all workers have left. Not to be called on a worker's thread.
  virtual void join() = 0;
};

/// One thread and one `io_context` per worker.
std::unique_ptr<driver> make_thread_driver(std::size_t workers, const logger& log);

/// All workers as short tasks on the application's executor, each on a strand of its own.
std::unique_ptr<driver> make_executor_driver(io_executor executor, std::size_t workers,
                                             const logger& log);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/drivers.ipp>
#endif
