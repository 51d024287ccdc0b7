// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/runtime/drivers.hpp>
#include <millrace/runtime/timer_heap.hpp>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

namespace millrace {

namespace detail {

/// The real clocks, a timer heap and an Asio executor.
class real_environment : public environment {
 public:
  real_environment(boost::asio::any_io_executor executor, const logger& log,
                   std::function<bool()> is_here)
      : executor_{std::move(executor)},
        log_(log),
        random_(std::random_device{}()),
        is_here_(std::move(is_here)) {}

  timestamp now() const override {
    return std::chrono::time_point_cast<duration>(std::chrono::system_clock::now());
  }
  std::chrono::nanoseconds monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  timer_id call_after(std::chrono::nanoseconds delay, std::function<void()> callback) override {
    return timers_.add(monotonic() + delay, std::move(callback));
  }
  void cancel_timer(timer_id id) noexcept override { timers_.cancel(id); }
  void post(std::function<void()> callback) override {
    boost::asio::post(executor_.handle, std::move(callback));
  }
  bool on_worker() const noexcept override { return is_here_(); }
  std::uint64_t random() override { return random_(); }
  io_executor& executor() override { return executor_; }
  const logger& log() const override { return log_; }

  timer_heap& timers() noexcept { return timers_; }

 private:
  io_executor executor_;
  logger log_;
  timer_heap timers_;
  std::mt19937_64 random_;
  std::function<bool()> is_here_;
};

/// A thread that steps one worker, and sleeps in its io_context.
class worker_thread {
 public:
  explicit worker_thread(const logger& log)
      : guard_(boost::asio::make_work_guard(io_)), env_(io_.get_executor(), log, [this] {
          return std::this_thread::get_id() == thread_id_.load();
        }) {}

  worker_seat seat() {
    return {&env_, [this] { wake(); }};
  }

  void start(execution& work, std::size_t index, std::function<void()> on_exit) {
    thread_ = std::thread([this, &work, index, on_exit = std::move(on_exit)] {
      run(work, index);
      on_exit();
    });
  }

  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  void wake() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (sleeping_.load(std::memory_order_relaxed) &&
        sleeping_.exchange(false, std::memory_order_relaxed)) {
      boost::asio::post(io_, [] {});
    }
  }

  void run(execution& work, std::size_t index) {
    thread_id_ = std::this_thread::get_id();
    auto& me = work.at(index);
    try {
      me.open();
      loop(work, me, index);
    } catch (...) {
      work.fail(std::current_exception());
    }
    me.cancel();
    env_.timers().clear();
    // Completions of cancelled operations refer to the subtasks: let them run before those die.
    for (int rounds = 0; rounds < 1000 && drain() > 0; ++rounds) {
    }
  }

  std::size_t drain() noexcept {
    try {
      return io_.poll();
    } catch (...) {
      return 1;
    }
  }

  void loop(execution& work, worker& me, std::size_t index) {
    constexpr int rounds_per_io_poll = 4;
    bool stopped = false;
    int round = 0;
    while (!work.settled(index)) {
      if (!stopped && work.stopping()) {
        stopped = true;
        me.stop();
      }
      if (!env_.timers().empty()) env_.timers().run_due(env_.monotonic());
      if (me.step()) {
        if (++round % rounds_per_io_poll == 0) io_.poll();
        continue;
      }
      if (io_.poll() > 0) continue;
      me.asleep();
      if (work.workers() <= 1 || !linger(me)) sleep(work, me, index, stopped);
      me.awake();
    }
  }

  // Another worker may be about to hand something over: a short look around costs less than being
  // put to sleep and woken (10 to 30 us, of which the other worker pays a part).
  bool linger(worker& me) {
    constexpr auto patience = std::chrono::microseconds{50};
    const auto until = env_.monotonic() + patience;
    do {
      std::this_thread::yield();
      if (me.step()) return true;
    } while (env_.monotonic() < until);
    return false;
  }

  void sleep(execution& work, worker& me, std::size_t index, bool stopped) {
    sleeping_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // What came between the last step and the flag would not wake us.
    const bool more = me.step() || work.settled(index) || (work.stopping() && !stopped);
    if (!more) wait_for_work();
    sleeping_.store(false, std::memory_order_relaxed);
  }

  void wait_for_work() {
    constexpr auto longest = std::chrono::milliseconds{500};
    auto due = env_.timers().next_due();
    const auto now = env_.monotonic();
    if (due && *due <= now) return;
    const auto wait = due ? std::min<std::chrono::nanoseconds>(*due - now, longest) : longest;
    io_.run_one_for(wait);
  }

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  real_environment env_;
  std::atomic<bool> sleeping_{false};
  std::atomic<std::thread::id> thread_id_{};
  std::thread thread_;
};

class thread_driver final : public driver {
 public:
  thread_driver(std::size_t workers, const logger& log) {
    for (std::size_t i = 0; i < workers; ++i)
      threads_.push_back(std::make_unique<worker_thread>(log));
  }
  ~thread_driver() override { join(); }

