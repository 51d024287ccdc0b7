// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/codec/json_writer.hpp>
#include <millrace/dashboard/detail/node_figures.hpp>
#include <millrace/dashboard/history.hpp>

#include <cmath>

namespace millrace {

namespace detail {

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
