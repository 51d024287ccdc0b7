// SPDX-License-Identifier: Apache-2.0
/// \file
/// Process functions: per-key state in a struct of the user's, timers, several outputs; with one
/// input or two that share the state. Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/state/keyed_timers.hpp>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace millrace {

/// What a process function sees: the emitting part of `operator_context`, its key and its timers.
template <class K, class Out>
class process_context {
 public:
  process_context(operator_context<Out>& base, keyed_timers<K>& timers, key_table<K>& keys)
      : base_(base), timers_(timers), keys_(keys) {}

  /// Emits under the time of the current record or timer.
  template <class U>
  void emit(U&& value) {
    base_.emit(std::forward<U>(value));
  }
  template <class U>
  void emit(U&& value, timestamp time) {
    base_.emit(std::forward<U>(value), time);
  }
  template <class T, class U>
  bool emit_to(const side_output<T>& tag, U&& value) {
    return base_.emit_to(tag, std::forward<U>(value));
  }

  const K& key() const noexcept { return keys_.key(base_.slot()); }
  timestamp time() const noexcept { return base_.time(); }
  timestamp watermark() const noexcept { return base_.watermark(); }

  /// Wall-clock time.
  timestamp now() { return base_.env().now(); }

  /// `on_timer` is called for this key when the watermark reaches `time`; once, however often it is
  /// set. A time that has passed fires with the next watermark. O(log timers)
  void timer_at(timestamp time) { timers_.set(base_.slot(), time); }
  void delete_timer(timestamp time) { timers_.erase(base_.slot(), time); }

  /// Forgets this key's state when the function returns. Its timers stay.
  void clear_state() noexcept { clear_ = true; }

  void dead_letter(std::string reason, std::string payload = {}) {
    base_.dead_letter(std::move(reason), std::move(payload));
  }

  bool take_clear() noexcept { return std::exchange(clear_, false); }

 private:
  operator_context<Out>& base_;
  keyed_timers<K>& timers_;
  key_table<K>& keys_;
  bool clear_ = false;
};

/// For process functions without timers.
struct no_timer {};

/// `on_left(const L&, State&, ctx&)`, `on_right(const R&, State&, ctx&)`,
/// `on_timer(timestamp, State&, ctx&)`. With one input `on_right` is not used.
template <class K, class State, class Out, class OnLeft, class OnRight, class OnTimer>
class process_operator {
 public:
  using output_type = Out;
  using context = operator_context<Out>;
  using view = process_context<K, Out>;

  process_operator(OnLeft left, OnRight right, OnTimer timer, std::shared_ptr<key_table<K>> keys)
      : on_left_(std::move(left)),
        on_right_(std::move(right)),
        on_timer_(std::move(timer)),
        states_(keys),
        timers_(std::move(keys)) {}

  template <class T>
  void process(const T& value, context& c) {
    run(c, [&](State& state, view& v) { std::invoke(on_left_, value, state, v); });
  }
  template <class T>
  void process_left(const T& value, context& c) {
    process(value, c);
  }
  template <class T>
  void process_right(const T& value, context& c) {
    run(c, [&](State& state, view& v) { std::invoke(on_right_, value, state, v); });
  }

  progress on_watermark(timestamp watermark, context& c) {
    if constexpr (!std::is_same_v<OnTimer, no_timer>) {
      const bool all = timers_.advance(watermark, [&](slot_index slot, timestamp time) {
        c.set_current(time, slot);
        run(c, [&](State& state, view& v) { std::invoke(on_timer_, time, state, v); });
        return !c.downstream_blocked();
      });
      if (!all) return progress::suspended;
    }
    return progress::done;
  }

  void save(snapshot_writer& to) const {
    states_.save(to);
    timers_.save(to);
  }
  void restore(snapshot_reader& from) {
    states_.restore(from);
    timers_.restore(from);
  }

 private:
  template <class F>
  void run(context& c, F&& f) {
    const slot_index slot = c.slot();
    view v(c, timers_, states_.table());
    f(states_.obtain(slot), v);
    if (v.take_clear()) states_.reset(slot);
  }

  OnLeft on_left_;
  OnRight on_right_;
  OnTimer on_timer_;
  keyed_state<K, State> states_;
  keyed_timers<K> timers_;
};

}  // namespace millrace
