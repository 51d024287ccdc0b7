// SPDX-License-Identifier: Apache-2.0
/// \file
/// Keyed sliding windows the way Flink's window operator works: a state per key and window in a
/// hash table, every record folded into all windows it is in, a timer per key and window. No floor,
/// but what a user would otherwise get. Not thread safe.
#pragma once

#include "floors/data.hpp"
#include "floors/panes.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

namespace floors {

/// `emit(0, key, window end, state)` for every window that has fired.
template <class State, class Emit>
class bucket_windows {
 public:
  bucket_windows(const window_options& o, Emit emit) : o_(o), emit_(std::move(emit)) {}

  void add(std::uint64_t key, double value, std::int64_t time) {
    greatest_ = time > greatest_ ? time : greatest_;
    const std::int64_t last = time - time % o_.slide;
    for (std::int64_t start = last; start > time - o_.slide * o_.panes; start -= o_.slide) {
      const std::int64_t end = start + o_.slide * o_.panes;
      if (end - 1 <= watermark_) break;
      const auto [at, added] = states_.try_emplace(bucket{key, end});
      at->second.add(value);
      if (added) timers_[end].push_back(key);
    }
  }

  void advance() { fire_until(greatest_ - o_.bound - 1); }
  void finish() { fire_until(greatest_ + o_.slide * o_.panes); }

 private:
  struct bucket {
    std::uint64_t key;
    std::int64_t end;
    bool operator==(const bucket&) const = default;
  };
  struct hash {
    std::size_t operator()(const bucket& b) const noexcept {
      const auto end = static_cast<std::uint64_t>(b.end);
      std::uint64_t h = b.key * 0x9e3779b97f4a7c15ULL ^ end * 0xd1b54a32d192ed03ULL;
      return h ^ h >> 32U;
    }
  };

  void fire_until(std::int64_t watermark) {
    watermark_ = watermark;
    while (!timers_.empty() && timers_.begin()->first - 1 <= watermark) {
      const auto first = timers_.begin();
      for (const std::uint64_t key : first->second) {
        const auto at = states_.find(bucket{key, first->first});
        emit_(0, key, first->first, at->second);
        states_.erase(at);
      }
      timers_.erase(first);
    }
  }

  window_options o_;
  Emit emit_;
  std::unordered_map<bucket, State, hash> states_;
  std::map<std::int64_t, std::vector<std::uint64_t>> timers_;
  std::int64_t watermark_ = 0;
  std::int64_t greatest_ = 0;
};

}  // namespace floors
