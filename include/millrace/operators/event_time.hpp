// SPDX-License-Identifier: Apache-2.0
/// \file
/// Gives records their event time and makes watermarks from it. Not thread safe.
#pragma once

#include <millrace/operators/event_time_base.hpp>
#include <millrace/operators/port.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

namespace millrace {

/// Watermarks for streams in which records come out of order by at most `bound`:
/// `max_seen - bound - 1 tick`, handed on at the end of every batch (Flink:
/// BoundedOutOfOrdernessWatermarks).
struct bounded_lag {
  duration bound{};

  /// After this long without a record the stream no longer holds others back; zero: never. Time
  /// under back-pressure does not count.
  duration idle_after{};

  /// A record further ahead of the wall clock than this is put aside (see
  /// `event_time_options::future`), so that one broken clock cannot make everybody else late. By
  /// default there is no limit.
  std::optional<duration> most_ahead{};
};

/// Times that never go back: a lag of zero.
inline constexpr bounded_lag monotone_times{};

/// Assigns `time_of(value)` to every record. O(1) per record, one watermark per batch.
template <class T, class F>
class event_time_subtask final : public event_time_base<T> {
  using base = event_time_base<T>;

 public:
  event_time_subtask(F time_of, bounded_lag lag, event_time_options<T> options = {})
      : base(combined(std::move(options), lag)), time_of_(std::move(time_of)), bound_(lag.bound) {}

 private:
  static event_time_options<T> combined(event_time_options<T> options, const bounded_lag& lag) {
    if (lag.idle_after > duration::zero()) options.idle_after = lag.idle_after;
    if (lag.most_ahead) options.most_ahead = lag.most_ahead;
    return options;
  }

  void take(batch<T>& records) override {
    this->guarded([&] {
      this->count(records);
      greatest_ = this->time_batch(records, time_of_, greatest_);
      if (MILLRACE_UNLIKELY(records.empty())) return;
      this->hand_on(records);
      this->advance_to(saturating_sub(saturating_sub(greatest_, bound_), one_tick));
      this->after_batch();
    });
  }

  void explain(stall_cause& cause) const override {
    base::explain(cause);
    const timestamp reached = cause.watermark;
    if (reached == min_timestamp) return;
    cause.next_time = saturating_add(saturating_add(reached, bound_), one_tick);
  }

  F time_of_;
  duration bound_;
  timestamp greatest_ = min_timestamp;
};

}  // namespace millrace
