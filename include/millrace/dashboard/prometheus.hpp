// SPDX-License-Identifier: Apache-2.0
/// \file
/// A pipeline's status in Prometheus' text format 0.0.4. One table lists every metric: it drives
/// the exposition, docs/metrics.md and its test. Pure functions, thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/runtime/status.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace millrace {

enum class metric_type : std::uint8_t { counter, gauge, histogram };

/// As behind "# TYPE".
constexpr std::string_view to_string(metric_type type) noexcept {
  switch (type) {
    case metric_type::counter: return "counter";
    case metric_type::gauge: return "gauge";
    case metric_type::histogram: return "histogram";
  }
  return "untyped";
}

/// What a metric is about, and its labels.
enum class metric_scope : std::uint8_t {
  build,          ///< version
  pipeline,       ///< pipeline
  worker,         ///< pipeline, worker
  operator_part,  ///< pipeline, operator, worker
  checkpoints,    ///< pipeline; absent when none are taken
  storage,        ///< pipeline; what the storage of the checkpoints counts
  own,            ///< pipeline, operator, worker, and lane where the operator tells lanes apart
};

/// One family of the exposition. Units are in the names, as Prometheus wants it: seconds, bytes,
/// ratio (0 to 1).
struct metric_description {
  std::string_view name;
  metric_type type;
  metric_scope scope;
  std::string_view help;
  /// Of scopes `own` and `storage`: the name under which operators, connectors and the checkpoint
  /// store register it, and what to multiply by to get the unit.
  std::string_view own = {};
  double scale = 1;
};

/// All families, in the order in which they are written. Metrics that a user's operator registers
/// under a name that is not in the table appear as `millrace_custom_NAME`, with `_total` behind the
/// name of counters.
MILLRACE_DECL std::span<const metric_description> metric_descriptions() noexcept;

inline constexpr std::string_view prometheus_content_type =
    "text/plain; version=0.0.4; charset=utf-8";

/// The exposition. Text that is no UTF-8 is mended, names are made fit, label values escaped. When
/// two parts of a worker have the same name, the later one gets "#2" behind it. O(size of status).
MILLRACE_DECL std::string to_prometheus(const pipeline_status& status);

/// The content of docs/metrics.md.
MILLRACE_DECL std::string metrics_documentation();

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/dashboard/impl/metric_table.ipp>
#include <millrace/dashboard/impl/prometheus.ipp>
#endif
