// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/runtime/timer_heap.hpp>
#include <millrace/testing/simulation.hpp>

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <utility>

namespace millrace::testing {

namespace detail {

struct virtual_clock {
  timestamp wall;
  std::chrono::nanoseconds monotonic{0};
};

class virtual_environment final : public environment {
 public:
  virtual_environment(const virtual_clock& clock, std::uint64_t seed, const logger& log)
      : executor_{io_.get_executor()}, clock_(clock), random_(seed), log_(log) {}

  timestamp now() const override { return clock_.wall; }
  std::chrono::nanoseconds monotonic() const override { return clock_.monotonic; }
  timer_id call_after(std::chrono::nanoseconds delay, std::function<void()> callback) override {
    return timers.add(clock_.monotonic + delay, std::move(callback));
  }
  void cancel_timer(timer_id id) noexcept override { timers.cancel(id); }
  void post(std::function<void()> callback) override {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(callback));
  }
  std::uint64_t random() override { return random_(); }
  io_executor& executor() override { return executor_; }
  const logger& log() const override { return log_; }

  /// Runs what is due, posted or ready. Returns whether there was anything.
  bool run_callbacks() {
    bool any = timers.run_due(clock_.monotonic);
    std::deque<std::function<void()>> posted;
    {
      const std::lock_guard lock(mutex_);
      posted.swap(posted_);
    }
    for (auto& callback : posted) callback();
    io_.restart();
    return io_.poll() > 0 || any || !posted.empty();
  }

  timer_heap timers;

 private:
  boost::asio::io_context io_;
  io_executor executor_;
  const virtual_clock& clock_;
  std::mt19937_64 random_;
  logger log_;
  std::mutex mutex_;
  std::deque<std::function<void()>> posted_;
};

}  // namespace detail

struct simulation::state {
  simulation_options options;
  detail::virtual_clock clock;
  std::mt19937_64 random;
  std::vector<std::unique_ptr<detail::virtual_environment>> environments;
  std::vector<char> left;
  std::vector<char> stopped;
  execution* work = nullptr;
  std::function<void()> on_end;
  bool ended = false;
};

MILLRACE_DECL simulation::simulation(simulation_options options) : state_(new state) {
  state_->options = options;
  state_->clock.wall = options.start;
  state_->random.seed(options.seed);
  for (std::size_t i = 0; i < options.workers; ++i) {
    state_->environments.push_back(std::make_unique<detail::virtual_environment>(
        state_->clock, state_->random(), options.log));
  }
  state_->left.assign(options.workers, 0);
  state_->stopped.assign(options.workers, 0);
}

MILLRACE_DECL simulation::~simulation() = default;

MILLRACE_DECL std::vector<worker_seat> simulation::seats() {
  std::vector<worker_seat> all;
  for (auto& env : state_->environments) all.push_back({env.get(), [] {}});
  return all;
}

MILLRACE_DECL void simulation::start(execution& work, std::function<void()> on_end) {
  state_->work = &work;
  state_->on_end = std::move(on_end);
  for (std::size_t i = 0; i < work.workers(); ++i) {
    try {
      work.at(i).open();
    } catch (...) {
      work.fail(std::current_exception());
    }
  }
}

MILLRACE_DECL bool simulation::step() {
  auto& s = *state_;
  if (s.ended || s.work == nullptr) return false;
  const std::size_t n = s.environments.size();
  const std::size_t first = s.random() % n;
  for (std::size_t k = 0; k < n; ++k) {
    const std::size_t w = (first + k) % n;
    if (s.left[w] != 0) continue;
    bool any = false;
    try {
      if (s.stopped[w] == 0 && s.work->stopping()) {
        s.stopped[w] = 1;
        any = true;
        s.work->at(w).stop();
      }
      any = s.environments[w]->run_callbacks() || any;
      any = s.work->at(w).step() || any;
    } catch (...) {
      any = true;
      s.work->fail(std::current_exception());
    }
    if (s.work->settled(w)) {
      s.left[w] = 1;
      s.work->at(w).cancel();
      any = true;
    }
    if (any) return true;
  }
  bool all_left = true;
  for (const char left : s.left) all_left = all_left && left != 0;
  if (all_left) {
    s.ended = true;
    s.on_end();
  }
  return false;
}

MILLRACE_DECL std::size_t simulation::run_until_idle() {
  std::size_t steps = 0;
  // A step may make work for a worker that was found idle in the same round: ask twice.
  for (int quiet = 0; quiet < 2;) {
    if (step()) {
      ++steps;
      quiet = 0;
    } else {
      ++quiet;
    }
  }
  return steps;
}

MILLRACE_DECL void simulation::advance(std::chrono::nanoseconds d) {
  auto& s = *state_;
  const auto until = s.clock.monotonic + d;
  run_until_idle();
  while (!s.ended) {
    std::optional<std::chrono::nanoseconds> next;
    for (const auto& env : s.environments) {
      const auto due = env->timers.next_due();
      if (due && (!next || *due < *next)) next = due;
    }
    if (!next || *next > until) break;
    const auto passed = std::max(*next - s.clock.monotonic, std::chrono::nanoseconds{0});
    s.clock.monotonic += passed;
    s.clock.wall += std::chrono::duration_cast<duration>(passed);
    run_until_idle();
  }
  s.clock.wall += std::chrono::duration_cast<duration>(until - s.clock.monotonic);
  s.clock.monotonic = until;
  run_until_idle();
}

MILLRACE_DECL void simulation::run_to_end() {
  auto& s = *state_;
  run_until_idle();
  while (!s.ended) {
    std::optional<std::chrono::nanoseconds> next;
    for (const auto& env : s.environments) {
      const auto due = env->timers.next_due();
      if (due && (!next || *due < *next)) next = due;
    }
    if (!next) {
      throw std::logic_error(
          "simulation: nothing is left to do, no timer is set, and the pipeline has not ended");
    }
    advance(std::max(*next - s.clock.monotonic, std::chrono::nanoseconds{0}));
  }
}

MILLRACE_DECL bool simulation::renew(std::chrono::nanoseconds delay) {
  auto& s = *state_;
  s.work = nullptr;
  s.on_end = {};
  s.clock.monotonic += delay;
  s.clock.wall += std::chrono::duration_cast<duration>(delay);
  for (auto& env : s.environments) {
    env = std::make_unique<detail::virtual_environment>(s.clock, s.random(), s.options.log);
  }
  std::fill(s.left.begin(), s.left.end(), 0);
  std::fill(s.stopped.begin(), s.stopped.end(), 0);
  s.ended = false;
  return true;
}

MILLRACE_DECL void simulation::jump_wall_clock(duration d) { state_->clock.wall += d; }
MILLRACE_DECL timestamp simulation::now() const { return state_->clock.wall; }
MILLRACE_DECL bool simulation::ended() const { return state_->ended; }

}  // namespace millrace::testing
