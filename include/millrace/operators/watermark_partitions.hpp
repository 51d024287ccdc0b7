// SPDX-License-Identifier: Apache-2.0
/// \file
/// Watermarks over streams that are put together from parts, each in its own order: partitions of a
/// source, or devices. The stream's watermark is the least one of those that count. Not thread safe
/// but for `explain`.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/operators/watermark_generator.hpp>
#include <millrace/operators/watermark_heap.hpp>
#include <millrace/record/key.hpp>
#include <millrace/state/key_table.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace millrace {

/// What becomes of the watermark of a part that is silent for `idle_after`.
enum class when_silent : std::uint8_t {
  leave,    ///< it does not count until it is back and has reached what was last handed on
  advance,  ///< it moves on with the clock, until it has reached the furthest part and leaves
};

struct partition_options {
  duration bound{};        ///< records of one part come out of order by at most this
  duration idle_after{};   ///< zero: a silent part holds the others back for ever
  std::size_t expected{};  ///< wait (at most `idle_after`, if given) until so many have been seen
  std::size_t most = 1'000'000;  ///< parts beyond these have no say; metric `partitions_ignored`
};

/// The least watermark over parts: O(1) amortized per record besides one look-up, O(log parts) per
/// batch. Parts that can have no more influence are forgotten.
template <key_type P>
class partition_watermarks {
 public:
  using nanoseconds = std::chrono::nanoseconds;

  partition_watermarks(partition_options options, when_silent mode)
      : options_(options), mode_(mode) {}

  void start(nanoseconds now) { started_ = last_any_ = now; }

  void record(const P& part, timestamp time, nanoseconds now) {
    last_any_ = now;
    const slot_index slot = parts_.find(part);
    if (slot == no_slot) return appear(part, time, now);
    auto& e = entries_[slot];
    const bool was_silent = silent(e, now);
    e.last = now;
    e.greatest = std::max(e.greatest, time);
    note_furthest(slot);
    // Back from silence it counts anew; by the clock it may have been further than by its records.
    if (e.state == in_minimum && !(was_silent && mode_ == when_silent::advance)) return;
    if (!counts(e.greatest)) return forget(slot);
    enter(slot);
  }

