// SPDX-License-Identifier: Apache-2.0
/// \file
/// A thread with an `environment` in real time, for test servers that shall run beside a pipeline.
/// Light: Asio stays in the `.ipp`.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/log.hpp>

#include <functional>
#include <memory>

namespace millrace::testing {

/// Owns the thread, which runs from construction to `stop` or destruction.
class io_thread {
 public:
  MILLRACE_DECL explicit io_thread(const logger& log = {});
  io_thread(const io_thread&) = delete;
  io_thread& operator=(const io_thread&) = delete;
  MILLRACE_DECL ~io_thread();

  /// To be used on the thread itself, but for `post`.
  MILLRACE_DECL environment& env() noexcept;

  /// Runs `action` on the thread and waits for it; on the thread itself it runs at once. Hands on
  /// its exception. After `stop`, `action` runs on the caller's thread. Thread safe.
  MILLRACE_DECL void run(const std::function<void()>& action);

  /// Lets cancelled operations complete, then ends the thread. Not to be called on it.
  MILLRACE_DECL void stop();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace millrace::testing

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/testing/impl/io_thread.ipp>
#endif
