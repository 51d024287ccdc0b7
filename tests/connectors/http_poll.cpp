// SPDX-License-Identifier: Apache-2.0
#include <millrace/connectors/http/poll.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/fake_source_context.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::http_server;
using testing::served_request;
using testing::served_response;

namespace {

struct polling {
  explicit polling(http::poll_options options)
      : env(logger([this](const log_record& r) { log += std::string(r.message) + "\n"; })),
        context(env, "models"),
        reader(http::poll(std::move(options)).open(context)) {}

  /// Polls the reader if it asked for it.
  void pump() {
    batch<message> records(4);
    source_output<message> out(records);
    status = reader.poll(out);
    for (std::size_t i = 0; i < records.size(); ++i) {
      seen.push_back(std::string(records.value(i).payload));
      topic = records.value(i).topic;
      CHECK(records.time(i) == records.value(i).received);
    }
  }

  bool until(const std::function<bool()>& done) {
    return env.run_until([&] {
      if (context.wakes.exchange(0) > 0) pump();
      return done();
    });
  }

  std::string log;
  testing::asio_environment env;
  testing::fake_source_context context;
  http::poll_reader reader;
  poll_status status = poll_status::wait;
  std::vector<std::string> seen;
  std::string topic;
};

}  // namespace

TEST_CASE("the first poll is at once, the others follow the clock") {
  http_server server;
  std::atomic<int> n{0};
  server.route("GET", "/models",
               [&](const served_request&) { return served_response{.body = std::to_string(++n)}; });
  const auto begin = std::chrono::steady_clock::now();
  polling p({.url = server.url("/models"), .every = 20ms});
  REQUIRE(p.until([&] { return p.seen.size() == 5; }));
  CHECK(std::chrono::steady_clock::now() - begin >= 80ms);
  CHECK(p.seen == std::vector<std::string>{"1", "2", "3", "4", "5"});
  CHECK(p.topic == server.url("/models"));
  CHECK(p.context.metric("records") == 5);
  CHECK(p.context.metric("polls") >= 5);
}

