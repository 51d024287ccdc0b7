// SPDX-License-Identifier: Apache-2.0
/// \file
/// Watermarks made by the application: from marks in the records, or by an object that sees every
/// record and the clock. Not thread safe.
#pragma once

#include <millrace/operators/event_time_base.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace millrace {

/// Where a generator puts its watermarks.
class watermark_output {
 public:
  /// No record with a time <= `t` is to be expected any more. One that does not rise is ignored.
  /// From `on_record`: it takes its place directly behind that record.
  void emit(timestamp t) {
    idle_ = false;
    if (t <= last_) return;
    last_ = t;
    if (!marks_.empty() && marks_.back().behind == position_) {
      marks_.back().time = t;
    } else {
      marks_.push_back({position_, t});
    }
  }

  /// The stream is silent and holds nobody back until the next record or watermark.
  void mark_idle() noexcept { idle_ = true; }

  /// Time since an arbitrary origin, taken at the end of the last batch or now, in `on_periodic`.
  std::chrono::nanoseconds monotonic() const noexcept { return now_; }

  /// For how long of that the stream was held up by what is behind it, or the worker was too busy
  /// to look, since the start: silence that is not the source's.
  std::chrono::nanoseconds held_up() const noexcept { return held_up_; }

  /// The last watermark emitted.
  timestamp last() const noexcept { return last_; }

 private:
  template <class T, class F, class G>
  friend class generated_time_subtask;

  struct mark {
    std::size_t behind;  // records of the batch that come first
    timestamp time;
  };
  std::vector<mark> marks_;
  std::size_t position_ = 0;
  timestamp last_ = min_timestamp;
  std::chrono::nanoseconds now_{};
  std::chrono::nanoseconds held_up_{};
  bool idle_ = false;
};

/// An object that makes watermarks (Flink: WatermarkGenerator): `on_record(const T&, timestamp,
/// watermark_output&)` for each record. Optional: `on_periodic(watermark_output&)`, at the end of
/// every batch and every `event_time_options::period` (200 ms) while none comes;
/// `open(std::chrono::nanoseconds monotonic, metric_group&)`; `explain(stall_cause&) const`, from
/// any thread. One copy per worker; nothing of it is saved.
template <class G, class T>
concept watermark_generator_for =
    std::copy_constructible<G> &&
    requires(G& g, const T& value, timestamp t, watermark_output& o) { g.on_record(value, t, o); };

/// A description that makes a generator for records of type T.
template <class S, class T>
concept watermark_strategy_for = requires(const S& s) {
  { s.template generator<T>() } -> watermark_generator_for<T>;
};

/// Watermarks from marks in the stream: `mark(const T&, timestamp)` returns
/// `std::optional<timestamp>`; what it returns is handed on directly behind that record.
template <class F>
class punctuated {
 public:
  explicit punctuated(F mark) : mark_(std::move(mark)) {}

  template <class T>
  void on_record(const T& value, timestamp time, watermark_output& out) {
    const std::optional<timestamp> mark = std::invoke(mark_, value, time);
    if (mark) out.emit(*mark);
  }

 private:
  F mark_;
};

/// The generator of a strategy: itself, or what it makes.
template <class T, class S>
auto watermark_generator_of(const S& strategy) {
  if constexpr (watermark_strategy_for<S, T>) {
    return strategy.template generator<T>();
  } else {
    return strategy;
  }
}

/// Assigns `time_of(value)` to every record and asks a generator for watermarks. Batches are split
/// where a watermark falls between two records.
template <class T, class F, class G>
class generated_time_subtask final : public event_time_base<T> {
  using base = event_time_base<T>;

 public:
  generated_time_subtask(F time_of, G generator, event_time_options<T> options)
      : base(std::move(options)), time_of_(std::move(time_of)), generator_(std::move(generator)) {}

  void open() override {
    base::open();
    marks_.now_ = last_asked_ = this->env().monotonic();
    if constexpr (requires { generator_.open(marks_.now_, this->metrics()); }) {
      generator_.open(marks_.now_, this->metrics());
    }
  }

  void explain(stall_cause& cause) const override {
    base::explain(cause);
    if constexpr (requires { generator_.explain(cause); }) generator_.explain(cause);
  }

 private:
  static constexpr bool periodic = requires(G& g, watermark_output& o) { g.on_periodic(o); };

  bool ticks() const noexcept override { return periodic; }
  bool judges_silence() const noexcept override {
    return requires { requires G::judges_silence; };
  }

  void take(batch<T>& records) override {
    this->guarded([&] {
      this->count(records);
      this->time_batch(records, time_of_, min_timestamp);
      if (records.empty()) return;
      look_at_clock();
      marks_.idle_ = false;
      for (std::size_t i = 0; i < records.size(); ++i) {
        marks_.position_ = i + 1;
        generator_.on_record(std::as_const(records).value(i), records.time(i), marks_);
      }
      ask();
      hand_on(records);
      this->after_batch();
    });
  }

  void on_tick(std::chrono::nanoseconds late) override {
    look_at_clock(late);
    if (marks_.now_ - last_asked_ < this->options().period) return;
    ask();
    for (const auto& mark : marks_.marks_) pass(mark.time);
    finish_marks();
  }

  void ask() {
    if constexpr (periodic) generator_.on_periodic(marks_);
    last_asked_ = marks_.now_;
  }

  void look_at_clock(std::chrono::nanoseconds late = {}) {
    const auto now = this->env().monotonic();
    const auto passed = now - marks_.now_;
    const bool held_up = this->downstream_blocked() || this->blocked();
    marks_.held_up_ += held_up ? passed : std::min(late, passed);
    marks_.now_ = now;
  }

  void hand_on(batch<T>& records) {
    this->note_activity();
    std::size_t next = 0;
    for (const auto& mark : marks_.marks_) {
      if (next == 0 && mark.behind == records.size()) break;
      for (; next < mark.behind; ++next) {
        this->out().emit(std::move(records.value(next)), records.time(next), records.slot(next));
      }
      pass(mark.time);
    }
    if (next == 0) {
      this->out().forward(records);
      if (!marks_.marks_.empty()) pass(marks_.marks_.back().time);
    } else {
      for (; next < records.size(); ++next) {
        this->out().emit(std::move(records.value(next)), records.time(next), records.slot(next));
      }
      this->out().flush();
    }
    finish_marks();
  }

  void pass(timestamp watermark) {
    this->note_activity();
    this->advance_to(watermark);
  }

  void finish_marks() {
    marks_.marks_.clear();
    marks_.position_ = 0;
    if (marks_.idle_) this->go_idle();
  }

  F time_of_;
  G generator_;
  watermark_output marks_;
  std::chrono::nanoseconds last_asked_{};
};

}  // namespace millrace
