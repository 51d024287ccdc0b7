// SPDX-License-Identifier: Apache-2.0

#include "status_line.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <string_view>

namespace bike_stations {

using millrace::operator_status;

namespace {

/// The sum over all workers.
operator_status total(const std::vector<operator_status>& all, std::string_view name) {
  operator_status sum;
  sum.watermark = millrace::max_timestamp;
  std::map<std::string, std::int64_t> metrics;
  for (const auto& s : all) {
    if (s.name != name) continue;
    sum.records_in += s.records_in;
    sum.records_out += s.records_out;
    sum.filtered += s.filtered;
    sum.late += s.late;
    sum.dead_letters += s.dead_letters;
    sum.watermark = std::min(sum.watermark, s.watermark);
    for (const auto& m : s.metrics) metrics[m.name] += m.value;
  }
  for (const auto& [metric, value] : metrics) sum.metrics.push_back({metric, value, true});
  return sum;
}

std::int64_t metric(const operator_status& s, const std::string& name) {
  for (const auto& m : s.metrics) {
    if (m.name == name) return m.value;
  }
  return 0;
}

/// Names of the models that have been asked.
std::vector<std::string> lanes(const operator_status& score) {
  std::vector<std::string> names;
  constexpr std::string_view prefix = "calls{lane=";
  for (const auto& m : score.metrics) {
    if (!m.name.starts_with(prefix)) continue;
    names.push_back(m.name.substr(prefix.size(), m.name.size() - prefix.size() - 1));
  }
  return names;
}

std::string model_text(const operator_status& score, const std::string& model) {
  const auto of = [&](const char* name) {
    return metric(score, std::string(name) + "{lane=" + model + "}");
  };
  const auto answered = std::max<std::int64_t>(of("calls") - of("timeouts"), 1);
  const double latency =
      static_cast<double>(of("microseconds")) / 1000.0 / static_cast<double>(answered);
  char text[160];
  std::snprintf(text, sizeof(text), "%s %.1fms !%lld", model.c_str(), latency,
                static_cast<long long>(of("failures") + of("refused")));
  return text;
}

std::uint64_t dead_letters(const std::vector<operator_status>& all) {
  std::uint64_t sum = 0;
  for (const auto& s : all) sum += s.dead_letters;
  return sum;
}

}  // namespace

std::string status_line::next(std::size_t width) {
  const auto all = pipeline_.status().operators;
  const auto source = total(all, "stations");
  const auto score = total(all, "score");
  const auto windows = total(all, "statistics");
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::duration<double> passed = now - last_;
  const double rate =
      static_cast<double>(source.records_out - records_) / std::max(passed.count(), 1e-3);
  last_ = now;
  records_ = source.records_out;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const double lag =
      windows.watermark.time_since_epoch().count() > 0
          ? std::chrono::duration<double>(wall - windows.watermark.time_since_epoch()).count()
          : 0.0;
  std::int64_t in_flight = 0;
  std::string models;
  for (const auto& name : lanes(score)) {
    in_flight += metric(score, "in_flight{lane=" + name + "}");
    models += " | " + model_text(score, name);
  }
  char head[200];
  std::snprintf(head, sizeof(head), "%.0f reports/s  lag %.1fs  in flight %lld  dead letters %llu",
                rate, std::max(lag, 0.0), static_cast<long long>(in_flight),
                static_cast<unsigned long long>(dead_letters(all)));
  std::string line = head + models;
  if (line.size() > width) line.resize(width);
  return line;
}

std::string summary(const millrace::pipeline& p, bool& balanced) {
  const auto all = p.status().operators;
  const auto source = total(all, "stations");
  const auto windows = total(all, "statistics");
  const auto pairs = total(all, "enrich");
  const auto score = total(all, "score");
  std::uint64_t undecoded = 0;
  std::uint64_t reports = 0;
  for (const auto& s : all) {
    if (!s.name.starts_with("decode") || s.records_in < source.records_out) continue;
    undecoded += s.dead_letters;
    reports += s.records_out;
  }
  char text[1200];
  const auto n = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
  std::snprintf(text, sizeof(text),
                "received   %10llu = %llu reports + %llu dead letters\n"
                "statistics %10llu, late reports %llu\n"
                "joined     %10llu of %llu reports (%llu late, %llu without statistics)\n"
                "questions  %10llu = %llu answers + %llu dead letters\n",
                n(source.records_out), n(reports), n(undecoded), n(windows.records_out),
                n(windows.late), n(pairs.records_out), n(reports), n(pairs.late), n(pairs.filtered),
                n(score.records_in), n(score.records_out), n(score.dead_letters));
  balanced = source.records_out == reports + undecoded &&
             reports == pairs.records_out + pairs.late + pairs.filtered + pairs.dead_letters &&
             score.records_in == score.records_out + score.dead_letters;
  std::string out = text;
  for (const auto& name : lanes(score)) out += "model " + model_text(score, name) + "\n";
  out += balanced ? "The counts add up.\n" : "THE COUNTS DO NOT ADD UP.\n";
  return out;
}

}  // namespace bike_stations