  /// Brings `watermark()` and `idle()` up to date.
  void settle(nanoseconds now) {
    const timestamp* least = settle_least(now);
    const bool quiet =
        options_.idle_after > duration::zero() && now - last_any_ >= options_.idle_after;
    idle_ = quiet && (mode_ == when_silent::leave || least == nullptr);
    if (!complete(now)) return;
    timestamp next = watermark_;
    if (least != nullptr) {
      next = *least;
    } else if (quiet && furthest_) {
      next = *furthest_;  // all are silent: the furthest decides
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
    const bool vacant = furthest_slot_ == no_slot;
    if (furthest_ && (vacant ? reached < *furthest_ : reached <= *furthest_)) return;
    furthest_ = reached;
    furthest_slot_ = slot;
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
    if (slot == furthest_slot_) furthest_slot_ = no_slot;
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

  timestamp now_at(const entry& e, nanoseconds now) const {
    const timestamp t = base(e);
    if (mode_ == when_silent::leave || !silent(e, now)) return t;
    const auto moved = now - e.last - nanoseconds{options_.idle_after};
    return saturating_add(t, std::chrono::duration_cast<duration>(moved));
  }

  // The least watermark of those that count; null when nobody does.
  const timestamp* settle_least(nanoseconds now) {
    for (const auto* top = minimum_.top(valid()); top != nullptr; top = minimum_.top(valid())) {
      const slot_index slot = top->slot;
      const auto& e = entries_[slot];
      const timestamp reached = now_at(e, now);
      const bool goes = mode_ == when_silent::leave
                            ? silent(e, now)
                            : silent(e, now) && slot != furthest_slot_ && reached >= *furthest_;
      if (goes) {
        minimum_.pop();
        leave(slot);
      } else if (reached > top->time) {
        minimum_.raise_top(reached);
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
  slot_index furthest_slot_ = no_slot;
  nanoseconds started_{};
  nanoseconds last_any_{};
  std::uint64_t ignored_ = 0;
  bool complete_ = false;
  bool idle_ = false;
};

/// Keeps a copy of the part that holds the watermark, for other threads. A copy starts empty.
template <class P>
class published_part {
 public:
  published_part() = default;
  published_part(const published_part&) noexcept {}
  published_part& operator=(const published_part&) = delete;
  ~published_part() = default;

  /// Locks only when the part is another one than before.
  void set(const P* part) {
    if (part == nullptr ? !mine_ : mine_ && *mine_ == *part) return;
    mine_ = part == nullptr ? std::nullopt : std::optional<P>(*part);
    const std::lock_guard lock(mutex_);
    shared_ = mine_;
  }

  std::string text() const {
    const std::lock_guard lock(mutex_);
    if (!shared_) return {};
    if constexpr (std::is_convertible_v<const P&, std::string>) {
      return *shared_;
    } else if constexpr (std::is_arithmetic_v<P>) {
      return std::to_string(*shared_);
    } else if constexpr (requires { to_string(*shared_); }) {
      return to_string(*shared_);
    } else {
      return "a part without a text form";
    }
  }

 private:
  std::optional<P> mine_;
  mutable std::mutex mutex_;
  std::optional<P> shared_;
};

/// The generator behind `per_partition` and `per_key`.
template <class P, class F>
class partition_generator {
 public:
  static constexpr bool judges_silence = true;

  partition_generator(F part_of, partition_options options, when_silent mode)
      : part_of_(std::move(part_of)), options_(options), parts_(options, mode) {}

  void open(std::chrono::nanoseconds now, metric_group& metrics) {
    parts_.start(now);
    ignored_ = &metrics.counter("partitions_ignored");
  }

  template <class T>
  void on_record(const T& value, timestamp time, watermark_output& out) {
    const auto now = out.monotonic() - out.held_up();
    decltype(auto) part = std::invoke(part_of_, value);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(part)>, P>) {
      parts_.record(part, time, now);
    } else {
      scratch_ = part;
      parts_.record(scratch_, time, now);
    }
  }

  void on_periodic(watermark_output& out) {
    parts_.settle(out.monotonic() - out.held_up());
    if (parts_.watermark() > out.last()) out.emit(parts_.watermark());
    if (parts_.idle()) out.mark_idle();
    if (parts_.ignored() > ignored_->value()) ignored_->add(parts_.ignored() - ignored_->value());
    holder_.set(parts_.holder());
  }

  void explain(stall_cause& cause) const {
    cause.partition = holder_.text();
    cause.idle_after = options_.idle_after;
    if (cause.watermark == min_timestamp) return;
    cause.next_time = saturating_add(saturating_add(cause.watermark, options_.bound), one_tick);
  }

 private:
  F part_of_;
  partition_options options_;
  partition_watermarks<P> parts_;
  published_part<P> holder_;
  P scratch_{};
  counter* ignored_ = nullptr;
};

/// The type a part is kept as: text is copied.
template <class F, class T>
struct part_key {
  using result = std::remove_cvref_t<std::invoke_result_t<F&, const T&>>;
  using type =
      std::conditional_t<std::is_convertible_v<result, std::string_view>, std::string, result>;
};

/// One watermark per part of the stream, `part_of(const T&)` names it: a partition of the source, a
/// file, a connection. The stream's watermark is the least one of the active parts
/// (`max_seen - bound - 1 tick` each); a part that is silent for `idle_after` leaves, and counts
/// again when it has reached what was last handed on. When all are silent the furthest decides, and
/// the stream is idle (Flink: watermarks per split).
template <class F>
class per_partition {
 public:
  explicit per_partition(F part_of, partition_options options = {})
      : part_of_(std::move(part_of)), options_(options) {}

  template <class T>
  auto generator() const {
    using part = typename part_key<F, T>::type;
    return partition_generator<part, F>(part_of_, options_, when_silent::leave);
  }

 private:
  F part_of_;
  partition_options options_;
};

/// One watermark per key (a device with a clock of its own). Like `per_partition`, but a key that
/// is silent for `idle_after` moves on with the clock, so that what came last is not kept waiting
/// for ever: also when all are silent. When it has reached the furthest key it leaves; the furthest
/// one stays. A key counts again with its first record that is not late.
template <class F>
class per_key {
 public:
  /// \throws topology_error unless `options.idle_after > 0`
  explicit per_key(F key_of, partition_options options)
      : key_of_(std::move(key_of)), options_(options) {
    if (options.idle_after <= duration::zero()) {
      throw topology_error(
          "per_key(f, options): idle_after must be positive, or a key that has "
          "gone for good would hold back all others");
    }
  }

  template <class T>
  auto generator() const {
    using key = typename part_key<F, T>::type;
    return partition_generator<key, F>(key_of_, options_, when_silent::advance);
  }

 private:
  F key_of_;
  partition_options options_;
};

}  // namespace millrace
