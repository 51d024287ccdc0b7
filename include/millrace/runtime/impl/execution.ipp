// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/runtime/execution.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace millrace {

/// Turns nodes and edges into subtasks and connections.
struct execution::wiring {
  execution& owner;
  graph& nodes;
  std::size_t ring_batches;
  std::vector<build_context> contexts;
  std::vector<std::vector<subtask*>> instances;                  // by node, then worker
  std::unordered_map<subtask*, std::vector<subtask*>> upstream;  // within one worker
  std::vector<task_role> roles;

  std::size_t parallelism() const { return owner.workers_.size(); }

  void run() {
    mark_roles();
    for (std::uint32_t w = 0; w < parallelism(); ++w) contexts.emplace_back(w, nodes.domains());
    instances.resize(nodes.size());
    for (node_id id = 0; id < nodes.size(); ++id) {
      make_channels_and_instances(id);
    }
    for (auto& [task, from] : upstream) {
      std::vector<std::vector<subtask*>> by_input;
      for (subtask* first : from) by_input.push_back(ancestors_of({first}));
      task->set_ancestors(ancestors_of(from), std::move(by_input));
      task->set_feeders(from);
    }
    for (std::size_t w = 0; w < parallelism(); ++w) {
      for (auto& sweep : contexts[w].sweeps()) owner.workers_[w]->add_sweep(std::move(sweep));
    }
  }

  void mark_roles() {
    roles.assign(nodes.size(), task_role::main);
    std::vector<bool> used(nodes.size(), false);
    std::vector<bool> needed(nodes.size(), false);
    for (node_id id = static_cast<node_id>(nodes.size()); id-- > 0;) {
      const auto& node = nodes.node(id);
      const bool auxiliary = used[id] && !needed[id];
      if (auxiliary) roles[id] = task_role::auxiliary;
      for (const auto& edge : node.inputs) {
        used[edge.from] = true;
        if (!auxiliary && !edge.auxiliary) needed[edge.from] = true;
      }
    }
    for (node_id id = 0; id < nodes.size(); ++id) {
      const auto& node = nodes.node(id);
      const bool collects = node.collects_dead_letters ||
                            std::any_of(node.inputs.begin(), node.inputs.end(), [&](const auto& e) {
                              return roles[e.from] == task_role::collector;
                            });
      if (collects) roles[id] = task_role::collector;
    }
  }

  subtask& place(std::unique_ptr<subtask> task, std::size_t w, const std::string& name,
                 task_role role, node_id node) {
    task->attach(*owner.workers_[w], name, static_cast<std::uint32_t>(w));
    if (nodes.node(node).parallel) {
      task->set_key_groups(groups_of_worker(static_cast<std::uint32_t>(w),
                                            static_cast<std::uint32_t>(parallelism())));
    }
    if (role != task_role::collector && owner.dead_letters_) {
      task->on_dead_letter(
          [queue = owner.dead_letters_](dead_letter&& letter) { queue->push(std::move(letter)); });
    }
    return owner.workers_[w]->add(std::move(task), role, node);
  }

