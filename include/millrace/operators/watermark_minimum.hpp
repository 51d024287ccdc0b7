// SPDX-License-Identifier: Apache-2.0
/// \file
/// The least watermark over the parts of a stream, some of which are silent. Not thread safe.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/operators/watermark_heap.hpp>
#include <millrace/record/key.hpp>
#include <millrace/state/key_table.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace millrace {

/// What becomes of the watermark of a part that is silent for `idle_after`.
enum class when_silent : std::uint8_t {
  leave,    ///< it does not count until it is back and has reached what was last handed on
  advance,  ///< the same; when all are silent time moves on with the clock
};

struct partition_options {
  duration bound{};        ///< records of one part come out of order by at most this
  duration idle_after{};   ///< zero: a silent part holds the others back for ever
  std::size_t expected{};  ///< wait (at most `idle_after`, if given) until so many have been seen
  std::size_t most = 1'000'000;  ///< parts beyond these have no say; metric `partitions_ignored`
};

/// The least watermark over parts: one look-up per record; `settle` costs O(log parts) for each
/// part that has moved and is among the least. Parts that can have no more influence are forgotten.
template <key_type P>
class partition_watermarks {
 public:
  using nanoseconds = std::chrono::nanoseconds;

  partition_watermarks(partition_options options, when_silent mode)
      : options_(options), mode_(mode) {}

  void start(nanoseconds now) { started_ = last_any_ = now; }

  void record(const P& part, timestamp time, nanoseconds now) {
    last_any_ = now;
    before_silence_ = watermark_;
    const slot_index slot = parts_.find(part);
    if (slot == no_slot) return appear(part, time, now);
    auto& e = entries_[slot];
    const bool was_silent = silent(e, now);
    e.last = now;
    e.greatest = std::max(e.greatest, time);
    // Back from silence it counts anew; by the clock it may have been further than by its records.
    if (e.state == in_minimum && !(was_silent && mode_ == when_silent::advance)) {
      return note_furthest(slot);
    }
    if (!counts(e.greatest)) return forget(slot);
    enter(slot);
  }

  /// Brings `watermark()` and `idle()` up to date.
  void settle(nanoseconds now) {
    const timestamp* least = settle_least(now);
    const bool quiet =
        options_.idle_after > duration::zero() && now - last_any_ >= options_.idle_after;
    idle_ = quiet && (mode_ == when_silent::leave || !furthest_);
    if (!complete(now)) return;
    timestamp next = watermark_;
    if (least != nullptr) {
      next = *least;
    } else if (quiet && furthest_) {
      next = all_silent(now);
    }
    if (next <= watermark_) return;
    watermark_ = next;
    forget_passed();
  }

  timestamp watermark() const noexcept { return watermark_; }
  bool idle() const noexcept { return idle_; }
  std::size_t size() const noexcept { return parts_.size(); }
  std::uint64_t ignored() const noexcept { return ignored_; }

  /// The part that holds the watermark, as of the last `settle`.
  const P* holder() {
    const auto* top = minimum_.top(valid());
    return top == nullptr ? nullptr : &parts_.key(top->slot);
  }

 private:
  enum place : std::uint8_t { nowhere, in_minimum, left };

  struct entry {
    timestamp greatest = min_timestamp;
    timestamp floor = min_timestamp;  // its watermark was taken to be this when it began to count
    nanoseconds last{};
    std::uint32_t version = 0;
    place state = nowhere;
  };

  timestamp lagged(timestamp t) const noexcept {
    return saturating_sub(saturating_sub(t, options_.bound), one_tick);
  }
  bool silent(const entry& e, nanoseconds now) const noexcept {
    return options_.idle_after > duration::zero() && now - e.last >= options_.idle_after;
  }
  timestamp base(const entry& e) const noexcept { return std::max(lagged(e.greatest), e.floor); }

