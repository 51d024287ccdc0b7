// SPDX-License-Identifier: Apache-2.0
/// \file
/// What all ways of making watermarks have in common: silence, quarantine of records from the
/// future, alignment with other streams, and an account of what they wait for. Not thread safe but
/// for `explain`.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/operators/port.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/operators/watermark_alignment.hpp>
#include <millrace/operators/watermark_status.hpp>
#include <millrace/record/watermark.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

namespace millrace {

/// What can be said of any stream with an event time.
template <class T>
struct event_time_options {
  /// After this long without a record the stream no longer holds others back; zero: never. Time
  /// under back-pressure, or paused by `aligned`, does not count.
  duration idle_after{};

  /// A record further ahead of the wall clock than this is put aside. No limit by default.
  std::optional<duration> most_ahead{};

  /// Where such records go (counted as `filtered`). Without it, or without a listener, they become
  /// dead letters. Either way the metric `quarantined` counts them.
  std::optional<side_output<T>> future{};

  /// Keeps the stream from running ahead of others.
  std::optional<watermark_alignment> aligned{};

  /// How often generators with `on_periodic` are asked while no records come.
  duration period = std::chrono::milliseconds{200};
};

template <class T>
class event_time_base : public subtask, protected receiver<T> {
 public:
  explicit event_time_base(event_time_options<T> options) : options_(std::move(options)), held_(0) {
    if (options_.aligned) member_.emplace(*options_.aligned);
    out_.count_in(&counters().records_out);
  }

  void open() override {
    last_record_ = env().monotonic();
    if (member_) member_->join(host(), name());
    if (options_.most_ahead) quarantined_ = &metrics().counter("quarantined");
    if (const auto tick = tick_length(); tick > tick.zero()) start_ticking(tick);
    advance_to(restored_.value_or(min_timestamp));
  }

  /// The watermark: what was late before a restart stays late behind it. Of several instances the
  /// least one counts.
  void save(snapshot_writer& to) const override {
    to.number(progress_.watermark().time_since_epoch().count());
  }
  void restore(snapshot_reader& from) override {
    const timestamp saved{duration{from.number<duration::rep>()}};
    restored_ = restored_ ? std::min(*restored_, saved) : saved;
  }

  bool rescalable() const noexcept override { return true; }

  void* input(std::size_t) override { return static_cast<receiver<T>*>(this); }
  bool polled() const noexcept override { return options_.aligned.has_value(); }

  /// Goes on when the group allows it.
  bool poll() override {
    if (!blocked() || !member_->ask()) return false;
    last_record_ = env().monotonic();
    unblock();
    return true;
  }

  void cancel() noexcept override {
    env().cancel_timer(std::exchange(timer_, 0));
    if (member_) member_->leave();
  }

  void explain(stall_cause& cause) const override {
    cause.watermark = progress_.watermark();
    cause.since = progress_.since();
    cause.idle_after = options_.idle_after;
    cause.records = counters().records_in.value();
    cause.makes_watermarks = true;
    if (member_) cause.aligned_with = member_->waits_for();
  }

 protected:
  using nanoseconds = std::chrono::nanoseconds;

  void* main_output() override { return &out_; }

  /// Asked now and then while nothing comes, if `ticks()`. `late`: for how long the worker was too
  /// busy to ask.
  virtual void on_tick(nanoseconds /*late*/) {}
  virtual bool ticks() const noexcept { return false; }
  /// Whether `on_tick` decides about silence by itself.
  virtual bool judges_silence() const noexcept { return false; }

  void read(const batch<T>& records) override {
    if (held_.capacity() < records.size()) held_ = batch<T>(records.capacity());
    copy_batch(records, held_);
    this->take(held_);
    held_.clear();
  }

  void receive(const control& element) override {
    switch (element.kind) {
      case control_kind::watermark:
        // Those from before belong to another notion of time; only the last one counts.
        if (element.time == max_timestamp) advance_to(max_timestamp);
        break;
      case control_kind::idle: go_idle(); break;
      case control_kind::active: break;  // told by the next record
      case control_kind::end:
        cancel();
        send(element);
        mark_finished();
        break;
      case control_kind::barrier: acknowledge_barrier(element.id); [[fallthrough]];
      case control_kind::latency: send(element);
    }
  }

  void count(const batch<T>& records) {
    counters().batches_in.add();
    counters().records_in.add(records.size());
  }

