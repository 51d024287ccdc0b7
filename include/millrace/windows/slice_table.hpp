// SPDX-License-Identifier: Apache-2.0
/// \file
/// The planes of all slices that hold a record, by index. Memory is proportional to them, however
/// far apart they are. Not thread safe.
#pragma once

#include <millrace/windows/plane.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

namespace millrace {

template <class State>
class slice_table {
 public:
  using index = std::int64_t;
  using states = plane<State>;

  /// \param expected slices at a time, to find them without a search
  explicit slice_table(index expected)
      : recent_(std::bit_ceil(static_cast<std::size_t>(expected < 16           ? 16
                                                       : expected > max_recent ? max_recent
                                                                               : expected))) {
    spare_.reserve(max_spare);
  }
  slice_table(const slice_table&) = delete;
  slice_table& operator=(const slice_table&) = delete;
  ~slice_table() {
    for (auto& [i, slice] : slices_) slice.clear(pool_);
  }

  plane_pool<State>& pool() noexcept { return pool_; }
  const plane_pool<State>& pool() const noexcept { return pool_; }

  /// O(1) for recent slices, else O(log slices).
  states* find(index i) const noexcept {
    recent& r = recent_[static_cast<std::size_t>(i) & (recent_.size() - 1)];
    if (r.slice != nullptr && r.i == i) return r.slice;
    const auto found = slices_.find(i);
    if (found == slices_.end()) return nullptr;
    r = {i, const_cast<states*>(&found->second)};
    return r.slice;
  }

  states& obtain(index i) {
    if (states* s = find(i); s != nullptr) return *s;
    const auto place = insert(i);
    if (place != slices_.begin()) std::prev(place)->second.teach(pool_);
    states& made = place->second;
    recent_[static_cast<std::size_t>(i) & (recent_.size() - 1)] = {i, &made};
    return made;
  }

  /// The first slice with a record that is not before `i`; false if there is none.
  bool first_from(index i, index& found) const noexcept {
    const auto next = slices_.lower_bound(i);
    if (next == slices_.end()) return false;
    found = next->first;
    return true;
  }

  bool empty() const noexcept { return slices_.empty(); }
  std::size_t size() const noexcept { return slices_.size(); }
  index front() const noexcept { return slices_.begin()->first; }
  const states& front_states() const noexcept { return slices_.begin()->second; }

  void pop_front() noexcept {
    const auto first = slices_.begin();
    recent& r = recent_[static_cast<std::size_t>(first->first) & (recent_.size() - 1)];
    if (r.slice == &first->second) r = {};
    first->second.clear(pool_);
    if (spare_.size() < spare_.capacity()) {
      spare_.push_back(slices_.extract(first));
    } else {
      slices_.erase(first);
    }
  }

  auto begin() const noexcept { return slices_.begin(); }
  auto end() const noexcept { return slices_.end(); }

  std::size_t directory_bytes() const noexcept {
    std::size_t sum = recent_.size() * sizeof(recent);
    for (const auto& [i, slice] : slices_) sum += slice.directory_bytes() + sizeof(slice) + 48;
    return sum;
  }

 private:
  static constexpr index max_recent = 4096;
  static constexpr std::size_t max_spare = 4;

  using map = std::map<index, states>;
  struct recent {
    index i = 0;
    states* slice = nullptr;
  };

  typename map::iterator insert(index i) {
    if (spare_.empty()) return slices_.try_emplace(i).first;
    auto node = std::move(spare_.back());
    spare_.pop_back();
    node.key() = i;
    return slices_.insert(std::move(node)).position;
  }

  plane_pool<State> pool_;
  map slices_;
  std::vector<typename map::node_type> spare_;  // of slices that are gone, to be used again
  mutable std::vector<recent> recent_;
};

}  // namespace millrace