  // A part whose watermark would be behind does not count: it would hold back what has gone on
  // without it. Where the clock moves parts, records that are not late are waited for nevertheless.
  bool counts(timestamp greatest) const noexcept {
    return mode_ == when_silent::leave ? lagged(greatest) >= watermark_
                                       : lagged(greatest) >= watermark_ || greatest > watermark_;
  }
  auto valid() const {
    return [this](const lazy_time_heap::entry& h) { return entries_[h.slot].version == h.version; };
  }

  void appear(const P& part, timestamp time, nanoseconds now) {
    if (!counts(time)) return;  // nor need it be known
    if (parts_.size() >= options_.most) {
      ++ignored_;
      return;
    }
    const slot_index slot = parts_.find_or_insert(part);
    parts_.retain(slot, owner_);
    if (slot >= entries_.size()) entries_.resize(slot + std::size_t{1});
    auto& e = entries_[slot];
    e.greatest = time;
    e.last = now;
    enter(slot);
  }

  void note_furthest(slot_index slot) {
    const timestamp reached = base(entries_[slot]);
    furthest_ = std::max(furthest_.value_or(min_timestamp), reached);
  }

  void enter(slot_index slot) {
    auto& e = entries_[slot];
    e.state = in_minimum;
    e.floor = mode_ == when_silent::leave ? min_timestamp : watermark_;
    note_furthest(slot);
    const timestamp reached = base(e);
    minimum_.push({reached, slot, ++e.version}, valid());
  }

  // Kept for as long as what it has seen may decide whether its next record counts.
  void leave(slot_index slot) {
    auto& e = entries_[slot];
    e.state = left;
    const timestamp needed =
        mode_ == when_silent::leave ? lagged(e.greatest) : saturating_sub(e.greatest, one_tick);
    left_.push({needed, slot, ++e.version}, valid());
  }

  void forget(slot_index slot) {
    auto& e = entries_[slot];
    ++e.version;
    e.state = nowhere;
    parts_.release(slot, owner_);
    parts_.sweep();
  }

  void forget_passed() {
    for (const auto* top = left_.top(valid()); top != nullptr && top->time < watermark_;
         top = left_.top(valid())) {
      const slot_index slot = top->slot;
      left_.pop();
      forget(slot);
    }
  }

  // All are silent: the furthest decides, and goes on with the clock where that is wanted.
  timestamp all_silent(nanoseconds now) const {
    if (mode_ == when_silent::leave) return *furthest_;
    const auto moved = now - last_any_ - nanoseconds{options_.idle_after};
    return saturating_add(std::max(*furthest_, before_silence_),
                          std::chrono::duration_cast<duration>(moved));
  }

  // The least watermark of those that count; null when nobody does.
  const timestamp* settle_least(nanoseconds now) {
    for (const auto* top = minimum_.top(valid()); top != nullptr; top = minimum_.top(valid())) {
      const timestamp reached = base(entries_[top->slot]);
      if (reached > top->time) {
        minimum_.raise_top(reached);
      } else if (silent(entries_[top->slot], now)) {
        const slot_index slot = top->slot;
        minimum_.pop();
        leave(slot);
      } else {
        return &top->time;
      }
    }
    return nullptr;
  }

  bool complete(nanoseconds now) {
    complete_ = complete_ || parts_.size() >= options_.expected ||
                (options_.idle_after > duration::zero() && now - started_ >= options_.idle_after);
    return complete_;
  }

  partition_options options_;
  when_silent mode_;
  key_table<P> parts_;
  owner_mask owner_ = parts_.add_owner();
  std::vector<entry> entries_;
  lazy_time_heap minimum_;
  lazy_time_heap left_;
  timestamp watermark_ = min_timestamp;
  std::optional<timestamp> furthest_;
  timestamp before_silence_ = min_timestamp;
  nanoseconds started_{};
  nanoseconds last_any_{};
  std::uint64_t ignored_ = 0;
  bool complete_ = false;
  bool idle_ = false;
};

}  // namespace millrace
