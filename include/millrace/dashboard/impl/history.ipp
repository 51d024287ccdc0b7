// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/json_writer.hpp>
#include <millrace/dashboard/detail/node_figures.hpp>
#include <millrace/dashboard/history.hpp>

#include <cmath>

namespace millrace {

namespace detail {

MILLRACE_DECL node_figures figures_of(const status_interval& time, std::size_t node) {
  node_figures all;
  for (const std::size_t i : time.nodes[node].instances) {
    const auto& s = time.now.operators[i];
    all.records_in += s.records_in;
    all.records_out += s.records_out;
    all.filtered += s.filtered;
    all.late += s.late;
    all.dead_letters += s.dead_letters;
    all.blocked = all.blocked || s.blocked;
    all.finished = all.finished && s.finished;
    if (!s.finished) all.watermark = std::min(all.watermark, s.watermark);
    if (s.state_bytes >= 0)
      all.state_bytes = std::max<std::int64_t>(all.state_bytes, 0) + s.state_bytes;
    all.latency += s.latency;
    for (const auto& metric : s.metrics) {
      if (split_metric_name(metric.name).first != "in_flight") continue;
      all.in_flight = std::max<std::int64_t>(all.in_flight, 0) + metric.value;
    }
    if (!time.comparable) continue;
    const auto& was = time.was(i);
    all.in += time.per_second(static_cast<double>(s.records_in - was.records_in));
    all.out += time.per_second(static_cast<double>(s.records_out - was.records_out));
    all.busy = std::max(all.busy, time.share(s.busy - was.busy));
  }
  all.fill = fill_of(time, node);
  if (all.watermark != min_timestamp && all.watermark != max_timestamp) {
    all.lag_known = true;
    all.lag = std::chrono::duration<double>(time.now.at - all.watermark).count();
  }
  return all;
}

/// Three digits are enough for a line in a chart.
MILLRACE_DECL double chart_value(double value) {
  if (value == 0 || !std::isfinite(value)) return 0;
  const double scale = std::pow(10.0, 2 - std::floor(std::log10(std::fabs(value))));
  return std::round(value * scale) / scale;
}

}  // namespace detail

MILLRACE_DECL void pipeline_history::add(const pipeline_status& before, const pipeline_status& now,
                                         const pipeline_plan& plan) {
  const detail::status_interval time(before, now, plan);
  if (!time.comparable || plan.nodes.empty()) return;
  row next{std::chrono::duration<double>(now.age).count(), {}};
  next.nodes.reserve(plan.nodes.size());
  for (std::size_t n = 0; n < plan.nodes.size(); ++n) {
    const auto f = detail::figures_of(time, n);
    const auto& shares = time.nodes[n];
    const auto known = [](double value, bool is) { return is ? static_cast<float>(value) : NAN; };
    next.nodes.push_back({static_cast<float>(f.in), static_cast<float>(f.out),
                          static_cast<float>(f.busy), static_cast<float>(shares.blocked),
                          static_cast<float>(shares.held_up), known(f.fill, f.fill >= 0),
                          known(f.lag, f.lag_known),
                          known(static_cast<double>(f.in_flight), f.in_flight >= 0)});
  }
  rows_.push_back(std::move(next));
  const auto most =
      std::min(options_.samples, std::max<std::size_t>(options_.values / plan.nodes.size(), 2));
  while (rows_.size() > most) rows_.pop_front();
}

MILLRACE_DECL std::string pipeline_history::json(const pipeline_plan& plan,
                                                 std::string_view node) const {
  std::string out;
  json_writer w(out);
  w.begin_object().member("operator", node).key("columns").begin_array();
  for (const char* column :
       {"age", "in", "out", "busy", "blocked", "held_up", "fill", "lag", "in_flight"}) {
    w.value(column);
  }
  w.end_array().key("samples").begin_array();
  std::size_t index = 0;
  while (index < plan.nodes.size() && plan.nodes[index].name != node) ++index;
  for (const auto& sample : rows_) {
    if (index >= sample.nodes.size()) continue;
    const auto& p = sample.nodes[index];
    w.begin_array().value(std::round(sample.age * 10) / 10);
    for (const float v : {p.in, p.out, p.busy, p.blocked, p.held_up}) {
      w.value(detail::chart_value(static_cast<double>(v)));
    }
    for (const float v : {p.fill, p.lag, p.in_flight}) {
      if (std::isnan(v)) {
        w.null();
      } else {
        w.value(detail::chart_value(static_cast<double>(v)));
      }
    }
    w.end_array();
  }
  w.end_array().end_object();
  return out;
}

}  // namespace millrace
