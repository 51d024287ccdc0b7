// SPDX-License-Identifier: Apache-2.0
/// \file
/// Triggers made of clocks and of other triggers: early results, purging, any of several. Pure
/// values; not thread safe in use.
#pragma once

#include <millrace/windows/triggers.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace millrace {

namespace detail {

/// The first multiple of `interval` after `t`.
constexpr timestamp next_multiple(timestamp t, duration interval) noexcept {
  const std::int64_t ticks = t.time_since_epoch().count();
  const std::int64_t whole = interval.count() - floor_mod(ticks, interval.count());
  return timestamp{duration{millrace::saturating_add(ticks, whole)}};
}

}  // namespace detail

/// Fires at multiples of `interval` in event time, if records have come since, and at the window's
/// end. Flink's ContinuousEventTimeTrigger also fires when nothing has come.
struct every_event_time {
  using state = std::optional<timestamp>;  // the next firing

  duration interval;

  template <class T>
  trigger_result on_record(const T&, timestamp time, state& next, trigger_context& w) const {
    if (at_end_ && w.ended()) return trigger_result::fire;
    if (at_end_) w.set_end_timer();
    if (next) return trigger_result::wait;
    next = detail::next_multiple(std::max(time, w.watermark()), interval);
    w.set_event_timer(*next);
    return trigger_result::wait;
  }
  trigger_result on_event_time(timestamp time, state& next, trigger_context& w) const {
    const bool due = next == time;
    if (due) next.reset();
    const bool end =
        at_end_ && w.clock() == time_domain::event_time && time == w.window().max_timestamp();
    return due || end ? trigger_result::fire : trigger_result::wait;
  }
  trigger_result on_processing_time(timestamp time, state&, trigger_context& w) const {
    return at_end_ && w.clock() == time_domain::processing_time &&
                   time == w.window().max_timestamp()
               ? trigger_result::fire
               : trigger_result::wait;
  }
  void on_merge(state& into, const state& later, trigger_context& w) const {
    if (later && (!into || *later < *into)) into = later;
    if (into) w.set_event_timer(*into);
    if (at_end_ && !w.ended()) w.set_end_timer();
  }

  static constexpr bool at_end_ = true;
};

/// Fires at multiples of `interval` of the wall clock, if records have come since, and not at the
/// window's end: see `early` (Flink: ContinuousProcessingTimeTrigger).
struct every_processing_time {
  using state = std::optional<timestamp>;

  duration interval;

  template <class T>
  trigger_result on_record(const T&, timestamp, state& next, trigger_context& w) const {
    if (next) return trigger_result::wait;
    next = detail::next_multiple(w.processing_time(), interval);
    w.set_processing_timer(*next);
    return trigger_result::wait;
  }
  trigger_result on_processing_time(timestamp time, state& next, trigger_context&) const {
    if (next != time) return trigger_result::wait;
    next.reset();
    return trigger_result::fire;
  }
  void on_merge(state& into, const state& later, trigger_context& w) const {
    if (later && (!into || *later < *into)) into = later;
    if (into) w.set_processing_timer(*into);
  }
};

/// Fires when `difference(last, value)` exceeds `threshold`, with `last` the record of the window
/// that fired before (the first one to begin with). `T` is the record's type (Flink: DeltaTrigger).
template <class T, class Difference>
class on_delta_trigger {
 public:
  using state = std::optional<T>;

  on_delta_trigger(double threshold, Difference difference)
      : threshold_(threshold), difference_(std::move(difference)) {}

  trigger_result on_record(const T& value, timestamp, state& last, trigger_context&) const {
    if (!last) {
      last = value;
      return trigger_result::wait;
    }
    if (!(std::invoke(difference_, *last, value) > threshold_)) return trigger_result::wait;
    last = value;
    return trigger_result::fire;
  }
  void on_merge(state& into, const state& later, trigger_context&) const {
    if (!into) into = later;
  }

 private:
  double threshold_;
  Difference difference_;
};

/// `on_delta<price>(0.5, [](const price& last, const price& now) { return ...; })`
template <class T, class Difference>
on_delta_trigger<T, Difference> on_delta(double threshold, Difference difference) {
  return {threshold, std::move(difference)};
}

/// As `Trigger`, but the content is forgotten with every firing (Flink: PurgingTrigger).
template <class Trigger>
struct purging {
  using state = trigger_state_t<Trigger>;

  explicit purging(Trigger trigger) : inner(std::move(trigger)) {}

  template <class T>
  trigger_result on_record(const T& value, timestamp time, state& s, trigger_context& w) const {
    return purge(inner.on_record(value, time, s, w));
  }
  trigger_result on_event_time(timestamp time, state& s, trigger_context& w) const {
    return purge(call_on_event_time(inner, time, s, w));
  }
  trigger_result on_processing_time(timestamp time, state& s, trigger_context& w) const {
    return purge(call_on_processing_time(inner, time, s, w));
  }
  void on_merge(state& into, const state& later, trigger_context& w) const {
    call_on_merge(inner, into, later, w);
  }

  Trigger inner;

 private:
  static trigger_result purge(trigger_result r) { return fires(r) ? r | trigger_result::purge : r; }
};

/// Fires when one of several triggers does. Each sees all timers and must look at their time.
template <class... Trigger>
class any_of_trigger {
 public:
  using state = std::tuple<trigger_state_t<Trigger>...>;

  explicit any_of_trigger(Trigger... triggers) : triggers_(std::move(triggers)...) {}

  template <class T>
  trigger_result on_record(const T& value, timestamp time, state& s, trigger_context& w) const {
    return each(s, [&](const auto& t, auto& mine) { return t.on_record(value, time, mine, w); });
  }
  trigger_result on_event_time(timestamp time, state& s, trigger_context& w) const {
    return each(s, [&](const auto& t, auto& mine) { return call_on_event_time(t, time, mine, w); });
  }
  trigger_result on_processing_time(timestamp time, state& s, trigger_context& w) const {
    return each(
        s, [&](const auto& t, auto& mine) { return call_on_processing_time(t, time, mine, w); });
  }
  void on_merge(state& into, const state& later, trigger_context& w) const {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (call_on_merge(std::get<I>(triggers_), std::get<I>(into), std::get<I>(later), w), ...);
    }(std::index_sequence_for<Trigger...>{});
  }

 private:
  template <class F>
  trigger_result each(state& s, F&& ask) const {
    auto answer = trigger_result::wait;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((answer = answer | ask(std::get<I>(triggers_), std::get<I>(s))), ...);
    }(std::index_sequence_for<Trigger...>{});
    return answer;
  }

  std::tuple<Trigger...> triggers_;
};

template <class... Trigger>
any_of_trigger<Trigger...> any_of(Trigger... triggers) {
  return any_of_trigger<Trigger...>(std::move(triggers)...);
}

/// The window's end, and early results by another trigger.
template <class Trigger>
any_of_trigger<at_window_end, Trigger> early(Trigger trigger) {
  return any_of(at_window_end{}, std::move(trigger));
}

}  // namespace millrace
