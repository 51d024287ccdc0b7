// SPDX-License-Identifier: Apache-2.0
// Trace context through a real mosquitto and to an HTTP server: it comes with a message of MQTT 5,
// goes along with a call, and leaves with messages and requests.
#include <millrace/connectors/http.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/connectors/mqtt.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/mosquitto.hpp"
#include "support/temporary_directory.hpp"
#include "support/trace_file.hpp"

#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using testing::http_server;
using testing::mosquitto;
using testing::served_request;
using testing::served_response;
using testing::trace_file;

namespace {

const std::string trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string came = "00-" + trace_id + "-00f067aa0ba902b7-01";

/// The contexts that a place has seen, from any thread.
struct contexts {
  served_response operator()(const served_request& r) {
    note(r.headers.value("traceparent"), r.headers.value("tracestate"));
    return {.body = r.body + "!", .content_type = "text/plain"};
  }
  void note(std::string_view parent, std::string_view state) {
    const std::lock_guard lock(mutex);
    parents.emplace_back(parent);
    states.emplace_back(state);
  }
  std::size_t size() {
    const std::lock_guard lock(mutex);
    return parents.size();
  }
  /// All of the trace, each with a span of its own, and its state.
  void check() {
    const std::lock_guard lock(mutex);
    REQUIRE_FALSE(parents.empty());
    for (const auto& parent : parents) {
      CHECK(parent.substr(0, 36) == "00-" + trace_id + "-");
      CHECK(parse_traceparent(parent));
      CHECK(parent != came);
    }
    for (const auto& state : states) CHECK(state == "rojo=1,congo=2");
  }

  std::mutex mutex;
  std::vector<std::string> parents;
  std::vector<std::string> states;
};

template <class F>
bool eventually(F&& done) {
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

}  // namespace

TEST_CASE("a trace context goes from a message through a call into messages and requests") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  mosquitto broker;
  http_server server;
  contexts asked, hooked, received;
  const auto into = [](contexts& where) {
    return [&where](const served_request& r) { return where(r); };
  };
  server.route("POST", "/score", into(asked));
  server.route("POST", "/hook", into(hooked));
  const testing::temporary_directory directory;
  const std::string file = directory.file("trace.json");

  pipeline listener("listener");
  memory::sink<int> seen;
  listener.source("results", mqtt::source{{.url = broker.url(), .topic = "results", .qos = 1}})
      .map([&](const mqtt::message& m) {
        const auto brought = incoming_trace_of(m);
        received.note(brought.parent, brought.state);
        return 1;
      })
      .to("seen", seen);
  listener.start();

  pipeline p("scores");
  p.trace_to({.file = file, .every = 0s, .propagation = trace_propagation::contexts});
  const auto text = [](const net::http_response& r) { return r.body; };
  auto scored = p.source("orders", mqtt::source{{.url = broker.url(), .topic = "orders", .qos = 1}})
                    .map([](const mqtt::message& m) { return std::string(m.payload); })
                    .async_map("score", http::call<std::string>({.url = server.url("/score"),
                                                                 .content_type = "text/plain"},
                                                                text_codec{}, text));
  scored.to("results", mqtt::sink{{.url = broker.url(), .topic = "results", .qos = 1}});
  scored.to("hook",
            http::sink{{.url = server.url("/hook"), .content_type = "text/plain"}, text_codec{}});
  p.start();

  pipeline feeder("feeder");
  memory::queue<std::string> orders;
  mqtt::sink_options out{.url = broker.url(), .topic = "orders", .qos = 1};
  out.properties.user = {
      {"traceparent", came}, {"tracestate", "rojo=1"}, {"tracestate", "congo=2"}};
  feeder.source("orders", orders).to("out", mqtt::sink{out});
  feeder.start();

  // Until all are subscribed, messages are lost.
  CHECK(eventually([&] {
    orders.push("order");
    return received.size() >= 2 && hooked.size() >= 2;
  }));
  orders.close();
  feeder.wait();
  p.stop();
  p.wait();
  listener.stop();
  listener.wait();

  asked.check();
  hooked.check();
  received.check();
  const trace_file trace(directory.read("trace.json"));
  const auto steps = trace.path(trace_id);
  REQUIRE_FALSE(steps.empty());
  CHECK(steps.front().name == "orders");
  CHECK(steps.front().parent == "00f067aa0ba902b7");
  CHECK(std::any_of(steps.begin(), steps.end(), [](const auto& s) { return s.name == "results"; }));
  CHECK(std::any_of(steps.begin(), steps.end(), [](const auto& s) { return s.name == "hook"; }));
  for (const auto& parent : asked.parents) {  // each attempt is a slice of the operator's
    CHECK(std::any_of(steps.begin(), steps.end(),
                      [&](const auto& s) { return s.span == parent.substr(36, 16); }));
  }
  CHECK(p.status().trace.bad_contexts == 0);
}
