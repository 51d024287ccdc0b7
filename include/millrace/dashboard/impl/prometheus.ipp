// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/utf8.hpp>
#include <millrace/base/version.hpp>
#include <millrace/dashboard/prometheus.hpp>

#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace millrace {

namespace detail {

/// A metric's name: [a-zA-Z0-9_], no two underscores in a row, none at the ends.
MILLRACE_DECL std::string prometheus_name(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (fits) {
      out += c;
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  return out.empty() ? "unnamed" : out;
}

/// A label's value, quoted. What is no UTF-8 becomes U+FFFD.
MILLRACE_DECL std::string prometheus_quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const utf8_sequence next = next_utf8(text);
    const auto piece = text.substr(0, next.length);
    text.remove_prefix(next.length);
    if (!next.valid) {
      out += "\xEF\xBF\xBD";
    } else if (piece == "\n") {
      out += "\\n";
    } else {
      if (piece == "\"" || piece == "\\") out += '\\';
      out += piece;
    }
  }
  return out += '"';
}

MILLRACE_DECL void prometheus_number(std::string& out, double value) {
  if (std::isinf(value)) {
    out += value < 0 ? "-Inf" : "+Inf";
    return;
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, end);
}

MILLRACE_DECL double prometheus_seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// Writes one family after the other.
class prometheus_writer {
 public:
  void family(std::string_view name, metric_type type, std::string_view help) {
    out_.append("# HELP ").append(name).append(" ").append(help).append("\n");
    out_.append("# TYPE ").append(name).append(" ").append(to_string(type)).append("\n");
  }

  /// `labels` without braces.
  void sample(std::string_view name, std::string_view labels, double value) {
    out_.append(name);
    if (!labels.empty()) out_.append("{").append(labels).append("}");
    out_ += ' ';
    prometheus_number(out_, value);
    out_ += '\n';
  }

  /// Every second bucket: factors of four are enough to see where time is lost, in half the series.
  void histogram(std::string_view name, const std::string& labels,
                 const latency_histogram::reading& all) {
    const auto bucket = std::string(name) + "_bucket";
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < latency_histogram::buckets; ++i) {
      seen += all.counts[i];
      const bool last = i + 1 == latency_histogram::buckets;
      if (i % 2 != 0 && !last) continue;
      std::string le = labels + ",le=\"";
      prometheus_number(le,
                        last ? HUGE_VAL : prometheus_seconds(latency_histogram::reading::upper(i)));
      sample(bucket, le += '"', static_cast<double>(seen));
    }
    sample(std::string(name) + "_sum", labels, prometheus_seconds(all.sum));
    sample(std::string(name) + "_count", labels, static_cast<double>(seen));
  }

  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// The value of a family of scope `operator_part`; nothing where there is none.
MILLRACE_DECL std::optional<double> prometheus_value(std::string_view name,
                                                     const operator_status& s, timestamp at) {
  constexpr std::string_view prefix = "millrace_operator_";
  name.remove_prefix(prefix.size());
  const auto number = [](auto value) { return static_cast<double>(value); };
  const auto unix_seconds = [](timestamp t) {
    return std::chrono::duration<double>(t.time_since_epoch()).count();
  };
  if (name == "records_in_total") return number(s.records_in);
  if (name == "records_out_total") return number(s.records_out);
  if (name == "batches_in_total") return number(s.batches_in);
  if (name == "filtered_records_total") return number(s.filtered);
  if (name == "late_records_total") return number(s.late);
  if (name == "dead_letters_total") return number(s.dead_letters);
  if (name == "blocked") return number(s.blocked);
  if (name == "held_up") return number(s.held_up);
  if (name == "finished") return number(s.finished);
  if (name == "busy_seconds_total") return prometheus_seconds(s.busy);
  if (name == "blocked_seconds_total") return prometheus_seconds(s.blocked_for);
  if (name == "held_up_seconds_total") return prometheus_seconds(s.held_up_for);
  if (name == "watermark_timestamp_seconds" && s.watermark != min_timestamp) {
    return s.watermark == max_timestamp ? HUGE_VAL : unix_seconds(s.watermark);
  }
  if (name == "watermark_lag_seconds" && s.watermark != min_timestamp &&
      s.watermark != max_timestamp) {
    return unix_seconds(at) - unix_seconds(s.watermark);
  }
  if (name == "queue_fill_ratio" && s.queue_fill >= 0) return s.queue_fill;
  if (name == "state_bytes" && s.state_bytes >= 0) return number(s.state_bytes);
  if (name == "checkpoint_bytes" && s.checkpoint_bytes >= 0) return number(s.checkpoint_bytes);
  return std::nullopt;
}

