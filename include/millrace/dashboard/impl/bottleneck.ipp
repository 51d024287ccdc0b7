// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/dashboard/detail/findings.hpp>

#include <cmath>

namespace millrace {

namespace detail {

MILLRACE_DECL std::string share_text(double share) {
  return std::to_string(std::lround(share * 100)) + " %";
}

/// The lane that holds a node up: the fullest, then the one that refuses, then the slowest.
MILLRACE_DECL std::pair<std::string, lane_interval> worst_lane(const status_interval& time,
                                                               std::size_t node) {
  std::pair<std::string, lane_interval> worst;
  bool found = false;
  const auto worse = [](const lane_interval& a, const lane_interval& b) {
    if (a.full() != b.full()) return a.full();
    if ((a.refused > 0) != (b.refused > 0)) return a.refused > 0;
    if (a.in_flight != b.in_flight) return a.in_flight > b.in_flight;
    return a.latency() > b.latency();
  };
  for (const auto& [name, lane] : time.lanes(node)) {
    if (found && !worse(lane, worst.second)) continue;
    worst = {name, lane};
    found = true;
  }
  return worst;
}

/// "64 of 64 requests in flight, model B answers in 1.9 s"
MILLRACE_DECL std::string lane_text(const status_interval& time, const std::string& name,
                                    const lane_interval& lane, double growth) {
  std::string text = count_text(static_cast<std::uint64_t>(lane.in_flight));
  if (lane.limit > 0) text += " of " + count_text(static_cast<std::uint64_t>(lane.limit));
  text += lane.in_flight == 1 && lane.limit == 0 ? " request in flight" : " requests in flight";
  const std::string who = name.empty() ? "" : ", " + name + " ";
  if (const auto latency = lane.latency()) {
    text += (who.empty() ? ", answered in " : who + "answers in ") + duration_text(*latency);
  } else if (lane.timeouts > 0) {
    text += who.empty() ? ", no answer comes in time" : who + "does not answer in time";
  } else if (lane.in_flight > 0) {
    text += who.empty() ? ", no answer" : who + "has not answered";
    text += " for the last " + duration_text(time.length());
  }
  if (lane.waiting > 0) {
    text += ", " + count_text(static_cast<std::uint64_t>(lane.waiting)) + " wait";
  }
  if (growth > 0) {
    text += ", the line grows by " + count_text(static_cast<std::uint64_t>(std::lround(growth))) +
            " per second";
  }
  if (lane.refused > 0) {
    const auto rate = std::lround(time.per_second(static_cast<double>(lane.refused)));
    text += ", " + count_text(static_cast<std::uint64_t>(std::max(rate, 1L))) +
            " per second are turned away";
  }
  return text;
}

/// By how many per second the records grow that have come and for which no call has begun. A little
/// is noise: calls and records are counted at different moments.
MILLRACE_DECL double growing_line(const status_interval& time, std::size_t node) {
  std::int64_t begun = 0;
  std::int64_t calls = 0;
  for (const auto& [name, lane] : time.lanes(node)) {
    begun += lane.calls + lane.refused;
    calls += lane.calls;
  }
  const auto arrived = static_cast<std::int64_t>(time.nodes[node].arrived);
  if (calls == 0 || arrived - begun < std::max<std::int64_t>(arrived / 20, 16)) return 0;
  return time.per_second(static_cast<double>(arrived - begun));
}

/// A node that waits for a peer: blocked, or with all calls it may make under way.
MILLRACE_DECL bool find_waiting_part(const status_interval& time, const diagnosis_options& options,
                                     diagnosis& out) {
  std::optional<std::size_t> worst;
  double worst_score = 0;
  for (std::size_t n = 0; n < time.nodes.size(); ++n) {
    const auto& node = time.nodes[n];
    if (node.instances.empty()) continue;
    const auto lane = worst_lane(time, n).second;
    // What is held up by others is not to blame for as long as that.
    double score = std::max(node.blocked - node.held_up, 0.0);
    const bool no_room = lane.full() || lane.refused > 0 || growing_line(time, n) > 0;
    if (no_room) score = std::max(score, 0.9);
    if (score < options.blocked_share || score <= worst_score) continue;
    worst = n;
    worst_score = score;
  }
  if (!worst) return false;
  const auto& name = time.plan.nodes[*worst].name;
  const auto [lane_name, lane] = worst_lane(time, *worst);
  out.bottleneck_operator = name;
  out.bottleneck = name + " is the bottleneck: ";
  if (lane.in_flight > 0 || lane.calls > 0 || lane.refused > 0) {
    out.bottleneck += lane_text(time, lane_name, lane, growing_line(time, *worst));
  } else {
    out.bottleneck +=
        "it took no more for " + share_text(time.nodes[*worst].blocked) + " of the time";
  }
  return true;
}

/// A worker that never rests, and the part that takes most of its time.
MILLRACE_DECL void find_busy_part(const status_interval& time, const diagnosis_options& options,
                                  diagnosis& out) {
  const auto& now = time.now;
  std::optional<std::size_t> worker;
  double most = 0;
  for (std::size_t w = 0; w < now.workers.size() && w < time.before.workers.size(); ++w) {
    const double busy = time.share(now.workers[w].busy - time.before.workers[w].busy);
    if (busy < options.busy_share || busy <= most) continue;
    worker = w;
    most = busy;
  }
  if (!worker) return;
  std::optional<std::size_t> part;
  double part_share = 0;
  for (std::size_t i = 0; i < now.operators.size(); ++i) {
    if (now.operators[i].worker != *worker) continue;
    const double share = time.share(now.operators[i].busy - time.was(i).busy);
    if (part && share <= part_share) continue;
    part = i;
    part_share = share;
  }
  if (!part) return;
  const auto& s = now.operators[*part];
  out.bottleneck_operator = s.node < time.plan.nodes.size() ? time.plan.nodes[s.node].name : s.name;
  out.bottleneck = s.name + " is the bottleneck: it takes " + share_text(part_share) + " of ";
  out.bottleneck += now.workers.size() == 1 ? "the worker's time"
                                            : "worker " + std::to_string(*worker) + "'s time";
  out.bottleneck += ", which is busy for " + share_text(most) + " of it";
}

MILLRACE_DECL void find_bottleneck(const status_interval& time, const diagnosis_options& options,
                                   diagnosis& out) {
  if (!find_waiting_part(time, options, out)) find_busy_part(time, options, out);
}

}  // namespace detail

}  // namespace millrace
