// SPDX-License-Identifier: Apache-2.0
/// \file
/// Partial results for long sliding windows, for all keys, moved on from window to window: see
/// fold_plan.hpp for the order of combination. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/windows/fold_plan.hpp>
#include <millrace/windows/page_fold.hpp>
#include <millrace/windows/plane.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace millrace {

/// `Slices` finds the plane of a slice: `const plane<state>* find(index)`.
///
/// For the window `[start, end)`, with `first` the group of `start` and `last` that of `end`:
/// `suffix_[j]` combines slice `j` of group `first` to its end, `groups_` are the groups between
/// the two, `middle_` combines those, `prefix_` the slices of group `last` before `end`. What will
/// be needed when the window has left group `first` is prepared some pages at a time.
template <class Aggregate, class Slices>
class window_folds {
 public:
  using state = typename Aggregate::state;
  using index = std::int64_t;
  using pool = plane_pool<state>;

  window_folds(const fold_plan& plan, const Aggregate& aggregate, pool& pages, const Slices& slices)
      : plan_(plan),
        aggregate_(aggregate),
        pool_(pages),
        slices_(slices),
        scratch_(aggregate),
        suffix_(static_cast<std::size_t>(plan.group())),
        next_suffix_(static_cast<std::size_t>(plan.group())),
        earlier_(static_cast<std::size_t>(plan.group())) {}
  window_folds(const window_folds&) = delete;
  window_folds& operator=(const window_folds&) = delete;
  ~window_folds() { clear(); }

  /// Whether there are folds of a window that starts with slice `start`.
  bool holds(index start) const noexcept { return valid_ && start_ == start; }

  /// Whether a record added to this slice must be followed by `mark`.
  bool covers(index slice) const noexcept { return valid_ && slice >= start_ && slice < end_; }

  /// The state of `slot` in `slice` has changed. \pre `covers(slice)`
  void mark(slot_index slot, index slice) {
    if (dirty_.size() >= max_dirty) repair();
    dirty_.push_back({slot, slice});
  }

  /// Moves on to the window that starts `by` slices later. \pre the folds are valid, `by` is 1 or 2
  void shift(index by) {
    repair();
    for (index i = 0; i < by; ++i) append_slice();
    start_ += by;
    if (plan_.group_of(start_) != first_) {
      leave_group();
    } else {
      for (index i = 1; i <= by && start_ - i >= first_ * plan_.group(); ++i) {
        suffix_[offset(start_ - i)].clear(pool_);
      }
    }
    const std::size_t all = pages_of_next();
    const auto group = static_cast<std::size_t>(plan_.group());
    prepare_pages(std::min(all, prepared_ + all * static_cast<std::size_t>(by) / group + 1));
  }

  /// Computes everything for the window that starts with slice `start`. O(slices in the window).
  void rebuild(index start) {
    clear();
    start_ = start;
    first_ = plan_.group_of(start);
    end_ = (first_ + 1) * plan_.group();
    valid_ = true;
    while (end_ < start + plan_.slices()) append_slice();
    load_slices(first_);
    for (std::size_t i = 0; i < pages(); ++i) build_suffix(suffix_, offset(start_), i);
  }

  /// The window is these planes, combined from left to right.
  std::array<const plane<state>*, 3> parts() const noexcept {
    return {&suffix_[offset(start_)], &middle_, &prefix_};
  }

  void clear() noexcept {
    for (auto& each : suffix_) each.clear(pool_);
    for (auto& each : next_suffix_) each.clear(pool_);
    for (auto& each : groups_) each.clear(pool_);
    groups_.clear();
    middle_.clear(pool_);
    next_middle_.clear(pool_);
    prefix_.clear(pool_);
    dirty_.clear();
    prepared_ = 0;
    valid_ = false;
  }

  std::size_t directory_bytes() const noexcept {
    std::size_t sum = middle_.directory_bytes() + next_middle_.directory_bytes() +
                      prefix_.directory_bytes() + dirty_.capacity() * sizeof(dirty_[0]);
    for (const auto& each : suffix_) sum += each.directory_bytes();
    for (const auto& each : next_suffix_) sum += each.directory_bytes();
    for (const auto& each : groups_) sum += each.directory_bytes();
    return sum;
  }

 private:
  using states = plane<state>;

  // Repairs are delayed until the next window fires, so that one repair serves many records.
  static constexpr std::size_t max_dirty = 65536;

  struct change {
    slot_index slot;
    index slice;
    bool operator<(const change& o) const noexcept {
      return slot != o.slot ? slot < o.slot : slice < o.slice;
    }
  };

  std::size_t offset(index slice) const noexcept {
    return static_cast<std::size_t>(floor_mod(slice, plan_.group()));
  }
  index last() const noexcept { return first_ + 1 + static_cast<index>(groups_.size()); }

  // \pre earlier_ has just been loaded
  std::size_t pages() const noexcept {
    std::size_t n = std::max(prefix_.pages(), middle_.pages());
    for (const auto& each : groups_) n = std::max(n, each.pages());
    for (const states* each : earlier_) n = std::max(n, each == nullptr ? 0 : each->pages());
    return n;
  }

  // Slice `end_` joins the prefix; a group that is complete joins the middle.
  void append_slice() {
    if (const states* slice = slices_.find(end_); slice != nullptr) {
      for (std::size_t i = 0; i < slice->pages(); ++i) {
        merge_page(aggregate_, prefix_, *slice, i, pool_, scratch_);
      }
    }
    ++end_;
    if (floor_mod(end_, plan_.group()) != 0) return;
    groups_.push_back(std::exchange(prefix_, states{}));
    const states& group = groups_.back();
    for (std::size_t i = 0; i < group.pages(); ++i) {
      merge_page(aggregate_, middle_, group, i, pool_, scratch_);
      if (i < prepared_) merge_page(aggregate_, next_middle_, group, i, pool_, scratch_);
    }
  }

