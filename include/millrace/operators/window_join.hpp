// SPDX-License-Identifier: Apache-2.0
/// \file
/// Window join: all pairs of records of one key that lie in the same window (semantics.md, Joins;
/// the rules are those of Flink's join and coGroup). Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/join_buffers.hpp>
#include <millrace/operators/join_types.hpp>
#include <millrace/operators/join_windows.hpp>
#include <millrace/state/keyed_state.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace millrace {

/// Pairs leave when the watermark ends their window, with the window's last tick; where `Kind`
/// keeps a side, its records leave alone if the other side has none in the window. A late record
/// that is within the allowed lateness lets its windows fire in full again, at once. A record is
/// kept once, however many windows overlap, and until the last of them is over. Cost: O(log n) per
/// record in order, of n that are kept, and O(1) per result.
template <class K, class L, class R, join_kind Kind>
class window_join_operator {
 public:
  using output_type = joined_by<Kind, L, R>;
  using context = operator_context<output_type>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<K, L, R>(); }

  window_join_operator(const join_windows& windows, duration lateness,
                       std::shared_ptr<key_table<K>> keys, side_output<L> late_left,
                       side_output<R> late_right)
      : windows_(windows),
        lateness_(lateness),
        states_(std::move(keys)),
        late_left_(std::move(late_left)),
        late_right_(std::move(late_right)) {}

  void process_left(L&& value, context& c) {
    add(
        std::move(value), late_left_, [](key_state& s) -> auto& { return s.lefts; }, c);
  }
  void process_right(R&& value, context& c) {
    add(
        std::move(value), late_right_, [](key_state& s) -> auto& { return s.rights; }, c);
  }

  progress on_watermark(timestamp watermark, context& c) {
    if (c.downstream_blocked()) return progress::suspended;
    if (firing_.active && !fire_on(c, pause::when_full)) return progress::suspended;
    const bool all = alarms_.advance(watermark, states_,
                                     [&](slot_index slot) { return wake(slot, watermark, c); });
    return all ? progress::done : progress::suspended;
  }

  void save(snapshot_writer& to) const { states_.save(to); }
  void restore(snapshot_reader& from) {
    states_.restore(from);
    states_.for_each([this](slot_index slot, key_state& state) {
      state.sessions.pop_front(state.sessions.size());
      if (windows_.is_session()) {
        for (std::size_t i = 0; i < state.lefts.size(); ++i)
          join_session(state, state.lefts[i].time);
        for (std::size_t i = 0; i < state.rights.size(); ++i) {
          join_session(state, state.rights[i].time);
        }
      }
      set_alarm(slot, state);
    });
  }

 private:
  struct span {
    timestamp first{};
    timestamp last{};
  };
  struct key_state {
    time_sorted<L> lefts;
    time_sorted<R> rights;
    line<span> sessions;             // of session windows, by time
    std::int64_t fired = INT64_MIN;  // sessions: those that end until then have fired; otherwise
                                     // the first window that has not
    key_alarm alarm;

    void save(snapshot_writer& to) const {
      lefts.save(to);
      rights.save(to);
      save_value(to, fired);
    }
    void restore(snapshot_reader& from) {
      lefts.restore(from);
      rights.restore(from);
      restore_value(from, fired);
    }
  };
  /// A window on its way out: everything before row `row`, column `column` has left.
  struct firing {
    bool active = false;
    slot_index slot = no_slot;
    timestamp time{};
    std::size_t left = 0, left_end = 0;
    std::size_t right = 0, right_end = 0;
    std::size_t row = 0, column = 0;
  };
  enum class pause : std::uint8_t { never, when_full };
  using index = join_windows::index;

  static std::int64_t ticks(timestamp t) noexcept { return t.time_since_epoch().count(); }
  timestamp end_of_life(const window& w) const noexcept {
    return saturating_add(w.max_timestamp(), lateness_);
  }
  window window_of(const span& s) const noexcept { return windows_.session_of(s.first, s.last); }

  template <class T, class Side>
  void add(T&& value, const side_output<T>& late, Side side, context& c) {
    if (windows_.is_session()) return add_to_session(std::move(value), late, side, c);
    const timestamp time = c.time();
    const slot_index slot = c.slot();
    const index low = windows_.first_window(time);
    const index high = windows_.last_window(time);
    if (low > high) {
      c.counters().filtered.add();
      return states_.table().touch(slot);
    }
    const index open = windows_.first_open(c.watermark());
    const index live = first_live(c.watermark());
    if (MILLRACE_UNLIKELY(high < live)) return too_late(value, late, c);
    auto& state = states_.obtain(slot);
    state.fired = std::max(state.fired, open);
    side(state).insert(time, std::move(value));
    if (high >= open) {
      alarms_.set(slot, state.alarm, windows_.end_of(std::max(low, open)));
    } else {
      alarms_.set(slot, state.alarm, saturating_add(windows_.end_of(high), lateness_));
    }
    for (index k = std::max(low, live); k <= high && k < open; ++k) {
      start_window(slot, state, k);
      fire_on(c, pause::never);
    }
  }

  template <class T, class Side>
  void add_to_session(T&& value, const side_output<T>& late, Side side, context& c) {
    const timestamp time = c.time();
    const slot_index slot = c.slot();
    // Sessions that are kept are not over: a record that joins one of them is not late.
    if (MILLRACE_UNLIKELY(end_of_life(windows_.session_of(time, time)) <= c.watermark())) {
      const key_state* known = states_.find(slot);
      if (known == nullptr || !touches_session(*known, time)) return too_late(value, late, c);
    }
    auto& state = states_.obtain(slot);
    state.fired = std::max(state.fired, ticks(c.watermark()));
    side(state).insert(time, std::move(value));
    const span& joined = state.sessions[join_session(state, time)];
    const timestamp end = window_of(joined).max_timestamp();
    if (MILLRACE_UNLIKELY(end <= c.watermark())) {
      alarms_.set(slot, state.alarm, saturating_add(end, lateness_));
      start_session(slot, state, joined);
      fire_on(c, pause::never);
    } else {
      alarms_.set(slot, state.alarm, end);
    }
  }

  template <class T>
  void too_late(const T& value, const side_output<T>& tag, context& c) {
    c.counters().late.add();
    c.emit_to(tag, value);
    states_.table().touch(c.slot());
  }

  /// The first window that still takes late records.
  index first_live(timestamp watermark) const noexcept {
    return windows_.first_open(saturating_sub(watermark, lateness_));
  }

  /// The first session that does not end before a record of this time.
  std::size_t session_near(const key_state& state, timestamp time) const {
    const auto found = std::partition_point(
        state.sessions.begin(), state.sessions.end(),
        [&](const span& s) { return s.last < time && !windows_.touch(s.last, time); });
    return static_cast<std::size_t>(found - state.sessions.begin());
  }
  bool touches(const span& s, timestamp time) const noexcept {
    return s.first <= time || windows_.touch(time, s.first);
  }
  bool touches_session(const key_state& state, timestamp time) const {
    const std::size_t i = session_near(state, time);
    return i < state.sessions.size() && touches(state.sessions[i], time);
  }

  /// Adds a time to the sessions, which may make one of two. Returns the place of its session.
  std::size_t join_session(key_state& state, timestamp time) const {
    const std::size_t i = session_near(state, time);
    auto& all = state.sessions;
    if (i == all.size() || !touches(all[i], time)) {
      all.insert(i, {time, time});
      return i;
    }
    all[i] = {std::min(all[i].first, time), std::max(all[i].last, time)};
    if (i + 1 < all.size() && windows_.touch(all[i].last, all[i + 1].first)) {
      all[i].last = all[i + 1].last;
      all.erase(i + 1);
    }
    return i;
  }

  void start_window(slot_index slot, const key_state& state, index k) {
    const auto& grid = windows_.grid();
    const auto from = [&](timestamp t) { return grid.slice_of(t) >= grid.first_slice(k); };
    const auto behind = [&](timestamp t) {
      return grid.slice_of(t) >= grid.first_slice(k) + grid.slices_per_window();
    };
    start(slot, grid.window_at(k).max_timestamp(), state.lefts.first_where(from),
          state.lefts.first_where(behind), state.rights.first_where(from),
          state.rights.first_where(behind));
  }
  void start_session(slot_index slot, const key_state& state, const span& s) {
    start(slot, window_of(s).max_timestamp(), state.lefts.first_from(s.first),
          state.lefts.first_after(s.last), state.rights.first_from(s.first),
          state.rights.first_after(s.last));
  }
  void start(slot_index slot, timestamp time, std::size_t left, std::size_t left_end,
             std::size_t right, std::size_t right_end) {
    firing_ = {true, slot, time, left, left_end, right, right_end, 0, 0};
  }

  /// Emits what is left of the window. False when it has to stop for now.
  bool fire_on(context& c, pause when) {
    auto& f = firing_;
    const auto& state = *states_.find(f.slot);
    const std::size_t lefts = f.left_end - f.left;
    const std::size_t rights = f.right_end - f.right;
    const std::size_t rows = lefts != 0 ? lefts : keeps_right(Kind) ? 1 : 0;
    const std::size_t columns = rights != 0 ? rights : keeps_left(Kind) ? 1 : 0;
    while (f.row < rows && f.column < columns) {
      const L* left = lefts == 0 ? nullptr : &state.lefts[f.left + f.row].value;
      const R* right = rights == 0 ? nullptr : &state.rights[f.right + f.column].value;
      emit_joined(c, left, right, f.time, f.slot);
      if (++f.column == columns) {
        f.column = 0;
        ++f.row;
      }
      if (when == pause::when_full && c.downstream_blocked()) return false;
    }
    f.active = false;
    return true;
  }

  bool wake(slot_index slot, timestamp watermark, context& c) {
    auto& state = *states_.find(slot);
    while (start_next(slot, state, watermark)) {
      if (fire_on(c, pause::when_full)) continue;
      alarms_.set(slot, state.alarm, firing_.time);
      return false;
    }
    free(state, watermark);
    set_alarm(slot, state);
    return true;
  }

  /// The key's next window that has not fired and has a record. Last index: none.
  index next_window(const key_state& state) const {
    index next = join_windows::last_index;
    const auto consider = [&](const auto& records) {
      const std::size_t i =
          records.first_where([&](timestamp t) { return windows_.last_window(t) >= state.fired; });
      if (i == records.size()) return;
      next = std::min(next, std::max(state.fired, windows_.first_window(records[i].time)));
    };
    consider(state.lefts);
    consider(state.rights);
    return next;
  }
  std::size_t next_session(const key_state& state) const {
    const auto found = std::partition_point(
        state.sessions.begin(), state.sessions.end(),
        [&](const span& s) { return ticks(window_of(s).max_timestamp()) <= state.fired; });
    return static_cast<std::size_t>(found - state.sessions.begin());
  }

  bool start_next(slot_index slot, key_state& state, timestamp watermark) {
    if (windows_.is_session()) {
      const std::size_t i = next_session(state);
      if (i == state.sessions.size()) return false;
      const timestamp end = window_of(state.sessions[i]).max_timestamp();
      if (end > watermark) return false;
      start_session(slot, state, state.sessions[i]);
      state.fired = ticks(end);
      return true;
    }
    const index next = next_window(state);
    if (next >= windows_.first_open(watermark)) return false;
    start_window(slot, state, next);
    state.fired = next + 1;
    return true;
  }

  void free(key_state& state, timestamp watermark) const {
    if (windows_.is_session()) {
      auto& all = state.sessions;
      while (!all.empty() && end_of_life(window_of(all.front())) <= watermark) {
        state.lefts.pop_front(state.lefts.first_after(all.front().last));
        state.rights.pop_front(state.rights.first_after(all.front().last));
        all.pop_front();
      }
      return;
    }
    const index live = first_live(watermark);
    const auto lives = [&](timestamp t) { return windows_.last_window(t) >= live; };
    state.lefts.pop_front(state.lefts.first_where(lives));
    state.rights.pop_front(state.rights.first_where(lives));
  }

  void set_alarm(slot_index slot, key_state& state) {
    if (state.lefts.empty() && state.rights.empty()) return states_.reset(slot);
    if (windows_.is_session()) {
      const std::size_t i = next_session(state);
      if (i < state.sessions.size()) {
        alarms_.set(slot, state.alarm, window_of(state.sessions[i]).max_timestamp());
      }
      return alarms_.set(slot, state.alarm, end_of_life(window_of(state.sessions.front())));
    }
    const index next = next_window(state);
    if (next != join_windows::last_index) {
      alarms_.set(slot, state.alarm, windows_.end_of(next));
    }
    const auto last = [&](const auto& records) {
      if (records.empty()) return;
      const index k = windows_.last_window(records.front().time);
      alarms_.set(slot, state.alarm, saturating_add(windows_.end_of(k), lateness_));
    };
    last(state.lefts);
    last(state.rights);
  }

  join_windows windows_;
  duration lateness_;
  keyed_state<K, key_state> states_;
  key_alarms alarms_;
  firing firing_;
  side_output<L> late_left_;
  side_output<R> late_right_;
};

}  // namespace millrace
