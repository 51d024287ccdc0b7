// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/background_jobs.hpp>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace millrace {

struct background_jobs::state {
  job_place place;
  std::mutex mutex{};
  std::condition_variable changed{};
  std::deque<std::function<void()>> waiting{};
  bool busy = false;
  bool ending = false;
  std::thread thread{};

  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] { return ending || !waiting.empty(); });
      if (waiting.empty()) return;
      auto job = std::move(waiting.front());
      waiting.pop_front();
      busy = true;
      lock.unlock();
      job();
      job = nullptr;  // what it holds goes before anybody is told that it is done
      lock.lock();
      busy = false;
      changed.notify_all();
    }
  }
};

MILLRACE_DECL background_jobs::background_jobs(job_place place)
    : state_(std::make_unique<state>()) {
  state_->place = place;
}

MILLRACE_DECL background_jobs::~background_jobs() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ending = true;
  }
  state_->changed.notify_all();
  if (state_->thread.joinable()) state_->thread.join();
}

MILLRACE_DECL void background_jobs::submit(std::function<void()> job) {
  if (state_->place == job_place::caller) return job();
  {
    const std::lock_guard lock(state_->mutex);
    state_->waiting.push_back(std::move(job));
    if (!state_->thread.joinable()) state_->thread = std::thread([s = state_.get()] { s->run(); });
  }
  state_->changed.notify_all();
}

MILLRACE_DECL void background_jobs::wait() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->waiting.empty() && !state_->busy; });
}

}  // namespace millrace
