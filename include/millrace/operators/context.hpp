// SPDX-License-Identifier: Apache-2.0
/// \file
/// What an operator sees while it works on a record, a watermark or a timer. Belongs to one
/// subtask; not thread safe.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/operators/port.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/record/watermark.hpp>

#include <memory>
#include <string>
#include <utility>

namespace millrace {

/// Names a side output: made once, used in `ctx.emit_to(tag, value)` and in `stream.side(tag)`.
/// Copies are the same tag.
template <class T>
class side_output {
 public:
  using value_type = T;

  explicit side_output(std::string name)
      : name_(std::make_shared<const std::string>(std::move(name))) {}
  const std::string& name() const noexcept { return *name_; }
  const void* identity() const noexcept { return name_.get(); }

 private:
  std::shared_ptr<const std::string> name_;
};

/// Whether a hook has finished, or stopped in the middle because downstream cannot take more. A
/// suspended hook is called again with the same arguments when it can.
enum class progress : std::uint8_t { done, suspended };

/// The operator's view of its surroundings. `Out` is what it emits.
template <class Out>
class operator_context {
 public:
  using output_type = Out;

  operator_context(subtask& owner, output<Out>& out) : owner_(&owner), out_(&out) {}

  /// Emits under the current record's (timer's, window's) time and key.
  template <class U>
  void emit(U&& value) {
    out_->emit(std::forward<U>(value), time_, slot_);
  }

  /// Emits under another time. An event time that the watermark has passed makes a late record.
  template <class U>
  void emit(U&& value, timestamp time) {
    out_->emit(std::forward<U>(value), time, slot_);
  }

  template <class U>
  void emit(U&& value, timestamp time, slot_index slot) {
    out_->emit(std::forward<U>(value), time, slot);
  }

  /// Emits to a side output; without a listener the value is dropped. Returns whether there is one.
  template <class T, class U>
  bool emit_to(const side_output<T>& tag, U&& value) {
    auto* side = owner_->template side_output_of<T>(tag.identity());
    if (side == nullptr) return false;
    side->emit(std::forward<U>(value), time_, slot_);
    return true;
  }

  /// Event time of what is being worked on.
  timestamp time() const noexcept { return time_; }

  /// Slot of the current key, `no_slot` outside of keyed streams.
  slot_index slot() const noexcept { return slot_; }

  /// The operator's current watermark.
  timestamp watermark() const noexcept { return watermark_; }

  /// Whether downstream has asked for a pause: a hook that can, suspends.
  bool downstream_blocked() const noexcept { return owner_->downstream_blocked(); }

  environment& env() noexcept { return owner_->env(); }
  const std::string& name() const noexcept { return owner_->name(); }
  metric_group& metrics() noexcept { return owner_->metrics(); }
  subtask_counters& counters() noexcept { return owner_->counters(); }

  /// Gives up on the current record.
  void dead_letter(std::string reason, std::string payload = {}) {
    owner_->emit_dead_letter({{}, std::move(reason), {}, std::move(payload), time_});
  }

  /// Asks for `on_resume` (and for the rest of a suspended hook) soon.
  void request_resume() { owner_->host().schedule_resume(*owner_); }

  /// For operators with `queue_watermark`: hands a watermark on, behind what has been emitted.
  void forward_watermark(timestamp time) { owner_->send_downstream(control::watermark(time)); }

  /// For operators with two inputs: what feeds one of them is to pause, and to go on.
  void block_input(std::size_t i) { owner_->block_input(i); }
  void unblock_input(std::size_t i) { owner_->unblock_input(i); }

  /// Ends the pipeline with this error.
  void fail(error reason) {
    owner_->host().fail(std::make_exception_ptr(pipeline_error(name(), reason.to_string())));
  }

  /// For wrappers: what is being worked on now.
  void set_current(timestamp time, slot_index slot) noexcept {
    time_ = time;
    slot_ = slot;
  }
  void set_watermark(timestamp watermark) noexcept { watermark_ = watermark; }
  subtask& owner() noexcept { return *owner_; }
  output<Out>& out() noexcept { return *out_; }

 private:
  subtask* owner_;
  output<Out>* out_;
  timestamp time_ = min_timestamp;
  timestamp watermark_ = min_timestamp;
  slot_index slot_ = no_slot;
};

}  // namespace millrace
