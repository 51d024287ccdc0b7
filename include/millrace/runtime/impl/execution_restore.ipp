// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/runtime/execution.hpp>
#include <millrace/state/saved_types.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace millrace {

namespace detail {

inline void restore_one(subtask& task, const operator_state& from, const restore_scope* scope) {
  snapshot_reader reader(from.bytes);
  reader.set_scope(scope);
  std::optional<saved_types> types;
  const auto now = task.state_type();
  if (!from.type.empty() && !now.empty() && from.type != now) {
    types = saved_types::compare(from.type, now);
    if (!types) {
      throw pipeline_error(from.name, "its state cannot be restored: " + from.type +
                                          " was saved, " + now +
                                          " is to be restored; described structs may get members, "
                                          "everything else must stay as it was");
    }
    reader.set_types(&*types);
  }
  try {
    task.restore(reader);
    reader.expect_end();
  } catch (const std::exception& e) {
    throw pipeline_error(from.name, std::string("its state cannot be restored: ") + e.what());
  }
  if (!reader.status()) {
    throw pipeline_error(from.name,
                         "its state cannot be restored: " + reader.status().error().message);
  }
}

/// The instance that has saved this state, if it is still there and owns the same keys.
inline subtask* task_of(const operator_state& state, const std::vector<subtask*>& tasks) {
  for (subtask* task : tasks) {
    const auto groups = task->key_groups().value_or(key_group_range{0, 0});
    if (task->index() == state.instance && groups == state.groups) return task;
  }
  return nullptr;
}

/// Whether each instance gets back what it has saved.
inline bool fits(const std::vector<const operator_state*>& states,
                 const std::vector<subtask*>& tasks) {
  return std::all_of(states.begin(), states.end(),
                     [&](const auto* state) { return task_of(*state, tasks) != nullptr; });
}

/// Of the only instance there is: all groups.
inline key_group_range groups_of(const operator_state& state) {
  return state.groups.end == 0 ? key_group_range{} : state.groups;
}

/// What several instances have saved, divided among those that there are now.
inline void divide(const std::vector<const operator_state*>& states,
                   const std::vector<subtask*>& tasks) {
  for (subtask* task : tasks) {
    const auto mine = task->key_groups().value_or(key_group_range{});
    for (const auto* state : states) {
      const auto theirs = groups_of(*state);
      if (!theirs.overlaps(mine)) continue;
      const restore_scope scope{mine, mine.contains(theirs.first)};
      restore_one(*task, *state, &scope);
    }
  }
}

}  // namespace detail

MILLRACE_DECL void execution::restore(const checkpoint& from) {
  const auto title = "checkpoint " + std::to_string(from.id);
  if (from.max_parallelism != default_max_parallelism) {
    throw topology_error(title + " divides keys into " + std::to_string(from.max_parallelism) +
                         " groups, this pipeline into " + std::to_string(default_max_parallelism));
  }
  std::map<std::string_view, std::vector<const operator_state*>> by_name;
  for (const auto& state : from.states) by_name[state.name].push_back(&state);
  for (const auto& [name, states] : by_name) {
    std::vector<subtask*> tasks;
    for (const auto& w : workers_) {
      for (const auto& task : w->subtasks()) {
        if (task->name() == name) tasks.push_back(task.get());
      }
    }
    if (tasks.empty()) {
      throw topology_error(title + " holds state of \"" + std::string(name) +
                           "\", which this pipeline does not have");
    }
    if (detail::fits(states, tasks)) {
      for (const auto* state : states) {
        detail::restore_one(*detail::task_of(*state, tasks), *state, nullptr);
      }
    } else if (tasks.front()->rescalable()) {
      detail::divide(states, tasks);
    } else {
      throw topology_error(title + " was taken with parallelism " + std::to_string(from.workers) +
                           ", this pipeline has " + std::to_string(workers_.size()) +
                           ", and the state of \"" + std::string(name) +
                           "\" cannot be divided: it does not say that it is rescalable");
    }
  }
}

}  // namespace millrace
