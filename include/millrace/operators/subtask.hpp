// SPDX-License-Identifier: Apache-2.0
/// \file
/// The erased unit of execution: one instance of an operator on one worker. Back-pressure is a
/// count: a subtask that cannot take more blocks all its ancestors on the worker, sources included.
/// Not thread safe.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/base/time.hpp>
#include <millrace/operators/activity.hpp>
#include <millrace/operators/port.hpp>
#include <millrace/operators/watermark_status.hpp>
#include <millrace/record/message.hpp>
#include <millrace/state/restore_scope.hpp>
#include <millrace/state/snapshot.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

class subtask;
class watermark_merger;

/// What a worker does for its subtasks.
class subtask_host {
 public:
  virtual environment& env() = 0;
  virtual const std::string& pipeline_name() const = 0;

  /// Calls `resume()` soon, unless the subtask is blocked again by then. Idempotent.
  virtual void schedule_resume(subtask& who) = 0;

  /// Whether checkpoints are taken; then the id of the last one that was begun here, 0 before.
  virtual bool takes_checkpoints() const noexcept { return false; }
  virtual std::uint64_t current_checkpoint() const noexcept { return 0; }

  /// Whether records may flow: with checkpoints, when there is one to come back to. It says so once
  /// and for all.
  virtual bool may_begin() const noexcept { return true; }

  /// A checkpoint is wanted, after the one under way if there is one.
  virtual void request_checkpoint() {}

  /// The state of a subtask at the barrier of checkpoint `id`.
  virtual void acknowledge(subtask&, std::uint64_t, std::string) {}

  /// A subtask has ended.
  virtual void note_finished(subtask&) {}

  /// A record was given up; keeps the last few for whoever looks.
  virtual void note_dead_letter(const dead_letter&) {}

  /// Where the worker's time is charged; null: nobody measures.
  virtual activity_clock* activities() noexcept { return nullptr; }

  /// A source has more; the worker polls it soon. Thread safe.
  virtual void wake() = 0;

  /// Ends the pipeline with an error. Thread safe.
  virtual void fail(std::exception_ptr reason) = 0;

 protected:
  ~subtask_host() = default;
};

/// Where the records are that did not go the ordinary way. One writer, any number of readers.
struct subtask_counters {
  counter records_in;
  counter records_out;
  counter batches_in;
  counter filtered;      ///< taken out on purpose
  counter late;          ///< too late for every window; also in the late output if there is one
  counter dead_letters;  ///< given up with a reason
  gauge watermark{
      min_timestamp.time_since_epoch().count()};  ///< event time in microseconds, as last handed on
  gauge blocked{};                                ///< 1 while it cannot take more
};

/// One operator instance. Built by its node, wired by the plan, then `open`, then records.
class subtask {
 public:
  subtask() = default;
  subtask(const subtask&) = delete;
  subtask& operator=(const subtask&) = delete;
  virtual ~subtask() = default;

  /// The side output of that tag, or null when nobody listens.
  template <class T>
  output<T>* side_output_of(const void* tag) noexcept {
    for (auto& side : sides_) {
      if (side.tag == tag) return static_cast<output<T>*>(side.typed);
    }
    return nullptr;
  }

  /// After wiring and restoring, before any record.
  virtual void open() {}

  /// The pipeline ends without draining; outstanding I/O is given up.
  virtual void cancel() noexcept {}

  /// What is downstream takes records again. Never called while `downstream_blocked()`.
  virtual void resume() {}

  /// Its port `i` as `receiver<T>*`; the plan knows T.
  virtual void* input(std::size_t i) = 0;

  /// Its output `i` as `output<T>*`: 0 is the main one, then side outputs in the order added.
  void* output_port(std::size_t i) { return i == 0 ? main_output() : sides_[i - 1].typed; }

  /// Gives the subtask one more output, reached by the tag's identity.
  template <class T>
  void add_side_output(const void* tag) {
    auto side = std::make_unique<output<T>>();
    void* typed = side.get();
    sides_.push_back({tag, typed, std::move(side)});
  }

  /// Everything that must survive, and its way back. See operators/operator.hpp.
  virtual void save(snapshot_writer&) const {}
  virtual void restore(snapshot_reader&) {}

