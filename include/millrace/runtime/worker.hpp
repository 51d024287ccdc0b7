// SPDX-License-Identifier: Apache-2.0
/// \file
/// A worker: the subtasks of one thread, and the order in which they get to work. It has no thread
/// of its own; a driver (runtime/drivers.hpp, testing/simulation.hpp) calls `step`. Single-threaded
/// except where said.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/runtime/checkpoint.hpp>
#include <millrace/runtime/dead_letters.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

/// What a subtask means for the end of the pipeline.
enum class task_role : std::uint8_t {
  main,       ///< the pipeline lasts as long as these
  auxiliary,  ///< only feeds broadcast inputs: ends when the main ones have
  collector,  ///< takes dead letters: ends last
};

class worker final : public subtask_host {
 public:
  /// `wake` interrupts the driver's sleep; `fail` records the first error. Both thread safe.
  worker(environment& env, std::string pipeline_name, std::function<void()> wake,
         std::function<void(std::exception_ptr)> fail);

  /// Adds an instance of the node of that number; in topological order. \pre attached
  subtask& add(std::unique_ptr<subtask> task, task_role role, std::size_t node);

  /// Called now and then while no keyed record is on its way.
  void add_sweep(std::function<void()> sweep) { sweeps_.push_back(std::move(sweep)); }
  void set_dead_letters(dead_letter_queue* queue) noexcept { dead_letters_ = queue; }

  /// Opens all subtasks, sinks first, then calls `on_open`.
  void open();
  std::function<void()> on_open;

  /// One round: resumes what was blocked, polls every source and channel once. Returns whether
  /// there is more to do right away.
  bool step();

  /// Asks the sources to end.
  void stop();

  /// Gives up all outstanding I/O.
  void cancel() noexcept;

  /// All subtasks up to that role have seen the end and have nothing outstanding.
  bool finished(task_role up_to) const noexcept;

  const std::vector<std::unique_ptr<subtask>>& subtasks() const noexcept { return subtasks_; }
  std::size_t node_of(std::size_t subtask) const noexcept { return nodes_[subtask]; }

  /// For drivers: from now until `awake` the worker has nothing to do.
  void asleep() noexcept { activities_.enter(&idle_); }
  void awake() noexcept { activities_.enter(nullptr); }
  const activity& idle() const noexcept { return idle_; }

  /// Before the start. The tracer outlives the worker's work.
  void set_tracer(tracer* t) noexcept { activities_.set_tracer(t); }

  activity_clock* activities() noexcept override { return &activities_; }
  void note_dead_letter(const dead_letter& letter) override {
    if (recent_ != nullptr) recent_->note(letter);
  }
  void set_recent(recent_dead_letters* recent) noexcept { recent_ = recent; }

  /// Sources are to send the barrier of that checkpoint; those of collectors or all others. Any
  /// thread; the driver is to be woken.
  void request_barrier(std::uint64_t id, bool collectors) noexcept {
    barrier_.store(id * 2 + (collectors ? 1 : 0), std::memory_order_release);
  }
  /// That checkpoint is durable. Any thread.
  void announce_checkpoint(std::uint64_t id) noexcept {
    complete_.store(id, std::memory_order_release);
  }
  /// Before the start. The coordinator outlives the worker.
  void set_checkpoints(checkpoint_coordinator& coordinator);

  bool takes_checkpoints() const noexcept override { return checkpoints_ != nullptr; }
  std::uint64_t current_checkpoint() const noexcept override { return injected_ / 2; }
  bool may_begin() const noexcept override {
    return checkpoints_ == nullptr || checkpoints_->may_begin();
  }
  void request_checkpoint() override {
    if (checkpoints_ != nullptr) checkpoints_->request(env_.now());
  }
  void acknowledge(subtask& who, std::uint64_t id, std::string state) override {
    if (checkpoints_ != nullptr) checkpoints_->acknowledge(who, id, std::move(state));
  }
  void note_finished(subtask& who) override {
    if (checkpoints_ != nullptr) checkpoints_->finished(who);
  }

  environment& env() override { return env_; }
  const std::string& pipeline_name() const override { return pipeline_name_; }
  void schedule_resume(subtask& who) override;
  void wake() override { wake_(); }
  void fail(std::exception_ptr reason) override { fail_(std::move(reason)); }

 private:
  void run_resumes();
  bool may_poll(std::size_t i) const;
  void sweep();
  void measure();
  bool look_after_checkpoints();

  environment& env_;
  std::string pipeline_name_;
  std::function<void()> wake_;
  std::function<void(std::exception_ptr)> fail_;
  std::vector<std::unique_ptr<subtask>> subtasks_;
  std::vector<task_role> roles_;
  std::vector<std::size_t> nodes_;
  std::vector<std::size_t> polled_;
  std::vector<subtask*> resumes_;
  std::vector<subtask*> resuming_;
  std::vector<std::function<void()>> sweeps_;
  dead_letter_queue* dead_letters_ = nullptr;
  recent_dead_letters* recent_ = nullptr;
  checkpoint_coordinator* checkpoints_ = nullptr;
  std::atomic<std::uint64_t> barrier_{0};  // twice the id, plus one for collectors
  std::atomic<std::uint64_t> complete_{0};
  std::uint64_t injected_ = 0;
  std::uint64_t completed_ = 0;
  activity_clock activities_;
  activity idle_;
  std::uint64_t rounds_ = 0;
  bool worked_ = false;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/worker.ipp>
#endif
