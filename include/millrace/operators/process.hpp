// SPDX-License-Identifier: Apache-2.0
/// \file
/// Process functions: per-key state in a struct of the user's, timers in both clocks, several
/// outputs; with one input or two that share the state. Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/clock_alarm.hpp>
#include <millrace/operators/process_context.hpp>
#include <millrace/operators/process_timers.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/state/ttl.hpp>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// For process functions without timers.
struct no_timer {};

/// `on_left(const L&, State&, ctx&)`, `on_right(const R&, State&, ctx&)`,
/// `on_timer(timestamp, State&, ctx&)`. With one input `on_right` is not used. A state that
/// consists of `value_state`, `list_state`, ... alone is forgotten when they are empty; another one
/// when the function says so.
template <class K, class State, class Out, class OnLeft, class OnRight, class OnTimer>
class process_operator {
 public:
  using output_type = Out;
  using context = operator_context<Out>;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<K, State>(); }
  using view = process_context<K, Out>;

  process_operator(OnLeft left, OnRight right, OnTimer timer, std::shared_ptr<key_table<K>> keys)
      : on_left_(std::move(left)),
        on_right_(std::move(right)),
        on_timer_(std::move(timer)),
        states_(keys),
        timers_(std::move(keys)) {}

  void open(context& c) {
    start(c);
    wake();
  }

  template <class T>
  void process(const T& value, context& c) {
    run(c, time_domain::event_time,
        [&](State& state, view& v) { std::invoke(on_left_, value, state, v); });
  }
  template <class T>
  void process_left(const T& value, context& c) {
    process(value, c);
  }
  template <class T>
  void process_right(const T& value, context& c) {
    run(c, time_domain::event_time,
        [&](State& state, view& v) { std::invoke(on_right_, value, state, v); });
  }

  progress on_watermark(timestamp watermark, context& c) {
    start(c);
    const bool all =
        timers_.advance(time_domain::event_time, watermark, [&](slot_index slot, timestamp time) {
          timers_.event_time_reached(time);
          c.set_current(time, slot);
          return fire(time_domain::event_time, time, c);
        });
    if (!all) return progress::suspended;
    timers_.event_time_reached(watermark);
    if constexpr (expires) free_expired(time_domain::event_time, watermark);
    return progress::done;
  }

  /// The wall clock has reached something, or downstream takes records again.
  void on_resume(context& c) {
    if (timers_.next_processing_time() == max_timestamp) return;
    const timestamp now = alarm_.tick();
    const timestamp emit_time = saturating_add(c.watermark(), one_tick);
    const bool all =
        timers_.advance(time_domain::processing_time, now, [&](slot_index slot, timestamp time) {
          c.set_current(emit_time, slot);
          return fire(time_domain::processing_time, time, c);
        });
    if (!all) return;  // called again when downstream takes records
    if constexpr (expires) free_expired(time_domain::processing_time, now);
    wake();
  }

  void on_end(context&) { alarm_.cancel(); }
  void cancel() noexcept { alarm_.cancel(); }

  void save(snapshot_writer& to) const {
    states_.save(to);
    timers_.save(to);
    save_value(to, alarm_.now());
  }
  void restore(snapshot_reader& from) {
    states_.restore(from);
    timers_.restore(from);
    timestamp now = min_timestamp;
    restore_value(from, now);
    alarm_.restore(now);
    if constexpr (expires) {
      states_.for_each([this](slot_index slot, State& state) {
        for (const auto clock : {time_domain::event_time, time_domain::processing_time}) {
          timers_.expiries(clock).at(slot, expire_state(state, clock, min_timestamp));
        }
      });
    }
  }

 private:
  static constexpr bool expires = has_expiring_state<State>;

  template <class F>
  void run(context& c, time_domain clock, F&& f) {
    const slot_index slot = c.slot();
    view v(c, timers_, alarm_, clock, expires);
    State& state = states_.obtain(slot);
    f(state, v);
    if (v.take_clear()) {
      states_.reset(slot);
    } else if constexpr (expires) {
      if (state_is_empty(state)) states_.reset(slot);
    }
  }

  bool fire(time_domain clock, [[maybe_unused]] timestamp time, context& c) {
    if constexpr (!std::is_same_v<OnTimer, no_timer>) {
      run(c, clock, [&](State& state, view& v) { std::invoke(on_timer_, time, state, v); });
    }
    return !c.downstream_blocked();
  }

  void free_expired(time_domain clock, timestamp now) {
    timers_.expiries(clock).advance(now, [&](slot_index slot) {
      State* state = states_.find(slot);
      if (state == nullptr) return max_timestamp;
      const timestamp next = expire_state(*state, clock, now);
      if (state_is_empty(*state)) states_.reset(slot);
      return next;
    });
  }

  // A watermark may come before `open`, when state has been restored.
  void start(context& c) {
    if (!std::exchange(started_, true)) alarm_.open(c);
  }

  void wake() {
    const timestamp next = timers_.next_processing_time();
    if (next != max_timestamp) alarm_.set(saturating_sub(next, one_tick));
  }

  OnLeft on_left_;
  OnRight on_right_;
  OnTimer on_timer_;
  keyed_state<K, State> states_;
  process_timers<K> timers_;
  clock_alarm alarm_;
  bool started_ = false;
};

}  // namespace millrace
