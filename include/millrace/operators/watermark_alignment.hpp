// SPDX-License-Identifier: Apache-2.0
/// \file
/// Keeps sources together in event time: one that is further ahead of the group's slowest than a
/// bound is not polled until the others have come closer. A group may span workers and pipelines.
/// Thread safe.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/base/time.hpp>
#include <millrace/operators/subtask.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace millrace {

/// A group of streams; copies are the same group. Given to `event_time` of each of its streams
/// (Flink: watermark alignment). A stream is paused when its watermark is ahead of the least one of
/// the group's active members by more than `drift`; what it has read by then, at most one batch,
/// still passes. Members that have ended, or have been silent for `idle_after`, do not count, so
/// that nobody waits for ever. A member that is held up by back-pressure does count.
class watermark_alignment {
 public:
  /// \throws topology_error unless `drift >= 0` and `idle_after > 0`
  explicit watermark_alignment(duration drift,
                               std::chrono::nanoseconds idle_after = std::chrono::seconds{1})
      : group_(std::make_shared<group>()) {
    if (drift < duration::zero())
      throw topology_error("watermark_alignment: the drift is negative");
    if (idle_after <= std::chrono::nanoseconds::zero()) {
      throw topology_error(
          "watermark_alignment: idle_after must be positive, or a silent stream "
          "would stop the others");
    }
    group_->drift = drift;
    group_->idle_after = idle_after;
  }

  duration drift() const noexcept { return group_->drift; }
  std::chrono::nanoseconds idle_after() const noexcept { return group_->idle_after; }

  class member;

 private:
  struct group {
    duration drift{};
    std::chrono::nanoseconds idle_after{};
    mutable std::mutex mutex;
    std::vector<member*> members;
  };

  std::shared_ptr<group> group_;
};

/// One stream's place in a group. All functions lock; at most one call per batch. O(members).
class watermark_alignment::member {
 public:
  explicit member(const watermark_alignment& of) : group_(of.group_) {}
  member(const member&) = delete;
  member& operator=(const member&) = delete;
  ~member() {
    const std::lock_guard lock(group_->mutex);
    std::erase(group_->members, this);
  }

  /// Counts from now on. To be called once.
  void join(subtask_host& host, std::string name) {
    const std::lock_guard lock(group_->mutex);
    host_ = &host;
    name_ = std::move(name);
    group_->members.push_back(this);
  }

  /// Tells how far the stream is. Returns whether it may go on.
  bool advance(timestamp watermark) {
    const std::lock_guard lock(group_->mutex);
    time_ = watermark;
    counts_ = true;
    wake_others();
    return may_go_on();
  }

  /// Whether it may go on by now; a member that may not is woken when it may.
  bool ask() {
    const std::lock_guard lock(group_->mutex);
    return may_go_on();
  }

  /// The stream is silent, or has ended: nobody waits for it.
  void leave() noexcept {
    const std::lock_guard lock(group_->mutex);
    counts_ = false;
    paused_ = false;
    wake_others();
  }

  /// Whom a paused member waits for; empty when it is not paused. From any thread.
  std::string waits_for() const {
    const std::lock_guard lock(group_->mutex);
    const member* slowest = slowest_member();
    return paused_ && slowest != nullptr ? slowest->name_ : std::string{};
  }

 private:
  const member* slowest_member() const {
    const member* slowest = nullptr;
    for (const member* m : group_->members) {
      if (m->counts_ && (slowest == nullptr || m->time_ < slowest->time_)) slowest = m;
    }
    return slowest;
  }
  bool within(timestamp time) const {
    const member* slowest = slowest_member();
    return slowest == nullptr || time <= saturating_add(slowest->time_, group_->drift);
  }
  bool may_go_on() {
    paused_ = !within(time_);
    return !paused_;
  }
  void wake_others() {
    for (member* m : group_->members) {
      if (m != this && m->paused_ && within(m->time_)) m->host_->wake();
    }
  }

  std::shared_ptr<group> group_;
  subtask_host* host_ = nullptr;
  std::string name_;
  timestamp time_ = min_timestamp;
  bool counts_ = true;
  bool paused_ = false;
};

}  // namespace millrace
