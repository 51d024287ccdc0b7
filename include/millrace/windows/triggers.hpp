// SPDX-License-Identifier: Apache-2.0
/// \file
/// When windows fire. A trigger is a copyable object that is asked about every record and every
/// timer of a window; calls are resolved at compile time. Not thread safe: one copy per worker.
///
///     struct big_changes {
///       struct state { double last = 0; };        // optional: per key and window; described, so
///       template <class Ctx>                      // that it can be saved
///       trigger_result on_record(const price& p, timestamp, state& s, Ctx& window) const {
///         window.set_end_timer();
///         if (std::abs(p.value - s.last) < 10) return trigger_result::wait;
///         s.last = p.value;
///         return trigger_result::fire;
///       }
///       ...                                       // on_event_time(timestamp, state&, ctx&),
///     };                                          // on_processing_time(timestamp, state&, ctx&)
///
/// For session windows also `on_merge(state& into, const state& later, ctx&)`: two windows have
/// become one, whose timers are gone; and once more with `later` = a fresh state after each growth.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/windows/window.hpp>
#include <millrace/windows/window_timers.hpp>

#include <boost/describe/class.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace millrace {

/// What a trigger answers. To purge is to forget the window's content, not its timers.
enum class trigger_result : std::uint8_t { wait = 0, fire = 1, purge = 2, fire_and_purge = 3 };

constexpr trigger_result operator|(trigger_result a, trigger_result b) noexcept {
  return static_cast<trigger_result>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool fires(trigger_result r) noexcept { return (static_cast<unsigned>(r) & 1) != 0; }
constexpr bool purges(trigger_result r) noexcept { return (static_cast<unsigned>(r) & 2) != 0; }

/// A window as its trigger sees it. Timers belong to key and window: one per time, deleted with the
/// window. A timer in the past fires with the next watermark, or tick of the clock.
class trigger_context {
 public:
  trigger_context(const millrace::window& w, time_domain clock, timestamp watermark,
                  timestamp processing_time, window_timers& timers) noexcept
      : window_(&w),
        clock_(clock),
        watermark_(watermark),
        processing_time_(processing_time),
        timers_(&timers) {}

  const millrace::window& window() const noexcept { return *window_; }
  /// The clock by which the window ends.
  time_domain clock() const noexcept { return clock_; }
  timestamp watermark() const noexcept { return watermark_; }
  /// Wall-clock time; never goes back.
  timestamp processing_time() const noexcept { return processing_time_; }

  /// Whether the window's clock has passed its end.
  bool ended() const noexcept {
    const timestamp last = window_->max_timestamp();
    return clock_ == time_domain::event_time ? last <= watermark_ : last < processing_time_;
  }

  void set_event_timer(timestamp time) { timers_->event.set(time); }
  void delete_event_timer(timestamp time) { timers_->event.erase(time); }
  /// Fires when the clock has passed `time`.
  void set_processing_timer(timestamp time) { timers_->processing.set(time); }
  void delete_processing_timer(timestamp time) { timers_->processing.erase(time); }

  /// A timer at the window's last tick, in its own clock.
  void set_end_timer() {
    auto& timers = clock_ == time_domain::event_time ? timers_->event : timers_->processing;
    timers.set(window_->max_timestamp());
  }

 private:
  const millrace::window* window_;
  time_domain clock_;
  timestamp watermark_;
  timestamp processing_time_;
  window_timers* timers_;
};

/// For triggers that remember nothing.
struct no_trigger_state {
  friend bool operator==(no_trigger_state, no_trigger_state) = default;
};
BOOST_DESCRIBE_STRUCT(no_trigger_state, (), ())

namespace detail {

template <class Trigger>
struct trigger_state {
  using type = no_trigger_state;
};
template <class Trigger>
  requires requires { typename Trigger::state; }
struct trigger_state<Trigger> {
  using type = typename Trigger::state;
};

}  // namespace detail

template <class Trigger>
using trigger_state_t = typename detail::trigger_state<Trigger>::type;

/// A trigger for records of type `T`.
template <class Trigger, class T>
concept trigger_for =
    std::copy_constructible<Trigger> && std::default_initializable<trigger_state_t<Trigger>> &&
    requires(const Trigger& t, const T& value, timestamp time, trigger_state_t<Trigger>& state,
             trigger_context& window) {
      { t.on_record(value, time, state, window) } -> std::same_as<trigger_result>;
    };

/// The default: fires when the window's clock reaches its end, and at once for every record that
/// comes later, within the allowed lateness (Flink: EventTimeTrigger, ProcessingTimeTrigger).
struct at_window_end {
  template <class T>
  trigger_result on_record(const T&, timestamp, no_trigger_state&, trigger_context& w) const {
    if (w.ended()) return trigger_result::fire;
    w.set_end_timer();
    return trigger_result::wait;
  }
  trigger_result on_event_time(timestamp time, no_trigger_state&, trigger_context& w) const {
    return at_end(time, time_domain::event_time, w);
  }
  trigger_result on_processing_time(timestamp time, no_trigger_state&, trigger_context& w) const {
    return at_end(time, time_domain::processing_time, w);
  }
  void on_merge(no_trigger_state&, no_trigger_state, trigger_context& w) const {
    if (!w.ended()) w.set_end_timer();
  }

 private:
  static trigger_result at_end(timestamp time, time_domain clock, trigger_context& w) {
    return clock == w.clock() && time == w.window().max_timestamp() ? trigger_result::fire
                                                                    : trigger_result::wait;
  }
};

/// Fires with every `count`-th record of the window, and at no other time: what is left when the
/// window ends is dropped unless combined with `at_window_end` (Flink: CountTrigger).
struct on_count {
  struct state {
    std::uint64_t records = 0;
    friend bool operator==(const state&, const state&) = default;
  };

  std::uint64_t count;

  template <class T>
  trigger_result on_record(const T&, timestamp, state& s, trigger_context&) const {
    if (++s.records < count) return trigger_result::wait;
    s.records = 0;
    return trigger_result::fire;
  }
  void on_merge(state& into, const state& later, trigger_context&) const {
    into.records += later.records;
  }
};
BOOST_DESCRIBE_STRUCT(on_count::state, (), (records))

/// For windows that fire by other means only, or not at all.
struct never {
  template <class T>
  trigger_result on_record(const T&, timestamp, no_trigger_state&, trigger_context&) const {
    return trigger_result::wait;
  }
  void on_merge(no_trigger_state&, no_trigger_state, trigger_context&) const {}
};

/// Calls a trigger's hooks, those that it has.
template <class Trigger>
trigger_result call_on_event_time(const Trigger& t, timestamp time, trigger_state_t<Trigger>& s,
                                  trigger_context& w) {
  if constexpr (requires { t.on_event_time(time, s, w); }) {
    return t.on_event_time(time, s, w);
  } else {
    return trigger_result::wait;
  }
}
template <class Trigger>
trigger_result call_on_processing_time(const Trigger& t, timestamp time,
                                       trigger_state_t<Trigger>& s, trigger_context& w) {
  if constexpr (requires { t.on_processing_time(time, s, w); }) {
    return t.on_processing_time(time, s, w);
  } else {
    return trigger_result::wait;
  }
}
template <class Trigger>
void call_on_merge(const Trigger& t, trigger_state_t<Trigger>& into,
                   const trigger_state_t<Trigger>& later, trigger_context& w) {
  if constexpr (requires { t.on_merge(into, later, w); }) t.on_merge(into, later, w);
}

}  // namespace millrace
