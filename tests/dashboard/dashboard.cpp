// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/asio.hpp>
#include <millrace/base/error.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/dashboard/dashboard.hpp>
#include <millrace/dashboard/detail/page.hpp>
#include <millrace/dashboard/prometheus.hpp>
#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "support/raw_client.hpp"

#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <functional>
#include <regex>
#include <set>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::body_of;
using testing::get_request;
using testing::raw_client;
using testing::status_of;

namespace {

constexpr const char* secret = "a secret of some length";

/// What a dashboard can ask, by hand.
struct fake {
  std::atomic<bool> started{true};
  std::atomic<bool> failed{false};
  std::atomic<int> stops{0};
  std::atomic<int> looks{0};

  observed_pipeline functions() {
    return {[this] {
              pipeline_status s;
              s.name = "fake";
              s.started = started;
              s.age = 1s * ++looks;
              s.at = timestamp{1000s} + 1s * looks.load();
              if (failed) s.failure = "out: disk full";
              s.workers.resize(1);
              operator_status in;
              in.name = "in \"&<b>";
              in.records_out = 100 * static_cast<std::uint64_t>(looks);
              s.operators.push_back(in);
              s.last_dead_letters.push_back({"in", "no <i>JSON</i>", "t", "{\xFF", timestamp{}});
              return s;
            },
            [] {
              pipeline_plan p{"fake", 1, {}};
              p.nodes.push_back({"in \"&<b>", "source", 1, false, {}, {}});
              return p;
            },
            [this] { ++stops; },
            {},
            {}};
  }
};

std::string ask(const dashboard& board, const std::string& request) {
  raw_client client(board.port());
  client.send(request);
  return client.read_response();
}

std::string post(const std::string& path, const std::string& fields) {
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n" + fields + "\r\n";
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

/// A port of the system's choice, samples in quick succession.
dashboard_options quick() { return {.port = 0, .sample_every = 5ms}; }

}  // namespace

TEST_CASE("dashboard: it serves page, metrics, status, history, plan and health") {
  fake f;
  dashboard board(f.functions(), quick());
  const auto get = [&](const std::string& path) { return ask(board, get_request(path)); };
  CHECK(body_of(get("/")).starts_with("<!doctype html>"));
  CHECK(get("/").find("Content-Type: text/html; charset=utf-8\r\n") != std::string::npos);
  CHECK(status_of(get("/page.css")) == 200);
  CHECK(status_of(get("/page.js")) == 200);
  const auto metrics = get("/metrics");
  CHECK(metrics.find("Content-Type: " + std::string(prometheus_content_type) + "\r\n") !=
        std::string::npos);
  CHECK_THAT(body_of(metrics), ContainsSubstring("operator=\"in \\\"&<b>\",worker=\"0\"} "));
  CHECK(eventually(
      [&] { return body_of(get("/status.json")).find(R"("out":100)") != std::string::npos; }));
  const auto status = body_of(get("/status.json"));
  CHECK_THAT(status, ContainsSubstring(R"("pipeline":"fake")"));
  CHECK_THAT(status, ContainsSubstring(R"("state":"running")"));
  CHECK_THAT(status, ContainsSubstring(R"("name":"in \"&<b>")"));
  CHECK_THAT(status, ContainsSubstring(R"("out":100)"));
  CHECK_THAT(status, ContainsSubstring(R"("writable":false)"));
  CHECK_THAT(body_of(get("/history.json?operator=in%20%22%26%3Cb%3E")),
             ContainsSubstring(R"("columns":["age","in","out",)"));
  CHECK(body_of(get("/plan")) == to_text(f.functions().plan()));
  CHECK(body_of(get("/plan?format=mermaid")).starts_with("flowchart"));
  CHECK(body_of(get("/plan?x=1&format=dot")).starts_with("digraph"));
  CHECK(body_of(get("/plan?format=json")).starts_with(R"({"pipeline":"fake","workers":1,)"));
  CHECK(status_of(get("/plan?format=x")) == 400);
  CHECK(status_of(get("/nothing")) == 404);
  CHECK(status_of(get("/stop")) == 405);
  CHECK(status_of(ask(board, post("/metrics", ""))) == 405);
  CHECK(status_of(ask(board, post("/nothing", ""))) == 404);
  CHECK(status_of(ask(board, "DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 405);
}

TEST_CASE("dashboard: live and ready tell a supervisor what it has to know") {
  fake f;
  f.started = false;
  dashboard board(f.functions(), quick());
  const auto health = [&](const std::string& path) {
    return status_of(ask(board, get_request(path)));
  };
  CHECK(health("/live") == 200);
  CHECK(health("/ready") == 503);
  f.started = true;
  CHECK(health("/ready") == 200);
  f.failed = true;
  CHECK(health("/ready") == 503);
  CHECK(health("/live") == 503);
  CHECK(body_of(ask(board, get_request("/live"))) == "out: disk full\n");
}

TEST_CASE("dashboard: without a token nobody can change anything") {
  fake f;
  dashboard board(f.functions(), quick());
  CHECK(status_of(ask(board, post("/stop", ""))) == 403);
  CHECK(status_of(ask(board, post("/stop", "Authorization: Bearer \r\n"))) == 403);
  CHECK(status_of(ask(board, post("/savepoint", "Authorization: Bearer x\r\n"))) == 403);
  CHECK(f.stops == 0);
}

TEST_CASE("dashboard: with the token the pipeline can be stopped, with another text not") {
  fake f;
  auto options = quick();
  options.token = secret;
  dashboard board(f.functions(), options);
  const auto with = [&](const std::string& path, const std::string& token) {
    return ask(board, post(path, "Authorization: Bearer " + token + "\r\n"));
  };
  const std::string right = secret;
  for (const auto& wrong : {std::string(), right.substr(1), right + "x", std::string(23, 'x')}) {
    CHECK(status_of(with("/stop", wrong)) == 401);
  }
  CHECK(status_of(ask(board, post("/stop", "Authorization: Basic " + right + "\r\n"))) == 401);
  CHECK(status_of(ask(board, post("/stop?token=" + right.substr(0, 1), ""))) == 401);
  CHECK(f.stops == 0);
  CHECK(status_of(with("/savepoint", right)) == 501);
  CHECK(status_of(with("/stop", right)) == 202);
  CHECK(f.stops == 1);
  CHECK(body_of(ask(board, get_request("/status.json"))).find(right) == std::string::npos);
}

TEST_CASE("dashboard: a savepoint says where it lies, or why there is none") {
  fake f;
  auto what = f.functions();
  std::atomic<bool> fails{false};
  what.savepoint = [&]() -> result<std::string> {
    if (fails) return {errc::unavailable, "the disk is full"};
    return std::string("state/savepoint-7");
  };
  auto options = quick();
  options.token = secret;
  dashboard board(what, options);
  const auto request = post("/savepoint", std::string("Authorization: Bearer ") + secret + "\r\n");
  CHECK(body_of(ask(board, request)) == "state/savepoint-7\n");
  fails = true;
  CHECK(status_of(ask(board, request)) == 503);
}

TEST_CASE("dashboard: what the pipeline says of its stalls is shown, the longest one on top") {
  fake f;
  auto what = f.functions();
  what.stalls = [](std::chrono::nanoseconds) {
    std::vector<stall> all(3);
    all[0].name = "a";
    all[0].reason = stall_reason::back_pressure;
    all[0].since = timestamp{};
    all[0].lasting = 99s;
    all[0].sentence = "not on top: it is held up";
    for (std::size_t i = 1; i < 3; ++i) {
      all[i].name = "b";
      all[i].reason = stall_reason::partition;
      all[i].since = timestamp{};
      all[i].lasting = 20s * static_cast<int>(i);
      all[i].sentence = "sentence " + std::to_string(i);
    }
    return all;
  };
  dashboard board(what, quick());
  CHECK(eventually([&] {
    return body_of(ask(board, get_request("/status.json"))).find("\"stall\":\"sentence 2\"") !=
           std::string::npos;
  }));
  CHECK_THAT(
      body_of(ask(board, get_request("/status.json"))),
      ContainsSubstring(R"({"operator":"a","worker":0,"seconds":99,"sentence":"not on top)"));
}

TEST_CASE("dashboard: a token that can be guessed is refused") {
  fake f;
  auto options = quick();
  options.token = "short";
  CHECK_THROWS_AS(dashboard(f.functions(), options), topology_error);
}

TEST_CASE("dashboard: it answers only under names that are its own, against DNS rebinding") {
  fake f;
  auto options = quick();
  options.hosts = {"bikes.example"};
  dashboard board(f.functions(), options);
  const auto under = [&](const std::string& host) {
    return status_of(ask(board, "GET /status.json HTTP/1.1\r\nHost: " + host + "\r\n\r\n"));
  };
  for (const char* good : {"localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]:8080",
                           "192.168.1.7:8080", "bikes.example:8080"}) {
    INFO(good);
    CHECK(under(good) == 200);
  }
  for (const char* bad : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080",
                          "[::1", "", "bikes.example.evil", "1"}) {
    INFO(bad);
    CHECK(under(bad) >= 400);
  }
}

TEST_CASE("dashboard: answers tell browsers to trust nobody else") {
  fake f;
  dashboard board(f.functions(), quick());
  for (const char* path : {"/", "/status.json", "/nothing"}) {
    const auto response = ask(board, get_request(path, "Origin: http://evil.example\r\n"));
    CHECK_THAT(response, ContainsSubstring("Content-Security-Policy: default-src 'none'; "));
    CHECK_THAT(response, ContainsSubstring("X-Content-Type-Options: nosniff\r\n"));
    CHECK_THAT(response, ContainsSubstring("Cache-Control: no-store\r\n"));
    CHECK(response.find("Access-Control-Allow") == std::string::npos);
  }
}

TEST_CASE("dashboard: the page refers to nothing outside, and inlines no script or style") {
  const auto page = detail::page_html();
  const std::regex reference(R"re((href|src)="([^"]*)")re");
  std::set<std::string> found;
  for (auto it = std::sregex_iterator(page.begin(), page.end(), reference);
       it != std::sregex_iterator(); ++it) {
    found.insert((*it)[2]);
  }
  for (const auto& each : found) {
    INFO(each);
    CHECK((each == "data:," || each.starts_with('/')));
  }
  CHECK(page.find("<style") == std::string::npos);
  CHECK(page.find("style=") == std::string::npos);
  CHECK(page.find("<script>") == std::string::npos);
  CHECK(page.find(" on") == page.find(" once"));
  const auto script = detail::page_script();
  for (const char* never : {"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(",
                            "http://", "https://"}) {
    INFO(never);
    const auto at = script.find(never);
    CHECK((at == std::string::npos || script.substr(at).starts_with("http://www.w3.org/2000/svg")));
  }
  CHECK(page.size() + script.size() + detail::page_style().size() < 40'000);
}

TEST_CASE("dashboard: history is bounded, however long it runs and however large the graph is") {
  pipeline_plan plan;
  pipeline_status before;
  before.started = true;
  for (std::size_t i = 0; i < 10; ++i) {
    plan.nodes.push_back({"n" + std::to_string(i), "map", 1, false, {}, {}});
    before.operators.emplace_back();
    before.operators.back().name = plan.nodes.back().name;
    before.operators.back().node = i;
  }
  pipeline_history history({.samples = 50, .values = 100});
  for (int i = 0; i < 200; ++i) {
    auto now = before;
    now.age += 1s;
    now.operators[3].records_in += 7;
    history.add(before, now, plan);
    before = now;
  }
  CHECK(history.size() == 10);
  const auto json = history.json(plan, "n3");
  CHECK_THAT(json, ContainsSubstring("[200,7,0,0,0,0,null,null,null]]}"));
  CHECK(json.find("[190,") == std::string::npos);
  CHECK_THAT(history.json(plan, "no such"), ContainsSubstring("\"samples\":[]"));
  pipeline_history longer({.samples = 50});
  for (int i = 0; i < 200; ++i) {
    auto now = before;
    now.age += 1s;
    longer.add(before, now, plan);
    before = now;
  }
  CHECK(longer.size() == 50);
}

TEST_CASE("dashboard: a running pipeline is shown with its rates, and can be stopped") {
  pipeline p("real");
  memory::queue<int> in;
  memory::sink<int> out;
  p.source("numbers", in).map([](int i) { return i + 1; }).to("kept", out);
  auto options = quick();
  options.token = secret;
  p.start();
  {
    dashboard board(p, options);
    for (int i = 0; i < 1000; ++i) in.push(i);
    CHECK(eventually([&] {
      return body_of(ask(board, get_request("/metrics")))
                 .find(
                     "millrace_operator_records_in_total{pipeline=\"real\",operator=\"kept\","
                     "worker=\"0\"} 1000\n") != std::string::npos;
    }));
    CHECK(eventually([&] {
      return body_of(ask(board, get_request("/status.json"))).find("\"records_in\":1000") !=
             std::string::npos;
    }));
    CHECK_THAT(body_of(ask(board, get_request("/plan"))), ContainsSubstring("numbers  [source]"));
    in.close();
    CHECK(status_of(ask(board, post("/stop", std::string("Authorization: Bearer ") + secret +
                                                 "\r\n"))) == 202);
    p.wait();
    CHECK(status_of(ask(board, get_request("/live"))) == 200);
    CHECK(body_of(ask(board, get_request("/ready"))) == "ended\n");
    CHECK(eventually([&] {
      return body_of(ask(board, get_request("/status.json"))).find("\"state\":\"ended\"") !=
             std::string::npos;
    }));
  }
}

TEST_CASE("dashboard: it also lives on the application's executor") {
  boost::asio::thread_pool pool(2);
  io_executor executor{pool.get_executor()};
  pipeline p("pool");
  memory::queue<int> in;
  p.source("numbers", in).to("kept", memory::sink<int>());
  {
    dashboard board(p, executor, quick());
    CHECK(status_of(ask(board, get_request("/status.json"))) == 200);
    CHECK(body_of(ask(board, get_request("/ready"))) == "not started\n");
  }
  pool.join();
}
