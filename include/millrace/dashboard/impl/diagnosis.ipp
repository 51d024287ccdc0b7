// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/dashboard/detail/findings.hpp>

#include <cmath>
#include <cstdio>

namespace millrace {

namespace detail {

MILLRACE_DECL std::string diagnosis_summary(const status_interval& time) {
  const auto& now = time.now;
  if (!now.failure.empty()) return "Failed: " + now.failure;
  if (now.ended) return "Ended after " + duration_text(now.age) + ".";
  if (!now.started) return "Not started yet.";
  std::string text = now.stopping ? "Draining" : "Running";
  text += " for " + duration_text(now.age);
  if (!time.comparable) return text + ".";
  double rate = 0;
  for (std::size_t n = 0; n < time.nodes.size(); ++n) {
    if (!time.plan.nodes[n].inputs.empty()) continue;
    for (const std::size_t i : time.nodes[n].instances) {
      rate += static_cast<double>(now.operators[i].records_out - time.was(i).records_out);
    }
  }
  double busiest = 0;
  for (std::size_t w = 0; w < now.workers.size() && w < time.before.workers.size(); ++w) {
    busiest = std::max(busiest, time.share(now.workers[w].busy - time.before.workers[w].busy));
  }
  text += ": " + count_text(static_cast<std::uint64_t>(std::lround(time.per_second(rate)))) +
          " records per second from the sources, ";
  text += now.workers.size() == 1 ? "the worker" : "the busiest worker";
  return text + " is busy " + std::to_string(std::lround(busiest * 100)) + " % of the time.";
}

MILLRACE_DECL diagnosis diagnosis_of(const status_interval& time,
                                     std::span<const diagnostician::standstill> still,
                                     const diagnosis_options& options) {
  diagnosis out;
  out.summary = diagnosis_summary(time);
  const auto& now = time.now;
  if (!now.started || now.ended || !now.failure.empty()) return out;
  find_checkpoint_trouble(now, options, out);
  if (!time.comparable) return out;
  find_bottleneck(time, options, out);
  find_stall(time, still, options, out);
  return out;
}

/// Takes a sample into account.
MILLRACE_DECL void note_progress(std::vector<diagnostician::standstill>& still,
                                 const pipeline_status& status) {
  const bool first = still.size() != status.operators.size();
  if (first) still.assign(status.operators.size(), {});
  for (std::size_t i = 0; i < still.size(); ++i) {
    const auto& s = status.operators[i];
    auto& known = still[i];
    if (first || s.records_out != known.records) {
      known.records = s.records_out;
      known.records_since = status.age;
    }
    if (first || s.watermark != known.watermark) {
      known.watermark = s.watermark;
      known.watermark_since = status.age;
      known.records_at_watermark = s.records_in;
    }
  }
}

}  // namespace detail

MILLRACE_DECL diagnosis diagnostician::look(const pipeline_status& status,
                                            const pipeline_plan& plan) {
  detail::note_progress(still_, status);
  auto found =
      detail::diagnosis_of(detail::status_interval(before_, status, plan), still_, options_);
  before_ = status;
  return found;
}

MILLRACE_DECL diagnosis diagnose(const pipeline_status& before, const pipeline_status& now,
                                 const pipeline_plan& plan, diagnosis_options options) {
  std::vector<diagnostician::standstill> still;
  detail::note_progress(still, before);
  detail::note_progress(still, now);
  return detail::diagnosis_of(detail::status_interval(before, now, plan), still, options);
}

MILLRACE_DECL std::string duration_text(std::chrono::nanoseconds time) {
  const double seconds = std::chrono::duration<double>(time).count();
  char text[64];
  const auto print = [&](const char* format, auto... values) {
    const int n = std::snprintf(text, sizeof text, format, values...);
    return std::string(text, static_cast<std::size_t>(n));
  };
  if (seconds < 0.001) return print("%.0f us", seconds * 1e6);
  if (seconds < 0.0995) return print("%.2g ms", seconds * 1e3);
  if (seconds < 0.9995) return print("%.0f ms", seconds * 1e3);
  if (seconds < 9.95) return print("%.1f s", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 120) return print("%lld s", whole);
  if (whole < 7200) return print("%lld min %lld s", whole / 60, whole % 60);
  return print("%lld h %lld min", whole / 3600, whole / 60 % 60);
}

MILLRACE_DECL std::string count_text(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ',');
  return text;
}

MILLRACE_DECL std::pair<std::string, std::string> split_metric_name(const std::string& name) {
  constexpr std::string_view lane = "{lane=";
  const auto at = name.find(lane);
  if (at == std::string::npos || !name.ends_with('}')) return {name, {}};
  return {name.substr(0, at), name.substr(at + lane.size(), name.size() - at - lane.size() - 1)};
}

}  // namespace millrace