MILLRACE_DECL double prometheus_value(std::string_view name, const pipeline_status& s) {
  if (name == "millrace_pipeline_restarts_total") return static_cast<double>(s.restarts);
  if (name == "millrace_pipeline_running") return s.started && !s.ended ? 1 : 0;
  if (name == "millrace_pipeline_stopping") return s.stopping && !s.ended ? 1 : 0;
  if (name == "millrace_pipeline_failed") return s.failure.empty() ? 0 : 1;
  return prometheus_seconds(s.age);
}

/// The value of a family of scope `checkpoints`; nothing where there is none.
MILLRACE_DECL std::optional<double> prometheus_value(std::string_view name,
                                                     const checkpoint_status& s) {
  constexpr std::string_view prefix = "millrace_checkpoint_";
  name.remove_prefix(prefix.size());
  if (name == "completed_total") return static_cast<double>(s.completed);
  if (name == "failed_total") return static_cast<double>(s.failed);
  if (name == "age_seconds") return prometheus_seconds(s.age);
  if (name == "under_way_seconds") return prometheus_seconds(s.under_way);
  if (name == "interval_seconds") return prometheus_seconds(s.every);
  if (s.completed == 0) return std::nullopt;
  if (name == "last_id") return static_cast<double>(s.last_id);
  if (name == "last_size_bytes") return static_cast<double>(s.last_bytes);
  return prometheus_seconds(s.last_took);
}

/// The families of checkpoints and of their storage, if there are any.
MILLRACE_DECL void prometheus_checkpoints(prometheus_writer& to, const std::string& labels,
                                          const checkpoint_status& s) {
  if (s.every.count() == 0) return;
  for (const auto& family : metric_descriptions()) {
    std::optional<double> value;
    if (family.scope == metric_scope::checkpoints) value = prometheus_value(family.name, s);
    for (const auto& metric : s.of_storage) {
      const auto type = metric.monotonic ? metric_type::counter : metric_type::gauge;
      if (family.scope != metric_scope::storage || family.type != type) continue;
      if (metric.name == family.own) value = static_cast<double>(metric.value) * family.scale;
    }
    if (!value) continue;
    to.family(family.name, family.type, family.help);
    to.sample(family.name, labels, *value);
  }
}

/// The own metrics of all operators by family and labels; what would be the same series is added.
class prometheus_own_metrics {
 public:
  void add(const metric_group::reading& metric, const std::string& labels) {
    // "calls{lane=B}": behind the first '=' anything may stand.
    std::string_view name = metric.name;
    std::string all = labels;
    const auto brace = name.find('{');
    const auto equals = name.find('=', brace == std::string_view::npos ? name.size() : brace);
    if (name.ends_with('}') && equals != std::string_view::npos) {
      const auto key = prometheus_name(name.substr(brace + 1, equals - brace - 1));
      all += "," + (key == "lane" ? key : "label_" + key) + "=" +
             prometheus_quoted(name.substr(equals + 1, name.size() - equals - 2));
      name = name.substr(0, brace);
    }
    const auto type = metric.monotonic ? metric_type::counter : metric_type::gauge;
    const auto value = static_cast<double>(metric.value);
    for (const auto& known : metric_descriptions()) {
      if (known.scope != metric_scope::own) continue;
      if (known.own != name || known.type != type) continue;
      known_[known.name][all] += value * known.scale;
      return;
    }
    custom_[{custom_name(name, type), type}][all] += value;
  }

