// SPDX-License-Identifier: Apache-2.0
/// \file
/// Gives records their event time and makes watermarks from it. Not thread safe.
#pragma once

#include <millrace/operators/port.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/record/watermark.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
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

  /// A record further ahead of the wall clock than this becomes a dead letter, so that one broken
  /// clock cannot make everybody else late. By default there is no limit.
  std::optional<duration> most_ahead{};
};

/// Times that never go back: a lag of zero.
inline constexpr bounded_lag monotone_times{};

/// Assigns `time_of(value)` to every record. O(1) per record, one watermark per batch.
template <class T, class F>
class event_time_subtask final : public subtask, private receiver<T> {
 public:
  event_time_subtask(F time_of, bounded_lag options)
      : time_of_(std::move(time_of)), options_(options), held_(0) {
    out_.count_in(&counters().records_out);
  }

  void open() override {
    last_record_ = env().monotonic();
    if (options_.idle_after > duration::zero()) watch_silence();
  }

  void* input(std::size_t) override { return static_cast<receiver<T>*>(this); }

  void cancel() noexcept override { env().cancel_timer(timer_); }

 private:
  void* main_output() override { return &out_; }

  void read(const batch<T>& records) override {
    if (held_.capacity() < records.size()) held_ = batch<T>(records.capacity());
    copy_batch(records, held_);
    take(held_);
    held_.clear();
  }

  void take(batch<T>& records) override {
    try {
      const std::size_t n = records.size();
      counters().batches_in.add();
      counters().records_in.add(n);
      timestamp* times = records.times();
      timestamp greatest = greatest_;
      for (std::size_t i = 0; i < n; ++i) {
        times[i] = std::chrono::time_point_cast<duration>(std::invoke(time_of_, records.value(i)));
        greatest = times[i] > greatest ? times[i] : greatest;
      }
      if (options_.most_ahead) greatest = quarantine(records, greatest);
      greatest_ = greatest;
      if (options_.idle_after > duration::zero()) note_activity();
      out_.forward(records);
      advance();
    } catch (...) {
      rethrow_named();
    }
  }

  void receive(const control& element) override {
    // Watermarks from before belong to another notion of time; only the last one counts.
    if (element.kind == control_kind::watermark && element.time != max_timestamp) return;
    if (element.kind == control_kind::end) {
      env().cancel_timer(timer_);
      timer_ = 0;
    }
    out_.send(element);
    if (element.kind == control_kind::end) mark_finished();
  }

  void advance() {
    const timestamp next = saturating_sub(saturating_sub(greatest_, options_.bound), one_tick);
    if (next <= watermark_) return;
    watermark_ = next;
    counters().watermark.set(next.time_since_epoch().count());
    out_.send(control::watermark(next));
  }

  timestamp quarantine(batch<T>& records, timestamp greatest) {
    const timestamp limit = saturating_add(env().now(), *options_.most_ahead);
    if (greatest <= limit) return greatest;
    batch<T> kept(records.capacity());
    greatest = greatest_;
    for (std::size_t i = 0; i < records.size(); ++i) {
      const timestamp time = records.time(i);
      if (time > limit) {
        emit_dead_letter(
            {{}, "event time is ahead of the clock by more than the limit", {}, {}, time});
        continue;
      }
      greatest = time > greatest ? time : greatest;
      kept.push(std::move(records.value(i)), time, records.slot(i));
    }
    records.swap(kept);
    return greatest;
  }

  void note_activity() {
    last_record_ = env().monotonic();
    if (!idle_) return;
    idle_ = false;
    out_.send(control::active());
  }

  void watch_silence() {
    const auto period = std::chrono::nanoseconds{options_.idle_after} / 4;
    timer_ = env().call_after(period, [this] {
      const auto now = env().monotonic();
      if (downstream_blocked()) last_record_ = now;
      if (!idle_ && now - last_record_ >= options_.idle_after) {
        idle_ = true;
        out_.send(control::idle());
      }
      watch_silence();
    });
  }

  F time_of_;
  bounded_lag options_;
  output<T> out_;
  batch<T> held_;
  timestamp greatest_ = min_timestamp;
  timestamp watermark_ = min_timestamp;
  std::chrono::nanoseconds last_record_{};
  timer_id timer_ = 0;
  bool idle_ = false;
};

}  // namespace millrace