TEST_CASE("an unchanged body is emitted once, by ETag, by date or by its bytes") {
  http_server server;
  std::mutex mutex;
  std::vector<std::string> conditions;
  std::atomic<int> kind{0};
  server.route("", "/", [&](const served_request& r) {
    const std::lock_guard lock(mutex);
    conditions.push_back(std::string(r.headers.value("if-none-match")) + "|" +
                         std::string(r.headers.value("if-modified-since")));
    served_response answer{.body = "same"};
    if (kind == 1) answer.headers.add("ETag", "\"v1\"");
    if (kind == 2) answer.headers.add("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    if (conditions.back() != "|") answer.status = 304;
    return answer;
  });
  const char* expected[] = {"|", "\"v1\"|", "|Sun, 06 Nov 1994 08:49:37 GMT"};
  for (kind = 0; kind < 3; ++kind) {
    conditions.clear();
    polling p({.url = server.url("/"), .every = 5ms});
    REQUIRE(p.until([&] { return p.context.metric("unchanged") >= 3; }));
    CHECK(p.seen == std::vector<std::string>{"same"});
    CHECK(p.context.metric("failures") == 0);
    const std::lock_guard lock(mutex);
    CHECK(conditions[0] == "|");
    CHECK(conditions[1] == expected[kind.load()]);
  }
}

TEST_CASE("unchanged bodies can be asked for") {
  http_server server;
  server.route("", "/", {.body = "same"});
  polling p({.url = server.url("/"), .every = 5ms, .unchanged = http::repeats::emit});
  CHECK(p.until([&] { return p.seen.size() == 3; }));
}

TEST_CASE("a failure emits nothing, is counted and logged, and polling goes on") {
  http_server server;
  std::atomic<int> n{0};
  server.route("", "/", [&](const served_request&) -> served_response {
    switch (++n) {
      case 1: return {.body = "first"};
      case 2: return {.status = 500, .body = "broken"};
      case 3: return {.fault = testing::http_fault::garbage};
      case 4: return {.status = 404};
      default: return {.body = "second"};
    }
  });
  polling p({.url = server.url("/"),
             .every = 10ms,
             .retry = {.shortest = 1ms, .initial = 2ms, .longest = 4ms}});
  REQUIRE(p.until([&] { return p.seen.size() == 2; }));
  CHECK(p.seen == std::vector<std::string>{"first", "second"});
  CHECK(p.context.metric("failures") == 3);
  CHECK_THAT(p.log, ContainsSubstring("HTTP 500: broken") && ContainsSubstring("works again"));
  CHECK_FALSE(p.context.failure);
}

TEST_CASE("after a failure the back-off is shorter than the schedule") {
  http_server server;
  server.route("", "/", {.status = 503});
  polling p({.url = server.url("/"),
             .every = 1h,
             .retry = {.shortest = 1ms, .initial = 2ms, .longest = 5ms}});
  REQUIRE(p.until([&] { return p.context.metric("failures") >= 5; }));
  server.route("", "/", {.body = "up"});
  CHECK(p.until([&] { return p.seen.size() == 1; }));
  p.env.run_for(30ms);
  CHECK(p.seen.size() == 1);
}

TEST_CASE("Retry-After holds polls up") {
  http_server server;
  server.route("", "/", {.status = 429, .headers = {{"Retry-After", "1"}}});
  polling p({.url = server.url("/"), .every = 10ms, .retry = {.shortest = 1ms, .initial = 2ms}});
  REQUIRE(p.until([&] { return p.context.metric("failures") == 1; }));
  p.env.run_for(100ms);
  CHECK(p.context.metric("polls") == 1);
  CHECK(p.context.metric("skipped") >= 5);
  server.route("", "/", {.body = "x"});
  const auto begin = p.env.monotonic();
  REQUIRE(p.until([&] { return p.seen.size() == 1; }));
  CHECK(p.env.monotonic() - begin >= 500ms);
}

TEST_CASE("a slow server does not shift the schedule, polls in between are skipped") {
  http_server server;
  server.route("", "/", {.body = "x", .delay = 35ms});
  polling p({.url = server.url("/"), .every = 10ms, .unchanged = http::repeats::emit});
  REQUIRE(p.until([&] { return p.seen.size() == 3; }));
  CHECK(p.context.metric("skipped") >= 6);
  CHECK(server.statistics().open == 1);
}

TEST_CASE("a request that takes too long is a failure") {
  http_server server;
  server.route("", "/", {.fault = testing::http_fault::stall});
  polling p({.url = server.url("/"), .every = 1h, .timeout = 10ms, .retry = {.initial = 10s}});
  REQUIRE(p.until([&] { return p.context.metric("failures") == 1; }));
  CHECK_THAT(p.log, ContainsSubstring("timed out"));
}

TEST_CASE("a held up record is replaced by a newer one") {
  http_server server;
  std::atomic<int> n{0};
  server.route("", "/",
               [&](const served_request&) { return served_response{.body = std::to_string(++n)}; });
  polling p({.url = server.url("/"), .every = 5ms});
  REQUIRE(p.env.run_until([&] { return n >= 5; }));
  p.pump();
  REQUIRE(p.seen.size() == 1);
  CHECK(std::stoi(p.seen[0]) >= 4);
}

TEST_CASE("stop ends the source, also in the middle of a request") {
  http_server server;
  server.route("", "/", {.fault = testing::http_fault::stall});
  polling p({.url = server.url("/"), .every = 10ms});
  REQUIRE(p.env.run_until([&] { return server.statistics().requests == 1; }));
  p.reader.stop();
  REQUIRE(p.until([&] { return p.status == poll_status::end; }));
  p.env.run_for(30ms);
  CHECK(server.statistics().requests == 1);
  CHECK(p.env.pending_timers() == 0);
}

TEST_CASE("destroying the reader in the middle of a request leaves nothing behind") {
  http_server server;
  server.route("", "/", {.fault = testing::http_fault::stall});
  testing::asio_environment env;
  testing::fake_source_context context(env);
  {
    auto reader = http::poll({.url = server.url("/")}).open(context);
    REQUIRE(env.run_until([&] { return server.statistics().requests == 1; }));
  }
  env.run_for(10ms);
  CHECK(env.pending_timers() == 0);
}

TEST_CASE("the password of a URL is used, and not shown") {
  http_server server;
  server.route("", "/", [](const served_request& r) {
    return served_response{.body = std::string(r.headers.value("authorization")) +
                                   std::string(r.headers.value("x"))};
  });
  polling p({.url = "http://me:secret@127.0.0.1:" + std::to_string(server.port()) + "/",
             .headers = {{"X", "y"}}});
  REQUIRE(p.until([&] { return p.seen.size() == 1; }));
  CHECK(p.seen[0] == "Basic bWU6c2VjcmV0y");
  CHECK_THAT(p.topic, !ContainsSubstring("secret"));
}

TEST_CASE("poll options that cannot work are refused, naming part and fix") {
  const auto words = [](http::poll_options options) -> std::string {
    try {
      http::poll(std::move(options)).validate("models");
    } catch (const topology_error& wrong) {
      return wrong.what();
    }
    return "good";
  };
  CHECK(words({.url = "http://x/"}) == "good");
  CHECK_THAT(words({}), ContainsSubstring("models: url"));
  CHECK_THAT(words({.url = "mqtt://x"}), ContainsSubstring("http://"));
  CHECK_THAT(words({.url = "http://x", .every = 0s}), ContainsSubstring("every"));
  CHECK_THAT(words({.url = "http://x", .timeout = -1s}), ContainsSubstring("timeout"));
  CHECK_THAT(words({.url = "http://x", .jitter = 1h}), ContainsSubstring("jitter"));
  CHECK_THAT(words({.url = "http://x", .client = {.hosts = 0}}), ContainsSubstring("hosts"));
  static_assert(source_description<http::poll>);
}