  // The window starts in the next group from now on.
  void leave_group() {
    prepare_pages(pages_of_next());
    for (auto& each : suffix_) each.clear(pool_);
    suffix_.swap(next_suffix_);
    middle_.clear(pool_);
    std::swap(middle_, next_middle_);
    groups_.front().clear(pool_);
    groups_.pop_front();
    ++first_;
    prepared_ = 0;
    for (index i = first_ * plan_.group(); i < start_; ++i) suffix_[offset(i)].clear(pool_);
  }

  std::size_t pages_of_next() {
    load_slices(first_ + 1);
    return pages();
  }

  void load_slices(index group) {
    for (index j = 0; j < plan_.group(); ++j) {
      earlier_[static_cast<std::size_t>(j)] = slices_.find(group * plan_.group() + j);
    }
  }

  // Suffixes and middle as they will be when the window starts in the next group.
  // \pre earlier_ is loaded for that group
  void prepare_pages(std::size_t until) {
    for (; prepared_ < until; ++prepared_) {
      build_suffix(next_suffix_, 0, prepared_);
      scratch_.clear();
      for (std::size_t g = 1; g < groups_.size(); ++g) {
        scratch_.append(groups_[g].page_at(prepared_));
      }
      store(next_middle_, prepared_);
    }
  }

  void build_suffix(std::vector<states>& suffix, std::size_t from, std::size_t page) {
    scratch_.clear();
    for (std::size_t j = suffix.size(); j-- > from;) {
      if (earlier_[j] != nullptr) scratch_.prepend(earlier_[j]->page_at(page));
      if (scratch_.mask() != 0) {
        suffix[j].assign_page(page, pool_, scratch_.mask(), scratch_.states());
      }
    }
  }

  void store(states& into, std::size_t page) {
    if (scratch_.mask() != 0) {
      into.assign_page(page, pool_, scratch_.mask(), scratch_.states());
    }
  }

  // Recomputes what depends on the slices that have changed, key by key. O(group) per key and
  // group with a change.
  void repair() {
    std::sort(dirty_.begin(), dirty_.end());
    bool middle = false;
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
      const change c = dirty_[i];
      const bool last_of_slot = i + 1 == dirty_.size() || dirty_[i + 1].slot != c.slot;
      const index group = plan_.group_of(c.slice);
      if (last_of_slot || plan_.group_of(dirty_[i + 1].slice) != group) {
        middle |= repair_group(c, group);
      }
      if (last_of_slot && std::exchange(middle, false)) repair_middle(c.slot);
    }
    dirty_.clear();
  }

  // Of several changes in one group this sees the latest slice. Returns whether the middle has
  // changed.
  bool repair_group(const change& c, index group) {
    const index begin = group * plan_.group();
    if (group == first_) {
      repair_suffix(suffix_, c, std::max(start_, begin));
      return false;
    }
    const index until = std::min(end_, begin + plan_.group());
    if (group == last()) {
      put(prefix_, c.slot, fold_slices(c.slot, begin, until));
      return false;
    }
    put(groups_[static_cast<std::size_t>(group - first_ - 1)], c.slot,
        fold_slices(c.slot, begin, until));
    if (group == first_ + 1 && c.slot / page_slots < prepared_) {
      repair_suffix(next_suffix_, c, begin);
    }
    return true;
  }

  void repair_suffix(std::vector<states>& suffix, const change& c, index from) {
    std::optional<state> sum;
    if (offset(c.slice) + 1 < suffix.size()) {
      if (const state* s = suffix[offset(c.slice) + 1].find(c.slot); s != nullptr) sum = *s;
    }
    for (index i = c.slice; i >= from; --i) {
      const states* slice = slices_.find(i);
      if (const state* s = slice == nullptr ? nullptr : slice->find(c.slot); s != nullptr) {
        state earlier = *s;
        if (sum) aggregate_.merge(earlier, *sum);
        sum = std::move(earlier);
      }
      put(suffix[offset(i)], c.slot, sum);
    }
  }

  void repair_middle(slot_index slot) {
    std::optional<state> sum;
    std::optional<state> next;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const state* s = groups_[g].find(slot);
      if (s == nullptr) continue;
      add(sum, *s);
      if (g > 0) add(next, *s);
    }
    put(middle_, slot, sum);
    if (slot / page_slots < prepared_) put(next_middle_, slot, next);
  }

  std::optional<state> fold_slices(slot_index slot, index begin, index until) const {
    std::optional<state> sum;
    for (index i = begin; i < until; ++i) {
      const states* slice = slices_.find(i);
      if (const state* s = slice == nullptr ? nullptr : slice->find(slot); s != nullptr) {
        add(sum, *s);
      }
    }
    return sum;
  }

  void add(std::optional<state>& sum, const state& later) const {
    if (sum) {
      aggregate_.merge(*sum, later);
    } else {
      sum = later;
    }
  }
  void put(states& into, slot_index slot, const std::optional<state>& value) {
    if (value) into.set(slot, pool_, *value);
  }

  fold_plan plan_;
  const Aggregate& aggregate_;
  pool& pool_;
  const Slices& slices_;
  page_fold<Aggregate> scratch_;

  index start_ = 0;
  index end_ = 0;
  index first_ = 0;  // group of start_
  bool valid_ = false;
  std::vector<states> suffix_;
  std::deque<states> groups_;
  states middle_;
  states prefix_;

  std::vector<states> next_suffix_;
  states next_middle_;
  std::size_t prepared_ = 0;  // pages of the two above that are ready
  std::vector<const states*> earlier_;
  std::vector<change> dirty_;
};

}  // namespace millrace