  /// How what `save` writes is laid out, for the comparison on restore; empty: not told.
  virtual std::string state_type() const { return {}; }

  /// Whether `restore` takes the states of several instances one after the other, each in the scope
  /// that the reader tells (`snapshot_reader::scope`).
  virtual bool rescalable() const noexcept { return false; }

  /// Whether barriers begin here, asked by `inject_barrier`: at a source, always; elsewhere when no
  /// barrier can come any more.
  virtual bool injects_barriers() const noexcept { return false; }
  virtual bool awaits_last_checkpoint() const noexcept { return false; }
  virtual void inject_barrier(std::uint64_t) {}

  /// The checkpoint is durable: what waited for it may be committed or acknowledged.
  virtual void checkpoint_complete(std::uint64_t) {}

  /// True for what the worker has to call by itself: sources and channel ends.
  virtual bool polled() const noexcept { return false; }

  /// Does one bounded piece of work. Returns whether there may be more right away.
  virtual bool poll() { return false; }

  /// Why its watermark stands where it stands, for `pipeline::explain_stall`. Any thread.
  virtual void explain(stall_cause&) const {}

  /// Whether what it gives depends on its watermark.
  virtual bool waits_for_watermarks() const noexcept { return false; }

  /// The watermarks of its inputs, if it has several; else null. Any thread may look.
  virtual const watermark_merger* input_watermarks() const noexcept { return nullptr; }

  /// Asks a source for its end: drain.
  virtual void stop() {}

  /// How full what lies before it is, 0 to 1; negative when nothing does. Any thread.
  virtual double queue_fill() const noexcept { return -1; }

  /// Brings measured figures up to date; called on the worker now and then.
  virtual void measure() {}

  /// As last measured; negative: unknown. Any thread.
  std::int64_t state_bytes() const noexcept { return state_bytes_.value(); }

  /// Whether an end has passed through and nothing is outstanding.
  bool finished() const noexcept { return finished_.value() != 0; }

  bool downstream_blocked() const noexcept { return blocked_downstream_ > 0; }
  bool blocked() const noexcept { return blocking_; }

  const std::string& name() const noexcept { return name_; }
  subtask_counters& counters() noexcept { return counters_; }
  const subtask_counters& counters() const noexcept { return counters_; }
  metric_group& metrics() noexcept { return metrics_; }
  const metric_group& metrics() const noexcept { return metrics_; }
  millrace::activity& activity() noexcept { return activity_; }
  const millrace::activity& activity() const noexcept { return activity_; }
  /// The trace of the record being worked on, which is to wait here; null without one.
  trace_handle hand_over_trace() {
    auto* t = activity_.tracer();
    return t != nullptr ? t->hand_over() : nullptr;
  }
  const stopwatch& blocked_time() const noexcept { return blocked_time_; }
  const stopwatch& held_up_time() const noexcept { return held_up_time_; }
  subtask_host& host() noexcept { return *host_; }
  environment& env() noexcept { return host_->env(); }
  std::uint32_t index() const noexcept { return index_; }

  /// What it owns of the state it shares with instances on other workers; nothing: it is the only
  /// one.
  const std::optional<key_group_range>& key_groups() const noexcept { return key_groups_; }
  void set_key_groups(key_group_range groups) noexcept { key_groups_ = groups; }

  /// Wiring, by the plan.
  void attach(subtask_host& host, std::string name, std::uint32_t index) {
    host_ = &host;
    activity_.clock = host.activities();
    name_ = std::move(name);
    activity_.name = name_;
    index_ = index;
  }
  void set_ancestors(std::vector<subtask*> all, std::vector<std::vector<subtask*>> by_input) {
    ancestors_ = std::move(all);
    by_input_ = std::move(by_input);
    input_blocked_.assign(by_input_.size(), false);
  }
  /// What feeds it, by input; for the end of an exchange, by worker.
  void set_feeders(std::vector<subtask*> feeders) { feeders_ = std::move(feeders); }
  const std::vector<subtask*>& feeders() const noexcept { return feeders_; }

  void on_dead_letter(std::function<void(dead_letter&&)> handler) {
    dead_letter_handler_ = std::move(handler);
  }

