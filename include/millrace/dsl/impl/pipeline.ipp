// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/base/error.hpp>
#include <millrace/dsl/pipeline.hpp>

#include <algorithm>

namespace millrace {

MILLRACE_DECL pipeline::pipeline(std::string name) : name_(std::move(name)) {}

MILLRACE_DECL pipeline::~pipeline() {
  if (running_on_ == nullptr || !execution_) return;
  execution_->cancel();
  running_on_->join();
}

MILLRACE_DECL stream<dead_letter> pipeline::dead_letters() {
  if (!dead_letter_origin_) {
    dead_letters_ = std::make_shared<dead_letter_queue>();
    dead_letter_origin_ = source("dead_letters", dead_letter_source(dead_letters_)).origin();
    core_.nodes().node(dead_letter_origin_->node).collects_dead_letters = true;
  }
  return stream<dead_letter>(core_, *dead_letter_origin_);
}

MILLRACE_DECL pipeline& pipeline::parallelism(std::size_t workers) {
  if (workers < 1 || workers > default_max_parallelism) {
    throw topology_error("parallelism(" + std::to_string(workers) + "): must be between 1 and " +
                         std::to_string(default_max_parallelism));
  }
  workers_ = workers;
  return *this;
}

MILLRACE_DECL pipeline& pipeline::ring_batches(std::size_t batches) {
  if (batches < 2) throw topology_error("ring_batches(n): at least 2 are needed");
  ring_batches_ = batches;
  return *this;
}

MILLRACE_DECL pipeline& pipeline::log_to(logger::function sink, log_level least) {
  log_ = logger(std::move(sink), least);
  return *this;
}

MILLRACE_DECL pipeline& pipeline::checkpoint_to(std::shared_ptr<checkpoint_storage> storage,
                                                checkpoint_options options) {
  storage_ = std::move(storage);
  checkpoint_options_ = options;
  return *this;
}

MILLRACE_DECL pipeline& pipeline::trace_to(trace_options options) {
  validate(options);
  trace_ = std::move(options);
  return *this;
}

MILLRACE_DECL bool pipeline::checkpoint_now() {
  bool begun = false;
  with_running([&](execution& work) {
    if (work.checkpoints() == nullptr) return;
    begun = work.checkpoints()->trigger(
        std::chrono::time_point_cast<duration>(std::chrono::system_clock::now()));
  });
  return begun;
}

MILLRACE_DECL bool pipeline::save_to(std::string directory) {
  if (ended()) return false;
  bool begun = false;
  with_running([&](execution& work) {
    if (work.checkpoints() == nullptr) return;
    begun = work.checkpoints()->save_next(
        std::move(directory),
        std::chrono::time_point_cast<duration>(std::chrono::system_clock::now()));
  });
  return begun;
}

MILLRACE_DECL void pipeline::run() {
  start();
  wait();
}

MILLRACE_DECL void pipeline::start() {
  refuse_second_start();
  make_driver_ = [this] { return make_thread_driver(workers_, log_); };
  driver_ = make_driver_();
  launch(*driver_);
}

MILLRACE_DECL void pipeline::start(io_executor& executor) {
  refuse_second_start();
  make_driver_ = [this, executor] { return make_executor_driver(executor, workers_, log_); };
  driver_ = make_driver_();
  launch(*driver_);
}

MILLRACE_DECL void pipeline::start(driver& on) {
  refuse_second_start();
  launch(on);
}

MILLRACE_DECL void pipeline::refuse_second_start() const {
  if (execution_) throw topology_error("the pipeline \"" + name_ + "\" has been started before");
}

MILLRACE_DECL pipeline& pipeline::require(guarantee wanted) {
  required_ = wanted;
  return *this;
}

MILLRACE_DECL void pipeline::check_guarantee() const {
  if (required_ == guarantee::at_most_once) return;
  const auto wrong = [this](const std::string& what) {
    throw topology_error("pipeline \"" + name_ + "\": require(" +
                         std::string(to_string(required_)) + "): " + what);
  };
  if (!storage_) wrong("no checkpoints are taken; call checkpoint_to(...)");
  const auto& nodes = core_.nodes();
  std::vector<char> counts(nodes.size(), 0);  // records of it reach a sink
  for (node_id id = static_cast<node_id>(nodes.size()); id-- > 0;) {
    const auto& node = nodes.node(id);
    if (node.kind == "sink") counts[id] = 1;
    if (counts[id] == 0) continue;
    for (const auto& edge : node.inputs) {
      if (!edge.auxiliary) counts[edge.from] = 1;
    }
  }
  // What nobody but a sink of dead letters reads is no result.
  std::vector<char> results(nodes.size(), 0);
  for (node_id id = 0; id < nodes.size(); ++id) {
    const auto& node = nodes.node(id);
    const auto from_result = [&](const graph_edge& e) { return results[e.from] != 0; };
    results[id] = node.inputs.empty()
                      ? !node.collects_dead_letters
                      : std::any_of(node.inputs.begin(), node.inputs.end(), from_result);
    if (counts[id] == 0 || results[id] == 0 || !node.delivers) continue;
    if (node.delivers->keeps >= required_) continue;
    wrong("the " + node.kind + " \"" + node.name + "\" keeps " +
          std::string(to_string(node.delivers->keeps)) + " (" + node.delivers->why + ")" +
          (node.delivers->raise.empty() ? "" : "; set " + node.delivers->raise));
  }
}

MILLRACE_DECL void pipeline::launch(driver& on) {
  if (restart_.any()) check_restartable();
  check_guarantee();
  auto made =
      std::make_unique<execution>(core_.nodes(), name_, on.seats(), ring_batches_, dead_letters_);
  if (storage_) {
    const auto newest = storage_->newest();
    if (newest) made->restore(*newest);
    made->use(std::make_unique<checkpoint_coordinator>(
        storage_, checkpoint_options_, name_, newest ? newest->id : 0, on.real_time(), log_));
  }
  if (trace_) {
    made->use(std::make_unique<trace_recorder>(*trace_, name_, workers_, on.real_time(),
                                               made->environment_of(0).monotonic(), log_));
  }
  running_on_ = &on;
  {
    const std::lock_guard lock(mutex_);
    execution_ = std::move(made);
  }
  on.start(*execution_, [this] { on_end(); });
}

MILLRACE_DECL void pipeline::stop() {
  with_running([](execution& work) { work.stop(); });
  const std::lock_guard lock(mutex_);
  asked_to_end_ = true;
  ended_.notify_all();
}

MILLRACE_DECL void pipeline::cancel() {
  with_running([](execution& work) { work.cancel(); });
  const std::lock_guard lock(mutex_);
  asked_to_end_ = true;
  ended_.notify_all();
}

MILLRACE_DECL bool pipeline::ended() const {
  const std::lock_guard lock(mutex_);
  return has_ended_;
}

MILLRACE_DECL pipeline_status pipeline::status() const {
  pipeline_status all;
  with_running([&](const execution& work) { all = work.status(); });
  const std::lock_guard lock(mutex_);
  all.name = name_;
  all.ended = has_ended_;
  all.restarts = restarts_;
  all.last_restart = last_restart_;
  return all;
}

MILLRACE_DECL std::vector<stall> pipeline::explain_stall(std::chrono::nanoseconds at_least) const {
  std::vector<stall> all;
  with_running([&](const execution& work) { all = explain_stalls(work, at_least); });
  return all;
}

namespace detail {

inline plan_route route_of(const graph_node& from, const graph_node& to, const graph_edge& edge,
                           std::size_t workers) {
  const bool many_from = from.parallel && workers > 1;
  const bool many_to = to.parallel && workers > 1;
  if (!many_to) return many_from ? plan_route::hand_over : plan_route::same_thread;
  if (edge.route == routing::by_key) return plan_route::by_key;
  return edge.route == routing::broadcast ? plan_route::broadcast : plan_route::same_thread;
}

/// The first `key_by` of a node's domain: all parts of a domain share its keys.
inline std::string keys_of(const graph& nodes, node_id id) {
  const auto& domains = nodes.domains();
  const auto mine = domains[nodes.node(id).domain];
  for (node_id k = 0; k < id; ++k) {
    const auto& node = nodes.node(k);
    if (node.domain != no_domain && domains[node.domain] == mine) return node.name;
  }
  return {};
}

}  // namespace detail

MILLRACE_DECL pipeline_plan pipeline::plan() const {
  pipeline_plan plan{name_, workers_, {}};
  const auto& nodes = core_.nodes();
  for (node_id id = 0; id < nodes.size(); ++id) {
    const auto& node = nodes.node(id);
    plan_node out{node.name,        node.kind, node.parallel ? workers_ : 1,
                  node.keyed_state, {},        node.properties};
    if (node.delivers) {
      out.properties.emplace_back("guarantee", to_string(node.delivers->keeps));
    }
    if (node.keyed_state) out.properties.emplace_back("keys of", detail::keys_of(nodes, id));
    for (const auto& edge : node.inputs) {
      const auto& from = nodes.node(edge.from);
      out.inputs.push_back({edge.from, edge.port == 0 ? "" : from.sides[edge.port - 1].name,
                            detail::route_of(from, node, edge, workers_), edge.auxiliary});
    }
    plan.nodes.push_back(std::move(out));
  }
  return plan;
}

}  // namespace millrace
