// SPDX-License-Identifier: Apache-2.0
/// \file
/// An `environment` in which time passes when the test says so, and posted callbacks run when it
/// says so. `post` is thread safe, everything else is the test's thread's.
#pragma once

#include <millrace/base/environment.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>
#include <utility>

namespace millrace::testing {

class manual_environment final : public environment {
 public:
  explicit manual_environment(std::uint64_t seed = 1, logger log = {})
      : random_(seed), log_(std::move(log)) {}

  timestamp now() const override { return wall; }
  std::chrono::nanoseconds monotonic() const override { return uptime; }
  timer_id call_after(std::chrono::nanoseconds delay, std::function<void()> callback) override {
    timers_.emplace(std::pair{uptime + delay, ++last_timer_}, std::move(callback));
    return last_timer_;
  }
  void cancel_timer(timer_id id) noexcept override {
    std::erase_if(timers_, [id](const auto& timer) { return timer.first.second == id; });
  }
  void post(std::function<void()> callback) override {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(callback));
    arrived_.notify_all();
  }
  std::uint64_t random() override { return random_(); }
  io_executor& executor() override { throw std::logic_error("no sockets here"); }
  const logger& log() const override { return log_; }

  /// Runs what has been posted, and what that posts.
  void settle() {
    while (run_one_posted()) {
    }
  }

  /// Lets time pass, timer by timer.
  void advance(std::chrono::nanoseconds d) {
    const auto end = uptime + d;
    settle();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      const auto first = timers_.begin();
      wall += std::chrono::duration_cast<duration>(first->first.first - uptime);
      uptime = first->first.first;
      const auto callback = std::move(first->second);
      timers_.erase(first);
      callback();
      settle();
    }
    wall += std::chrono::duration_cast<duration>(end - uptime);
    uptime = end;
  }

  /// Runs what other threads post until `done()`; false when that took longer than `limit`.
  template <class Predicate>
  bool run_until(Predicate&& done, std::chrono::nanoseconds limit = std::chrono::seconds{20}) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (run_one_posted()) continue;
      std::unique_lock lock(mutex_);
      if (!arrived_.wait_until(lock, deadline, [this] { return !posted_.empty(); })) return false;
    }
    return true;
  }

  std::size_t pending_timers() const noexcept { return timers_.size(); }

  timestamp wall{std::chrono::seconds{1'700'000'000}};
  std::chrono::nanoseconds uptime{};

 private:
  bool run_one_posted() {
    std::function<void()> next;
    {
      const std::lock_guard lock(mutex_);
      if (posted_.empty()) return false;
      next = std::move(posted_.front());
      posted_.pop_front();
    }
    next();
    return true;
  }

  std::mt19937_64 random_;
  logger log_;
  std::map<std::pair<std::chrono::nanoseconds, timer_id>, std::function<void()>> timers_;
  timer_id last_timer_ = 0;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::function<void()>> posted_;
};

}  // namespace millrace::testing
