// SPDX-License-Identifier: Apache-2.0
// The metrics of a running pipeline, checked by promtool and scraped by a real Prometheus.
#include <millrace/connectors/memory.hpp>
#include <millrace/dashboard/dashboard.hpp>
#include <millrace/dashboard/prometheus.hpp>
#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "support/child_process.hpp"
#include "support/free_port.hpp"
#include "support/raw_client.hpp"
#include "support/temporary_directory.hpp"

#include <simdjson.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using testing::child_process;
using testing::raw_client;
using testing::temporary_directory;

namespace {

constexpr const char* how_to_get = "no prometheus: apt install prometheus";

bool has(const std::string& program) {
  return testing::run_program({program, "--version"}, 20s) == 0;
}

struct total {
  int sum = 0;
};

/// With keys, two workers, event time, calls in lanes and odd names.
struct example {
  pipeline p{"shop \"north\""};
  memory::queue<int> in;
  memory::sink<int> out;

  example() {
    p.parallelism(2);
    p.source("numbers", in)
        .event_time([](int i) { return timestamp{1'600'000'000s} + 1s * i; }, monotone_times)
        .key_by([](int i) { return i % 7; })
        .process<int>("sums", [](const int& i, total& t, auto& ctx) { ctx.emit(t.sum += i); })
        .async_map(
            "price \\ {x=\"y\"}", [](const int& i, async_reply<int> reply) { reply(i); },
            {.in_flight = 8}, [](const int& i) { return "peer " + std::to_string(i % 2); })
        .to("kept", out);
  }
};

std::string fetch(std::uint16_t port, const std::string& path) {
  raw_client client(port);
  client.send("GET " + path + " HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  return testing::body_of(client.read_all());
}

bool eventually(const std::function<bool()>& condition, std::chrono::seconds patience = 60s) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(50ms);
  }
  return true;
}

/// What promtool says to an exposition; nothing is praise.
std::string judge(const std::string& text) {
  temporary_directory folder;
  child_process promtool({"promtool", "check", "metrics"}, folder.file("errors"));
  // It reads everything before it says anything.
  promtool.write_line(text.substr(0, text.size() - 1));
  promtool.close_input();
  std::string said;
  while (const auto line = promtool.read_line(30s)) said += *line + "\n";
  const auto status = promtool.wait(30s);
  said += folder.read("errors");
  if (status != 0) said += "status " + std::to_string(status.value_or(-2)) + "\n";
  return said;
}

/// The number that a query gives, NaN when it gives none.
double query(std::uint16_t port, const std::string& encoded) {
  const auto body = fetch(port, "/api/v1/query?query=" + encoded);
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (parser.parse(body).get(document) != simdjson::SUCCESS) return NAN;
  std::string_view value;
  if (document.at_pointer("/data/result/0/value/1").get(value) != simdjson::SUCCESS) return NAN;
  return std::stod(std::string(value));
}

}  // namespace

TEST_CASE("promtool finds nothing to complain about in the metrics of a running pipeline") {
  if (!has("promtool")) MILLRACE_SKIP(how_to_get);
  example e;
  e.p.start();
  dashboard board(e.p, {.port = 0});
  CHECK(judge(fetch(board.port(), "/metrics")).empty());
  for (int i = 0; i < 1000; ++i) e.in.push(i);
  REQUIRE(eventually([&] { return e.out.values().size() == 1000; }));
  std::this_thread::sleep_for(200ms);  // for latency markers
  const auto text = fetch(board.port(), "/metrics");
  CHECK(judge(text).empty());
  CHECK(text.find("millrace_operator_latency_seconds_bucket{") != std::string::npos);
  CHECK(text.find("lane=\"peer 1\"} ") != std::string::npos);
  e.in.close();
  e.p.wait();
  CHECK(judge(fetch(board.port(), "/metrics")).empty());
  CHECK_FALSE(judge("millrace_wrong_total{a=\"b\"} 1\nmillrace_wrong_total{a=\"b\"} 2\n").empty());
}

TEST_CASE("a real Prometheus scrapes a running pipeline and answers queries about it") {
  if (!has("prometheus")) MILLRACE_SKIP(how_to_get);
  example e;
  e.p.start();
  dashboard board(e.p, {.port = 0});
  for (int i = 0; i < 500; ++i) e.in.push(i);
  temporary_directory folder;
  const auto port = testing::free_port();
  const auto configuration =
      folder.write("prometheus.yml",
                   "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: millrace\n"
                   "  static_configs: [{targets: ['127.0.0.1:" +
                       std::to_string(board.port()) + "']}]\n");
  child_process server(
      {"prometheus", "--config.file=" + configuration, "--storage.tsdb.path=" + folder.file("data"),
       "--web.listen-address=127.0.0.1:" + std::to_string(port), "--log.level=warn"},
      folder.file("log"));
  const std::string kept = "millrace_operator_records_in_total%7Boperator=%22kept%22%7D";
  const bool arrived = eventually([&] { return query(port, kept) == 500; });
  INFO(folder.read("log"));
  REQUIRE(arrived);
  CHECK(query(port, "up") == 1);
  CHECK(query(port, "sum(millrace_operator_calls_total)") == 500);
  CHECK(query(port, "millrace_pipeline_running%7Bpipeline=%22shop%20%5C%22north%5C%22%22%7D") == 1);
  CHECK(fetch(port, "/api/v1/targets").find("\"lastError\":\"\"") != std::string::npos);
  for (int i = 500; i < 1000; ++i) e.in.push(i);
  CHECK(eventually([&] { return query(port, kept) == 1000; }));
  const auto metadata = fetch(port, "/api/v1/metadata");
  for (const auto& family : metric_descriptions()) {
    // This pipeline takes no checkpoints; tests/dashboard/prometheus.cpp has those.
    const bool absent = family.scope == metric_scope::own ||
                        family.scope == metric_scope::checkpoints ||
                        family.scope == metric_scope::storage;
    if (absent) continue;
    INFO(family.name);
    CHECK(metadata.find("\"" + std::string(family.name) + "\":[{\"type\":\"" +
                        std::string(to_string(family.type))) != std::string::npos);
  }
  server.signal(SIGTERM);
  CHECK(server.wait(20s));
  e.in.close();
  e.p.wait();
}
