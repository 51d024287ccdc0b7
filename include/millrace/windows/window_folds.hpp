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

  /// The state of `slot` in `slice` has changed. What depends on it is repaired when the next
  /// window fires, so that one repair serves many records. O(1). \pre `covers(slice)`
  void mark(slot_index slot, index slice) {
    const auto group = static_cast<std::size_t>(plan_.group_of(slice) - first_);
    if (group >= dirty_.size()) dirty_.resize(group + 1);
    std::vector<std::uint64_t>& pages = dirty_[group];
    const std::size_t page = slot / page_slots;
    if (page >= pages.size()) pages.resize(page + 1, 0);
    pages[page] |= std::uint64_t{1} << slot % page_slots;
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
    for (auto& each : dirty_) each.clear();
    prepared_ = 0;
    valid_ = false;
  }

  std::size_t directory_bytes() const noexcept {
    std::size_t sum = middle_.directory_bytes() + next_middle_.directory_bytes() +
                      prefix_.directory_bytes() + middle_dirty_.capacity() * 8;
    for (const auto& each : dirty_) sum += each.capacity() * 8;
    for (const auto& each : suffix_) sum += each.directory_bytes();
    for (const auto& each : next_suffix_) sum += each.directory_bytes();
    for (const auto& each : groups_) sum += each.directory_bytes();
    return sum;
  }

 private:
  using states = plane<state>;

  std::size_t offset(index slice) const noexcept {
    return static_cast<std::size_t>(floor_mod(slice, plan_.group()));
  }

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

  // Recomputes what depends on slices that have changed, for the slots concerned: at most two
  // groups of slices and all groups of the window.
  void repair() {
    for (std::size_t group = 0; group < dirty_.size(); ++group) {
      std::vector<std::uint64_t>& marked = dirty_[group];
      if (marked.empty()) continue;
      load_slices(first_ + static_cast<index>(group));
      for (std::size_t page = 0; page < marked.size(); ++page) {
        if (marked[page] != 0) repair_group(group, page, marked[page]);
      }
      marked.clear();
    }
    for (std::size_t page = 0; page < middle_dirty_.size(); ++page) {
      if (middle_dirty_[page] != 0) repair_middle(page, middle_dirty_[page]);
    }
    middle_dirty_.clear();
  }

  // \pre earlier_ is loaded for the group
  void repair_group(std::size_t group, std::size_t page, std::uint64_t slots) {
    if (group == 0) return repair_suffix(suffix_, offset(start_), page, slots);
    const std::size_t length =
        group > groups_.size() ? offset(end_) : static_cast<std::size_t>(plan_.group());
    scratch_.clear();
    for (std::size_t j = 0; j < length; ++j) {
      if (earlier_[j] != nullptr) scratch_.append(earlier_[j]->page_at(page), slots);
    }
    if (group > groups_.size()) return scratch_.write(prefix_, page, pool_);
    scratch_.write(groups_[group - 1], page, pool_);
    if (group == 1 && page < prepared_) repair_suffix(next_suffix_, 0, page, slots);
    if (page >= middle_dirty_.size()) middle_dirty_.resize(page + 1, 0);
    middle_dirty_[page] |= slots;
  }

  void repair_suffix(std::vector<states>& suffix, std::size_t from, std::size_t page,
                     std::uint64_t slots) {
    scratch_.clear();
    for (std::size_t j = suffix.size(); j-- > from;) {
      if (earlier_[j] != nullptr) scratch_.prepend(earlier_[j]->page_at(page), slots);
      scratch_.write(suffix[j], page, pool_);
    }
  }

  void repair_middle(std::size_t page, std::uint64_t slots) {
    scratch_.clear();
    for (const states& group : groups_) scratch_.append(group.page_at(page), slots);
    scratch_.write(middle_, page, pool_);
    if (page >= prepared_) return;
    scratch_.clear();
    for (std::size_t g = 1; g < groups_.size(); ++g) {
      scratch_.append(groups_[g].page_at(page), slots);
    }
    scratch_.write(next_middle_, page, pool_);
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
  std::vector<std::vector<std::uint64_t>> dirty_;  // slots by group from first_ on, and page
  std::vector<std::uint64_t> middle_dirty_;
};

}  // namespace millrace
