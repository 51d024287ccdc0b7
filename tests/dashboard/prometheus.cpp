// SPDX-License-Identifier: Apache-2.0
#include <millrace/dashboard/prometheus.hpp>

#include "catch.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

pipeline_status example() {
  pipeline_status s;
  s.name = "city";
  s.at = timestamp{1000s};
  s.age = 90s;
  s.started = true;
  s.workers = {{2500ms, 60s}, {1s, 88s}};
  operator_status source;
  source.name = "stations";
  source.records_out = 1234;
  source.metrics = {{"received", 1300, true}, {"connected", 1, false}};
  operator_status score;
  score.name = "score";
  score.worker = 1;
  score.records_in = 12;
  score.watermark = timestamp{990s + 500ms};
  score.blocked = true;
  score.busy = 250ms;
  score.queue_fill = 0.25;
  score.state_bytes = 4096;
  score.latency.counts[1] = 1;
  score.latency.counts[11] = 5;
  score.latency.counts[29] = 1;
  score.latency.count = 7;
  score.latency.sum = 601s;
  score.metrics = {{"calls{lane=model B}", 40, true},
                   {"calls{lane=a=b,c}", 2, true},
                   {"microseconds{lane=model B}", 1'900'000, true},
                   {"in_flight{lane=model B}", 64, false}};
  s.operators = {source, score};
  return s;
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

/// A reader of the format, written from its description: families in one piece, HELP and TYPE
/// first, no series twice, histograms that add up. Returns the values by series.
std::map<std::string, std::string> parse(const std::string& text) {
  static const std::regex sample(
      R"re(^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-z_]+="([^"\\\n]|\\[\\n"])*",?)*\})? (\S+)$)re");
  static const std::regex number(R"(^([+-]Inf|-?\d+(\.\d+)?(e[+-]?\d+)?)$)");
  std::map<std::string, std::string> values;
  std::set<std::string> families;
  std::string family;
  std::string type;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    INFO(line);
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      REQUIRE(families.insert(family).second);
      type.clear();
      continue;
    }
    if (line.starts_with("# TYPE ")) {
      REQUIRE(line.substr(7, family.size() + 1) == family + " ");
      type = line.substr(8 + family.size());
      REQUIRE((type == "counter" || type == "gauge" || type == "histogram"));
      CHECK((type == "counter") == family.ends_with("_total"));
      continue;
    }
    std::smatch match;
    REQUIRE(std::regex_match(line, match, sample));
    REQUIRE(std::regex_match(match[5].str(), number));
    const std::string name = match[1];
    if (type == "histogram") {
      CHECK((name == family + "_bucket" || name == family + "_sum" || name == family + "_count"));
    } else {
      CHECK(name == family);
    }
    REQUIRE(values.emplace(name + match[2].str(), match[5]).second);
  }
  return values;
}

std::string file_path(const std::string& name) {
  const char* root = std::getenv("MILLRACE_SOURCE_DIR");
  return (root == nullptr ? std::string(".") : std::string(root)) + "/" + name;
}

}  // namespace

TEST_CASE(
    "prometheus: counts, times and states of operators and workers are exposed in base units") {
  const auto text = to_prometheus(example());
  parse(text);
  CHECK(has_line(text, "# TYPE millrace_operator_records_out_total counter"));
  CHECK(has_line(text, R"(millrace_operator_records_out_total{pipeline="city",)"
                       R"(operator="stations",worker="0"} 1234)"));
  CHECK(has_line(text, R"(millrace_worker_busy_seconds_total{pipeline="city",worker="0"} 2.5)"));
  CHECK(has_line(text, R"(millrace_pipeline_running{pipeline="city"} 1)"));
  CHECK(has_line(text, R"(millrace_pipeline_age_seconds{pipeline="city"} 90)"));
  CHECK(has_line(text, R"(millrace_pipeline_restarts_total{pipeline="city"} 0)"));
  const std::string score = R"({pipeline="city",operator="score",worker="1"} )";
  CHECK(has_line(text, "millrace_operator_watermark_timestamp_seconds" + score + "990.5"));
  CHECK(has_line(text, "millrace_operator_watermark_lag_seconds" + score + "9.5"));
  CHECK(has_line(text, "millrace_operator_blocked" + score + "1"));
  CHECK(has_line(text, "millrace_operator_busy_seconds_total" + score + "0.25"));
  CHECK(has_line(text, "millrace_operator_queue_fill_ratio" + score + "0.25"));
  CHECK(has_line(text, "millrace_operator_state_bytes" + score + "4096"));
}

