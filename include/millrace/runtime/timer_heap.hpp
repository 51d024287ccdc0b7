// SPDX-License-Identifier: Apache-2.0
/// \file
/// Pending callbacks of one worker by monotonic time. Not thread safe.
#pragma once

#include <millrace/base/environment.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace millrace {

/// Ordered by due time, then by the order of arming. O(log n) per operation.
class timer_heap {
 public:
  timer_id add(std::chrono::nanoseconds due, std::function<void()> callback) {
    const timer_id id = ++last_;
    const auto place = pending_.emplace(std::pair{due, id}, std::move(callback)).first;
    places_.emplace(id, place);
    return id;
  }

  void cancel(timer_id id) noexcept {
    const auto found = places_.find(id);
    if (found == places_.end()) return;
    pending_.erase(found->second);
    places_.erase(found);
  }

  bool empty() const noexcept { return pending_.empty(); }

  /// When the next one is due.
  std::optional<std::chrono::nanoseconds> next_due() const {
    if (pending_.empty()) return std::nullopt;
    return pending_.begin()->first.first;
  }

  /// Runs what is due at `now`; timers armed meanwhile for a time already due run, too, but at most
  /// one round of each. Returns whether any ran.
  bool run_due(std::chrono::nanoseconds now) {
    const timer_id last = last_;
    bool any = false;
    while (!pending_.empty()) {
      const auto first = pending_.begin();
      if (first->first.first > now || first->first.second > last) break;
      auto callback = std::move(first->second);
      places_.erase(first->first.second);
      pending_.erase(first);
      any = true;
      callback();
    }
    return any;
  }

  void clear() noexcept {
    pending_.clear();
    places_.clear();
  }

 private:
  using key = std::pair<std::chrono::nanoseconds, timer_id>;
  std::map<key, std::function<void()>> pending_;
  std::unordered_map<timer_id, std::map<key, std::function<void()>>::iterator> places_;
  timer_id last_ = 0;
};

}  // namespace millrace
