// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/time_format.hpp>
#include <millrace/operators/watermarks.hpp>
#include <millrace/runtime/execution.hpp>
#include <millrace/runtime/stalls.hpp>

#include <algorithm>

namespace millrace {

namespace detail {

inline timestamp handed_on(const subtask& task) {
  return timestamp{duration{task.counters().watermark.value()}};
}

inline bool is_sender(const subtask& task) { return task.name().ends_with(".send"); }

inline void collect_upstream(const subtask& task, std::vector<const subtask*>& found) {
  for (const subtask* from : task.feeders()) {
    if (std::find(found.begin(), found.end(), from) != found.end()) continue;
    found.push_back(from);
    collect_upstream(*from, found);
  }
}

inline bool is_upstream(const subtask& task, const subtask& of) {
  std::vector<const subtask*> all;
  collect_upstream(of, all);
  return std::find(all.begin(), all.end(), &task) != all.end();
}

inline std::string seconds_text(std::chrono::nanoseconds d) {
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(d).count() / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

inline std::string joined(const std::vector<std::string>& parts, const char* with) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : with) + ("\"" + part + "\"");
  return text;
}

inline std::string time_text(timestamp t) {
  return t == min_timestamp ? "the beginning of time" : format_time(t);
}

/// Follows one operator's watermark to where it is made, or held.
class stall_walk {
 public:
  stall_walk(const execution& running, const subtask& operator_)
      : running_(running), at_(&operator_) {
    found_.name = operator_.name();
    found_.worker = operator_.index();
    found_.watermark = received(operator_);
  }

  stall run() {
    bool first = true;
    while (step(first)) first = false;
    for (const subtask* from : sources()) found_.sources.push_back(from->name());
    place_in_time();
    put_in_words();
    return std::move(found_);
  }

  /// What its inputs have told an operator; without several, what its feeder has handed on.
  static timestamp received(const subtask& task) {
    if (const auto* inputs = task.input_watermarks()) return inputs->watermark();
    const subtask* from = task.feeders().empty() ? nullptr : task.feeders()[0];
    while (from != nullptr && is_sender(*from)) {
      from = from->feeders().empty() ? nullptr : from->feeders()[0];
    }
    return from == nullptr ? min_timestamp : handed_on(*from);
  }

 private:
  bool step(bool first) {
    stall_cause cause;
    at_->explain(cause);
    if (cause.makes_watermarks) return made_here(cause);
    if (at_->feeders().empty()) {
      found_.reason = stall_reason::no_event_time;
      return false;
    }
    if (!is_sender(*at_) && received(*at_) > handed_on(*at_)) {
      found_.reason = stall_reason::held_by_operator;
      found_.blocked_by = at_->name();
      if (first) found_.watermark = handed_on(*at_);
      return false;
    }
    const auto input = holding_input();
    if (!input) {
      found_.reason = stall_reason::all_silent;
      return false;
    }
    if (first) found_.input = *input;
    const subtask& from = *at_->feeders()[*input];
    if (from.index() != at_->index()) {
      found_.connection =
          "worker " + std::to_string(from.index()) + " to worker " + std::to_string(at_->index());
    }
    if (!is_sender(from)) found_.way.push_back(from.name());
    at_ = &from;
    return true;
  }

  std::optional<std::size_t> holding_input() {
    const auto* inputs = at_->input_watermarks();
    if (inputs == nullptr) return 0;
    std::optional<std::size_t> least;
    for (std::size_t i = 0; i < inputs->inputs() && i < at_->feeders().size(); ++i) {
      if (inputs->standing(i) != input_standing::counts) continue;
      if (inputs->watermark_of(i) == max_timestamp) continue;
      if (!least || inputs->watermark_of(i) < inputs->watermark_of(*least)) least = i;
    }
    if (least && inputs->inputs() > 1) since_ = inputs->since(*least);
    return least;
  }

  bool made_here(const stall_cause& cause) {
    since_ = cause.since;
    found_.partition = cause.partition;
    found_.next_time = cause.next_time;
    found_.idle_after = cause.idle_after;
    if (!cause.aligned_with.empty()) {
      found_.reason = stall_reason::alignment;
      found_.blocked_by = cause.aligned_with;
    } else if (at_->held_up_time().running()) {
      found_.reason = stall_reason::back_pressure;
      find_blocker();
    } else if (cause.records == 0) {
      found_.reason = stall_reason::no_records;
    } else {
      found_.reason = cause.partition.empty() ? stall_reason::standing : stall_reason::partition;
    }
    return false;
  }