  void make_channels_and_instances(node_id id) {
    auto& node = nodes.node(id);
    const std::size_t count = node.parallel ? parallelism() : 1;
    // Per input and instance: the output to read from.
    std::vector<std::vector<std::pair<subtask*, std::size_t>>> feeds;
    for (const auto& edge : node.inputs) feeds.push_back(feed(node, id, edge, count));
    for (std::size_t w = 0; w < count; ++w) {
      auto made = node.make(contexts[w]);
      for (const auto& side : node.sides) side.type->add_side_output(*made, side.tag);
      subtask& task = place(std::move(made), w, node.name, roles[id], id);
      instances[id].push_back(&task);
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        auto [from, port] = feeds[i][w];
        node.inputs[i].type->connect(from->output_port(port), task.input(i), &task.activity());
        upstream[&task].push_back(from);
      }
    }
  }

  std::vector<std::pair<subtask*, std::size_t>> feed(graph_node& node, node_id id,
                                                     const graph_edge& edge, std::size_t count) {
    const auto& from = instances[edge.from];
    std::vector<std::pair<subtask*, std::size_t>> result;
    const bool spreads = edge.route != routing::direct && parallelism() > 1 && count > 1;
    if (!spreads && from.size() == count) {
      for (subtask* task : from) result.emplace_back(task, edge.port);
      return result;
    }
    if (!spreads && count > 1) {
      throw topology_error(node.name + ": reads a stream that is not partitioned; key_by it first");
    }
    return exchange(node, id, edge, count);
  }

  std::vector<std::pair<subtask*, std::size_t>> exchange(graph_node& node, node_id id,
                                                         const graph_edge& edge,
                                                         std::size_t count) {
    const auto from = instances[edge.from];
    std::vector<std::vector<std::shared_ptr<void>>> rings(from.size());
    for (auto& row : rings) {
      for (std::size_t to = 0; to < count; ++to) row.push_back(edge.type->make_ring(ring_batches));
    }
    std::vector<subtask*> senders;
    for (std::size_t w = 0; w < from.size(); ++w) {
      auto made = edge.route == routing::by_key
                      ? node.make_partitioner(rings[w])
                      : edge.type->make_sender(rings[w], edge.route == routing::broadcast);
      subtask& sender = place(std::move(made), w, node.name + ".send", roles[id], id);
      edge.type->connect(from[w]->output_port(edge.port), sender.input(0), &sender.activity());
      upstream[&sender].push_back(from[w]);
      senders.push_back(&sender);
      for (std::size_t to = 0; to < count; ++to) {
        edge.type->set_wakes(rings[w][to], owner.seats_[w].wake, owner.seats_[to].wake);
      }
    }
    std::vector<std::pair<subtask*, std::size_t>> result;
    for (std::size_t to = 0; to < count; ++to) {
      std::vector<std::shared_ptr<void>> column;
      for (const auto& row : rings) column.push_back(row[to]);
      subtask& receiver = place(edge.type->make_receiver(std::move(column)), to,
                                node.name + ".receive", roles[id], id);
      receiver.set_feeders(senders);
      result.emplace_back(&receiver, 0);
    }
    return result;
  }

  /// The given subtasks and everything before them on their worker, each once.
  std::vector<subtask*> ancestors_of(std::vector<subtask*> open) {
    std::vector<subtask*> found;
    std::unordered_set<subtask*> seen;
    while (!open.empty()) {
      subtask* next = open.back();
      open.pop_back();
      if (!seen.insert(next).second) continue;
      found.push_back(next);
      const auto it = upstream.find(next);
      if (it != upstream.end()) open.insert(open.end(), it->second.begin(), it->second.end());
    }
    return found;
  }
};

MILLRACE_DECL execution::execution(graph& nodes, std::string pipeline_name,
                                   std::vector<worker_seat> seats, std::size_t ring_batches,
                                   std::shared_ptr<dead_letter_queue> dead_letters)
    : seats_(std::move(seats)),
      dead_letters_(std::move(dead_letters)),
      stage_(new std::atomic<int>[seats_.size()]),
      auxiliary_stopped_(seats_.size(), 0) {
  check_names(nodes);
  for (std::size_t w = 0; w < seats_.size(); ++w) {
    stage_[w] = 0;
    workers_.push_back(std::make_unique<millrace::worker>(
        *seats_[w].env, pipeline_name, seats_[w].wake,
        [this](std::exception_ptr reason) { fail(std::move(reason)); }));
    workers_.back()->set_dead_letters(dead_letters_.get());
    workers_.back()->set_recent(&recent_);
  }
  if (dead_letters_) {
    dead_letters_->wake_sources = [this] {
      for (auto& seat : seats_) seat.wake();
    };
  }
  wiring{*this, nodes, ring_batches, {}, {}, {}, {}}.run();
}

MILLRACE_DECL execution::~execution() = default;

MILLRACE_DECL void execution::check_names(const graph& nodes) const {
  std::unordered_set<std::string> seen;
  if (nodes.size() == 0) throw topology_error("the pipeline has no source");
  for (node_id id = 0; id < nodes.size(); ++id) {
    const auto& name = nodes.node(id).name;
    if (!seen.insert(name).second) {
      throw topology_error("two parts of the pipeline are called \"" + name +
                           "\": names identify state and metrics, give each its own");
    }
  }
}

MILLRACE_DECL bool execution::all_reached(int stage) const noexcept {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (stage_[i].load() < stage) return false;
  }
  return true;
}

MILLRACE_DECL bool execution::settled(std::size_t w) {
  if (cancelled()) return true;
  auto& me = *workers_[w];
  const auto wake_all = [this] {
    for (auto& seat : seats_) seat.wake();
  };
  if (stage_[w] == 0 && me.finished(task_role::main)) {
    stage_[w] = 1;
    if (all_reached(1)) wake_all();
  }
  if (stage_[w] == 1 && all_reached(1)) {
    if (auxiliary_stopped_[w] == 0) me.stop();
    auxiliary_stopped_[w] = 1;
    if (me.finished(task_role::auxiliary)) {
      stage_[w] = 2;
      if (all_reached(2) && dead_letters_) dead_letters_->close();
    }
  }
  if (stage_[w] == 2 && me.finished(task_role::collector)) {
    stage_[w] = 3;
    if (all_reached(3)) wake_all();
  }
  // The last checkpoint of a collector needs the sources of all workers.
  return stage_[w] == 3 && (!checkpoints_ || all_reached(3));
}

