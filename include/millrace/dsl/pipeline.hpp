// SPDX-License-Identifier: Apache-2.0
/// \file
/// `pipeline`: assembles sources, operators and sinks, and runs them. Assembly belongs to one
/// thread; `stop`, `cancel`, `wait`, `status` and `plan` may be called from any.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/dsl/keyed_stream.hpp>
#include <millrace/dsl/stream.hpp>
#include <millrace/runtime/dead_letters.hpp>
#include <millrace/runtime/drivers.hpp>
#include <millrace/runtime/execution.hpp>
#include <millrace/runtime/plan.hpp>
#include <millrace/runtime/restart.hpp>
#include <millrace/runtime/stalls.hpp>
#include <millrace/runtime/status.hpp>
#include <millrace/runtime/tracing.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

class pipeline {
 public:
  /// The name goes into client ids, metrics and messages.
  explicit pipeline(std::string name);
  pipeline(const pipeline&) = delete;
  pipeline& operator=(const pipeline&) = delete;

  /// Cancels and waits, if it runs.
  ~pipeline();

  /// Adds a source. The name identifies its state, metrics and connection.
  template <class S>
  auto source(std::string name, S description) {
    if constexpr (source_description<S>) {
      using T = typename S::value_type;
      auto keeps = delivery_of_source(description);
      const node_id id = core_.add(
          "source", std::move(name), false,
          from_prototype(std::move(description), [](S s, build_context&) {
            return std::unique_ptr<subtask>(std::make_unique<source_subtask<S>>(std::move(s)));
          }));
      core_.set_delivery(id, std::move(keeps));
      return stream<T>(core_, {id, 0});
    } else {
      static_assert(wrong<S>,
                    "source(name, s): s needs value_type and open(source_context&) returning a "
                    "reader with poll(source_output<value_type>&)");
      return *this;
    }
  }

  /// What any part has given up on. Without a use of it dead letters are counted and logged.
  stream<dead_letter> dead_letters();

  /// Workers, each a thread; keyed parts run on all of them. Default 1: one thread, no queues.
  /// \throws topology_error unless 1 <= workers <= 128
  pipeline& parallelism(std::size_t workers);

  /// Batches of up to 512 records that may lie between two workers, per connection. Default 16.
  pipeline& ring_batches(std::size_t batches);

  /// Where log lines go; by default nowhere.
  pipeline& log_to(logger::function sink, log_level least = log_level::info);

  /// Takes checkpoints there while it runs, and begins where the newest one stands.
  pipeline& checkpoint_to(std::shared_ptr<checkpoint_storage> storage,
                          checkpoint_options options = {});

  /// Follows sampled records from source to sink while it runs, and writes a file for
  /// ui.perfetto.dev or chrome://tracing. \throws topology_error for options that cannot work
  pipeline& trace_to(trace_options options);

  /// What `run`, or `wait`, does when the pipeline has failed: it tears everything down, waits as
  /// the policy says, and starts again from the newest checkpoint (without checkpoints from
  /// nothing), until the policy gives up; then it throws the last error. Not after `stop` or
  /// `cancel`. On an executor or on threads of its own, and in simulations.
  /// \throws topology_error for options that make no sense
  pipeline& restart(restart_policy policy);

  /// What a crash may do to records at most; checked at the start, for every path from a source to
  /// a sink. Sources of broadcast streams and the stream of dead letters are left out. A failed
  /// `start` names the part that cannot keep it, and what to set. docs/concepts/guarantees.md.
  pipeline& require(guarantee wanted);

  /// Begins a checkpoint now; false when one is under way, nothing runs, or none are taken.
  bool checkpoint_now();

  /// A savepoint: the next checkpoint, which begins now unless one is under way, is copied to
  /// `directory`, where it stays and from where a pipeline can begin. Returns at once; `status`
  /// tells when it is there. False when none was begun: a savepoint is under way, nothing runs, or
  /// no checkpoints are taken.
  bool save_to(std::string directory);

  /// Runs on threads of its own until all sources have ended or `stop` is called.
  /// \throws topology_error before any record flows, pipeline_error when it fails
  void run();

  /// The same without waiting. \throws topology_error
  void start();

  /// Runs on the application's executor (see base/asio.hpp); nothing blocks there.
  void start(io_executor& executor);

  /// Runs on a driver of the caller's, which must outlive the pipeline. For simulations.
  void start(driver& on);

  /// Sources end, everything on its way is delivered, then the pipeline ends. Returns at once.
  void stop();

  /// Ends without delivering what is on its way. Returns at once.
  void cancel();

  /// Waits for the end. \throws pipeline_error when the pipeline has failed
  void wait();

  /// Whether the end has come; `wait` would return at once.
  bool ended() const;

  /// How it stands: all operator instances with their counts, times and latencies. Without
  /// operators before the start. O(operators); costs the workers nothing.
  pipeline_status status() const;

  /// Why nothing comes out: for every operator that holds data back, and has done so for at least
  /// that long, what holds its watermark, since when, and what would release it. Costs the workers
  /// nothing; empty before the start.
  std::vector<stall> explain_stall(std::chrono::nanoseconds at_least = std::chrono::seconds{
                                       1}) const;

  /// The graph: what is fused, where batches change threads. `to_text(p.plan())` prints it.
  pipeline_plan plan() const;

  /// The plan as text.
  std::string explain() const { return to_text(plan()); }

  const std::string& name() const noexcept { return name_; }

 private:
  void refuse_second_start() const;
  void launch(driver& on);
  void on_end();
  std::optional<std::chrono::nanoseconds> delay_of_restart(const std::exception_ptr& failure);
  bool pause(std::chrono::nanoseconds delay);
  bool start_again(std::chrono::nanoseconds delay);
  void check_restartable() const;

  /// Calls `f(execution&)` if there is one; nothing takes it away meanwhile.
  template <class F>
  void with_running(F&& f) const {
    const std::lock_guard lock(mutex_);
    if (execution_) f(*execution_);
  }
  void check_guarantee() const;

  std::string name_;
  pipeline_core core_;
  std::size_t workers_ = 1;
  std::size_t ring_batches_ = default_ring_batches;
  logger log_;
  std::shared_ptr<dead_letter_queue> dead_letters_;
  std::optional<stream_origin> dead_letter_origin_;
  std::shared_ptr<checkpoint_storage> storage_;
  checkpoint_options checkpoint_options_;
  guarantee required_ = guarantee::at_most_once;
  std::optional<trace_options> trace_;
  restart_decision restart_;
  std::uint64_t restarts_ = 0;
  std::string last_restart_;
  std::function<std::unique_ptr<driver>()> make_driver_;
  std::unique_ptr<driver> driver_;
  driver* running_on_ = nullptr;
  std::unique_ptr<execution> execution_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;
  bool asked_to_end_ = false;  // by stop or cancel
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/dsl/impl/pipeline.ipp>
#include <millrace/dsl/impl/pipeline_restart.ipp>
#endif
