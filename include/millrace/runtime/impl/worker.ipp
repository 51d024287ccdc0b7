// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/runtime/worker.hpp>

#include <algorithm>

namespace millrace {

MILLRACE_DECL worker::worker(environment& env, std::string pipeline_name,
                             std::function<void()> wake,
                             std::function<void(std::exception_ptr)> fail)
    : env_(env),
      pipeline_name_(std::move(pipeline_name)),
      wake_(std::move(wake)),
      fail_(std::move(fail)),
      activities_(&env,
                  [](const void* e) { return static_cast<const environment*>(e)->monotonic(); }) {
  idle_.clock = &activities_;
}

MILLRACE_DECL subtask& worker::add(std::unique_ptr<subtask> task, task_role role,
                                   std::size_t node) {
  if (task->polled()) polled_.push_back(subtasks_.size());
  subtasks_.push_back(std::move(task));
  roles_.push_back(role);
  nodes_.push_back(node);
  return *subtasks_.back();
}

MILLRACE_DECL void worker::open() {
  if (auto* t = activities_.tracer()) t->start(env_);
  for (auto task = subtasks_.rbegin(); task != subtasks_.rend(); ++task) (*task)->open();
  if (on_open) on_open();
}

MILLRACE_DECL bool worker::may_poll(std::size_t i) const {
  if (subtasks_[i]->downstream_blocked()) return false;
  const bool held =
      dead_letters_ != nullptr && roles_[i] != task_role::collector && dead_letters_->full();
  return !held || subtasks_[i]->input(0) != nullptr;  // only what brings new records is held
}

MILLRACE_DECL bool worker::step() {
  constexpr std::uint64_t rounds_per_sweep = 64;
  bool more = MILLRACE_UNLIKELY(checkpoints_ != nullptr) && look_after_checkpoints();
  run_resumes();
  for (const std::size_t i : polled_) {
    if (!may_poll(i)) continue;
    const activity_scope scope(&subtasks_[i]->activity());
    more = subtasks_[i]->poll() || more;
  }
  run_resumes();
  if (++rounds_ % rounds_per_sweep == 0) sweep();
  more = more || !resumes_.empty();
  if (rounds_ % rounds_per_sweep == 0 || (worked_ && !more)) measure();
  worked_ = more;
  return more;
}

MILLRACE_DECL void worker::schedule_resume(subtask& who) {
  if (std::find(resumes_.begin(), resumes_.end(), &who) == resumes_.end()) resumes_.push_back(&who);
  wake_();
}

MILLRACE_DECL void worker::run_resumes() {
  resuming_.swap(resumes_);
  for (subtask* task : resuming_) {
    if (task->downstream_blocked()) continue;
    const activity_scope scope(&task->activity());
    task->resume();
  }
  resuming_.clear();
}

MILLRACE_DECL void worker::set_checkpoints(checkpoint_coordinator& coordinator) {
  checkpoints_ = &coordinator;
  for (std::size_t i = 0; i < subtasks_.size(); ++i) {
    coordinator.add(*subtasks_[i], subtasks_[i]->index(), roles_[i] == task_role::collector);
  }
}

MILLRACE_DECL bool worker::look_after_checkpoints() {
  const auto complete = complete_.load(std::memory_order_acquire);
  const bool any = complete != completed_;
  if (any) {
    completed_ = complete;
    for (const auto& task : subtasks_) {
      const activity_scope scope(&task->activity());
      task->checkpoint_complete(complete);
    }
  }
  const auto barrier = barrier_.load(std::memory_order_acquire);
  if (barrier == injected_) return any;
  injected_ = barrier;
  for (std::size_t i = 0; i < subtasks_.size(); ++i) {
    const bool collector = roles_[i] == task_role::collector;
    auto& task = *subtasks_[i];
    const bool begins = task.injects_barriers() || task.awaits_last_checkpoint();
    if (!begins || collector != (barrier % 2 == 1)) continue;
    const activity_scope scope(&subtasks_[i]->activity());
    subtasks_[i]->inject_barrier(barrier / 2);
  }
  return true;
}

MILLRACE_DECL void worker::measure() {
  for (const auto& task : subtasks_) task->measure();
  if (auto* t = activities_.tracer(); MILLRACE_UNLIKELY(t != nullptr)) t->flush();
}

MILLRACE_DECL void worker::sweep() {
  if (sweeps_.empty()) return;
  for (const auto& task : subtasks_) {
    if (task->blocked()) return;
  }
  for (const auto& sweep : sweeps_) sweep();
}

MILLRACE_DECL void worker::stop() {
  for (const auto& task : subtasks_) task->stop();
}

MILLRACE_DECL void worker::cancel() noexcept {
  for (const auto& task : subtasks_) task->cancel();
  if (auto* t = activities_.tracer()) t->flush();
}

MILLRACE_DECL bool worker::finished(task_role up_to) const noexcept {
  for (std::size_t i = 0; i < subtasks_.size(); ++i) {
    if (roles_[i] <= up_to && !subtasks_[i]->finished()) return false;
  }
  return true;
}

}  // namespace millrace