TEST_CASE(
    "prometheus: checkpoints, their storage and their parts are exposed when they are taken") {
  auto s = example();
  CHECK(to_prometheus(s).find("millrace_checkpoint_") == std::string::npos);
  s.checkpoints.every = 10s;
  s.checkpoints.age = 90s;
  const auto early = to_prometheus(s);
  parse(early);
  CHECK(has_line(early, R"(millrace_checkpoint_completed_total{pipeline="city"} 0)"));
  CHECK(has_line(early, R"(millrace_checkpoint_age_seconds{pipeline="city"} 90)"));
  CHECK(early.find("millrace_checkpoint_last_") == std::string::npos);
  CHECK(early.find("millrace_operator_checkpoint_bytes{") == std::string::npos);
  s.checkpoints.completed = 3;
  s.checkpoints.failed = 2;
  s.checkpoints.last_id = 9;
  s.checkpoints.last_bytes = 4711;
  s.checkpoints.last_took = 250ms;
  s.checkpoints.age = 1500ms;
  s.checkpoints.under_way = 40ms;
  s.checkpoints.of_storage = {{"written_bytes", 999, true}, {"last_us", 2500, false}};
  s.operators[1].checkpoint_bytes = 4000;
  const auto text = to_prometheus(s);
  parse(text);
  for (const char* line :
       {"completed_total{} 3", "failed_total{} 2", "last_id{} 9", "last_size_bytes{} 4711",
        "last_duration_seconds{} 0.25", "age_seconds{} 1.5", "under_way_seconds{} 0.04",
        "interval_seconds{} 10", "store_written_bytes_total{} 999",
        "store_last_write_seconds{} 0.0025"}) {
    INFO(line);
    CHECK(has_line(
        text, "millrace_checkpoint_" + std::regex_replace(std::string(line), std::regex(R"(\{\})"),
                                                          R"({pipeline="city"})")));
  }
  CHECK(has_line(text, R"(millrace_operator_checkpoint_bytes{pipeline="city",operator="score",)"
                       R"(worker="1"} 4000)"));
}

TEST_CASE("prometheus: what is not known is absent, and the end of time is infinite") {
  auto s = example();
  CHECK(to_prometheus(s).find("watermark_lag_seconds{pipeline=\"city\",operator=\"stations\"") ==
        std::string::npos);
  s.operators[0].watermark = max_timestamp;
  const auto text = to_prometheus(s);
  CHECK(has_line(text, R"(millrace_operator_watermark_timestamp_seconds{pipeline="city",)"
                       R"(operator="stations",worker="0"} +Inf)"));
  CHECK(text.find("lag_seconds{pipeline=\"city\",operator=\"stations\"") == std::string::npos);
  CHECK(text.find("state_bytes{pipeline=\"city\",operator=\"stations\"") == std::string::npos);
  CHECK(text.find("latency_seconds_count{pipeline=\"city\",operator=\"stations\"") ==
        std::string::npos);
}

TEST_CASE("prometheus: latency is a histogram whose buckets add up") {
  const auto text = to_prometheus(example());
  const std::string labels = R"({pipeline="city",operator="score",worker="1")";
  const auto bucket = [&](const std::string& le, int n) {
    return has_line(text, "millrace_operator_latency_seconds_bucket" + labels + ",le=\"" + le +
                              "\"} " + std::to_string(n));
  };
  CHECK(bucket("1e-06", 0));
  CHECK(bucket("4e-06", 1));
  CHECK(bucket("0.001024", 1));
  CHECK(bucket("0.004096", 6));
  CHECK(bucket("+Inf", 7));
  CHECK(has_line(text, "millrace_operator_latency_seconds_sum" + labels + "} 601"));
  CHECK(has_line(text, "millrace_operator_latency_seconds_count" + labels + "} 7"));
}

TEST_CASE(
    "prometheus: metrics of connectors and calls have families of their own, lanes are labels") {
  const auto text = to_prometheus(example());
  const std::string b = R"({pipeline="city",operator="score",worker="1",lane="model B"} )";
  CHECK(has_line(text, "millrace_operator_calls_total" + b + "40"));
  CHECK(has_line(text, "millrace_operator_call_seconds_total" + b + "1.9"));
  CHECK(has_line(text, "millrace_operator_in_flight" + b + "64"));
  CHECK(has_line(text, R"(millrace_operator_calls_total{pipeline="city",operator="score",)"
                       R"(worker="1",lane="a=b,c"} 2)"));
  CHECK(has_line(text, R"(millrace_operator_connected{pipeline="city",operator="stations",)"
                       R"(worker="0"} 1)"));
}

