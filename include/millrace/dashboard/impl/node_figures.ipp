// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/dashboard/detail/node_figures.hpp>

#include <algorithm>

namespace millrace::detail {

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
    const auto add = [](std::int64_t& sum, std::int64_t bytes) {
      if (bytes >= 0) sum = std::max<std::int64_t>(sum, 0) + bytes;
    };
    add(all.state_bytes, s.state_bytes);
    add(all.checkpoint_bytes, s.checkpoint_bytes);
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

}  // namespace millrace::detail
