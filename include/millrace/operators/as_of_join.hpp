// SPDX-License-Identifier: Apache-2.0
/// \file
/// As-of join: each left record with the one right record of its key that is closest in time before
/// it, after it or on either side (semantics.md, Joins). Not thread safe: one copy per worker.
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

/// Which right record is the partner. One of the same time always is.
enum class as_of : std::uint8_t {
  previous,  ///< the last one not after the left one; of equal times the last to come
  next,      ///< the first one not before it; of equal times the first to come
  nearest,   ///< whichever of those two is closer; the previous one if both are as close
};

struct as_of_options {
  as_of direction = as_of::previous;
  duration tolerance;  ///< partners are at most this far away; 0: equal times only

  /// \throws topology_error: `0 <= tolerance <= sliding::max_size`.
  void validate() const {
    if (tolerance >= duration::zero() && tolerance <= sliding::max_size) return;
    throw topology_error("as-of join with a tolerance of " + std::to_string(tolerance.count()) +
                         " us: it must be at least 0 and at most 2^60 us");
  }
};

/// One result per left record at most. It waits until the watermark makes sure of its partner, and
/// carries that time: the left record's for `previous`; with `next` and `nearest` that much later
/// as the partner is away; without a partner later by the tolerance. Records not newer than the
/// watermark are late. Memory: per key the records within the tolerance of the watermark, without
/// those right records that newer ones replace. O(log of those) per record in order.
template <class K, class L, class R, join_kind Kind>
class as_of_join_operator {
  static_assert(!keeps_right(Kind), "an as-of join is inner or left");

 public:
  using output_type = joined_by<Kind, L, R>;
  using context = operator_context<output_type>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<K, L, R>(); }

  /// \pre `options.validate()` does not throw
  as_of_join_operator(as_of_options options, std::shared_ptr<key_table<K>> keys,
                      side_output<L> late_left, side_output<R> late_right)
      : options_(options),
        states_(std::move(keys)),
        late_left_(std::move(late_left)),
        late_right_(std::move(late_right)) {}

  void process_left(L&& value, context& c) {
    if (MILLRACE_UNLIKELY(c.time() <= c.watermark())) return late(late_left_, value, c);
    auto& state = states_.obtain(c.slot());
    state.lefts.insert(c.time(), std::move(value));
    alarms_.set(c.slot(), state.alarm, c.time());
  }

  void process_right(R&& value, context& c) {
    if (MILLRACE_UNLIKELY(c.time() <= c.watermark())) return late(late_right_, value, c);
    auto& state = states_.obtain(c.slot());
    state.rights.insert(c.time(), std::move(value));
    prune(state, c.watermark());
    // With records waiting it may be the partner that decides one of them.
    const bool decides = !state.lefts.empty();
    alarms_.set(c.slot(), state.alarm, decides ? c.time() : end_of(state.rights.front().time));
  }

  progress on_watermark(timestamp watermark, context& c) {
    if (c.downstream_blocked()) return progress::suspended;
    const bool all = alarms_.advance(watermark, states_,
                                     [&](slot_index slot) { return decide(slot, watermark, c); });
    return all ? progress::done : progress::suspended;
  }

  void save(snapshot_writer& to) const { states_.save(to); }
  void restore(snapshot_reader& from) {
    states_.restore(from);
    states_.for_each([this](slot_index slot, key_state& state) {
      // Too early does no harm: what is not decided yet sets its alarm again.
      const auto& first =
          state.lefts.empty() ? state.rights.front().time : state.lefts.front().time;
      alarms_.set(slot, state.alarm, first);
    });
  }

 private:
  struct key_state {
    time_sorted<L> lefts;  // those that wait
    time_sorted<R> rights;
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
  struct choice {
    const R* partner = nullptr;
    timestamp certain{};  // nothing that comes after this can change it
  };

  template <class T>
  void late(const side_output<T>& tag, const T& value, context& c) {
    c.counters().late.add();
    c.emit_to(tag, value);
    states_.table().touch(c.slot());
  }

  timestamp end_of(timestamp t) const noexcept { return saturating_add(t, options_.tolerance); }

  /// `later - earlier`, at most what a duration holds. \pre `earlier <= later`
  static duration distance(timestamp earlier, timestamp later) noexcept {
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(later.time_since_epoch().count(), earlier.time_since_epoch().count(),
                               &difference)) {
      return duration::max();
    }
    return duration{difference};
  }

  /// What the right records known so far come to. It is final once the watermark is `certain`.
  choice choose(const key_state& state, timestamp time) const {
    const auto& rights = state.rights;
    choice best;
    duration reach = options_.tolerance;
    if (options_.direction != as_of::next) {
      const std::size_t after = rights.first_after(time);
      if (after > 0 && distance(rights[after - 1].time, time) <= reach) {
        best.partner = &rights[after - 1].value;
        reach = distance(rights[after - 1].time, time);
      }
    }
    if (options_.direction == as_of::previous) return {best.partner, time};
    const std::size_t at = rights.first_from(time);
    if (at < rights.size()) {
      const duration away = distance(time, rights[at].time);
      if (best.partner == nullptr ? away <= reach : away < reach) {
        best.partner = &rights[at].value;
        reach = away;
      }
    }
    best.certain = saturating_add(time, reach);
    return best;
  }

  bool decide(slot_index slot, timestamp watermark, context& c) {
    auto& state = *states_.find(slot);
    bool room = true;
    while (!state.lefts.empty() && state.lefts.front().time <= watermark) {
      const auto& first = state.lefts.front();
      const choice found = choose(state, first.time);
      if (found.certain > watermark || !room) {
        prune(state, watermark);
        alarms_.set(slot, state.alarm, room ? found.certain : first.time);
        return room;
      }
      if (found.partner != nullptr || keeps_left(Kind)) {
        emit_joined(c, &first.value, found.partner, found.certain, slot);
        room = !c.downstream_blocked();
      } else {
        c.counters().filtered.add();
      }
      state.lefts.pop_front();
    }
    prune(state, watermark);
    set_alarm(slot, state, room ? max_timestamp : watermark);
    return room;
  }

  void set_alarm(slot_index slot, key_state& state, timestamp latest) {
    if (!state.lefts.empty()) {
      alarms_.set(slot, state.alarm, std::min(latest, state.lefts.front().time));
    } else if (!state.rights.empty()) {
      alarms_.set(slot, state.alarm, std::min(latest, end_of(state.rights.front().time)));
    } else {
      states_.reset(slot);
    }
  }

  /// Forgets right records that no left one, waiting or yet to come, will ask for.
  void prune(key_state& state, timestamp watermark) const {
    auto& rights = state.rights;
    timestamp oldest = saturating_add(watermark, one_tick);
    if (watermark == max_timestamp) oldest = max_timestamp;
    if (!state.lefts.empty()) oldest = std::min(oldest, state.lefts.front().time);
    if (rights.empty() || rights.front().time >= oldest) return;
    std::size_t gone = rights.first_from(oldest);
    if (options_.direction != as_of::next) {
      const bool replaced = gone < rights.size() && rights[gone].time == oldest;
      const bool in_reach = distance(rights[gone - 1].time, oldest) <= options_.tolerance;
      if (!replaced && in_reach) --gone;
    }
    rights.pop_front(gone);
  }

  as_of_options options_;
  keyed_state<K, key_state> states_;
  key_alarms alarms_;
  side_output<L> late_left_;
  side_output<R> late_right_;
};

}  // namespace millrace