  /// Writes the time column; returns the greatest time, at least `greatest`. Records from the
  /// future are taken out.
  template <class F>
  timestamp time_batch(batch<T>& records, F& time_of, timestamp greatest) {
    const std::size_t n = records.size();
    timestamp* times = records.times();
    timestamp most = greatest;
    for (std::size_t i = 0; i < n; ++i) {
      times[i] = std::chrono::time_point_cast<duration>(
          std::invoke(time_of, std::as_const(records).value(i)));
      most = times[i] > most ? times[i] : most;
    }
    if (MILLRACE_UNLIKELY(options_.most_ahead.has_value())) {
      return quarantine(records, greatest, most);
    }
    return most;
  }

  /// Before the records of a batch are handed on.
  void note_activity() {
    if (MILLRACE_UNLIKELY(idle_)) {
      idle_ = false;
      send(control::active());
    }
  }

  void hand_on(batch<T>& records) {
    note_activity();
    out_.forward(records);
  }

  /// Behind a batch: a stream that gives nothing but records from the future is a silent one.
  void after_batch() {
    if (timer_ != 0) last_record_ = env().monotonic();
    if (member_ && !member_->advance(progress_.watermark())) block();
  }

  void advance_to(timestamp next) {
    if (next <= progress_.watermark()) return;
    progress_.moved(next, env().monotonic());
    counters().watermark.set(next.time_since_epoch().count());
    send(control::watermark(next));
  }

  void go_idle() {
    if (idle_) return;
    idle_ = true;
    send(control::idle());
  }

  template <class F>
  void guarded(F&& work) {
    try {
      work();
    } catch (...) {
      rethrow_named();
    }
  }

  void send(const control& element) {
    out_.send(element);
    send_to_sides(element);
  }

  bool idle() const noexcept { return idle_; }
  timestamp watermark() const noexcept { return progress_.watermark(); }
  nanoseconds last_record() const noexcept { return last_record_; }
  output<T>& out() noexcept { return out_; }
  const event_time_options<T>& options() const noexcept { return options_; }

 private:
  timestamp quarantine(batch<T>& records, timestamp greatest, timestamp most) {
    const timestamp limit = saturating_add(env().now(), *options_.most_ahead);
    if (most <= limit) return most;
    auto* side =
        options_.future ? this->template side_output_of<T>(options_.future->identity()) : nullptr;
    batch<T> kept(records.capacity());
    for (std::size_t i = 0; i < records.size(); ++i) {
      const timestamp time = records.time(i);
      if (time <= limit) {
        greatest = time > greatest ? time : greatest;
        kept.push(std::move(records.value(i)), time, records.slot(i));
        continue;
      }
      quarantined_->add();
      if (side != nullptr) {
        counters().filtered.add();
        side->emit(std::move(records.value(i)), time);
      } else {
        emit_dead_letter(
            {{}, "event time is ahead of the clock by more than the limit", {}, {}, time});
      }
    }
    records.swap(kept);
    if (side != nullptr) side->flush();
    return greatest;
  }

  nanoseconds tick_length() const {
    nanoseconds tick{0};
    const auto shorten = [&](nanoseconds t) { tick = tick == tick.zero() ? t : std::min(tick, t); };
    if (ticks()) shorten(options_.period);
    if (options_.idle_after > duration::zero()) shorten(nanoseconds{options_.idle_after} / 4);
    if (options_.aligned) shorten(options_.aligned->idle_after() / 4);
    return tick == tick.zero() ? tick : std::max(tick, nanoseconds{1'000});
  }

  void start_ticking(nanoseconds tick) {
    timer_ = env().call_after(tick, [this, tick, due = env().monotonic() + tick] {
      guarded([&] {
        const auto late = env().monotonic() - due;
        if (ticks()) on_tick(late);
        watch_silence(late);
        out_.flush();
      });
      start_ticking(tick);
    });
  }

  void watch_silence(nanoseconds late) {
    const auto now = env().monotonic();
    last_record_ = downstream_blocked() || blocked() ? now : std::min(last_record_ + late, now);
    const auto silence = now - last_record_;
    if (member_ && silence >= options_.aligned->idle_after()) member_->leave();
    if (judges_silence()) return;
    if (options_.idle_after > duration::zero() && silence >= options_.idle_after) go_idle();
  }

  event_time_options<T> options_;
  output<T> out_;
  batch<T> held_;
  watermark_progress progress_;
  std::optional<watermark_alignment::member> member_;
  counter* quarantined_ = nullptr;
  nanoseconds last_record_{};
  timer_id timer_ = 0;
  std::optional<timestamp> restored_;
  bool idle_ = false;
};

}  // namespace millrace
