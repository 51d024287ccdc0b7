// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/dsl/pipeline.hpp>

#include <random>

namespace millrace {

MILLRACE_DECL pipeline& pipeline::restart(restart_policy policy) {
  restart_ = restart_decision(std::move(policy));
  return *this;
}

MILLRACE_DECL void pipeline::check_restartable() const {
  const auto& nodes = core_.nodes();
  for (node_id id = 0; id < nodes.size(); ++id) {
    if (nodes.node(id).reusable()) continue;
    throw topology_error(nodes.node(id).name +
                         ": holds something that cannot be copied, so that the pipeline cannot be "
                         "started again: leave out restart(...) or make it copyable");
  }
}

/// The end of one life; whether another one follows is decided by the thread that waits.
MILLRACE_DECL void pipeline::on_end() {
  if (auto* recorder = execution_->recorder()) recorder->finish();
  const std::lock_guard lock(mutex_);
  has_ended_ = asked_to_end_ || !restart_.any() || !execution_->failure();
  ended_.notify_all();
}

/// Nothing: this was the last failure.
MILLRACE_DECL std::optional<std::chrono::nanoseconds> pipeline::delay_of_restart(
    const std::exception_ptr& failure) {
  std::optional<std::chrono::nanoseconds> delay;
  const auto reason = in_words(failure);
  {
    const std::lock_guard lock(mutex_);
    if (!asked_to_end_) {
      const auto age = execution_ ? execution_->status().age : std::chrono::nanoseconds{};
      delay = restart_.after_failure(std::chrono::steady_clock::now().time_since_epoch(), age,
                                     std::random_device{}());
    }
    if (delay) {
      ++restarts_;
      last_restart_ = reason;
    } else {
      has_ended_ = true;
      ended_.notify_all();
    }
  }
  if (delay) {
    const auto ms = std::to_string(*delay / std::chrono::milliseconds{1});
    log_.error(name_, "failed, starts again in " + ms + " ms: " + reason);
  } else if (restart_.any()) {
    log_.error(name_, "failed, does not start again: " + reason);
  }
  return delay;
}

/// False when it has been asked to end meanwhile.
MILLRACE_DECL bool pipeline::pause(std::chrono::nanoseconds delay) {
  std::unique_lock lock(mutex_);
  return !ended_.wait_for(lock, delay, [this] { return asked_to_end_; });
}

/// The old life goes before its driver. False when there can be no other one.
MILLRACE_DECL bool pipeline::start_again(std::chrono::nanoseconds delay) {
  if (make_driver_ && !pause(delay)) return false;
  std::unique_ptr<execution> gone;
  {
    const std::lock_guard lock(mutex_);
    gone = std::move(execution_);
  }
  gone.reset();
  if (make_driver_) {
    running_on_ = nullptr;
    driver_ = make_driver_();
    launch(*driver_);
  } else {
    if (!running_on_->renew(delay)) return false;
    launch(*running_on_);
  }
  const std::lock_guard lock(mutex_);
  if (asked_to_end_) execution_->cancel();
  return true;
}

MILLRACE_DECL void pipeline::wait() {
  if (running_on_ == nullptr) {
    throw topology_error("the pipeline \"" + name_ + "\" has not been started");
  }
  running_on_->join();
  auto failure = execution_ ? execution_->failure() : nullptr;
  while (failure) {
    const auto delay = delay_of_restart(failure);
    if (!delay) std::rethrow_exception(failure);
    bool again = true;
    try {
      again = start_again(*delay);
    } catch (const topology_error&) {
      const std::lock_guard lock(mutex_);
      has_ended_ = true;
      throw;
    } catch (...) {
      failure = std::current_exception();  // the checkpoint could not be read, say
      continue;
    }
    if (!again) std::rethrow_exception(failure);
    running_on_->join();
    failure = execution_->failure();
  }
}

}  // namespace millrace
