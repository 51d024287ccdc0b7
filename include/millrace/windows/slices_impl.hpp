// SPDX-License-Identifier: Apache-2.0
/// \file
/// Definitions of slice_store's larger functions. Part of slices.hpp; include that.
#pragma once

#include <millrace/windows/slices.hpp>

namespace millrace {

template <class Aggregate>
slice_store<Aggregate>::slice_store(const sliding& spec, duration lateness, Aggregate aggregate)
    : spec_((spec.validate(), spec)),
      grid_(spec),
      lateness_(lateness),
      plan_(direct_aggregate<Aggregate> ? fold_plan::direct_only(grid_.slices_per_window())
                                        : fold_plan(grid_.slices_per_window())),
      aggregate_(std::move(aggregate)),
      table_(grid_.slices_per_window() +
             std::min<std::int64_t>(lateness / spec.slide, 4096) * grid_.slices_per_slide() + 16),
      folds_(plan_, aggregate_, table_.pool(), table_),
      scratch_(aggregate_),
      column_(plan_, aggregate_) {
  if (lateness < duration::zero()) {
    throw topology_error("window: the allowed lateness must not be negative");
  }
  update_fired();
}

// Follows the watermark: what has fired, and which slices that touches.
template <class Aggregate>
void slice_store<Aggregate>::update_fired() noexcept {
  next_ = watermark_ == max_timestamp ? never : grid_.first_unfired(watermark_);
  open_from_ = next_ == never ? never : grid_.first_slice(next_ - 1) + grid_.slices_per_window();
  // expiry(k) > watermark, solved for k
  live_ = next_ == never ? never : grid_.first_unfired(saturating_sub(watermark_, lateness_));
  open_width_ = 0;
  open_ = nullptr;
  open_pages_ = nullptr;
  open_page_count_ = 0;
}

template <class Aggregate>
void slice_store<Aggregate>::open(index slice, states& of) noexcept {
  open_ = &of;
  open_pages_ = of.page_data();
  open_page_count_ = of.pages();
  open_start_ = grid_.slice_start(slice);
  open_width_ = ticks(grid_.slice_start(slice + 1)) - ticks(open_start_);
}

// The state for a record that is not in a direct page of the open slice, or nullptr.
template <class Aggregate>
MILLRACE_NOINLINE typename slice_store<Aggregate>::state* slice_store<Aggregate>::locate(
    slot_index slot, timestamp time, slice_add& what) {
  MILLRACE_ASSERT(!busy());
  if (in_open(time)) return &obtain(*open_, slot);
  const index i = grid_.slice_of(time);
  const index last = grid_.last_window(i);
  if (MILLRACE_UNLIKELY(grid_.first_window(i) > last)) {
    what = slice_add::no_window;
    return nullptr;
  }
  if (i >= open_from_) {
    states& slice = table_.obtain(i);
    // A single record out of order does not send the next ones on a search.
    if (open_ == nullptr || time > open_start_ || std::exchange(missed_, i) == i) {
      open(i, slice);
    }
    return &obtain(slice, slot);
  }
  if (last < live_) {
    what = slice_add::late;
    return nullptr;
  }
  // Of the fired windows with this slice, the last one lives longest.
  if (std::min(last, next_ - 1) >= live_) what = slice_add::refire;
  if (folds_.covers(i)) folds_.mark(slot, i);
  return &obtain(table_.obtain(i), slot);
}

template <class Aggregate>
std::optional<typename slice_store<Aggregate>::index> slice_store<Aggregate>::next_window()
    const noexcept {
  index slice = 0;
  if (next_ == never || !table_.first_from(grid_.first_slice(next_), slice)) return std::nullopt;
  return std::max(next_, grid_.first_window(slice));
}

template <class Aggregate>
template <class Emit>
bool slice_store<Aggregate>::resume(Emit&& emit) {
  if (refire_slot_ != no_slot && !refire_rest(emit)) return false;
  while (true) {
    if (!firing_) {
      const std::optional<index> next = next_window();
      if (!next || grid_.window_at(*next).max_timestamp() > watermark_) break;
      prepare(*next);
      firing_ = true;
      firing_window_ = *next;
      firing_from_ = 0;
    }
    if (!fire(emit)) return false;
    firing_ = false;
    next_ = firing_window_ + 1;
  }
  update_fired();
  expire();
  return true;
}

// Finds the planes that make up a window.
template <class Aggregate>
void slice_store<Aggregate>::prepare(index k) {
  const index start = grid_.first_slice(k);
  const index by = grid_.slices_per_slide();
  parts_.clear();
  if (plan_.direct()) {
    for (index i = start; i < start + grid_.slices_per_window(); ++i) {
      if (const states* s = table_.find(i); s != nullptr) parts_.push_back(s);
    }
    return;
  }
  if (folds_.holds(start - by)) {
    folds_.shift(by);
  } else {
    folds_.rebuild(start);
  }
  for (const states* part : folds_.parts()) parts_.push_back(part);
}

template <class Aggregate>
template <class Emit>
bool slice_store<Aggregate>::fire(Emit& emit) {
  std::size_t pages = 0;
  for (const states* part : parts_) pages = std::max(pages, part->pages());
  for (std::size_t page = firing_from_ / page_slots; page < pages; ++page) {
    if (parts_.size() == 1) {
      const auto only = parts_[0]->page_at(page);
      if (only.is_direct()) {
        if (!fire_page(page, only.direct(), only.direct_states(), emit)) return false;
        continue;
      }
    }
    if (const std::uint64_t present = direct_pages(page); present != 0) {
      if (!fire_direct(page, present, emit)) return false;
      continue;
    }
    scratch_.clear();
    for (const states* part : parts_) scratch_.append(part->page_at(page));
    if (!fire_page(page, scratch_.mask(), scratch_.states(), emit)) return false;
  }
  scratch_.clear();
  return true;
}

template <class Aggregate>
template <class Emit>
bool slice_store<Aggregate>::fire_page(std::size_t page, std::uint64_t present,
                                       const state* by_slot, Emit& emit) {
  const window w = grid_.window_at(firing_window_);
  const auto base = static_cast<slot_index>(page * page_slots);
  if (firing_from_ > base) present &= ~std::uint64_t{0} << (firing_from_ - base);
  for (std::uint64_t bits = present; bits != 0; bits &= bits - 1) {
    const auto b = static_cast<slot_index>(std::countr_zero(bits));
    firing_from_ = base + b + 1;
    if (stopped(emit, base + b, w, by_slot[b])) return false;
  }
  firing_from_ = base + static_cast<slot_index>(page_slots);
  return true;
}

// Whether the pages of all parts can be combined by index, without a look at presence bits. If so
// they are in `direct_`. Returns the slots that occur, or 0.
template <class Aggregate>
std::uint64_t slice_store<Aggregate>::direct_pages(std::size_t page) {
  direct_.clear();
  std::uint64_t any = 0;
  for (const states* part : parts_) {
    const auto p = part->page_at(page);
    if (!p.allocated()) continue;
    const bool usable = states::fills_gaps ? p.is_direct() : p.direct() == ~std::uint64_t{0};
    if (!usable) return 0;
    any |= p.direct();
    direct_.push_back(p.direct_states());
  }
  return any;
}

// What busy keys look like. The sum stays in registers.
template <class Aggregate>
template <class Emit>
bool slice_store<Aggregate>::fire_direct(std::size_t page, std::uint64_t present, Emit& emit) {
  const window w = grid_.window_at(firing_window_);
  const auto base = static_cast<slot_index>(page * page_slots);
  const state* const* const parts = direct_.data();
  const std::size_t count = direct_.size();
  if (firing_from_ > base) present &= ~std::uint64_t{0} << (firing_from_ - base);
  for (std::uint64_t bits = present; bits != 0; bits &= bits - 1) {
    const auto b = static_cast<unsigned>(std::countr_zero(bits));
    state sum = parts[0][b];
    for (std::size_t i = 1; i < count; ++i) aggregate_.merge(sum, parts[i][b]);
    const slot_index slot = base + b;
    firing_from_ = slot + 1;
    if (stopped(emit, slot, w, sum)) return false;
  }
  firing_from_ = base + static_cast<slot_index>(page_slots);
  return true;
}

template <class Aggregate>
template <class Emit>
bool slice_store<Aggregate>::refire(slot_index slot, timestamp time, Emit&& emit) {
  MILLRACE_ASSERT(!busy());
  const index slice = grid_.slice_of(time);
  const index n = grid_.slices_per_window();
  refire_window_ = std::max(live_, grid_.first_window(slice));
  refire_end_ = std::min(grid_.last_window(slice) + 1, next_);
  if (refire_window_ >= refire_end_) return true;
  const index begin = grid_.first_slice(refire_window_);
  std::vector<const state*> column = column_.take_buffer();
  column.clear();
  for (index i = begin; i < grid_.first_slice(refire_end_ - 1) + n; ++i) {
    const states* s = table_.find(i);
    column.push_back(s == nullptr ? nullptr : s->find(slot));
  }
  column_.load(begin, std::move(column));
  refire_slot_ = slot;
  return refire_rest(emit);
}

template <class Aggregate>
template <class Emit>
bool slice_store<Aggregate>::refire_rest(Emit& emit) {
  while (refire_window_ < refire_end_) {
    const index k = refire_window_++;
    const std::optional<state> s = column_.window_from(grid_.first_slice(k));
    if (s && stopped(emit, refire_slot_, grid_.window_at(k), *s)) {
      if (refire_window_ == refire_end_) refire_slot_ = no_slot;
      return refire_window_ == refire_end_;
    }
  }
  refire_slot_ = no_slot;
  return true;
}

// Frees the slices whose last window is gone.
template <class Aggregate>
void slice_store<Aggregate>::expire() {
  while (!table_.empty() && grid_.last_window(table_.front()) < live_) {
    const states& slice = table_.front_states();
    for (std::size_t page = 0; page < slice.pages(); ++page) {
      for (std::uint64_t bits = slice.page_at(page).present(); bits != 0; bits &= bits - 1) {
        const std::size_t slot =
            page * page_slots + static_cast<std::size_t>(std::countr_zero(bits));
        if (--states_of_[slot] == 0) changed_.push_back(static_cast<slot_index>(slot));
      }
    }
    table_.pop_front();
  }
  if (!table_.empty()) {
    quiet_ = false;
    return;
  }
  folds_.clear();
  // Empty twice running: between busy windows memory stays, behind them it goes.
  if (std::exchange(quiet_, true) && table_.pool().bytes_in_use() == 0) table_.pool().release();
}

}  // namespace millrace
