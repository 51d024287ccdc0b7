// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/runtime/checkpoint.hpp>

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

namespace millrace {

MILLRACE_DECL void checkpoint_storage::save_newest(const std::string&) {
  throw std::system_error(make_error_code(errc::not_supported),
                          "this storage keeps no checkpoints apart");
}

MILLRACE_DECL checkpoint_coordinator::checkpoint_coordinator(
    std::shared_ptr<checkpoint_storage> storage, checkpoint_options options, std::string pipeline,
    std::uint64_t last_id, bool asynchronous, const logger& log)
    : storage_(std::move(storage)),
      options_(options),
      pipeline_(std::move(pipeline)),
      asynchronous_(asynchronous),
      log_(log),
      last_id_(last_id),
      may_begin_(last_id != 0) {
  if (asynchronous_) writer_ = std::thread([this] { store_in_background(); });
}

MILLRACE_DECL checkpoint_coordinator::~checkpoint_coordinator() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    work_.notify_all();
  }
  if (writer_.joinable()) writer_.join();
}

MILLRACE_DECL void checkpoint_coordinator::add(const subtask& task, std::uint32_t worker,
                                               bool collector) {
  const std::lock_guard lock(mutex_);
  members_.push_back({&task, worker, collector});
}

MILLRACE_DECL bool checkpoint_coordinator::trigger(timestamp now) {
  std::unique_lock lock(mutex_);
  if (current_ || to_store_) return false;
  missing_.clear();
  bool anybody = false;
  for (const auto& m : members_) {
    const bool gone = finished_.contains(m.task) && !m.task->injects_barriers();
    anybody = anybody || !finished_.contains(m.task);
    if (!gone && !m.collector) missing_.insert(m.task);
  }
  if (!anybody) return false;
  current_.emplace();
  for (const auto& [task, state] : final_states_) {
    if (finished_.contains(task)) current_->states.push_back(state);
  }
  current_->id = ++last_id_;
  current_->taken = now;
  current_->pipeline = pipeline_;
  for (const auto& m : members_) current_->workers = std::max(current_->workers, m.worker + 1);
  collecting_ = false;
  began_ = std::chrono::steady_clock::now();
  const auto id = last_id_;
  lock.unlock();
  send_barriers(id, false);
  return true;
}

MILLRACE_DECL void checkpoint_coordinator::request(timestamp now) {
  {
    const std::lock_guard lock(mutex_);
    again_ = current_ || to_store_;
    if (again_) return;
  }
  trigger(now);
}

MILLRACE_DECL bool checkpoint_coordinator::save_next(std::string directory, timestamp now) {
  {
    const std::lock_guard lock(mutex_);
    if (!save_to_.empty()) return false;
    save_to_ = std::move(directory);
    if (current_ || to_store_) return true;
  }
  if (trigger(now)) return true;
  const std::lock_guard lock(mutex_);
  const bool begun = current_ || to_store_;  // by somebody else meanwhile
  if (!begun) save_to_.clear();
  return begun;
}

MILLRACE_DECL void checkpoint_coordinator::acknowledge(const subtask& who, std::uint64_t id,
                                                       std::string state) {
  std::unique_lock lock(mutex_);
  if (!current_ || current_->id != id || missing_.erase(&who) == 0) return;
  if (!state.empty()) {
    current_->states.push_back({who.name(), who.index(), std::move(state),
                                who.key_groups().value_or(key_group_range{0, 0}),
                                who.state_type()});
    if (who.awaits_last_checkpoint()) final_states_[&who] = current_->states.back();
  }
  settle(lock);
}

MILLRACE_DECL void checkpoint_coordinator::finished(const subtask& who) {
  std::unique_lock lock(mutex_);
  finished_.insert(&who);
  if (!current_ || who.injects_barriers() || missing_.erase(&who) == 0) return;
  const auto last = final_states_.find(&who);
  if (last != final_states_.end()) current_->states.push_back(last->second);
  settle(lock);
}

MILLRACE_DECL void checkpoint_coordinator::settle(std::unique_lock<std::mutex>& lock) {
  if (!missing_.empty()) return;
  if (!collecting_) {
    collecting_ = true;
    for (const auto& m : members_) {
      const bool gone = finished_.contains(m.task) && !m.task->injects_barriers();
      if (m.collector && !gone) missing_.insert(m.task);
    }
    if (!missing_.empty()) {
      const auto id = current_->id;
      lock.unlock();
      return send_barriers(id, true);
    }
  }
  to_store_ = std::move(current_);
  current_.reset();
  if (asynchronous_) return work_.notify_all();
  auto what = std::move(*to_store_);
  lock.unlock();
  store_now(std::move(what));
}

MILLRACE_DECL void checkpoint_coordinator::store_now(checkpoint what) {
  std::string failure;
  try {
    storage_->store(what);
  } catch (const std::exception& e) {
    failure = e.what();
  }
  std::uint64_t bytes = 0;
  for (const auto& s : what.states) bytes += s.bytes.size();
  bool again = false;
  std::string save_to;
  {
    const std::lock_guard lock(mutex_);
    to_store_.reset();
    again = std::exchange(again_, false);
    save_to = std::exchange(save_to_, {});
    if (failure.empty()) {
      completed_at_ = std::chrono::steady_clock::now();
      status_.failed_since = 0;
      status_.parts.clear();
      for (const auto& s : what.states) {
        status_.parts.push_back({s.name, s.instance, s.bytes.size()});
      }
      ++status_.completed;
      status_.last_id = what.id;
      status_.last_bytes = bytes;
      status_.last_took = std::chrono::steady_clock::now() - began_;
    } else {
      ++status_.failed;
      ++status_.failed_since;
      if (!save_to.empty()) status_.save_failure = failure;
      status_.last_failure = failure;
    }
  }
  const bool first = !may_begin_.exchange(true, std::memory_order_acq_rel);
  if (failure.empty()) {
    announce(what.id);
    if (!save_to.empty()) save_newest(save_to);
  } else {
    log_.error("checkpoints",
               "checkpoint " + std::to_string(what.id) + " could not be stored, " +
                   (first ? "there is none to come back to" : "the one before stays valid") + ": " +
                   failure);
    if (first) announce(0);  // for those who wait to begin
  }
  if (again) trigger(what.taken);
}

MILLRACE_DECL void checkpoint_coordinator::save_newest(const std::string& directory) {
  std::string failure;
  try {
    storage_->save_newest(directory);
  } catch (const std::exception& e) {
    failure = e.what();
    log_.error("checkpoints", "no savepoint in '" + directory + "': " + failure);
  }
  const std::lock_guard lock(mutex_);
  status_.save_failure = failure;
  if (failure.empty()) status_.saved_to = directory;
}

MILLRACE_DECL void checkpoint_coordinator::store_in_background() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return closing_ || to_store_; });
    if (!to_store_) return;
    auto what = std::move(*to_store_);
    lock.unlock();
    store_now(std::move(what));
    lock.lock();
  }
}

MILLRACE_DECL checkpoint_status checkpoint_coordinator::status() const {
  auto of_storage = storage_->metrics();
  const std::lock_guard lock(mutex_);
  auto all = status_;
  const auto now = std::chrono::steady_clock::now();
  all.every = options_.every;
  all.age = now - completed_at_;
  if (current_ || to_store_) all.under_way = now - began_;
  for (const auto& m : members_) {
    if (all.waits_for.empty() && current_ && missing_.contains(m.task)) {
      all.waits_for = m.task->name();
    }
  }
  all.of_storage = std::move(of_storage);
  return all;
}

}  // namespace millrace