TEST_CASE("prometheus: names and label values of any kind give valid text") {
  auto s = example();
  s.name = "a\"b\\c\nd\xFF\xC3\xA9";
  auto& odd = s.operators[0];
  odd.name = "";
  odd.metrics = {{"hits per user", 1, true}, {"hits-per-user", 2, true}, {"", 3, false},
                 {"{}", 4, false},           {"x{=}", 5, false},         {"x{q=1}", 6, false},
                 {"odd_total", 7, false},    {"odd", 8, true},           {"odd_total", 9, true},
                 {"n_bucket", 10, true},     {"records_in", 11, true},   {"calls", 12, false}};
  const auto text = to_prometheus(s);
  const auto values = parse(text);
  CHECK(text.find("pipeline=\"a\\\"b\\\\c\\nd\xEF\xBF\xBD\xC3\xA9\"") != std::string::npos);
  const auto of = [&](const std::string& name) {
    for (const auto& [series, value] : values) {
      if (series.starts_with(name + "{")) return value;
    }
    return std::string{};
  };
  CHECK(of("millrace_custom_hits_per_user_total") == "3");
  CHECK(of("millrace_custom_odd_total_value") == "7");
  CHECK(of("millrace_custom_odd_total") == "17");
  CHECK(of("millrace_custom_n_bucket_value_total") == "10");
  CHECK(of("millrace_custom_records_in_total") == "11");
  CHECK(of("millrace_custom_calls") == "12");
}

TEST_CASE("prometheus: two parts with one name stay two series") {
  auto s = example();
  s.operators = {s.operators[0], s.operators[0], s.operators[0]};
  s.operators[2].worker = 1;
  const auto text = to_prometheus(s);
  parse(text);
  CHECK(text.find("operator=\"stations#2\",worker=\"0\"") != std::string::npos);
  CHECK(text.find("operator=\"stations#2\",worker=\"1\"") == std::string::npos);
}

TEST_CASE("prometheus: a pipeline that has not started can be scraped, too") {
  const auto values = parse(to_prometheus(pipeline_status{}));
  CHECK(values.at(R"(millrace_pipeline_running{pipeline=""})") == "0");
}

TEST_CASE("prometheus: every metric is in the table once, with help and a fitting name") {
  std::set<std::string_view> names;
  std::set<std::pair<std::string_view, metric_type>> own;
  for (const auto& m : metric_descriptions()) {
    INFO(m.name);
    CHECK(names.insert(m.name).second);
    CHECK(m.help.ends_with('.'));
    CHECK((m.type == metric_type::counter) == m.name.ends_with("_total"));
    const bool has_own = m.scope == metric_scope::own || m.scope == metric_scope::storage;
    CHECK(has_own == !m.own.empty());
    if (has_own) CHECK(own.emplace(m.own, m.type).second);
  }
}

namespace {

/// Metrics of the journal are exposed under names that say so.
std::string exposed_as(const std::string& file, const std::string& name) {
  return file.find("/state/impl/journal") == std::string::npos ? name : "journal_" + name;
}

}  // namespace

TEST_CASE("prometheus: every name under which the library registers a metric is in the table") {
  // Read from the sources, so that a new part cannot forget it.
  const std::regex registered(R"re((counter|gauge)\((label\(|[a-z_]+ \+ )?"([a-z_]+)"\))re");
  const std::regex any(R"re((metrics|group|metrics\(\))(\.|->)(counter|gauge)\()re");
  std::set<std::pair<std::string, metric_type>> seen;
  std::size_t found = 0;
  std::size_t calls = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(file_path("include"))) {
    const auto file = entry.path().string();
    if (!entry.is_regular_file()) continue;
    std::ifstream in(file);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    INFO(file);
    calls += static_cast<std::size_t>(
        std::distance(std::sregex_iterator(text.begin(), text.end(), any), std::sregex_iterator()));
    for (auto it = std::sregex_iterator(text.begin(), text.end(), registered);
         it != std::sregex_iterator(); ++it) {
      const std::string name = exposed_as(file, (*it)[3]);
      const auto type = (*it)[1] == "counter" ? metric_type::counter : metric_type::gauge;
      INFO(name);
      const auto all = metric_descriptions();
      CHECK(std::any_of(all.begin(), all.end(),
                        [&](const auto& m) { return m.own == name && m.type == type; }));
      seen.emplace(name, type);
      ++found;
    }
  }
  // What is registered in another way than with its name in plain sight would not be found.
  CHECK(found >= calls);
  CHECK(found > 80);
  for (const auto& m : metric_descriptions()) {
    INFO(m.name);
    CHECK((m.own.empty() || seen.contains({std::string(m.own), m.type})));
  }
}

TEST_CASE("prometheus: docs/metrics.md is what the table says") {
  const auto path = file_path("docs/metrics.md");
  if (std::getenv("MILLRACE_UPDATE_DOCS") != nullptr)
    std::ofstream(path) << metrics_documentation();
  std::ifstream in(path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  INFO("MILLRACE_UPDATE_DOCS=1 test_dashboard writes it anew");
  CHECK(text == metrics_documentation());
}