MILLRACE_DECL void execution::stop() {
  stopping_.store(true, std::memory_order_release);
  for (auto& seat : seats_) seat.wake();
}

MILLRACE_DECL void execution::cancel() {
  cancelled_.store(true, std::memory_order_release);
  for (auto& seat : seats_) seat.wake();
}

MILLRACE_DECL void execution::fail(std::exception_ptr reason) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(reason);
  }
  cancel();
}

MILLRACE_DECL std::exception_ptr execution::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

MILLRACE_DECL void execution::use(std::unique_ptr<checkpoint_coordinator> coordinator) {
  checkpoints_ = std::move(coordinator);
  const auto wake_all = [this] {
    for (auto& seat : seats_) seat.wake();
  };
  checkpoints_->send_barriers = [this, wake_all](std::uint64_t id, bool collectors) {
    for (auto& w : workers_) w->request_barrier(id, collectors);
    wake_all();
  };
  checkpoints_->announce = [this, wake_all](std::uint64_t id) {
    for (auto& w : workers_) w->announce_checkpoint(id);
    wake_all();
  };
  for (auto& w : workers_) w->set_checkpoints(*checkpoints_);
  workers_[0]->on_open = [this] {
    if (!checkpoints_->may_begin()) checkpoints_->trigger(workers_[0]->env().now());
    arm_checkpoints();
  };
}

MILLRACE_DECL void execution::use(std::unique_ptr<trace_recorder> recorder) {
  recorder_ = std::move(recorder);
  for (std::size_t w = 0; w < workers_.size(); ++w) workers_[w]->set_tracer(&recorder_->at(w));
}

MILLRACE_DECL void execution::arm_checkpoints() {
  auto& env = workers_[0]->env();
  env.call_after(checkpoints_->options().every, [this, &env] {
    checkpoints_->trigger(env.now());
    arm_checkpoints();
  });
}

namespace detail {

inline operator_status status_of(const subtask& task, double ns_per_tick) {
  const auto& c = task.counters();
  operator_status s;
  s.name = task.name();
  s.records_in = c.records_in.value();
  s.records_out = c.records_out.value();
  s.batches_in = c.batches_in.value();
  s.filtered = c.filtered.value();
  s.late = c.late.value();
  s.dead_letters = c.dead_letters.value();
  s.watermark = timestamp{duration{c.watermark.value()}};
  s.blocked = task.blocked_time().running();
  s.held_up = task.held_up_time().running();
  s.finished = task.finished();
  s.busy = task.activity().busy.total(ns_per_tick);
  s.blocked_for = task.blocked_time().total(ns_per_tick);
  s.held_up_for = task.held_up_time().total(ns_per_tick);
  s.queue_fill = task.queue_fill();
  s.state_bytes = task.state_bytes();
  s.latency = task.activity().latency.read();
  s.metrics = task.metrics().read();
  return s;
}

}  // namespace detail

MILLRACE_DECL pipeline_status execution::status() const {
  pipeline_status all;
  const auto age = std::chrono::steady_clock::now() - started_;
  const auto ticks = cycle_ticks() - started_ticks_;
  const double ns_per_tick =
      ticks == 0
          ? 1.0
          : static_cast<double>(std::chrono::nanoseconds{age}.count()) / static_cast<double>(ticks);
  all.at = std::chrono::time_point_cast<duration>(std::chrono::system_clock::now());
  all.age = age;
  all.started = true;
  all.stopping = stopping();
  all.failure = in_words(failure());
  all.last_dead_letters = recent_.read();
  if (checkpoints_) all.checkpoints = checkpoints_->status();
  if (recorder_) all.trace = recorder_->status();
  for (std::size_t w = 0; w < workers_.size(); ++w) {
    const auto& me = *workers_[w];
    worker_status total;
    total.idle = me.idle().busy.total(ns_per_tick);
    for (std::size_t i = 0; i < me.subtasks().size(); ++i) {
      auto s = detail::status_of(*me.subtasks()[i], ns_per_tick);
      s.worker = w;
      s.node = me.node_of(i);
      for (const auto& part : all.checkpoints.parts) {
        if (part.instance != w || part.name != s.name) continue;
        s.checkpoint_bytes = static_cast<std::int64_t>(part.bytes);
      }
      total.busy += s.busy;
      all.operators.push_back(std::move(s));
    }
    all.workers.push_back(total);
  }
  return all;
}

}  // namespace millrace
