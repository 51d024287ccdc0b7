// SPDX-License-Identifier: Apache-2.0
/// \file
/// Interval join: pairs of one key whose times are close (semantics.md, Joins; the rules are those
/// of Flink's IntervalJoinOperator). Not thread safe: one copy per worker.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/operators/join_buffers.hpp>
#include <millrace/operators/join_types.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/window.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace millrace {

enum class bound : std::uint8_t { inclusive, exclusive };

/// `left + lower <= right <= left + upper`.
struct join_interval {
  duration lower;
  duration upper;
  bound at_lower = bound::inclusive;
  bound at_upper = bound::inclusive;

  /// The same with both bounds inclusive.
  constexpr join_interval closed() const noexcept {
    return {at_lower == bound::exclusive ? lower + one_tick : lower,
            at_upper == bound::exclusive ? upper - one_tick : upper, bound::inclusive,
            bound::inclusive};
  }

  /// \throws topology_error: some time must lie between the bounds, `|bound| <= sliding::max_size`.
  void validate() const {
    const auto refuse = [this](const std::string& rule) {
      throw topology_error("interval join from " + std::to_string(lower.count()) + " us to " +
                           std::to_string(upper.count()) + " us: " + rule);
    };
    for (const duration d : {lower, upper}) {
      if (d > sliding::max_size || d < -sliding::max_size) refuse("bounds reach at most 2^60 us");
    }
    if (closed().lower > closed().upper) refuse("no time lies between the bounds");
  }
};

