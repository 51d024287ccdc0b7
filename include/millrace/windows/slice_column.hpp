// SPDX-License-Identifier: Apache-2.0
/// \file
/// The slices of one key, combined into one window after the other: what late records that fire
/// windows again need. Gives the same bits as the first firing. Not thread safe.
#pragma once

#include <millrace/windows/fold_plan.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace millrace {

/// For `w` consecutive windows of `n` slices: O(n + w) merges, O(n + w) states of memory for long
/// windows; O(n w) for windows that are combined directly.
template <class Aggregate>
class slice_column {
 public:
  using state = typename Aggregate::state;
  using index = std::int64_t;

  slice_column(const fold_plan& plan, const Aggregate& aggregate)
      : plan_(plan), aggregate_(aggregate) {}

  /// Takes the states of slices `[begin, begin + states.size())`, nullptr where there is none.
  void load(index begin, std::vector<const state*> states) {
    begin_ = begin;
    states_ = std::move(states);
    suffix_group_.reset();
    prefix_end_.reset();
  }
  std::vector<const state*> take_buffer() noexcept { return std::move(states_); }

  /// The window of `plan.slices()` slices from `start` on, if the key is in it. \pre they are
  /// loaded; `start` is not smaller than in the call before
  std::optional<state> window_from(index start) {
    const index end = start + plan_.slices();
    std::optional<state> sum;
    if (plan_.direct()) {
      append_slices(sum, start, end);
      return sum;
    }
    const index first = plan_.group_of(start);
    const index last = plan_.group_of(end);
    if (suffix_group_ != first) enter_group(first, start);
    for (; middle_end_ < last; ++middle_end_) {
      std::optional<state> group;
      append_slices(group, middle_end_ * plan_.group(), (middle_end_ + 1) * plan_.group());
      groups_.push_back(group);
      append(middle_, group);
    }
    if (!prefix_end_ || plan_.group_of(*prefix_end_) != last) {
      prefix_.reset();
      prefix_end_ = last * plan_.group();
    }
    append_slices(prefix_, *prefix_end_, end);
    prefix_end_ = end;
    sum = suffix_[static_cast<std::size_t>(start - first * plan_.group())];
    append(sum, middle_);
    append(sum, prefix_);
    return sum;
  }

 private:
  void enter_group(index first, index start) {
    const bool next = suffix_group_ && *suffix_group_ + 1 == first && !groups_.empty();
    suffix_group_ = first;
    suffix_.assign(static_cast<std::size_t>(plan_.group()), std::nullopt);
    std::optional<state> sum;
    for (index i = (first + 1) * plan_.group(); i-- > start;) {
      if (const state* s = at(i); s != nullptr) {
        state earlier = *s;
        if (sum) aggregate_.merge(earlier, *sum);
        sum = std::move(earlier);
      }
      suffix_[static_cast<std::size_t>(i - first * plan_.group())] = sum;
    }
    if (next) {
      groups_.erase(groups_.begin());
    } else {
      groups_.clear();
      middle_end_ = first + 1;
    }
    middle_.reset();
    for (const std::optional<state>& group : groups_) append(middle_, group);
  }

  const state* at(index i) const noexcept { return states_[static_cast<std::size_t>(i - begin_)]; }

  void append_slices(std::optional<state>& sum, index begin, index end) const {
    for (index i = begin; i < end; ++i) {
      const state* s = at(i);
      if (s == nullptr) continue;
      if (sum) {
        aggregate_.merge(*sum, *s);
      } else {
        sum = *s;
      }
    }
  }
  void append(std::optional<state>& sum, const std::optional<state>& later) const {
    if (!later) return;
    if (sum) {
      aggregate_.merge(*sum, *later);
    } else {
      sum = later;
    }
  }

  fold_plan plan_;
  const Aggregate& aggregate_;
  index begin_ = 0;
  std::vector<const state*> states_;
  std::optional<index> suffix_group_;
  std::vector<std::optional<state>> suffix_;
  std::vector<std::optional<state>> groups_;  // the whole groups of the window
  std::optional<state> middle_;
  index middle_end_ = 0;  // group after the last in groups_
  std::optional<state> prefix_;
  std::optional<index> prefix_end_;
};

}  // namespace millrace
