// SPDX-License-Identifier: Apache-2.0
/// \file
/// Work that may block (fsync) on a thread of its own, in order; or, for simulations, at once on
/// the caller's thread. All functions are thread safe.
#pragma once

#include <millrace/base/config.hpp>

#include <cstdint>
#include <functional>
#include <memory>

namespace millrace {

enum class job_place : std::uint8_t {
  own_thread,  ///< a thread, started with the first job
  caller,      ///< inside `submit`: nothing happens at the same time
};

/// Runs jobs one after the other. How many wait is bounded by those who submit.
class background_jobs {
 public:
  explicit background_jobs(job_place place);
  background_jobs(const background_jobs&) = delete;
  background_jobs& operator=(const background_jobs&) = delete;

  /// Runs what has been submitted, then ends the thread.
  ~background_jobs();

  /// Jobs must not throw.
  void submit(std::function<void()> job);

  /// Returns when everything submitted so far has run. Not from inside of a job.
  void wait();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/base/impl/background_jobs.ipp>
#endif
