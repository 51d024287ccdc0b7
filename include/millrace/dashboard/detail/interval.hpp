// SPDX-License-Identifier: Apache-2.0
/// \file
/// Two samples of a pipeline's status as one stretch of time: shares and rates per node of the
/// plan. Not thread safe; holds references to both.
#pragma once

#include <millrace/dashboard/diagnosis.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace millrace::detail {

/// What one node did, over all workers.
struct node_interval {
  double blocked = 0;                  ///< share of the time in which an instance took no more
  double held_up = 0;                  ///< and in which something behind that instance took no more
  std::uint64_t arrived = 0;           ///< records taken in
  std::vector<std::size_t> instances;  ///< indices in `pipeline_status::operators`
};

/// Calls to one peer, over all instances of a node.
struct lane_interval {
  std::int64_t in_flight = 0;
  std::int64_t in_flight_before = 0;
  std::int64_t limit = 0;  ///< 0: unknown
  std::int64_t calls = 0;
  std::int64_t timeouts = 0;
  std::int64_t failures = 0;
  std::int64_t refused = 0;
  std::int64_t waiting = 0;
  std::int64_t microseconds = 0;

  std::int64_t answered() const noexcept {
    return std::max<std::int64_t>(calls - timeouts - (in_flight - in_flight_before), 0);
  }
  std::optional<std::chrono::nanoseconds> latency() const noexcept {
    if (answered() == 0 || microseconds <= 0) return std::nullopt;
    return std::chrono::microseconds{microseconds / answered()};
  }
  /// Whether no further call could begin, at both ends of the stretch.
  bool full() const noexcept {
    return limit > 0 && in_flight * 10 >= limit * 9 && in_flight_before * 10 >= limit * 9;
  }
};

class status_interval {
 public:
  status_interval(const pipeline_status& from, const pipeline_status& to,
                  const pipeline_plan& graph)
      : before(from), now(to), plan(graph), nodes(graph.nodes.size()) {
    comparable =
        before.started && before.operators.size() == now.operators.size() && now.age > before.age;
    for (std::size_t i = 0; i < now.operators.size(); ++i) {
      const auto& s = now.operators[i];
      if (s.node >= nodes.size() || s.name != plan.nodes[s.node].name) continue;  // a queue's end
      auto& node = nodes[s.node];
      node.instances.push_back(i);
      if (!comparable) continue;
      node.arrived += s.records_in - was(i).records_in;
      node.blocked = std::max(node.blocked, share(s.blocked_for - was(i).blocked_for));
      node.held_up = std::max(node.held_up, share(s.held_up_for - was(i).held_up_for));
    }
  }

  const operator_status& was(std::size_t i) const { return before.operators[i]; }
  std::chrono::nanoseconds length() const { return now.age - before.age; }
  double share(std::chrono::nanoseconds part) const {
    return std::clamp(std::chrono::duration<double>(part) / length(), 0.0, 1.0);
  }
  double per_second(double count) const {
    return count / std::chrono::duration<double>(length()).count();
  }

  /// All lanes of a node; the empty name when it tells none apart.
  std::map<std::string, lane_interval> lanes(std::size_t node) const {
    std::map<std::string, lane_interval> all;
    for (const std::size_t i : nodes[node].instances) {
      for (const auto& metric : now.operators[i].metrics) {
        const auto [name, lane] = split_metric_name(metric.name);
        const auto last = value_before(i, metric.name);
        const auto change = metric.value - last;
        if (name == "in_flight") {
          all[lane].in_flight += metric.value;
          all[lane].in_flight_before += last;
        }
        if (name == "in_flight_limit") all[lane].limit += metric.value;
        if (name == "waiting") all[lane].waiting += metric.value;
        if (name == "calls") all[lane].calls += change;
        if (name == "timeouts") all[lane].timeouts += change;
        if (name == "failures") all[lane].failures += change;
        if (name == "refused") all[lane].refused += change;
        if (name == "microseconds") all[lane].microseconds += change;
      }
    }
    return all;
  }

  const pipeline_status& before;
  const pipeline_status& now;
  const pipeline_plan& plan;
  bool comparable = false;
  std::vector<node_interval> nodes;

 private:
  std::int64_t value_before(std::size_t i, const std::string& name) const {
    if (!comparable) return 0;
    for (const auto& metric : was(i).metrics) {
      if (metric.name == name) return metric.value;
    }
    return 0;
  }
};

}  // namespace millrace::detail