  std::vector<worker_seat> seats() override {
    std::vector<worker_seat> all;
    for (auto& t : threads_) all.push_back(t->seat());
    return all;
  }

  void start(execution& work, std::function<void()> on_end) override {
    running_ = threads_.size();
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      threads_[i]->start(work, i, [this, on_end] {
        if (--running_ == 0) on_end();
      });
    }
  }

  void join() override {
    for (auto& t : threads_) t->join();
  }

 private:
  std::vector<std::unique_ptr<worker_thread>> threads_;
  std::atomic<std::size_t> running_{0};
};

/// A worker as a task that posts itself again while there is work.
class worker_task : public std::enable_shared_from_this<worker_task> {
 public:
  worker_task(boost::asio::any_io_executor executor, const logger& log)
      : strand_(boost::asio::make_strand(executor)),
        env_(strand_, log, [this] { return strand_.running_in_this_thread(); }),
        alarm_(strand_) {}

  worker_seat seat() {
    return {&env_, [this] { schedule(); }};
  }

  /// Before any task begins: the first one to run wakes the others.
  void prepare(execution& work, std::size_t index, std::function<void()> on_exit) {
    on_exit_ = std::move(on_exit);
    work_ = &work;
    index_ = index;
  }

  void begin() {
    boost::asio::post(strand_, [self = shared_from_this()] {
      self->guarded([&self] { self->work_->at(self->index_).open(); });
      self->opened_ = true;
      self->schedule();
    });
  }

 private:
  void schedule() {
    if (scheduled_.exchange(true)) return;
    boost::asio::post(strand_, [self = shared_from_this()] { self->run_slice(); });
  }

  template <class F>
  void guarded(F&& f) {
    try {
      f();
    } catch (...) {
      work_->fail(std::current_exception());
    }
  }

  void run_slice() {
    constexpr int steps_per_slice = 16;
    scheduled_.store(false);
    if (left_ || !opened_) return;
    work_->at(index_).awake();
    bool more = true;
    guarded([&] {
      if (!stopped_ && work_->stopping()) {
        stopped_ = true;
        work_->at(index_).stop();
      }
      for (int i = 0; i < steps_per_slice && more; ++i) {
        if (!env_.timers().empty()) env_.timers().run_due(env_.monotonic());
        more = work_->at(index_).step();
      }
    });
    if (work_->settled(index_)) return leave();
    if (more) return schedule();
    work_->at(index_).asleep();
    if (const auto due = env_.timers().next_due()) {
      alarm_.expires_after(std::max(*due - env_.monotonic(), std::chrono::nanoseconds{0}));
      alarm_.async_wait([self = shared_from_this()](const boost::system::error_code& e) {
        if (!e) self->schedule();
      });
    }
  }

  void leave() {
    left_ = true;
    alarm_.cancel();
    work_->at(index_).cancel();
    env_.timers().clear();
    // Behind the completions of what has been cancelled.
    boost::asio::post(strand_, [self = shared_from_this()] {
      boost::asio::post(self->strand_, [self] { self->on_exit_(); });
    });
  }

  boost::asio::strand<boost::asio::any_io_executor> strand_;
  real_environment env_;
  boost::asio::steady_timer alarm_;
  std::function<void()> on_exit_;
  execution* work_ = nullptr;
  std::size_t index_ = 0;
  std::atomic<bool> scheduled_{false};
  bool opened_ = false;
  bool stopped_ = false;
  bool left_ = false;
};

class executor_driver final : public driver {
 public:
  executor_driver(const boost::asio::any_io_executor& executor, std::size_t workers,
                  const logger& log) {
    for (std::size_t i = 0; i < workers; ++i) {
      tasks_.push_back(std::make_shared<worker_task>(executor, log));
    }
  }

  std::vector<worker_seat> seats() override {
    std::vector<worker_seat> all;
    for (auto& t : tasks_) all.push_back(t->seat());
    return all;
  }

  void start(execution& work, std::function<void()> on_end) override {
    running_ = tasks_.size();
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      tasks_[i]->prepare(work, i, [this, on_end] {
        if (--running_ != 0) return;
        on_end();
        const std::lock_guard lock(mutex_);
        ended_ = true;
        done_.notify_all();
      });
    }
    for (auto& task : tasks_) task->begin();
  }

  void join() override {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return ended_; });
  }

 private:
  std::vector<std::shared_ptr<worker_task>> tasks_;
  std::atomic<std::size_t> running_{0};
  std::mutex mutex_;
  std::condition_variable done_;
  bool ended_ = false;
};

}  // namespace detail

MILLRACE_DECL std::unique_ptr<driver> make_thread_driver(std::size_t workers, const logger& log) {
  return std::make_unique<detail::thread_driver>(workers, log);
}

MILLRACE_DECL std::unique_ptr<driver> make_executor_driver(io_executor executor,
                                                           std::size_t workers, const logger& log) {
  return std::make_unique<detail::executor_driver>(executor.handle, workers, log);
}

}  // namespace millrace
