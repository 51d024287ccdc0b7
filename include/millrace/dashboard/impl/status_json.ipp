// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/json_writer.hpp>
#include <millrace/dashboard/detail/node_figures.hpp>
#include <millrace/dashboard/status_json.hpp>

#include <cmath>
#include <string_view>

namespace millrace {

namespace detail {

MILLRACE_DECL double json_seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

MILLRACE_DECL void write_known(json_writer& w, std::string_view name, double value, bool known) {
  w.key(name);
  if (known) {
    w.value(value);
  } else {
    w.null();
  }
}

/// Null before the first one and behind the last.
MILLRACE_DECL void write_watermark(json_writer& w, timestamp time) {
  write_known(w, "watermark", json_seconds(time.time_since_epoch()),
              time != min_timestamp && time != max_timestamp);
}

MILLRACE_DECL void write_latency(json_writer& w, const latency_histogram::reading& latency) {
  w.key("latency").begin_object().member("count", latency.count);
  w.member("sum", json_seconds(latency.sum));
  for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}}) {
    write_known(w, name, json_seconds(latency.quantile(q)), latency.count > 0);
  }
  // Bucket i: below 2^i microseconds.
  w.key("buckets").begin_array();
  for (const auto count : latency.counts) w.value(count);
  w.end_array().end_object();
}

MILLRACE_DECL void write_node(json_writer& w, const status_interval& time, std::size_t n) {
  const auto f = figures_of(time, n);
  w.begin_object().member("name", time.plan.nodes[n].name);
  w.member("records_in", f.records_in).member("records_out", f.records_out);
  w.member("filtered", f.filtered).member("late", f.late).member("dead_letters", f.dead_letters);
  w.member("in", f.in).member("out", f.out).member("busy", f.busy);
  w.member("blocked", time.nodes[n].blocked).member("held_up", time.nodes[n].held_up);
  w.member("blocked_now", f.blocked).member("finished", f.finished);
  write_known(w, "fill", f.fill, f.fill >= 0);
  write_watermark(w, f.watermark);
  write_known(w, "lag", f.lag, f.lag_known);
  write_known(w, "state_bytes", static_cast<double>(f.state_bytes), f.state_bytes >= 0);
  write_known(w, "checkpoint_bytes", static_cast<double>(f.checkpoint_bytes),
              f.checkpoint_bytes >= 0);
  write_known(w, "in_flight", static_cast<double>(f.in_flight), f.in_flight >= 0);
  write_latency(w, f.latency);
  w.end_object();
}

MILLRACE_DECL void write_operator(json_writer& w, const operator_status& s) {
  w.begin_object().member("name", s.name).member("node", s.node).member("worker", s.worker);
  w.member("records_in", s.records_in).member("records_out", s.records_out);
  w.member("batches_in", s.batches_in).member("filtered", s.filtered).member("late", s.late);
  w.member("dead_letters", s.dead_letters);
  w.member("blocked", s.blocked).member("held_up", s.held_up).member("finished", s.finished);
  w.member("busy_seconds", json_seconds(s.busy));
  w.member("blocked_seconds", json_seconds(s.blocked_for));
  w.member("held_up_seconds", json_seconds(s.held_up_for));
  write_watermark(w, s.watermark);
  write_known(w, "queue_fill", s.queue_fill, s.queue_fill >= 0);
  write_known(w, "state_bytes", static_cast<double>(s.state_bytes), s.state_bytes >= 0);
  w.key("metrics").begin_array();
  for (const auto& metric : s.metrics) {
    w.begin_object().member("name", metric.name).member("value", metric.value);
    w.member("monotonic", metric.monotonic).end_object();
  }
  w.end_array().end_object();
}

/// Null when none are taken.
MILLRACE_DECL void write_checkpoints(json_writer& w, const checkpoint_status& s) {
  w.key("checkpoints");
  if (s.every.count() == 0) {
    w.null();
    return;
  }
  w.begin_object().member("completed", s.completed).member("failed", s.failed);
  w.member("last_id", s.last_id).member("last_bytes", s.last_bytes);
  w.member("last_seconds", json_seconds(s.last_took)).member("age", json_seconds(s.age));
  w.member("every", json_seconds(s.every)).member("under_way", json_seconds(s.under_way));
  w.member("last_failure", s.last_failure).member("saved_to", s.saved_to);
  w.member("save_failure", s.save_failure).end_object();
}

