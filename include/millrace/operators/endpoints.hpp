// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs sources and sinks: the subtasks around a reader and a writer. Not thread safe but for
/// `wake`.
#pragma once

#include <millrace/operators/port.hpp>
#include <millrace/operators/sink.hpp>
#include <millrace/operators/source.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/record/watermark.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace millrace {

/// Polls a reader and hands its batches on.
template <class S>
class source_subtask final : public subtask, private source_context {
 public:
  using value_type = typename S::value_type;
  using reader_type = decltype(std::declval<const S&>().open(std::declval<source_context&>()));

  explicit source_subtask(S description) : description_(std::move(description)) {
    out_.count_in(&counters().records_out);
  }

  void open() override {
    guarded(
        [&] { reader_ = std::unique_ptr<reader_type>(new reader_type(description_.open(*this))); });
  }

  void cancel() noexcept override { reader_.reset(); }

  void* input(std::size_t) override { return nullptr; }
  bool polled() const noexcept override { return true; }

  bool poll() override {
    if (finished() || !awake_.exchange(false, std::memory_order_acquire)) return false;
    auto status = poll_status::wait;
    if (!reader_ || (stopping_ && !can_stop)) {
      status = poll_status::end;
    } else {
      guarded([&] {
        source_output<value_type> out(records_);
        status = reader_->poll(out);
      });
      if (!records_.empty()) {
        if constexpr (metrics_enabled) mark_latency();
        out_.forward(records_);
        records_.clear();
      }
    }
    if (status == poll_status::end) {
      finish();
    } else if (status == poll_status::more) {
      awake_.store(true, std::memory_order_relaxed);
    }
    return status == poll_status::more || awake_.load(std::memory_order_relaxed);
  }

  void stop() override {
    stopping_ = true;
    if constexpr (can_stop) {
      if (reader_) guarded([&] { reader_->stop(); });
    }
    wake();
  }

  void save(snapshot_writer& to) const override {
    if constexpr (requires { reader_->save(to); }) reader_->save(to);
  }
  void restore(snapshot_reader& from) override {
    if constexpr (requires { reader_->restore(from); }) reader_->restore(from);
  }

 private:
  static constexpr bool can_stop = requires(reader_type& reader) { reader.stop(); };

  void* main_output() override { return &out_; }

  const std::string& name() const override { return subtask::name(); }
  const std::string& pipeline_name() const override {
    return const_cast<source_subtask*>(this)->host().pipeline_name();
  }
  environment& env() override { return subtask::env(); }
  metric_group& metrics() override { return subtask::metrics(); }

  void wake() override {
    if (!awake_.exchange(true, std::memory_order_acq_rel)) host().wake();
  }

  void fail(error reason) override {
    host().fail(std::make_exception_ptr(pipeline_error(subtask::name(), reason.to_string())));
  }

  void dead_letter(std::string_view reason, std::string_view topic,
                   std::string_view payload) override {
    emit_dead_letter(
        {{}, std::string(reason), std::string(topic), std::string(payload), env().now()});
  }

  // Ahead of the next records, but not more often than it is of use to anybody.
  void mark_latency() {
    constexpr auto interval = std::chrono::milliseconds{100};
    const auto now = env().monotonic();
    if (now < next_marker_) return;
    next_marker_ = now + interval;
    out_.send(control::latency(static_cast<std::uint64_t>(now.count())));
  }

  void finish() {
    out_.send(control::watermark(max_timestamp));
    out_.send(control::end());
    mark_finished();
    reader_.reset();
  }

  template <class F>
  void guarded(F&& work) {
    try {
      work();
    } catch (...) {
      rethrow_named();
    }
  }

  S description_;
  output<value_type> out_;
  batch<value_type> records_;
  std::unique_ptr<reader_type> reader_;
  std::atomic<bool> awake_{true};
  bool stopping_ = false;
  std::chrono::nanoseconds next_marker_ = std::chrono::nanoseconds::min();
};

/// Feeds a writer.
template <class S, class T>
class sink_subtask final : public subtask, private receiver<T>, private sink_context {
 public:
  using writer_type = decltype(std::declval<const S&>().open(std::declval<sink_context&>()));

  explicit sink_subtask(S description) : description_(std::move(description)) {}

  void open() override {
    guarded(
        [&] { writer_ = std::unique_ptr<writer_type>(new writer_type(description_.open(*this))); });
  }

  void cancel() noexcept override { writer_.reset(); }

  void* input(std::size_t) override { return static_cast<receiver<T>*>(this); }

  void save(snapshot_writer& to) const override {
    if constexpr (requires { writer_->save(to); }) writer_->save(to);
  }
  void restore(snapshot_reader& from) override {
    if constexpr (requires { writer_->restore(from); }) writer_->restore(from);
  }

 private:
  void* main_output() override { return nullptr; }

  void read(const batch<T>& records) override {
    guarded([&] {
      const std::size_t n = records.size();
      counters().batches_in.add();
      counters().records_in.add(n);
      for (std::size_t i = 0; i < n; ++i) writer_->write(records.value(i), records.time(i));
      if constexpr (requires { writer_->batch_end(); }) writer_->batch_end();
    });
  }
  void take(batch<T>& records) override { read(records); }

  void receive(const control& element) override {
    if (element.kind == control_kind::watermark) {
      counters().watermark.set(element.time.time_since_epoch().count());
    }
    if (element.kind != control_kind::end) return;
    if constexpr (requires { writer_->end(); }) {
      guarded([&] { writer_->end(); });
    } else {
      done();
    }
  }

  const std::string& name() const override { return subtask::name(); }
  const std::string& pipeline_name() const override {
    return const_cast<sink_subtask*>(this)->host().pipeline_name();
  }
  environment& env() override { return subtask::env(); }
  metric_group& metrics() override { return subtask::metrics(); }

  void block() override { subtask::block(); }
  void unblock() override { subtask::unblock(); }

  void done() override {
    mark_finished();
    subtask::unblock();
    host().wake();
  }

  void fail(error reason) override {
    host().fail(std::make_exception_ptr(pipeline_error(subtask::name(), reason.to_string())));
  }

  void dead_letter(std::string_view reason, std::string_view payload, timestamp time) override {
    emit_dead_letter({{}, std::string(reason), {}, std::string(payload), time});
  }

  template <class F>
  void guarded(F&& work) {
    try {
      work();
    } catch (...) {
      rethrow_named();
    }
  }

  S description_;
  std::unique_ptr<writer_type> writer_;
};

}  // namespace millrace
