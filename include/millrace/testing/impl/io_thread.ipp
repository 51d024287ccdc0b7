// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/testing/io_thread.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <future>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <utility>

namespace millrace::testing {

namespace detail {

/// The environment of an `io_thread`.
class io_thread_environment final : public environment {
 public:
  explicit io_thread_environment(const logger& log)
      : executor_{context.get_executor()}, log_(log), random_(std::random_device{}()) {}

  timestamp now() const override {
    return std::chrono::time_point_cast<duration>(std::chrono::system_clock::now());
  }
  std::chrono::nanoseconds monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }

  timer_id call_after(std::chrono::nanoseconds delay, std::function<void()> callback) override {
    const timer_id id = ++last_timer_;
    auto& timer = timers_.try_emplace(id, context).first->second;
    timer.expires_after(delay);
    timer.async_wait([this, id, run = std::move(callback)](boost::system::error_code) {
      // A completion that is queued already cannot be cancelled any more: the map decides.
      if (timers_.erase(id) != 0) run();
    });
    return id;
  }

  void cancel_timer(timer_id id) noexcept override { timers_.erase(id); }
  void post(std::function<void()> callback) override {
    boost::asio::post(context, std::move(callback));
  }
  bool on_worker() const noexcept override { return owner.load() == std::this_thread::get_id(); }
  std::uint64_t random() override { return random_(); }
  io_executor& executor() override { return executor_; }
  const logger& log() const override { return log_; }

  void cancel_all_timers() noexcept { timers_.clear(); }

  boost::asio::io_context context{1};
  std::atomic<std::thread::id> owner{};

 private:
  io_executor executor_;
  logger log_;
  std::mt19937_64 random_;
  timer_id last_timer_ = 0;
  std::unordered_map<timer_id, boost::asio::steady_timer> timers_;
};

}  // namespace detail

struct io_thread::state {
  explicit state(const logger& log) : env(log), guard(env.context.get_executor()) {}

  detail::io_thread_environment env;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard;
  std::mutex mutex;  // between `run` and `stop`
  bool stopped = false;
  std::thread thread;
};

MILLRACE_DECL io_thread::io_thread(const logger& log) : state_(std::make_unique<state>(log)) {
  state_->thread = std::thread([&env = state_->env] {
    env.owner = std::this_thread::get_id();
    env.context.run();
    env.cancel_all_timers();
    // Completions of cancelled operations should be told; what still waits for a peer is dropped.
    for (int rounds = 0; rounds < 1000; ++rounds) {
      env.context.restart();
      if (env.context.poll() == 0) break;
    }
  });
}

MILLRACE_DECL io_thread::~io_thread() { stop(); }

MILLRACE_DECL environment& io_thread::env() noexcept { return state_->env; }

MILLRACE_DECL void io_thread::run(const std::function<void()>& action) {
  if (state_->env.on_worker()) {
    action();
    return;
  }
  std::unique_lock lock(state_->mutex);
  if (state_->stopped) {
    lock.unlock();
    action();
    return;
  }
  std::packaged_task<void()> task(action);
  auto done = task.get_future();
  boost::asio::post(state_->env.context, [&task] { task(); });
  lock.unlock();
  done.get();
}

MILLRACE_DECL void io_thread::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->stopped) return;
    state_->stopped = true;
    boost::asio::post(state_->env.context, [&env = state_->env] { env.context.stop(); });
  }
  state_->thread.join();
}

}  // namespace millrace::testing
