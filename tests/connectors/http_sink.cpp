// SPDX-License-Identifier: Apache-2.0
#include <millrace/codec/text.hpp>
#include <millrace/connectors/http/sink.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/fake_sink_context.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::http_server;
using testing::served_request;
using testing::served_response;

namespace {

const timestamp at{123us};

/// Keeps what it was sent, from any thread.
struct journal {
  void add(const served_request& r) {
    const std::lock_guard lock(mutex);
    bodies.push_back(r.body);
    keys[r.body].insert(std::string(r.headers.value("idempotency-key")));
  }
  std::vector<std::string> sorted() {
    const std::lock_guard lock(mutex);
    auto all = bodies;
    std::sort(all.begin(), all.end());
    return all;
  }

  std::mutex mutex;
  std::vector<std::string> bodies;
  std::map<std::string, std::set<std::string>> keys;
};

struct fixture {
  testing::asio_environment env;
  testing::fake_sink_context context{env, "hook"};
  http_server server;
  journal got;
};

const net::backoff_options quick{.shortest = 1ms, .initial = 2ms, .longest = 5ms};

}  // namespace

TEST_CASE("every record is a request, and end waits for the last answer") {
  fixture f;
  f.server.route("POST", "/in", [&](const served_request& r) {
    f.got.add(r);
    return served_response{
        .status = r.headers.value("content-type") == "application/json" ? 200U : 400U,
        .delay = 2ms};
  });
  auto writer =
      http::sink({.url = f.server.url("/in"), .in_flight = 4}, plain_text).open(f.context);
  for (int i = 0; i < 20; ++i) writer.write("r" + std::to_string(10 + i), at);
  writer.end();
  CHECK(f.context.times_done == 0);
  REQUIRE(f.env.run_until([&] { return f.context.times_done == 1; }));
  const auto bodies = f.got.sorted();
  REQUIRE(bodies.size() == 20);
  CHECK(bodies.front() == "r10");
  CHECK(bodies.back() == "r29");
  std::set<std::string> keys;
  for (const auto& [body, used] : f.got.keys) keys.insert(used.begin(), used.end());
  CHECK(keys.size() == 20);
  CHECK(f.context.metric("delivered") == 20);
  CHECK(f.context.metric("request_bytes") == 60);
  CHECK(f.context.metric("connects") ==
        static_cast<std::int64_t>(f.server.statistics().connections));
  CHECK(f.context.metric("connection_failures") == 0);
  CHECK(f.server.statistics().connections <= 4);
}

TEST_CASE("end without records is done at once") {
  fixture f;
  auto writer = http::sink({.url = f.server.url("/")}, plain_text).open(f.context);
  writer.end();
  CHECK(f.context.times_done == 1);
}

TEST_CASE("a full sink blocks, and goes on when there is room") {
  fixture f;
  f.server.route("", "/", {.delay = 5ms});
  auto writer = http::sink({.url = f.server.url("/"), .in_flight = 2}, plain_text).open(f.context);
  writer.write(std::string("a"), at);
  CHECK_FALSE(f.context.blocked);
  writer.write(std::string("b"), at);
  CHECK(f.context.blocked);
  writer.write(std::string("c"), at);  // was on its way already
  CHECK(f.context.metric("in_flight") == 2);
  CHECK(f.context.metric("in_flight_limit") == 2);
  CHECK(f.context.metric("waiting") == 1);
  REQUIRE(f.env.run_until([&] { return !f.context.blocked; }));
  REQUIRE(f.env.run_until(
      [&] { return f.context.metric("in_flight") == 0 && f.context.metric("waiting") == 0; }));
}

TEST_CASE("refused records are dead letters with the server's reason") {
  fixture f;
  f.server.route("", "/", [](const served_request& r) {
    return served_response{.status = static_cast<unsigned>(std::stoi(r.body)), .body = "because"};
  });
  auto writer = http::sink({.url = f.server.url("/"), .in_flight = 1}, plain_text).open(f.context);
  for (const char* status : {"400", "200", "404", "302"}) writer.write(std::string(status), at);
  writer.end();
  REQUIRE(f.env.run_until([&] { return f.context.times_done == 1; }));
  REQUIRE(f.context.letters.size() == 3);
  CHECK_THAT(f.context.letters[0].reason, ContainsSubstring("HTTP 400: because"));
  CHECK(f.context.letters[0].payload == "400");
  CHECK(f.context.letters[0].time == at);
  CHECK(f.context.letters[1].payload == "404");
  CHECK(f.context.letters[2].payload == "302");
  CHECK(f.context.metric("rejected") == 3);
}

