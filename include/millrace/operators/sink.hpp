// SPDX-License-Identifier: Apache-2.0
/// \file
/// The door for sinks. A sink is a copyable description; `open` makes the writer that a worker
/// feeds. Writers run on one worker's thread and never block: one that has enough to do calls
/// `block()`, and nothing more arrives (beyond what is already on its way: at most the output of
/// one batch) until `unblock()`.
///
///     struct my_sink {
///       my_writer open(sink_context& context) const;    // may be immovable
///     };
///     struct my_writer {
///       void write(const reading& value, timestamp time);
///     };
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/guarantee.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/base/time.hpp>
#include <millrace/state/snapshot.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

/// What a writer may use for as long as it lives. On the worker's thread.
class sink_context {
 public:
  virtual ~sink_context() = default;

  /// The sink's name in the pipeline.
  virtual const std::string& name() const = 0;

  /// The pipeline's name.
  virtual const std::string& pipeline_name() const = 0;

  virtual environment& env() = 0;

  /// Counters and gauges that are shown under this part's name.
  virtual metric_group& metrics() = 0;

  /// No more records, please; back-pressure travels to the sources. Idempotent.
  virtual void block() = 0;

  /// Goes on. Idempotent.
  virtual void unblock() = 0;

  /// Everything written is delivered; to be called once after `end()`.
  virtual void done() = 0;

  /// Everything written before the last `checkpoint(id)` is safe: delivered, or in what `save` gave
  /// then. To be called once for each, at once or later.
  virtual void checkpointed() {}

  /// Whether checkpoints are taken; the id of the last one that was begun on this worker, 0 before:
  /// when it is above that of the last `checkpoint(id)`, its barrier is on its way.
  virtual bool takes_checkpoints() const noexcept { return false; }
  virtual std::uint64_t current_checkpoint() const noexcept { return 0; }

  /// A checkpoint is wanted soon, after the one under way if there is one.
  virtual void request_checkpoint() {}

  /// Whether `restore` follows `open`: nothing may be thrown away before.
  virtual bool restoring() const noexcept { return false; }

  /// The pipeline fails with this error, under the sink's name.
  virtual void fail(error reason) = 0;

  /// Gives up on a record, for the reason given. Counted, and kept if the application asked.
  virtual void dead_letter(std::string_view reason, std::string_view payload, timestamp time) = 0;
};

/// A description of a sink for values of type T. Optional members of the writer:
/// - `void batch_end()`: a batch is over; a good moment to hand a full buffer to I/O.
/// - `void trace(const trace_context*)`: what is written from now on belongs to that trace, to be
///   told to whom it is sent; null: no longer. Called only where contexts are handed on.
/// - `void end()`: no more records follow; deliver everything, then call `context.done()`. Without
///   this member the sink is done when the last `write` returns.
/// - `void checkpoint(std::uint64_t id)`: bring what was written so far into safety and call
///   `context.checkpointed()`; records may go on coming meanwhile. Without it a sink is taken to
///   have delivered what it was given. A transactional sink prepares its transaction here.
/// - `save(snapshot_writer&)`, `restore(snapshot_reader&)`: what is not delivered yet; asked right
///   after `checkpoint`.
/// - `void checkpoint_complete(std::uint64_t id)`: the checkpoint is durable; a transactional sink
///   commits. May come twice, or never when the pipeline dies: `restore` must commit, too.
/// - `static constexpr bool rescalable = true`: of parallel writers; at another parallelism
/// `restore`
///   is called once for each old writer that this one takes the place of, which may be none.
/// A description may say `static constexpr bool parallel = true`: one writer per worker; otherwise
/// all records meet in one writer.
template <class S, class T>
concept sink_for =
    std::copy_constructible<S> && requires(const S& s, sink_context& context, const T& value,
                                           timestamp time) { s.open(context).write(value, time); };

/// What a sink keeps: what it says of itself (`delivery delivered() const`); otherwise exactly once
/// if its writer commits (`checkpoint_complete`), and at least once if it does not.
template <class S>
delivery delivery_of_sink(const S& sink) {
  using writer = decltype(sink.open(std::declval<sink_context&>()));
  if constexpr (requires { sink.delivered(); }) {
    return sink.delivered();
  } else if constexpr (requires(writer& w) { w.checkpoint_complete(std::uint64_t{}); }) {
    return {guarantee::exactly_once, "commits what a checkpoint holds", {}};
  } else {
    return {guarantee::at_least_once, "gets records again after a crash", {}};
  }
}

}  // namespace millrace
