// SPDX-License-Identifier: Apache-2.0
/// \file
/// The door for sources. A source is a copyable description; `open` makes the reader that a worker
/// polls. Readers run on one worker's thread and never block.
///
///     struct my_source {
///       using value_type = reading;
///       my_reader open(source_context& context) const;   // may be immovable
///     };
///     struct my_reader {
///       poll_status poll(source_output<reading>& out);   // emit up to out.room() records
///     };
///
/// Back-pressure: while the pipeline cannot take more, `poll` is not called. A reader that buffers
/// (a socket) must bound its buffer and stop reading when it is full.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/guarantee.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/state/snapshot.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

enum class poll_status : std::uint8_t {
  more,  ///< call again: there is, or may be, more at once
  wait,  ///< nothing now; the reader calls `source_context::wake()` when there is
  end,   ///< finished: the pipeline drains. Not called again.
};

/// What a reader may use for as long as it lives. On the worker's thread, except `wake`.
class source_context {
 public:
  virtual ~source_context() = default;

  /// The source's name in the pipeline.
  virtual const std::string& name() const = 0;

  /// The pipeline's name.
  virtual const std::string& pipeline_name() const = 0;

  virtual environment& env() = 0;

  /// Counters and gauges that are shown under this part's name.
  virtual metric_group& metrics() = 0;

  /// Asks for a `poll`. Thread safe, cheap when one is already pending.
  virtual void wake() = 0;

  /// Whether the pipeline takes checkpoints: then a restart asks for positions of the past.
  virtual bool takes_checkpoints() const noexcept { return false; }

  /// The pipeline fails with this error, under the source's name.
  virtual void fail(error reason) = 0;

  /// Hands over something received that is no record. Counted, and kept if the application asked.
  virtual void dead_letter(std::string_view reason, std::string_view topic,
                           std::string_view payload) = 0;
};

/// Where a reader puts its records during `poll`.
template <class T>
class source_output {
 public:
  explicit source_output(batch<T>& target) : target_(&target) {}

  /// Records that may still be emitted in this poll.
  std::size_t room() const noexcept { return target_->capacity() - target_->size(); }

  /// Emits a value; without an `event_time` step, `time` is its event time. \pre `room() > 0`
  template <class U>
  void emit(U&& value, timestamp time) {
    target_->push(std::forward<U>(value), time);
  }

  /// Emits a recycled value to be filled in place. \pre `room() > 0`
  T& emit_recycled(timestamp time)
    requires std::default_initializable<T>
  {
    return target_->push_recycled(time);
  }

 private:
  batch<T>* target_;
};

/// A description of a source. Optional members of the reader:
/// - `void stop()`: no more records are wanted (drain); finish soon with `poll_status::end`.
/// - `save(snapshot_writer&)`, `restore(snapshot_reader&)`: its position.
/// - `void checkpoint(std::uint64_t id)`: `save` for that checkpoint follows.
/// - `void checkpoint_complete(std::uint64_t id)`: what was emitted before that checkpoint's `save`
///   need not be given again.
/// Records that come from other programs may bring a trace context along: a function
/// `incoming_trace incoming_trace_of(const T&)` in the namespace of T says so
/// (base/trace_context.hpp).
/// The description may say what it keeps, `delivery delivered() const`; see `delivery_of_source`.
template <class S>
concept source_description = std::copy_constructible<S> && requires {
  typename S::value_type;
} && requires(const S& s, source_context& context, source_output<typename S::value_type>& out) {
  { s.open(context).poll(out) } -> std::same_as<poll_status>;
};

/// What a source keeps: what it says of itself; otherwise exactly once if its reader has a position
/// (`save`), and at most once if it has none.
template <class S>
delivery delivery_of_source(const S& source) {
  using reader = decltype(source.open(std::declval<source_context&>()));
  if constexpr (requires { source.delivered(); }) {
    return source.delivered();
  } else if constexpr (requires(const reader& r, snapshot_writer& to) { r.save(to); }) {
    return {guarantee::exactly_once, "goes on from its position", {}};
  } else {
    return {guarantee::at_most_once, "has no position to go on from",
            "a reader with save and restore, or journaled(source, {.directory = ...})"};
  }
}

}  // namespace millrace