  /// Hands a control element to everything downstream, behind what has been emitted.
  virtual void send_downstream(const control&) {}

  /// Gives up on a record: counted, and handed to whoever collects dead letters.
  void emit_dead_letter(dead_letter letter) {
    counters_.dead_letters.add();
    letter.where = name_;
    host_->note_dead_letter(letter);
    if (dead_letter_handler_) {
      dead_letter_handler_(std::move(letter));
    } else if (dead_letter_log_.allow(env().monotonic())) {
      env().log().warning(name_, "dead letter: " + letter.reason);
    }
  }

  /// From here on nothing may arrive but what is on its way. Idempotent.
  void block() {
    if (blocking_) return;
    blocking_ = true;
    counters_.blocked.set(1);
    blocked_time_.start();
    for (subtask* ancestor : ancestors_) ancestor->hold_up();
  }

  /// Goes on; ancestors are resumed by the worker when nothing else blocks them. Idempotent.
  void unblock() {
    if (!blocking_) return;
    blocking_ = false;
    counters_.blocked.set(0);
    blocked_time_.stop();
    release(ancestors_);
  }

  /// The same for what feeds one input only, so that the other can go on and change things. False
  /// when it was blocked already.
  bool block_input(std::size_t i) {
    if (i >= by_input_.size() || input_blocked_[i]) return false;
    input_blocked_[i] = true;
    for (subtask* ancestor : by_input_[i]) ancestor->hold_up();
    return true;
  }
  void unblock_input(std::size_t i) {
    if (i >= by_input_.size() || !input_blocked_[i]) return;
    input_blocked_[i] = false;
    release(by_input_[i]);
  }

 protected:
  virtual void* main_output() = 0;

  void flush_sides() {
    for (auto& side : sides_) side.base->flush();
  }
  void send_to_sides(const control& element) {
    for (auto& side : sides_) side.base->send(element);
  }

  /// Throws the exception in flight on, under this operator's name.
  [[noreturn]] void rethrow_named() const {
    try {
      throw;
    } catch (const pipeline_error&) {
      throw;
    } catch (const std::exception& e) {
      std::throw_with_nested(pipeline_error(name_, e.what()));
    } catch (...) {
      std::throw_with_nested(pipeline_error(name_, "unknown exception"));
    }
  }

  /// Calls `work()`; what it throws goes on under this operator's name.
  template <class F>
  void guarded(F&& work) {
    try {
      work();
    } catch (...) {
      rethrow_named();
    }
  }

  void mark_finished() {
    if (finished()) return;
    finished_.set(1);
    host_->note_finished(*this);
  }

  /// Saves the state as it is, for the checkpoint `id`.
  void acknowledge_barrier(std::uint64_t id) {
    snapshot_writer state;
    save(state);
    host_->acknowledge(*this, id, state.take());
  }

  gauge state_bytes_{-1};

 private:
  struct side_entry {
    const void* tag;
    void* typed;
    std::unique_ptr<output_base> base;
  };

  void hold_up() noexcept {
    if (++blocked_downstream_ == 1) held_up_time_.start();
  }
  void release(const std::vector<subtask*>& ancestors) {
    for (subtask* ancestor : ancestors) {
      if (--ancestor->blocked_downstream_ != 0) continue;
      ancestor->held_up_time_.stop();
      host_->schedule_resume(*ancestor);
    }
  }

  std::string name_;
  std::vector<side_entry> sides_;
  subtask_host* host_ = nullptr;
  std::uint32_t index_ = 0;
  std::optional<key_group_range> key_groups_;
  std::vector<subtask*> ancestors_;
  std::vector<std::vector<subtask*>> by_input_;
  std::vector<subtask*> feeders_;
  std::vector<bool> input_blocked_;
  int blocked_downstream_ = 0;
  bool blocking_ = false;
  gauge finished_;
  subtask_counters counters_;
  millrace::activity activity_;
  stopwatch blocked_time_;
  stopwatch held_up_time_;
  metric_group metrics_;
  std::function<void(dead_letter&&)> dead_letter_handler_;
  rate_limit dead_letter_log_;
};

}  // namespace millrace
