// SPDX-License-Identifier: Apache-2.0
/// \file
/// An `environment` over a `boost::asio::io_context`, in real time, for tests of connectors and of
/// what stands in net/. Not thread safe but for `post` and `stop`: one thread runs the context.
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/base/environment.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <unordered_map>
#include <utility>

namespace millrace::testing {

/// Runs an `io_context` of its own, or one that the caller gives and keeps alive.
class asio_environment : public environment {
 public:
  explicit asio_environment(logger log = {}, std::uint64_t seed = std::random_device{}())
      : own_(std::make_unique<boost::asio::io_context>(1)),
        context_(*own_),
        executor_{context_.get_executor()},
        log_(std::move(log)),
        random_(seed) {}

  explicit asio_environment(boost::asio::io_context& context, logger log = {},
                            std::uint64_t seed = std::random_device{}())
      : context_(context),
        executor_{context_.get_executor()},
        log_(std::move(log)),
        random_(seed) {}

  timestamp now() const override {
    return std::chrono::time_point_cast<duration>(std::chrono::system_clock::now());
  }

  std::chrono::nanoseconds monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }

  timer_id call_after(std::chrono::nanoseconds delay, std::function<void()> callback) override {
    const timer_id id = ++last_timer_;
    auto timer = std::make_unique<boost::asio::steady_timer>(context_);
    timer->expires_after(delay);
    timer->async_wait([this, id, run = std::move(callback)](boost::system::error_code) {
      // A timer may be cancelled when its completion is queued already: the map decides.
      if (timers_.erase(id) != 0) run();
    });
    timers_.emplace(id, std::move(timer));
    return id;
  }

  void cancel_timer(timer_id id) noexcept override { timers_.erase(id); }

  void post(std::function<void()> callback) override {
    boost::asio::post(context_, std::move(callback));
  }

  std::uint64_t random() override { return random_(); }
  io_executor& executor() override { return executor_; }
  const logger& log() const override { return log_; }

  boost::asio::io_context& context() noexcept { return context_; }

  /// Timers that have neither run nor been cancelled: 0 when a part has cleaned up.
  std::size_t pending_timers() const noexcept { return timers_.size(); }

  /// Runs until no work is left or `stop` is called; may be called again.
  void run() {
    context_.restart();
    context_.run();
  }

  void stop() { context_.stop(); }

  /// Runs for a span of real time.
  void run_for(std::chrono::nanoseconds span) {
    const auto guard = boost::asio::make_work_guard(context_);
    context_.restart();
    context_.run_for(span);
  }

  /// Runs until `done()` holds, checked after every handler and every few milliseconds (so that it
  /// may watch other threads). Returns whether it came to hold before `limit` had passed.
  template <class Predicate>
  bool run_until(Predicate&& done, std::chrono::nanoseconds limit = std::chrono::seconds{10}) {
    const auto guard = boost::asio::make_work_guard(context_);
    const auto deadline = monotonic() + limit;
    while (!done()) {
      if (monotonic() >= deadline) return false;
      if (context_.stopped()) context_.restart();
      context_.run_one_for(std::chrono::milliseconds{2});
    }
    return true;
  }

 private:
  std::unique_ptr<boost::asio::io_context> own_;
  boost::asio::io_context& context_;
  io_executor executor_;
  logger log_;
  std::mt19937_64 random_;
  timer_id last_timer_ = 0;
  std::unordered_map<timer_id, std::unique_ptr<boost::asio::steady_timer>> timers_;
};

}  // namespace millrace::testing