MILLRACE_DECL std::string_view state_text(const pipeline_status& s) {
  if (!s.failure.empty()) return "failed";
  if (s.ended) return "ended";
  if (!s.started) return "not started";
  return s.stopping ? "stopping" : "running";
}

MILLRACE_DECL void write_dead_letter(json_writer& w, const dead_letter& letter) {
  w.begin_object().member("where", letter.where).member("reason", letter.reason);
  w.member("topic", letter.topic).member("payload", letter.payload);
  write_known(w, "time", json_seconds(letter.time.time_since_epoch()),
              letter.time != min_timestamp && letter.time != max_timestamp);
  w.end_object();
}

}  // namespace detail

MILLRACE_DECL std::string status_json(const pipeline_status& before, const pipeline_status& now,
                                      const pipeline_plan& plan, const diagnosis& found,
                                      const std::vector<stall>& stalls) {
  const detail::status_interval time(before, now, plan);
  std::string out;
  json_writer w(out);
  w.begin_object().member("pipeline", now.name);
  w.member("at", detail::json_seconds(now.at.time_since_epoch()));
  w.member("age", detail::json_seconds(now.age)).member("state", detail::state_text(now));
  w.member("failure", now.failure).member("summary", found.summary);
  w.member("bottleneck", found.bottleneck).member("bottleneck_operator", found.bottleneck_operator);
  w.member("stall", found.stall).member("stall_operator", found.stall_operator);
  w.member("stall_cause", found.stall_cause).member("checkpoint", found.checkpoint);
  detail::write_checkpoints(w, now.checkpoints);
  w.key("workers").begin_array();
  for (std::size_t i = 0; i < now.workers.size(); ++i) {
    const auto& worker = now.workers[i];
    const bool known = time.comparable && i < before.workers.size();
    w.begin_object().member("busy_seconds", detail::json_seconds(worker.busy));
    w.member("idle_seconds", detail::json_seconds(worker.idle));
    w.member("busy", known ? time.share(worker.busy - before.workers[i].busy) : 0.0).end_object();
  }
  w.end_array().key("nodes").begin_array();
  for (std::size_t n = 0; n < plan.nodes.size(); ++n) detail::write_node(w, time, n);
  w.end_array().key("operators").begin_array();
  for (const auto& s : now.operators) detail::write_operator(w, s);
  w.end_array().key("last_dead_letters").begin_array();
  for (const auto& letter : now.last_dead_letters) detail::write_dead_letter(w, letter);
  w.end_array().key("stalls").begin_array();
  for (const auto& s : stalls) {
    w.begin_object().member("operator", s.name).member("worker", s.worker);
    detail::write_known(w, "seconds", detail::json_seconds(s.lasting), s.since.has_value());
    w.member("sentence", s.sentence).end_object();
  }
  w.end_array().end_object();
  return out;
}

MILLRACE_DECL std::string plan_json(const pipeline_plan& plan) {
  std::string out;
  json_writer w(out);
  w.begin_object().member("pipeline", plan.pipeline).member("workers", plan.workers);
  w.key("nodes").begin_array();
  for (const auto& node : plan.nodes) {
    w.begin_object().member("name", node.name).member("kind", node.kind);
    w.member("instances", node.instances).member("keyed_state", node.keyed_state);
    w.key("inputs").begin_array();
    for (const auto& input : node.inputs) {
      constexpr const char* routes[] = {"same_thread", "hand_over", "by_key", "broadcast"};
      w.begin_object().member("from", input.from).member("output", input.output);
      w.member("route", routes[static_cast<std::size_t>(input.route)]);
      w.member("auxiliary", input.auxiliary).end_object();
    }
    w.end_array().key("properties").begin_object();
    for (const auto& [name, value] : node.properties) w.member(name, value);
    w.end_object().end_object();
  }
  w.end_array().end_object();
  return out;
}

}  // namespace millrace
