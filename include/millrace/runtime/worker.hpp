// SPDX-License-Identifier: Apache-2.0
/// \file
/// A worker: the subtasks of one thread, and the order in which they get to work. It has no thread
/// of its own; a driver (runtime/drivers.hpp, testing/simulation.hpp) calls `step`. Single-threaded
/// except where said.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/operators/subtask.hpp>
#include <millrace/runtime/dead_letters.hpp>

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

  /// Adds a subtask; in topological order.
  subtask& add(std::unique_ptr<subtask> task, task_role role);

  /// Called now and then while no keyed record is on its way.
  void add_sweep(std::function<void()> sweep) { sweeps_.push_back(std::move(sweep)); }
  void set_dead_letters(dead_letter_queue* queue) noexcept { dead_letters_ = queue; }

  /// Opens all subtasks, sinks first.
  void open();

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

  environment& env() override { return env_; }
  const std::string& pipeline_name() const override { return pipeline_name_; }
  void schedule_resume(subtask& who) override;
  void wake() override { wake_(); }
  void fail(std::exception_ptr reason) override { fail_(std::move(reason)); }

 private:
  void run_resumes();
  bool may_poll(std::size_t i) const;
  void sweep();

  environment& env_;
  std::string pipeline_name_;
  std::function<void()> wake_;
  std::function<void(std::exception_ptr)> fail_;
  std::vector<std::unique_ptr<subtask>> subtasks_;
  std::vector<task_role> roles_;
  std::vector<std::size_t> polled_;
  std::vector<subtask*> resumes_;
  std::vector<subtask*> resuming_;
  std::vector<std::function<void()>> sweeps_;
  dead_letter_queue* dead_letters_ = nullptr;
  std::uint64_t rounds_ = 0;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/worker.ipp>
#endif
