// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a process function sees of its surroundings. Not thread safe.
#pragma once

#include <millrace/operators/clock_alarm.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/operators/process_timers.hpp>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace millrace {

/// The emitting part of `operator_context`, the key, and its timers.
template <class K, class Out>
class process_context {
 public:
  /// `clock`: what is being worked on is a record or event-time timer, or a processing-time timer.
  /// `expires`: the state may have times to live.
  process_context(operator_context<Out>& base, process_timers<K>& timers, clock_alarm& alarm,
                  time_domain clock, bool expires) noexcept
      : base_(base), timers_(timers), alarm_(alarm), clock_(clock), expires_(expires) {}

  /// Emits under the time of the current record or timer. In a processing-time timer: under the
  /// first event time that the watermark has not passed.
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

  const K& key() const noexcept { return timers_.keys().key(base_.slot()); }
  std::uint64_t key_hash() const noexcept { return timers_.keys().hash_of(base_.slot()); }
  timestamp time() const noexcept { return base_.time(); }
  timestamp watermark() const noexcept { return base_.watermark(); }

  /// Wall-clock time; if the clock is set back, the latest time it has shown.
  timestamp now() { return alarm_.tick(); }

  /// Which clock the timer being called follows; `event` for records.
  time_domain clock() const noexcept { return clock_; }

  /// `on_timer` is called for this key when the watermark reaches `time`; once, however often it is
  /// set. A time that has passed fires with the next watermark. O(log timers)
  void timer_at(timestamp time) { timers_.of(time_domain::event_time).set(base_.slot(), time); }
  void delete_timer(timestamp time) {
    timers_.of(time_domain::event_time).erase(base_.slot(), time);
  }

  /// The same when the wall clock reaches `time`. Timers that are set when the pipeline stops are
  /// saved, and fire after it has been restored, at once if their time has passed meanwhile; those
  /// that are set when the input ends do not fire.
  void processing_timer_at(timestamp time) {
    timers_.of(time_domain::processing_time).set(base_.slot(), time);
    wake_at(time);
  }
  void delete_processing_timer(timestamp time) {
    timers_.of(time_domain::processing_time).erase(base_.slot(), time);
  }

  /// Forgets this key's state when the function returns. Its timers stay.
  void clear_state() noexcept { clear_ = true; }

  void dead_letter(std::string reason, std::string payload = {}) {
    base_.dead_letter(std::move(reason), std::move(payload));
  }

  subtask_counters& counters() noexcept { return base_.counters(); }
  metric_group& metrics() noexcept { return base_.metrics(); }

  /// The time by which state expires: see `state_options`.
  timestamp clock_time(time_domain clock) {
    if (clock == time_domain::processing_time) return now();
    if (clock_ == time_domain::processing_time) return timers_.event_time();
    return std::max(base_.time(), timers_.event_time());
  }
  /// What has expired before this has been freed, or may be.
  timestamp passed_time(time_domain clock) {
    return clock == time_domain::processing_time ? now() : timers_.event_time();
  }

  /// For state: asks to be told to free what has expired at that time.
  void expire_at(time_domain clock, timestamp time) {
    if (!expires_) {
      throw std::logic_error(
          "state with a time to live must be the state of the process function itself, or a member "
          "of it that is described with BOOST_DESCRIBE_STRUCT");
    }
    timers_.expiries(clock).at(base_.slot(), time);
    if (clock == time_domain::processing_time) wake_at(time);
  }

  bool take_clear() noexcept { return std::exchange(clear_, false); }

 private:
  void wake_at(timestamp time) {
    if (time != max_timestamp) alarm_.set(saturating_sub(time, one_tick));
  }

  operator_context<Out>& base_;
  process_timers<K>& timers_;
  clock_alarm& alarm_;
  time_domain clock_;
  bool expires_;
  bool clear_ = false;
};

}  // namespace millrace
