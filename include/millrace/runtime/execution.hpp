// SPDX-License-Identifier: Apache-2.0
/// \file
/// A graph turned into workers with wired subtasks, and the state they share: the first error, stop
/// and end. Made before any record flows; `stop`, `fail` and the queries are thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/runtime/checkpoint.hpp>
#include <millrace/runtime/graph.hpp>
#include <millrace/runtime/status.hpp>
#include <millrace/runtime/tracing.hpp>
#include <millrace/runtime/worker.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace millrace {

/// What a driver provides for one worker.
struct worker_seat {
  environment* env;
  std::function<void()> wake;  ///< ends the worker's sleep; thread safe, cheap when it is awake
};

class execution {
 public:
  /// Instantiates and wires all nodes over `seats.size()` workers. \throws topology_error
  execution(graph& nodes, std::string pipeline_name, std::vector<worker_seat> seats,
            std::size_t ring_batches, std::shared_ptr<dead_letter_queue> dead_letters);
  ~execution();

  std::size_t workers() const noexcept { return workers_.size(); }
  millrace::worker& at(std::size_t i) noexcept { return *workers_[i]; }
  const millrace::worker& at(std::size_t i) const noexcept { return *workers_[i]; }

  /// For its clocks, which any thread may read.
  const environment& environment_of(std::size_t i) const noexcept { return *seats_[i].env; }

  /// To be called by each driver between steps: notices the end. True when this worker is done.
  bool settled(std::size_t worker);

  /// Sources are to end; each worker sees it between steps.
  void stop();
  bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

  /// Workers leave their loops at once.
  void cancel();
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }

  /// Keeps the first error and cancels.
  void fail(std::exception_ptr reason);
  std::exception_ptr failure() const;

  /// Puts back what a checkpoint holds, taken at any parallelism. Before the start. \throws
  /// topology_error when it does not fit this pipeline, pipeline_error when a state cannot be read
  void restore(const checkpoint& from);

  /// Takes checkpoints from now on. Before the start.
  void use(std::unique_ptr<checkpoint_coordinator> coordinator);
  checkpoint_coordinator* checkpoints() noexcept { return checkpoints_.get(); }
  const checkpoint_coordinator* checkpoints() const noexcept { return checkpoints_.get(); }

  /// Follows sampled records from now on. Before the start.
  void use(std::unique_ptr<trace_recorder> recorder);
  trace_recorder* recorder() noexcept { return recorder_.get(); }

  /// Everything but name, `stopping` and `ended` of a status. Thread safe.
  pipeline_status status() const;

 private:
  struct wiring;

  void check_names(const graph& nodes) const;
  void arm_checkpoints();
  bool all_reached(int stage) const noexcept;

  std::vector<worker_seat> seats_;
  std::unique_ptr<trace_recorder> recorder_;  // it outlives the workers
  std::vector<std::unique_ptr<millrace::worker>> workers_;
  std::unique_ptr<checkpoint_coordinator> checkpoints_;  // before them it goes
  std::shared_ptr<dead_letter_queue> dead_letters_;
  recent_dead_letters recent_;
  std::uint64_t started_ticks_ = cycle_ticks();
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  /// Per worker: 0 running, 1 main parts done, 2 auxiliary ones, too.
  std::unique_ptr<std::atomic<int>[]> stage_;
  std::vector<char> auxiliary_stopped_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> cancelled_{false};
  mutable std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/execution.ipp>
#include <millrace/runtime/impl/execution_restore.ipp>
#endif