  void write(prometheus_writer& to) const {
    for (const auto& family : metric_descriptions()) {
      const auto found = known_.find(family.name);
      if (found == known_.end()) continue;
      to.family(family.name, family.type, family.help);
      for (const auto& [labels, value] : found->second) to.sample(family.name, labels, value);
    }
    for (const auto& [family, all] : custom_) {
      to.family(family.first, family.second, "Registered by an operator of the application.");
      for (const auto& [labels, value] : all) to.sample(family.first, labels, value);
    }
  }

 private:
  using series = std::map<std::string, double>;

  /// Suffixes have a meaning: only a counter may end in _total, and neither in a histogram's.
  static std::string custom_name(std::string_view name, metric_type type) {
    std::string out = "millrace_custom_" + prometheus_name(name);
    const bool counts = type == metric_type::counter;
    if (counts && out.ends_with("_total")) return out;
    for (const char* reserved : {"_total", "_count", "_sum", "_bucket"}) {
      if (out.ends_with(reserved)) out += "_value";
    }
    return counts ? out + "_total" : out;
  }

  std::map<std::string_view, series> known_;
  std::map<std::pair<std::string, metric_type>, series> custom_;
};

MILLRACE_DECL std::vector<std::string> prometheus_operator_labels(const pipeline_status& status,
                                                                  const std::string& pipeline) {
  std::vector<std::string> all;
  std::map<std::pair<std::string_view, std::size_t>, int> seen;
  for (const auto& s : status.operators) {
    const int n = ++seen[{s.name, s.worker}];
    const auto name = n == 1 ? s.name : s.name + "#" + std::to_string(n);
    all.push_back(pipeline + ",operator=" + prometheus_quoted(name) + ",worker=\"" +
                  std::to_string(s.worker) + "\"");
  }
  return all;
}

}  // namespace detail

MILLRACE_DECL std::string to_prometheus(const pipeline_status& status) {
  using detail::prometheus_seconds;
  detail::prometheus_writer out;
  const auto pipeline = "pipeline=" + detail::prometheus_quoted(status.name);
  const auto labels = detail::prometheus_operator_labels(status, pipeline);
  for (const auto& family : metric_descriptions()) {
    if (family.scope == metric_scope::own) break;
    if (family.scope == metric_scope::checkpoints || family.scope == metric_scope::storage) {
      continue;
    }
    out.family(family.name, family.type, family.help);
    if (family.scope == metric_scope::build) {
      out.sample(family.name, "version=\"" MILLRACE_VERSION_STRING "\"", 1);
    } else if (family.scope == metric_scope::pipeline) {
      out.sample(family.name, pipeline, detail::prometheus_value(family.name, status));
    } else if (family.scope == metric_scope::worker) {
      const bool busy = family.name.find("busy") != std::string_view::npos;
      for (std::size_t w = 0; w < status.workers.size(); ++w) {
        const auto& worker = status.workers[w];
        out.sample(family.name, pipeline + ",worker=\"" + std::to_string(w) + "\"",
                   prometheus_seconds(busy ? worker.busy : worker.idle));
      }
    } else {
      for (std::size_t i = 0; i < labels.size(); ++i) {
        const auto& s = status.operators[i];
        if (family.type == metric_type::histogram) {
          if (s.latency.count > 0) out.histogram(family.name, labels[i], s.latency);
        } else if (const auto value = detail::prometheus_value(family.name, s, status.at)) {
          out.sample(family.name, labels[i], *value);
        }
      }
    }
  }
  detail::prometheus_checkpoints(out, pipeline, status.checkpoints);
  detail::prometheus_own_metrics own;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (const auto& metric : status.operators[i].metrics) own.add(metric, labels[i]);
  }
  own.write(out);
  return out.take();
}

}  // namespace millrace