/// Each pair leaves when its second record comes, with the later of both times. A record that
/// stays without a partner leaves, where `Kind` keeps its side, when the watermark frees it: with
/// the last time at which a partner could have come. A record older than the watermark is late.
/// Memory: per key the records not older than the watermark by more than the interval reaches.
/// O(log of those + results) per record in order.
template <class K, class L, class R, join_kind Kind>
class interval_join_operator {
 public:
  using output_type = joined_by<Kind, L, R>;
  using context = operator_context<output_type>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<K, L, R>(); }

  /// \pre `between.validate()` does not throw
  interval_join_operator(join_interval between, std::shared_ptr<key_table<K>> keys,
                         side_output<L> late_left, side_output<R> late_right)
      : between_(between.closed()),
        left_lives_(std::max(between_.upper, duration::zero())),
        right_lives_(std::max(-between_.lower, duration::zero())),
        states_(std::move(keys)),
        late_left_(std::move(late_left)),
        late_right_(std::move(late_right)) {}

  void process_left(L&& value, context& c) {
    if (MILLRACE_UNLIKELY(c.time() < c.watermark())) return late(late_left_, value, c);
    auto& state = states_.obtain(c.slot());
    const timestamp time = c.time();
    bool found = false;
    const auto& lower = between_.lower;
    const auto from =
        state.rights.first_where([&](timestamp t) { return distance(time, t) >= lower; });
    for (auto i = from; i < state.rights.size(); ++i) {
      auto& other = state.rights[i];
      if (distance(time, other.time) > between_.upper) break;
      emit_joined(c, &value, &other.value.value, std::max(time, other.time), c.slot());
      found = other.value.matched = true;
    }
    state.lefts.insert(time, {std::move(value), found});
    alarms_.set(c.slot(), state.alarm, saturating_add(time, left_lives_));
  }

  void process_right(R&& value, context& c) {
    if (MILLRACE_UNLIKELY(c.time() < c.watermark())) return late(late_right_, value, c);
    auto& state = states_.obtain(c.slot());
    const timestamp time = c.time();
    bool found = false;
    const auto& upper = between_.upper;
    const auto from =
        state.lefts.first_where([&](timestamp t) { return distance(t, time) <= upper; });
    for (auto i = from; i < state.lefts.size(); ++i) {
      auto& other = state.lefts[i];
      if (distance(other.time, time) < between_.lower) break;
      emit_joined(c, &other.value.value, &value, std::max(time, other.time), c.slot());
      found = other.value.matched = true;
    }
    state.rights.insert(time, {std::move(value), found});
    alarms_.set(c.slot(), state.alarm, saturating_add(time, right_lives_));
  }

  progress on_watermark(timestamp watermark, context& c) {
    if (c.downstream_blocked()) return progress::suspended;
    const bool all = alarms_.advance(watermark, states_,
                                     [&](slot_index slot) { return free(slot, watermark, c); });
    return all ? progress::done : progress::suspended;
  }

  void save(snapshot_writer& to) const { states_.save(to); }
  void restore(snapshot_reader& from) {
    states_.restore(from);
    states_.for_each([this](slot_index slot, key_state& state) { set_alarm(slot, state); });
  }

 private:
  template <class T>
  struct entry {
    T value{};
    bool matched = false;

    void save(snapshot_writer& to) const {
      save_value(to, value);
      save_value(to, matched);
    }
    void restore(snapshot_reader& from) {
      restore_value(from, value);
      restore_value(from, matched);
    }
  };
  struct key_state {
    time_sorted<entry<L>> lefts;
    time_sorted<entry<R>> rights;
    key_alarm alarm;

    void save(snapshot_writer& to) const {
      lefts.save(to);
      rights.save(to);
    }
    void restore(snapshot_reader& from) {
      lefts.restore(from);
      rights.restore(from);
    }
  };

  /// `right - left`; beyond what a duration holds it is beyond every bound.
  static duration distance(timestamp left, timestamp right) noexcept {
    const std::int64_t l = left.time_since_epoch().count();
    const std::int64_t r = right.time_since_epoch().count();
    std::int64_t difference = 0;
    if (!__builtin_sub_overflow(r, l, &difference)) return duration{difference};
    return r < l ? duration::min() : duration::max();
  }

  template <class T>
  void late(const side_output<T>& tag, const T& value, context& c) {
    c.counters().late.add();
    c.emit_to(tag, value);
    states_.table().touch(c.slot());
  }

  bool free(slot_index slot, timestamp watermark, context& c) {
    auto& state = *states_.find(slot);
    bool room = true;
    while (room && !state.lefts.empty()) {
      const timestamp end = saturating_add(state.lefts.front().time, left_lives_);
      if (end > watermark) break;
      if constexpr (keeps_left(Kind)) {
        const auto& gone = state.lefts.front().value;
        if (!gone.matched) emit_joined<output_type, L, R>(c, &gone.value, nullptr, end, slot);
        room = !c.downstream_blocked();
      }
      state.lefts.pop_front();
    }
    while (room && !state.rights.empty()) {
      const timestamp end = saturating_add(state.rights.front().time, right_lives_);
      if (end > watermark) break;
      if constexpr (keeps_right(Kind)) {
        const auto& gone = state.rights.front().value;
        if (!gone.matched) emit_joined<output_type, L, R>(c, nullptr, &gone.value, end, slot);
        room = !c.downstream_blocked();
      }
      state.rights.pop_front();
    }
    set_alarm(slot, state);
    return room;
  }

  void set_alarm(slot_index slot, key_state& state) {
    if (state.lefts.empty() && state.rights.empty()) return states_.reset(slot);
    if (!state.lefts.empty()) {
      const timestamp end = saturating_add(state.lefts.front().time, left_lives_);
      alarms_.set(slot, state.alarm, end);
    }
    if (!state.rights.empty()) {
      const timestamp end = saturating_add(state.rights.front().time, right_lives_);
      alarms_.set(slot, state.alarm, end);
    }
  }

  join_interval between_;
  duration left_lives_;  // how long after its time a left record may find a partner
  duration right_lives_;
  keyed_state<K, key_state> states_;
  key_alarms alarms_;
  side_output<L> late_left_;
  side_output<R> late_right_;
};

}  // namespace millrace