  // The part that takes no more; the end of an exchange only when nothing behind it says more.
  void find_blocker() {
    for (std::size_t w = 0; w < running_.workers(); ++w) {
      for (const auto& task : running_.at(w).subtasks()) {
        if (!task->blocked_time().running() || !is_upstream(*at_, *task)) continue;
        if (found_.blocked_by.empty() || !is_sender(*task)) found_.blocked_by = task->name();
      }
    }
    if (found_.blocked_by.empty()) found_.blocked_by = "something behind it";
  }

  std::vector<const subtask*> sources() const {
    std::vector<const subtask*> all{at_};
    collect_upstream(*at_, all);
    std::erase_if(all, [](const subtask* task) { return !task->feeders().empty(); });
    return all;
  }

  void place_in_time() {
    if (!since_) return;
    const auto& env = running_.environment_of(at_->index());
    found_.lasting = env.monotonic() - *since_;
    found_.since = env.now() - std::chrono::duration_cast<duration>(found_.lasting);
  }

  void put_in_words() {
    const std::string source =
        found_.sources.empty() ? "its source" : joined(found_.sources, " and ");
    std::string why;
    std::string silence;
    if (found_.idle_after > std::chrono::nanoseconds::zero()) {
      silence = ", silence for " + seconds_text(found_.idle_after);
    }
    const std::string end = " or the end of " + source;
    switch (found_.reason) {
      case stall_reason::no_event_time:
        why = source + " has no event_time step";
        found_.release = "the end of " + source;
        break;
      case stall_reason::no_records:
        why = "no record has come from " + source;
        found_.release = "a first record" + silence + end;
        break;
      case stall_reason::standing:
      case stall_reason::partition: {
        const std::string part =
            found_.partition.empty() ? "" : "partition \"" + found_.partition + "\" of ";
        why = part + source + " has given nothing with a later event time";
        found_.release = (found_.next_time ? "a record later than " + time_text(*found_.next_time)
                                           : std::string("a watermark of its generator")) +
                         silence + end;
        break;
      }
      case stall_reason::back_pressure:
        why = source + " is not asked because \"" + found_.blocked_by + "\" takes no more";
        found_.release = "room in \"" + found_.blocked_by + "\"";
        break;
      case stall_reason::alignment:
        why = source + " is paused until \"" + found_.blocked_by + "\" has caught up";
        found_.release = "progress, silence or the end of \"" + found_.blocked_by + "\"";
        break;
      case stall_reason::held_by_operator:
        why = "\"" + found_.blocked_by + "\" has work to finish first";
        found_.release = "the end of that work (calls in flight, records that wait for a value)";
        break;
      case stall_reason::all_silent:
        why = "all its inputs are silent";
        found_.release = "a record of any of them, or their end";
        break;
    }
    std::string when = " since the start";
    if (found_.reason == stall_reason::held_by_operator) when.clear();
    if (found_.since) when = " for " + seconds_text(found_.lasting);
    found_.sentence = "\"" + found_.name + "\" on worker " + std::to_string(found_.worker) +
                      " waits at " + time_text(found_.watermark) + when + ": " + why +
                      "; what releases it: " + found_.release + ".";
  }

  const execution& running_;
  const subtask* at_;
  stall found_;
  std::optional<std::chrono::nanoseconds> since_;
};

inline bool may_stall(subtask& task) {
  if (task.finished() || task.counters().records_in.value() == 0 || is_sender(task)) return false;
  if (task.feeders().empty()) return false;
  stall_cause cause;
  task.explain(cause);
  if (cause.makes_watermarks) return false;
  const timestamp received = stall_walk::received(task);
  if (task.waits_for_watermarks()) return received != max_timestamp;
  // A sink hands nothing on; an operator that keeps the watermark has work to finish.
  return task.output_port(0) != nullptr && received > handed_on(task);
}

}  // namespace detail

MILLRACE_DECL std::vector<stall> explain_stalls(const execution& running,
                                                std::chrono::nanoseconds at_least) {
  std::vector<stall> all;
  for (std::size_t w = 0; w < running.workers(); ++w) {
    for (const auto& task : running.at(w).subtasks()) {
      if (!detail::may_stall(*task)) continue;
      auto found = detail::stall_walk(running, *task).run();
      if (!found.since || found.lasting >= at_least) all.push_back(std::move(found));
    }
  }
  return all;
}

}  // namespace millrace
