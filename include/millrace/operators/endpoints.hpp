// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs sources and sinks: the subtasks around a reader and a writer. Not thread safe but for
/// `wake`.
#pragma once

#include <millrace/operators/port.hpp>
#include <millrace/operators/sink.hpp>
#include <millrace/operators/source.hpp>
#include <millrace/operators/source_samples.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/operators/traced_write.hpp>
#include <millrace/record/watermark.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

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
    if (!restored_.empty()) restore_reader();
  }

  void cancel() noexcept override { reader_.reset(); }

  void* input(std::size_t) override { return nullptr; }
  bool polled() const noexcept override { return true; }

  bool poll() override {
    // Without a checkpoint to come back to, what a sink makes visible could come twice.
    begun_ = begun_ || stopping_ || host().may_begin();
    if (MILLRACE_UNLIKELY(!begun_)) return false;
    if (finished() || !awake_.exchange(false, std::memory_order_acquire)) return false;
    auto status = poll_status::wait;
    if (!reader_ || exhausted_ || (stopping_ && !can_stop)) {
      status = poll_status::end;
    } else {
      guarded([&] {
        source_output<value_type> out(records_);
        status = reader_->poll(out);
      });
      if (!records_.empty()) {
        if constexpr (metrics_enabled) mark_latency();
        tracer* const t = activity().tracer();
        if (MILLRACE_LIKELY(t == nullptr)) {
          out_.forward(records_);
        } else {
          samples_.hand_on(records_, out_, *t, name());
        }
        records_.clear();
      }
    }
    if (status == poll_status::end) {
      exhausted_ = exhausted_ || !stopping_;
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

  bool injects_barriers() const noexcept override { return true; }

  void inject_barrier(std::uint64_t id) override {
    if constexpr (requires { reader_->checkpoint(id); }) {
      if (reader_) guarded([&] { reader_->checkpoint(id); });
    }
    acknowledge_barrier(id);
    if (!finished()) out_.send(control::barrier(id));
  }

  void checkpoint_complete(std::uint64_t id) override {
    if constexpr (requires { reader_->checkpoint_complete(id); }) {
      if (reader_) guarded([&] { reader_->checkpoint_complete(id); });
    }
  }

  /// Whether the reader has come to its end by itself, and its position.
  void save(snapshot_writer& to) const override {
    to.number(exhausted_);
    if constexpr (can_save) {
      if (reader_) {
        reader_->save(to);
      } else {
        to.raw(last_position_.data(), last_position_.size());
      }
    }
  }

  /// Before `open`: the reader gets it when there is one.
  void restore(snapshot_reader& from) override {
    exhausted_ = from.number<bool>();
    restored_ = std::string(from.raw(from.remaining()));
  }

 private:
  static constexpr bool can_save =
      requires(const reader_type& reader, snapshot_writer& to) { reader.save(to); };
  static constexpr bool can_stop = requires(reader_type& reader) { reader.stop(); };

  void* main_output() override { return &out_; }

  const std::string& name() const override { return subtask::name(); }
  const std::string& pipeline_name() const override {
    return const_cast<source_subtask*>(this)->host().pipeline_name();
  }
  environment& env() override { return subtask::env(); }
  metric_group& metrics() override { return subtask::metrics(); }

  bool takes_checkpoints() const noexcept override {
    return const_cast<source_subtask*>(this)->host().takes_checkpoints();
  }

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
    if constexpr (can_save) {
      snapshot_writer position;
      if (reader_) reader_->save(position);
      last_position_ = position.take();
    }
    mark_finished();
    reader_.reset();
  }

  void restore_reader() {
    guarded([&] {
      snapshot_reader from(restored_);
      if constexpr (requires { reader_->restore(from); }) reader_->restore(from);
      if (from.failed()) {
        throw std::runtime_error("its state cannot be restored: " + from.status().error().message);
      }
    });
    restored_.clear();
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
  source_samples samples_;
  std::unique_ptr<reader_type> reader_;
  std::atomic<bool> awake_{true};
  std::string restored_;
  std::string last_position_;  // when the reader has gone
  bool stopping_ = false;
  bool exhausted_ = false;
  bool begun_ = false;
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
    if (!restored_.empty()) restore_writer();
  }

  void cancel() noexcept override { writer_.reset(); }

  void* input(std::size_t) override { return static_cast<receiver<T>*>(this); }

  void save(snapshot_writer& to) const override {
    if constexpr (requires { writer_->save(to); }) writer_->save(to);
  }

  /// Before `open`: the writer gets it when there is one. At another parallelism a writer inherits
  /// the whole state of the old ones whose first key group it owns now.
  void restore(snapshot_reader& from) override {
    const auto state = from.raw(from.remaining());
    if (from.scope() == nullptr || from.scope()->heir) restored_.emplace_back(state);
  }
  bool rescalable() const noexcept override { return divides; }

  void checkpoint_complete(std::uint64_t id) override {
    if (!writer_) return;
    if constexpr (requires { writer_->checkpoint_complete(id); }) {
      guarded([&] { writer_->checkpoint_complete(id); });
    }
    if (ending_ && last_ != 0 && id >= last_) {
      ending_ = false;
      finish();
    } else if (ending_ && last_ == 0) {
      host().request_checkpoint();
    }
  }

  bool awaits_last_checkpoint() const noexcept override { return ending_; }
  void inject_barrier(std::uint64_t id) override {
    if (id > checkpoint_) on_barrier(id);
  }

 private:
  static constexpr bool divides = requires { requires writer_type::rescalable; };
  static constexpr bool prepares = requires(writer_type& writer) { writer.checkpoint(1); };

  void* main_output() override { return nullptr; }

  void finish() {
    if constexpr (requires { writer_->end(); }) {
      guarded([&] { writer_->end(); });
    } else {
      done();
    }
  }

  void await_last_checkpoint() {
    ending_ = true;
    const auto begun = host().current_checkpoint();
    if (begun > checkpoint_) {
      on_barrier(begun);  // its barrier is not coming any more
    } else {
      host().request_checkpoint();
    }
  }

  void read(const batch<T>& records) override {
    guarded([&] {
      const std::size_t n = records.size();
      counters().batches_in.add();
      counters().records_in.add(n);
      const traced_write traced(*writer_, activity().tracer());
      for (std::size_t i = 0; i < n; ++i) writer_->write(records.value(i), records.time(i));
      if constexpr (requires { writer_->batch_end(); }) writer_->batch_end();
    });
  }
  void take(batch<T>& records) override { read(records); }

  void receive(const control& element) override {
    if (element.kind == control_kind::watermark) {
      counters().watermark.set(element.time.time_since_epoch().count());
    }
    if (element.kind == control_kind::barrier) return on_barrier(element.id);
    if (element.kind != control_kind::end) return;
    if constexpr (prepares) {
      // What is prepared is committed under a checkpoint, or a restart would write it again.
      if (host().takes_checkpoints()) return await_last_checkpoint();
    }
    finish();
  }

  const std::string& name() const override { return subtask::name(); }
  const std::string& pipeline_name() const override { return shared().pipeline_name(); }
  environment& env() override { return subtask::env(); }
  metric_group& metrics() override { return subtask::metrics(); }

  void block() override { subtask::block(); }
  void unblock() override { subtask::unblock(); }

  void done() override {
    mark_finished();
    subtask::unblock();
    host().wake();
  }

  /// The state is that of the barrier, though records behind it may come before it is reported.
  void on_barrier(std::uint64_t id) {
    if constexpr (requires { writer_->checkpoint(id); }) {
      guarded([&] {
        if (ending_ && last_ == 0) last_ = id;
        checkpoint_ = id;
        delivered_ = false;
        writer_->checkpoint(id);
        snapshot_writer state;
        save(state);
        state_ = state.take();
        saved_ = true;
        if (delivered_) report();
      });
    } else {
      acknowledge_barrier(id);
    }
  }

  bool restoring() const noexcept override { return !restored_.empty(); }
  bool takes_checkpoints() const noexcept override { return shared().takes_checkpoints(); }
  std::uint64_t current_checkpoint() const noexcept override {
    return shared().current_checkpoint();
  }
  void request_checkpoint() override { host().request_checkpoint(); }

  subtask_host& shared() const noexcept { return const_cast<sink_subtask*>(this)->host(); }

  void checkpointed() override {
    delivered_ = true;
    if (saved_) report();
  }

  void report() {
    saved_ = false;
    host().acknowledge(*this, checkpoint_, std::exchange(state_, {}));
  }

  void restore_writer() {
    guarded([&] {
      for (const auto& state : restored_) {
        snapshot_reader from(state);
        if constexpr (requires { writer_->restore(from); }) writer_->restore(from);
        if (!from.failed()) continue;
        throw std::runtime_error("its state cannot be restored: " + from.status().error().message);
      }
    });
    restored_.clear();
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
  std::vector<std::string> restored_;
  std::string state_;  // at the barrier, until everything before it is delivered
  std::uint64_t checkpoint_ = 0;
  std::uint64_t last_ = 0;  // the one that ends it
  bool saved_ = false;
  bool delivered_ = false;
  bool ending_ = false;
};

}  // namespace millrace