TEST_CASE("overload is retried with the same key until it passes") {
  fixture f;
  std::map<std::string, int> tries;
  f.server.route("", "/", [&](const served_request& r) -> served_response {
    f.got.add(r);
    switch (++tries[r.body]) {
      case 1: return {.status = 503};
      case 2: return {.status = 429, .headers = {{"Retry-After", "0"}}};
      case 3: return {.status = 507};
      case 4: return {.fault = testing::http_fault::close};
      default: return {};
    }
  });
  auto writer = http::sink({.url = f.server.url("/"), .retry = quick}, plain_text).open(f.context);
  writer.write(std::string("a"), at);
  writer.write(std::string("b"), at);
  writer.end();
  REQUIRE(f.env.run_until([&] { return f.context.times_done == 1; }));
  CHECK(f.got.sorted() ==
        std::vector<std::string>{"a", "a", "a", "a", "a", "b", "b", "b", "b", "b"});
  CHECK(f.got.keys["a"].size() == 1);
  CHECK(f.got.keys["b"].size() == 1);
  CHECK(f.got.keys["a"] != f.got.keys["b"]);
  CHECK(f.context.metric("retries") == 8);
  CHECK(f.context.letters.empty());
}

TEST_CASE("while the server is down the sink waits, and loses nothing") {
  fixture f;
  f.server.route("", "/", [&](const served_request& r) {
    f.got.add(r);
    return served_response{};
  });
  f.server.go_down();
  auto writer = http::sink({.url = f.server.url("/"), .in_flight = 3, .retry = quick}, plain_text)
                    .open(f.context);
  for (const char* r : {"a", "b", "c"}) writer.write(std::string(r), at);
  writer.end();
  REQUIRE(f.env.run_until([&] { return f.context.metric("retries") >= 20; }));
  CHECK(f.context.blocked);
  CHECK(f.context.letters.empty());
  f.server.come_back();
  REQUIRE(f.env.run_until([&] { return f.context.times_done == 1; }));
  CHECK(f.got.sorted() == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("attempts can be bounded, then the record is a dead letter") {
  fixture f;
  f.server.route("", "/", {.status = 500, .body = "broken"});
  auto writer = http::sink({.url = f.server.url("/"), .attempts = 3, .retry = quick}, plain_text)
                    .open(f.context);
  writer.write(std::string("a"), at);
  REQUIRE(f.env.run_until([&] { return f.context.letters.size() == 1; }));
  CHECK(f.server.statistics().requests == 3);
  CHECK_THAT(f.context.letters[0].reason,
             ContainsSubstring("given up after 3 attempts") && ContainsSubstring("broken"));
}

TEST_CASE("key, URL, method and headers can come from the record") {
  fixture f;
  f.server.route("PUT", "/items/*", [&](const served_request& r) {
    return served_response{.status = r.body == "body of " + r.path.substr(7) &&
                                             r.headers.value("idempotency-key") ==
                                                 "k" + r.path.substr(7) &&
                                             r.headers.value("x-kind") == "test"
                                         ? 201U
                                         : 400U};
  });
  const auto request = [&](const int& id) {
    return net::http_request{.method = net::http_method::put,
                             .url = f.server.url("/items/" + std::to_string(id)),
                             .headers = {{"X-Kind", "test"}},
                             .body = "body of " + std::to_string(id)};
  };
  const auto key = [](const int& id) { return "k" + std::to_string(id); };
  auto writer = http::sink({}, request, key).open(f.context);
  for (int i = 0; i < 5; ++i) writer.write(i, at);
  writer.end();
  REQUIRE(f.env.run_until([&] { return f.context.times_done == 1; }));
  CHECK(f.context.metric("delivered") == 5);
}

TEST_CASE("a request that cannot be sent is a dead letter") {
  fixture f;
  const auto request = [](const int&) { return net::http_request{.url = "nonsense"}; };
  auto writer = http::sink({}, request).open(f.context);
  writer.write(1, at);
  REQUIRE(f.env.run_until([&] { return f.context.letters.size() == 1; }));
}

TEST_CASE("one in flight keeps the order, through failures, too") {
  fixture f;
  int n = 0;
  f.server.route("", "/", [&](const served_request& r) -> served_response {
    if (++n % 3 != 0) return {.status = 503};
    f.got.add(r);
    return {};
  });
  auto writer = http::sink({.url = f.server.url("/"), .in_flight = 1, .retry = quick}, plain_text)
                    .open(f.context);
  for (const char* r : {"a", "b", "c", "d"}) writer.write(std::string(r), at);
  writer.end();
  REQUIRE(f.env.run_until([&] { return f.context.times_done == 1; }));
  CHECK(f.got.bodies == std::vector<std::string>{"a", "b", "c", "d"});
}

TEST_CASE("a writer that is destroyed with work in hand leaves nothing behind") {
  fixture f;
  f.server.route("", "/", {.fault = testing::http_fault::stall});
  f.server.route("", "/busy", {.status = 503});
  {
    auto stalled = http::sink({.url = f.server.url("/")}, plain_text).open(f.context);
    auto retrying =
        http::sink({.url = f.server.url("/busy"), .retry = {.initial = 10s}}, plain_text)
            .open(f.context);
    for (int i = 0; i < 40; ++i) {
      stalled.write(std::string("x"), at);
      retrying.write(std::string("x"), at);
    }
    REQUIRE(f.env.run_until([&] { return f.context.metric("retries") > 0; }));
  }
  f.env.run_for(10ms);
  CHECK(f.env.pending_timers() == 0);
}

TEST_CASE("random faults: every record is delivered or a dead letter, the counts add up") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  fixture f;
  std::mt19937_64 server_random(seed + 1);
  f.server.route("", "/", [&](const served_request& r) -> served_response {
    switch (server_random() % 8) {
      case 0: return {.status = 503};
      case 1: return {.fault = testing::http_fault::close};
      case 2: return {.fault = testing::http_fault::reset};
      case 3: return {.fault = testing::http_fault::garbage};
      case 4: return {.status = 400};
      default: f.got.add(r); return {.delay = std::chrono::microseconds{server_random() % 500}};
    }
  });
  auto writer = http::sink({.url = f.server.url("/"), .in_flight = 8, .retry = quick}, plain_text)
                    .open(f.context);
  constexpr int records = 500;
  for (int i = 0; i < records;) {
    if (!f.context.blocked) writer.write(std::to_string(i++), at);
    if (f.context.blocked || random() % 4 == 0) {
      REQUIRE(f.env.run_until([&] { return !f.context.blocked; }));
    }
    REQUIRE(f.context.metric("in_flight") <= 8);
  }
  writer.end();
  REQUIRE(f.env.run_until([&] { return f.context.times_done == 1; }));
  CHECK(f.context.metric("delivered") + f.context.metric("rejected") == records);
  CHECK(f.context.letters.size() == static_cast<std::size_t>(f.context.metric("rejected")));
  std::set<std::string> seen(f.got.bodies.begin(), f.got.bodies.end());
  for (const auto& letter : f.context.letters) seen.insert(letter.payload);
  CHECK(seen.size() == records);
  CHECK_FALSE(f.context.failure);
}

TEST_CASE("sink options that cannot work are refused, naming part and fix") {
  using http::sink_options;
  CHECK_THROWS_AS(http::sink(sink_options{.url = "nonsense"}, plain_text), topology_error);
  CHECK_THROWS_AS(http::sink(sink_options{.in_flight = 0}, plain_text), topology_error);
  CHECK_THROWS_AS(http::sink(sink_options{.timeout = 0s}, plain_text), topology_error);
  CHECK_THROWS_AS(http::sink(sink_options{.retry = {.factor = 0.1}}, plain_text), topology_error);
  static_assert(sink_for<http::sink<text_codec>, std::string>);
}
