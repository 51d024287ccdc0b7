// SPDX-License-Identifier: Apache-2.0
#include <millrace/codec/text.hpp>
#include <millrace/connectors/http.hpp>
#include <millrace/operators/async.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::http_server;
using testing::served_request;
using testing::served_response;

namespace {

/// Stands for the async operator.
template <class R>
struct target final : reply_target<R> {
  explicit target(environment& e) : environment_(e) {}
  void complete(std::uint64_t, R value) override { values.push_back(std::move(value)); }
  void fail(std::uint64_t, error reason) override { errors.push_back(std::move(reason)); }
  void on_cancel(std::uint64_t, std::function<void()> f) override { hook = std::move(f); }
  environment& env() override { return environment_; }
  metric_group* metrics() override { return &group; }
  std::int64_t metric(std::string_view name) const {
    for (const auto& m : group.read()) {
      if (m.name == name) return m.value;
    }
    return -1;
  }
  std::size_t answers() const { return values.size() + errors.size(); }

  std::vector<R> values;
  std::vector<error> errors;
  std::function<void()> hook;
  metric_group group;
  environment& environment_;
};

template <class R>
struct caller {
  template <class F, class T>
  void ask(F& f, const T& value) {
    const auto before = replies->answers();
    f(value, async_reply<R>(replies, 1));
    REQUIRE(env.run_until([&] { return replies->answers() > before; }));
  }
  testing::asio_environment env;
  http_server server;
  std::shared_ptr<target<R>> replies = std::make_shared<target<R>>(env);
};

int length(const net::http_response& response) { return static_cast<int>(response.body.size()); }

}  // namespace

TEST_CASE("codecs make the request's body and the result") {
  caller<std::string> c;
  c.server.route("POST", "/upper", [](const served_request& r) {
    return served_response{.body =
                               std::string(r.headers.value("content-type")) + "<" + r.body + ">"};
  });
  auto f = http::call<std::string>({.url = c.server.url("/upper"), .content_type = "text/plain"},
                                   plain_text, plain_text);
  c.ask(f, std::string("abc"));
  c.ask(f, std::string("def"));
  CHECK(c.replies->values == std::vector<std::string>{"text/plain<abc>", "text/plain<def>"});
  CHECK(c.server.statistics().connections == 1);
  CHECK(c.replies->metric("connects") == 1);
  CHECK(c.replies->metric("request_bytes") == 6);
  CHECK(c.replies->metric("response_bytes") == 30);
  CHECK(c.replies->metric("request_retries") == 0);
}

TEST_CASE("functions make the body, or the whole request, and the result") {
  caller<int> c;
  c.server.route("", "/*", [](const served_request& r) {
    return served_response{.body = r.method + r.path + r.body};
  });
  const std::string url = c.server.url("/x");
  auto body = http::call<int>(
      {.url = url}, [](const int& n) { return std::string(static_cast<std::size_t>(n), 'b'); },
      length);
  c.ask(body, 5);
  auto append = http::call<int>(
      {.url = url, .method = net::http_method::put},
      [](const int& n, std::string& out) { out.append(static_cast<std::size_t>(n), 'b'); },
      &length);
  c.ask(append, 5);
  auto whole = http::call<int>(
      {.url = url},
      [&](const int& n) {
        return net::http_request{.url = c.server.url("/item/" + std::to_string(n))};
      },
      [](const net::http_response& r) -> result<int> {
        if (r.body != "GET/item/77") return {errc::malformed, r.body};
        return 77;
      });
  c.ask(whole, 77);
  CHECK(c.replies->values == std::vector<int>{4 + 2 + 5, 3 + 2 + 5, 77});
  c.ask(whole, 78);
  REQUIRE(c.replies->errors.size() == 1);
  CHECK(c.replies->errors[0].code == errc::malformed);
}

TEST_CASE("statuses become errors that say whether a retry can help") {
  caller<int> c;
  c.server.route("", "/", [](const served_request& r) {
    return served_response{.status = static_cast<unsigned>(std::stoi(r.body)), .body = "words"};
  });
  auto f = http::call<int>(
      {.url = c.server.url("/")}, [](const int& n) { return std::to_string(n); }, length);
  for (const int status : {400, 404, 429, 500, 503}) c.ask(f, status);
  const auto& errors = c.replies->errors;
  REQUIRE(errors.size() == 5);
  CHECK(errors[0].code == errc::rejected);
  CHECK_THAT(errors[0].message, ContainsSubstring("HTTP 400: words"));
  CHECK(errors[1].code == errc::rejected);
  CHECK(errors[2].code == errc::unavailable);
  CHECK(errors[3].code == errc::unavailable);
  CHECK(errors[4].code == errc::unavailable);
}

TEST_CASE("a dead, stalled or missing service is an error in time") {
  caller<int> c;
  c.server.route("", "/", {.fault = testing::http_fault::stall});
  const auto body = [](const int&) { return std::string(); };
  auto f = http::call<int>({.url = c.server.url("/"), .timeout = 20ms}, body, length);
  c.ask(f, 1);
  c.server.go_down();
  c.ask(f, 1);
  REQUIRE(c.replies->errors.size() == 2);
  CHECK(c.replies->errors[0].code == errc::timeout);
  CHECK(c.replies->errors[1].code == errc::unavailable);
}

TEST_CASE("a call that is no longer wanted gives its connection up") {
  caller<int> c;
  c.server.route("", "/", {.fault = testing::http_fault::stall});
  auto f = http::call<int>(
      {.url = c.server.url("/")}, [](const int&) { return std::string(); }, length);
  f(1, async_reply<int>(c.replies, 1));
  REQUIRE(c.env.run_until([&] { return c.server.statistics().requests == 1; }));
  REQUIRE(c.replies->hook);
  c.replies->hook();
  REQUIRE(c.env.run_until([&] { return c.server.statistics().open == 0; }));
  REQUIRE(c.env.run_until([&] { return c.replies->answers() == 1; }));
  CHECK(c.replies->errors[0].code == errc::aborted);
}

TEST_CASE("destroying the function abandons its calls") {
  caller<int> c;
  c.server.route("", "/", {.fault = testing::http_fault::stall});
  {
    auto f = http::call<int>(
        {.url = c.server.url("/")}, [](const int&) { return std::string(); }, length);
    auto copy = f;
    f(1, async_reply<int>(c.replies, 1));
    copy(1, async_reply<int>(c.replies, 2));
    REQUIRE(c.env.run_until([&] { return c.server.statistics().requests == 2; }));
  }
  REQUIRE(c.replies->errors.size() == 2);
  CHECK(c.replies->errors[0].code == errc::abandoned);
  CHECK(c.env.pending_timers() == 0);
}

TEST_CASE("call options that cannot work are refused") {
  CHECK_THROWS_AS(http::call<int>({.timeout = 0s}, plain_text, length), topology_error);
  CHECK_THROWS_AS(http::call<int>({.client = {.connections_per_host = 0}}, plain_text, length),
                  topology_error);
}
