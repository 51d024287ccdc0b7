// SPDX-License-Identifier: Apache-2.0
/// \file
/// How batches travel inside a worker: an `output<T>` calls the `receiver<T>` ports connected to
/// it, one virtual call per batch. Not thread safe; everything here belongs to one worker.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/operators/activity.hpp>
#include <millrace/operators/kept_traces.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/record/watermark.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace millrace {

/// An input port. Every port has exactly one upstream output, so that watermarks can be told apart.
template <class T>
class receiver {
 public:
  virtual ~receiver() = default;

  /// Records to look at only; somebody else will get them, too.
  virtual void read(const batch<T>& records) = 0;

  /// Records to keep: values may be moved from, the slot column may be overwritten. The caller
  /// clears the batch afterwards.
  virtual void take(batch<T>& records) = 0;

  /// A control element, in order with the batches.
  virtual void receive(const control& element) = 0;
};

/// What an operator does with its outputs without knowing their types.
class output_base {
 public:
  output_base() = default;
  output_base(const output_base&) = delete;
  output_base& operator=(const output_base&) = delete;
  virtual ~output_base() = default;

  /// Hands on what has been collected.
  virtual void flush() = 0;

  /// Hands on a control element, behind everything emitted before.
  virtual void send(const control& element) = 0;
};

/// Collects what an operator emits and hands it on in batches.
template <class T>
class output final : public output_base {
 public:
  explicit output(std::size_t batch_capacity = default_batch_capacity) : buffer_(batch_capacity) {}

  /// `who` is charged for the time that the target takes.
  void connect(receiver<T>* target, activity* who = nullptr) { targets_.push_back({target, who}); }
  bool connected() const noexcept { return !targets_.empty(); }

  /// Records are counted here as they leave.
  void count_in(counter* records) noexcept { count_ = records; }

  /// Traces that go on with the first records of their key to leave.
  void go_on_with(kept_traces* kept) noexcept { kept_ = kept; }

  /// Appends; a full batch leaves at once.
  template <class U>
  MILLRACE_ALWAYS_INLINE void emit(U&& value, timestamp time, slot_index slot = no_slot) {
    buffer_.push(std::forward<U>(value), time, slot);
    if (MILLRACE_UNLIKELY(buffer_.full())) flush();
  }

  /// Emits a run of records with the position in a register. While it exists nothing else may use
  /// the output; `close` it before `flush`.
  class burst {
   public:
    explicit burst(output& to) noexcept : output_(&to), to_(to.buffer_) {}

    template <class U>
    MILLRACE_ALWAYS_INLINE void emit(U&& value, timestamp time, slot_index slot) {
      to_.push(std::forward<U>(value), time, slot);
      filled();
    }
    /// A recycled value to be filled in place; then `filled`, or `drop` to take it back.
    MILLRACE_ALWAYS_INLINE T& place(timestamp time, slot_index slot)
      requires std::default_initializable<T>
    {
      return to_.push_recycled(time, slot);
    }
    MILLRACE_ALWAYS_INLINE void filled() {
      if (MILLRACE_UNLIKELY(to_.room() == 0)) to_ = flushed(*output_, to_);
    }
    void drop() noexcept { to_.pop(); }

    void close() noexcept { to_.commit(); }

   private:
    using appender = typename batch<T>::appender;

    // By value, so that the position need not live in memory.
    MILLRACE_NOINLINE static appender flushed(output& out, appender full) {
      full.commit();
      out.flush();
      return appender(out.buffer_);
    }

    output* output_;
    appender to_;
  };

  /// Appends a recycled value for the caller to fill; call `committed` afterwards, or `drop`.
  T& next(timestamp time, slot_index slot = no_slot) { return buffer_.push_recycled(time, slot); }
  void drop_last() noexcept { buffer_.pop(); }
  void committed() {
    if (MILLRACE_UNLIKELY(buffer_.full())) flush();
  }

  void flush() override {
    if (buffer_.empty()) return;
    deliver(buffer_);
    buffer_.clear();
  }

  /// Hands on a whole batch without copying it; the caller clears it.
  void forward(batch<T>& records) {
    flush();
    if (!records.empty()) deliver(records);
  }

  void send(const control& element) override {
    flush();
    for (const auto& target : targets_) {
      const activity_scope scope(target.who);
      if (element.kind == control_kind::latency) note_latency(target.who, element.id);
      target.port->receive(element);
    }
  }

 private:
  void deliver(batch<T>& records) {
    if (count_ != nullptr) count_->add(records.size());
    if (MILLRACE_UNLIKELY(targets_.empty())) return;
    if (MILLRACE_UNLIKELY(kept_ != nullptr && !kept_->empty())) return kept_->split(records, *this);
    hand_on(records);
  }

  friend kept_traces;
  void hand_on(batch<T>& records) {
    const std::size_t last = targets_.size() - 1;
    for (std::size_t i = 0; i < last; ++i) {
      const activity_scope scope(targets_[i].who, records.size());
      targets_[i].port->read(records);
    }
    const activity_scope scope(targets_[last].who, records.size());
    targets_[last].port->take(records);
  }

  struct connection {
    receiver<T>* port;
    activity* who;
  };

  batch<T> buffer_;
  std::vector<connection> targets_;
  counter* count_ = nullptr;
  kept_traces* kept_ = nullptr;
};

/// Copies a batch, for those who may only read it and have to keep it.
template <class T>
void copy_batch(const batch<T>& from, batch<T>& to) {
  to.clear();
  for (std::size_t i = 0; i < from.size(); ++i) to.push(from.value(i), from.time(i), from.slot(i));
}

}  // namespace millrace
