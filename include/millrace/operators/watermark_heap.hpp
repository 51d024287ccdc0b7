// SPDX-License-Identifier: Apache-2.0
/// \file
/// A heap of (time, slot) whose entries may be outdated: what they were is told by a version per
/// slot. For minima over many values that only grow. Not thread safe.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/record/batch.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace millrace {

/// `valid(entry)` tells whether an entry still counts. Push and pop O(log n); outdated entries are
/// at most as many as valid ones, and 64.
class lazy_time_heap {
 public:
  struct entry {
    timestamp time;
    slot_index slot;
    std::uint32_t version;
  };

  template <class Valid>
  void push(entry e, const Valid& valid) {
    if (entries_.size() >= limit_) {
      std::erase_if(entries_, [&](const entry& old) { return !valid(old); });
      std::make_heap(entries_.begin(), entries_.end(), later);
      limit_ = entries_.size() * 2 + 64;
    }
    entries_.push_back(e);
    std::push_heap(entries_.begin(), entries_.end(), later);
  }

  /// The valid entry with the least time, or null.
  template <class Valid>
  const entry* top(const Valid& valid) {
    while (!entries_.empty() && !valid(entries_.front())) pop();
    return entries_.empty() ? nullptr : &entries_.front();
  }

  void pop() {
    std::pop_heap(entries_.begin(), entries_.end(), later);
    entries_.pop_back();
  }

  /// The first entry has grown.
  void raise_top(timestamp to) {
    std::pop_heap(entries_.begin(), entries_.end(), later);
    entries_.back().time = to;
    std::push_heap(entries_.begin(), entries_.end(), later);
  }

  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }

 private:
  static bool later(const entry& a, const entry& b) noexcept { return a.time > b.time; }

  std::vector<entry> entries_;
  std::size_t limit_ = 64;
};

}  // namespace millrace
