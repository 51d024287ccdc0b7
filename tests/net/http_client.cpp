// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/http_client.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using net::http_client;
using net::http_method;
using net::http_request;
using net::http_response;
using testing::asio_environment;
using testing::http_fault;
using testing::http_framing;
using testing::http_server;
using testing::served_request;
using testing::served_response;

namespace {

struct fixture {
  explicit fixture(net::http_client_options options = {}) : client(env, std::move(options)) {}

  result<http_response> fetch(http_request request) {
    std::optional<result<http_response>> outcome;
    client.send(std::move(request), [&](result<http_response> r) { outcome = std::move(r); });
    CHECK_FALSE(outcome);
    REQUIRE(env.run_until([&] { return outcome.has_value(); }));
    return *std::move(outcome);
  }
  result<http_response> get(std::string url) { return fetch({.url = std::move(url)}); }

  asio_environment env;
  http_server server;
  http_client client;
};

served_response echo(const served_request& request) {
  std::string text = request.method + " " + request.path + "?" + request.query + "\n";
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    text +=
        std::string(request.headers[i].name) + "=" + std::string(request.headers[i].value) + "\n";
  }
  return {.body = text + "\n" + request.body, .content_type = "text/plain"};
}

}  // namespace

TEST_CASE("a request arrives as it was given, and the response comes back") {
  fixture f;
  f.server.route("", "/echo", echo);
  const auto response = f.fetch({.method = http_method::post,
                                 .url = f.server.url("/echo?a=1&b=%20#fragment"),
                                 .headers = {{"X-One", "1"}, {"X-Two", "two words"}},
                                 .body = "hello"});
  REQUIRE(response);
  CHECK(response->status == 200);
  CHECK(response->ok());
  CHECK(response->headers.value("content-TYPE") == "text/plain");
  CHECK(response->body ==
        "POST /echo?a=1&b=%20\nHost=127.0.0.1:" + std::to_string(f.server.port()) +
            "\nUser-Agent=millrace\nAccept-Encoding=gzip, deflate\nX-One=1\n"
            "X-Two=two words\nContent-Length=5\n\nhello");
}

TEST_CASE("a URL without a path asks for the root, and a query may follow the host") {
  fixture f;
  f.server.route("", "/", echo);
  auto url = f.server.url("");
  CHECK_THAT(f.get(url)->body, ContainsSubstring("GET /?\n"));
  CHECK_THAT(f.get(url + "?q=1")->body, ContainsSubstring("GET /?q=1\n"));
}

TEST_CASE("all methods work, and HEAD has no body") {
  fixture f;
  f.server.route("", "/m", [](const served_request& r) {
    return served_response{.body = r.method + ":" + r.body};
  });
  for (const auto method : {http_method::get, http_method::put, http_method::patch,
                            http_method::delete_, http_method::options}) {
    const auto response = f.fetch({.method = method, .url = f.server.url("/m"), .body = "x"});
    CHECK(response->body == std::string(to_string(method)) + ":x");
  }
  const auto head = f.fetch({.method = http_method::head, .url = f.server.url("/m")});
  CHECK(head->body.empty());
  CHECK(head->headers.value("content-length") == "5");
  CHECK(f.server.statistics().connections == 1);
}

TEST_CASE("every status is a response") {
  fixture f;
  f.server.route("", "/s", [](const served_request& r) {
    return served_response{.status = static_cast<unsigned>(std::stoi(r.query)), .body = "why"};
  });
  for (const char* status : {"200", "204", "301", "304", "400", "404", "500", "503"}) {
    const auto response = f.get(f.server.url(std::string("/s?") + status));
    REQUIRE(response);
    CHECK(std::to_string(response->status) == status);
  }
  CHECK(f.server.statistics().connections == 1);
}

TEST_CASE("bodies arrive by length, in chunks and up to the end, plain and compressed") {
  fixture f;
  std::string text;
  for (int i = 0; i < 40000; ++i) text += std::to_string(i) + ",";
  for (const auto framing :
       {http_framing::content_length, http_framing::chunked, http_framing::until_close}) {
    for (const auto coding : {net::content_coding::identity, net::content_coding::gzip}) {
      f.server.route("GET", "/big", {.body = text, .framing = framing, .coding = coding});
      const auto response = f.get(f.server.url("/big"));
      REQUIRE(response);
      CHECK(response->body == text);
      CHECK(response->headers.contains("Content-Encoding") ==
            (coding == net::content_coding::gzip));
    }
  }
}

TEST_CASE("a request body can be compressed") {
  fixture f;
  f.server.route("POST", "/in", [](const served_request& r) {
    const auto text = net::decompress(net::content_coding::gzip, r.body, 1 << 20);
    return served_response{.body = std::string(r.headers.value("content-encoding")) + " " +
                                   std::to_string(r.body.size() < 1000) + " " +
                                   std::to_string(text && *text == std::string(50000, 'a'))};
  });
  const auto response = f.fetch({.method = http_method::post,
                                 .url = f.server.url("/in"),
                                 .body = std::string(50000, 'a'),
                                 .coding = net::content_coding::gzip});
  CHECK(response->body == "gzip 1 1");
}

TEST_CASE("a large body is sent whole") {
  fixture f;
  f.server.route("PUT", "/in", [](const served_request& r) {
    return served_response{.body = std::to_string(net::crc32(r.body))};
  });
  std::string body;
  std::mt19937 random(5);
  while (body.size() < 8'000'000) body += static_cast<char>(random());
  const auto sum = std::to_string(net::crc32(body));
  const auto response =
      f.fetch({.method = http_method::put, .url = f.server.url("/in"), .body = std::move(body)});
  REQUIRE(response);
  CHECK(response->body == sum);
}

TEST_CASE("connections are kept, and no more are opened than allowed") {
  fixture f({.connections_per_host = 3});
  f.server.route("", "/slow", {.body = "x", .delay = 5ms});
  int done = 0;
  for (int i = 0; i < 30; ++i) {
    f.client.send({.url = f.server.url("/slow")}, [&](result<http_response> r) {
      REQUIRE(r);
      ++done;
    });
  }
  CHECK(f.client.statistics().open == 3);
  CHECK(f.client.statistics().waiting == 27);
  REQUIRE(f.env.run_until([&] { return done == 30; }));
  CHECK(f.server.statistics().connections == 3);
  CHECK(f.client.statistics().idle == 3);
  CHECK(f.client.statistics().in_flight == 0);
}

TEST_CASE("a full waiting line refuses, later") {
  fixture f({.connections_per_host = 1, .waiting_per_host = 2});
  f.server.route("", "/", {.delay = 5ms});
  int good = 0;
  int refused = 0;
  for (int i = 0; i < 5; ++i) {
    f.client.send({.url = f.server.url("/")}, [&](result<http_response> r) {
      if (r) {
        ++good;
      } else {
        CHECK(r.error().code == errc::overloaded);
        ++refused;
      }
    });
  }
  CHECK(refused == 0);
  REQUIRE(f.env.run_until([&] { return good + refused == 5; }));
  CHECK(good == 3);
  CHECK(refused == 2);
}

TEST_CASE("the number of hosts is bounded, and idle ones make room") {
  fixture f({.hosts = 2});
  http_server second;
  http_server third;
  CHECK(f.get(f.server.url("/"))->status == 404);
  CHECK(f.get(second.url("/"))->status == 404);
  CHECK(f.get(third.url("/"))->status == 404);
  f.server.route("", "/stall", {.fault = http_fault::stall});
  second.route("", "/stall", {.fault = http_fault::stall});
  const auto ignore = [](result<http_response>) {};
  f.client.send({.url = f.server.url("/stall")}, ignore);
  f.client.send({.url = second.url("/stall")}, ignore);
  CHECK(f.get(third.url("/")).error().code == errc::overloaded);
}

TEST_CASE("idle connections are closed after their time") {
  fixture f({.idle_timeout = 30ms});
  REQUIRE(f.get(f.server.url("/")));
  CHECK(f.client.statistics().idle == 1);
  REQUIRE(f.env.run_until([&] { return f.client.statistics().open == 0; }));
  CHECK(f.env.run_until([&] { return f.server.statistics().open == 0; }));
  CHECK(f.env.pending_timers() == 0);
}

TEST_CASE("a kept connection that the server has closed is replaced without an error") {
  fixture f;
  f.server.route("", "/", {.body = "x"});
  for (const auto method : {http_method::get, http_method::post}) {
    for (const bool at_once : {false, true}) {
      REQUIRE(f.get(f.server.url("/")));
      f.server.drop_connections();
      if (!at_once) f.env.run_for(30ms);
      const auto response = f.fetch({.method = method, .url = f.server.url("/")});
      REQUIRE(response);
      CHECK(response->body == "x");
    }
  }
}

TEST_CASE("a request is sent again only once, and only if that is harmless") {
  fixture f;
  std::atomic<int> served{0};
  f.server.route("", "/", {.body = "x"});
  f.server.route("", "/close", [&](const served_request&) {
    ++served;
    return served_response{.fault = http_fault::close};
  });
  REQUIRE(f.get(f.server.url("/")));
  auto response = f.get(f.server.url("/close"));
  CHECK(response.error().code == errc::connection_closed);
  CHECK(served == 2);
  REQUIRE(f.get(f.server.url("/")));
  served = 0;
  response = f.fetch({.method = http_method::post, .url = f.server.url("/close"), .body = "x"});
  CHECK(response.error().code == errc::connection_closed);
  CHECK(served == 1);
  served = 0;
  CHECK_FALSE(f.get(f.server.url("/close")));  // a fresh connection: no second try
  CHECK(served == 1);
}

TEST_CASE("the timeout spans waiting, connecting and answering") {
  fixture f({.connections_per_host = 1, .timeout = 60ms});
  f.server.route("", "/stall", {.fault = http_fault::stall});
  std::vector<std::string> errors;
  const auto begin = f.env.monotonic();
  for (int i = 0; i < 3; ++i) {
    f.client.send({.url = f.server.url("/stall")}, [&](result<http_response> r) {
      REQUIRE_FALSE(r);
      CHECK(r.error().code == errc::timeout);
      errors.push_back(r.error().message);
    });
  }
  REQUIRE(f.env.run_until([&] { return errors.size() == 3; }));
  CHECK(f.env.monotonic() - begin >= 60ms);
  CHECK(f.env.monotonic() - begin < 5s);
  CHECK_THAT(errors[0] + errors[1], ContainsSubstring("no connection was free"));
  CHECK_THAT(errors[2], !ContainsSubstring("no connection was free"));
  CHECK(f.client.statistics().open == 0);
  f.server.route("", "/", {.body = "x"});
  CHECK(f.get(f.server.url("/"))->body == "x");
  CHECK(f.fetch({.url = f.server.url("/stall"), .timeout = 10ms}).error().code == errc::timeout);
}

TEST_CASE("a server that is not there is unavailable, in words") {
  fixture f;
  const auto url = f.server.url("/");
  f.server.stop();
  const auto response = f.get(url);
  CHECK(response.error().code == errc::unavailable);
  CHECK_THAT(response.error().message, ContainsSubstring("refused"));
  CHECK(f.get("http://no-such-host.invalid/").error().code == errc::unavailable);
}

TEST_CASE("wrong URLs and headers fail without a connection") {
  fixture f;
  for (const char* url : {"", "localhost", "ftp://x/", "mqtt://x/", "http://", "http://a b/",
                          "http://127.0.0.1:99999/", "http://127.0.0.1/a b",
                          "http://127.0.0.1/\r\nX: y", "http://127.0.0.1/\xC3\xA4"}) {
    INFO(url);
    const auto response = f.get(url);
    REQUIRE_FALSE(response);
    CHECK(
        (response.error().code == errc::malformed || response.error().code == errc::not_supported));
  }
  using field = net::http_headers::field;
  for (const auto& h : {field{"A B", "x"}, field{"", "x"}, field{"X", "a\r\nB: c"},
                        field{"X", std::string_view("a\0b", 3)}, field{"X:", "x"},
                        field{"Content-Length", "5"}, field{"transfer-encoding", "chunked"}}) {
    const auto response = f.fetch({.url = f.server.url("/"), .headers = {h}});
    CHECK(response.error().code == errc::malformed);
  }
  CHECK(f.client.statistics().connections == 0);
  CHECK(f.server.statistics().connections == 0);
}

TEST_CASE("basic authentication comes from the options or the URL, a header wins") {
  fixture f({.headers = {{"X-Key", "k"}}, .user = "Aladdin", .password = "open sesame"});
  f.server.route("", "/", [](const served_request& r) {
    return served_response{.body = std::string(r.headers.value("authorization")) + "|" +
                                   std::string(r.headers.value("x-key"))};
  });
  CHECK(f.get(f.server.url("/"))->body == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==|k");
  const auto port = std::to_string(f.server.port());
  CHECK(f.get("http://me:p%40ss@127.0.0.1:" + port + "/")->body == "Basic bWU6cEBzcw==|k");
  CHECK(f.fetch({.url = f.server.url("/"),
                 .headers = {{"authorization", "Bearer t"}, {"x-key", "other"}}})
            ->body == "Bearer t|other");
}

TEST_CASE("redirects are followed only when allowed, and without secrets to strangers") {
  http_server other;
  other.route("", "/end", echo);
  net::http_client_options options{.user = "me", .password = "secret"};
  fixture off(options);
  options.max_redirects = 3;
  fixture on(options);
  for (auto* f : {&off, &on}) {
    f->server.route("", "/end", echo);
    const auto to = [&](unsigned status, const std::string& location) {
      return served_response{.status = status, .headers = {{"Location", location}}};
    };
    f->server.route("", "/a/302", to(302, "../end?x"));
    f->server.route("", "/a/307", to(307, "/end"));
    f->server.route("", "/away", to(308, other.url("/end")));
    f->server.route("", "/loop", to(302, "/loop"));
    f->server.route("", "/odd", to(302, "ftp://elsewhere/"));
    f->server.route("", "/same", to(302, f->server.url("/end")));
  }
  CHECK(off.get(off.server.url("/a/302"))->status == 302);
  const auto post = [&](const std::string& path) {
    return on.fetch({.method = http_method::post, .url = on.server.url(path), .body = "b"});
  };
  CHECK_THAT(post("/a/302")->body, ContainsSubstring("GET /end?x\n"));
  CHECK_THAT(post("/a/307")->body, ContainsSubstring("POST /end?\n") && ContainsSubstring("\n\nb"));
  CHECK_THAT(post("/same")->body, ContainsSubstring("Authorization=Basic"));
  const auto away = post("/away")->body;
  CHECK_THAT(away, ContainsSubstring("POST /end?\n"));
  CHECK_THAT(away, !ContainsSubstring("Authorization"));
  CHECK(on.get(on.server.url("/loop")).error().code == errc::rejected);
  CHECK_FALSE(on.get(on.server.url("/odd")));
  const auto port = std::to_string(on.server.port());
  CHECK_THAT(on.get("http://u:p@127.0.0.1:" + port + "/same")->body,
             ContainsSubstring("Authorization=Basic dTpw"));
}

TEST_CASE("retries by policy succeed in the end, and Retry-After is heard") {
  fixture f(
      {.timeout = 5s,
       .retry = {.attempts = 4, .backoff = {.shortest = 1ms, .initial = 2ms, .longest = 5ms}}});
  std::atomic<int> calls{0};
  f.server.route("", "/", [&](const served_request& r) -> served_response {
    const int call = ++calls;
    if (r.body != "body") return {.status = 400};
    if (call == 1) return {.status = 503};
    if (call == 2) return {.status = 429, .headers = {{"Retry-After", "1"}}};
    return {.body = "at last"};
  });
  const auto begin = f.env.monotonic();
  const auto response =
      f.fetch({.method = http_method::post, .url = f.server.url("/"), .body = "body"});
  REQUIRE(response);
  CHECK(response->body == "at last");
  CHECK(calls == 3);
  CHECK(f.env.monotonic() - begin >= 1s);
  CHECK(f.client.statistics().retries == 2);
}

TEST_CASE("when attempts run out the last response is delivered, with Retry-After parsed") {
  fixture f({.retry = {.attempts = 2, .backoff = {.shortest = 1ms, .initial = 2ms}}});
  std::atomic<int> calls{0};
  f.server.route("", "/", [&](const served_request&) -> served_response {
    return {.status = 503, .body = std::to_string(++calls), .headers = {{"Retry-After", "0"}}};
  });
  const auto response = f.get(f.server.url("/"));
  CHECK(response->status == 503);
  CHECK(response->body == "2");
  CHECK(response->retry_after == 0ns);
  CHECK(f.fetch({.url = f.server.url("/"), .attempts = 1})->body == "3");
}

TEST_CASE("a retry that would end after the timeout is not waited for") {
  fixture f({.timeout = 2s, .retry = {.attempts = 5}});
  f.server.route("", "/", {.status = 503, .headers = {{"Retry-After", "30"}}});
  const auto begin = f.env.monotonic();
  CHECK(f.get(f.server.url("/"))->status == 503);
  CHECK(f.env.monotonic() - begin < 1900ms);
}

TEST_CASE("a cancelled request is told so later, in every stage, and frees its place") {
  fixture f({.connections_per_host = 1});
  f.server.route("", "/stall", {.fault = http_fault::stall});
  f.server.route("", "/", {.body = "x"});
  std::vector<errc> seen;
  const auto send = [&](const std::string& url) {
    return f.client.send({.url = url}, [&](result<http_response> r) {
      REQUIRE_FALSE(r);
      seen.push_back(static_cast<errc>(r.error().code.value()));
    });
  };
  const auto connecting = send(f.server.url("/stall"));
  const auto waiting = send(f.server.url("/stall"));
  CHECK(f.client.cancel(waiting));
  CHECK_FALSE(f.client.cancel(waiting));
  CHECK(f.client.cancel(connecting));
  CHECK(seen.empty());
  REQUIRE(f.env.run_until([&] { return seen.size() == 2; }));
  const auto running = send(f.server.url("/stall"));
  REQUIRE(f.env.run_until([&] { return f.server.statistics().requests == 1; }));
  CHECK(f.client.cancel(running));
  CHECK(f.client.statistics().open == 0);
  REQUIRE(f.env.run_until([&] { return seen.size() == 3; }));
  CHECK(seen == std::vector(3, errc::aborted));
  CHECK(f.get(f.server.url("/"))->body == "x");
  CHECK_FALSE(f.client.cancel(running));
  CHECK_FALSE(f.client.cancel(0));
  CHECK(f.client.statistics().in_flight == 0);
}

TEST_CASE("a cancelled request of a connection lets the next in line go on") {
  fixture f({.connections_per_host = 1});
  f.server.route("", "/stall", {.fault = http_fault::stall});
  f.server.route("", "/", {.body = "x"});
  bool answered = false;
  const auto id = f.client.send({.url = f.server.url("/stall")}, [](result<http_response>) {});
  f.client.send({.url = f.server.url("/")}, [&](result<http_response> r) { answered = bool(r); });
  REQUIRE(f.env.run_until([&] { return f.server.statistics().requests == 1; }));
  f.client.cancel(id);
  CHECK(f.env.run_until([&] { return answered; }));
}

TEST_CASE("callbacks may send, cancel everything, and destroy the client") {
  asio_environment env;
  http_server server;
  server.route("", "/", {.body = "x"});
  auto client = std::make_unique<http_client>(env);
  int calls = 0;
  bool destroyed = false;
  const auto live = std::make_shared<int>(0);
  client->send({.url = server.url("/")}, [&, live](result<http_response>) {
    client->send({.url = server.url("/")}, [&, live](result<http_response> r) {
      CHECK(r);
      for (int i = 0; i < 5; ++i) {
        client->send({.url = server.url("/")}, [&, live](result<http_response> again) {
          CHECK(again.error().code == errc::aborted);
          if (++calls == 2) {
            client.reset();
            destroyed = true;
          }
        });
      }
      client->cancel_all();
    });
  });
  REQUIRE(env.run_until([&] { return destroyed; }));
  env.run_for(20ms);
  CHECK(calls == 2);
  CHECK(live.use_count() == 1);
  CHECK(env.pending_timers() == 0);
}

TEST_CASE("destroying the client drops callbacks without a call and leaks nothing") {
  asio_environment env;
  http_server server;
  server.route("", "/stall", {.fault = http_fault::stall});
  const auto live = std::make_shared<int>(0);
  bool called = false;
  for (const int progress : {0, 1, 2}) {
    http_client client(env, {.connections_per_host = 1});
    const auto before = server.statistics().requests;
    for (int i = 0; i < 3; ++i) {
      client.send({.url = server.url("/stall")},
                  [&, live](result<http_response>) { called = true; });
    }
    client.send({.url = "nonsense"}, [&, live](result<http_response>) { called = true; });
    if (progress == 1) env.context().poll_one();
    if (progress == 2) {
      env.run_until([&] { return server.statistics().requests > before; });
      CHECK(called);  // the nonsense
      called = false;
    }
  }
  env.run_for(20ms);
  CHECK_FALSE(called);
  CHECK(live.use_count() == 1);
  CHECK(env.pending_timers() == 0);
}

TEST_CASE("options that make no sense are refused by name") {
  const auto words = [](const net::http_client_options& o) {
    const auto checked = net::validate(o);
    return checked ? "good" : checked.error().message;
  };
  CHECK(words({}) == "good");
  CHECK_THAT(words({.connections_per_host = 0}), ContainsSubstring("connections_per_host"));
  CHECK_THAT(words({.hosts = 0}), ContainsSubstring("hosts"));
  CHECK_THAT(words({.timeout = 0s}), ContainsSubstring("timeout"));
  CHECK_THAT(words({.max_header = 1}), ContainsSubstring("max_header"));
  CHECK_THAT(words({.headers = {{"A", "b\n"}}}), ContainsSubstring("headers"));
  CHECK_THAT(words({.tls = {.ca_file = "/nonexistent"}}), ContainsSubstring("/nonexistent"));
  CHECK_THAT(words({.retry = {.attempts = 0}}), ContainsSubstring("retry.attempts"));
}

TEST_CASE("random traffic with faults and cancellation never loses a slot or a callback") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  asio_environment env;
  http_server server;
  // Handlers run on the server's thread: what to do is part of the request.
  server.route("", "/do", [](const served_request& r) -> served_response {
    const int what = std::stoi(r.query);
    served_response answer{.body = r.query + ":" + r.body};
    answer.delay = std::chrono::microseconds{what % 7 * 300};
    answer.framing = static_cast<http_framing>(what % 3);
    answer.coding = static_cast<net::content_coding>(what / 3 % 2);
    answer.cut_after = static_cast<std::size_t>(what % 97);
    if (what % 11 < 6) answer.fault = static_cast<http_fault>(what % 11);
    if (what % 13 == 0) answer.status = 503;
    // Nobody can see that a body that ends with the connection was cut.
    const bool open_end = answer.framing == http_framing::until_close;
    if (open_end && answer.fault == http_fault::truncate) answer.fault = http_fault::garbage;
    return answer;
  });
  struct record {
    int calls = 0;
    bool cancelled = false;
  };
  std::vector<record> records(1500);
  int done = 0;
  {
    http_client client(env, {.connections_per_host = 5,
                             .waiting_per_host = 60,
                             .timeout = 80ms,
                             .idle_timeout = 3ms,
                             .retry = {.attempts = 2, .backoff = {.initial = 20ms}}});
    std::size_t next = 0;
    std::map<net::http_request_id, std::size_t> open;
    while (done < static_cast<int>(records.size())) {
      for (auto burst = random() % 20; burst > 0 && next < records.size(); --burst, ++next) {
        const auto what = std::to_string(random() % 1000);
        const auto body = std::to_string(random());
        const bool post = random() % 2 == 0;
        const auto id = client.send(
            {.method = post ? http_method::post : http_method::get,
             .url = server.url("/do?" + what),
             .body = body,
             .timeout = std::chrono::milliseconds{random() % 2 == 0 ? 0 : 1 + random() % 60}},
            [&, index = next, expected = what + ":" + body](result<http_response> r) {
              ++records[index].calls;
              ++done;
              if (!r) return;
              CHECK_FALSE(records[index].cancelled);
              CHECK(r->body == expected);
            });
        open[id] = next;
      }
      if (random() % 3 == 0 && !open.empty()) {
        auto victim = open.begin();
        std::advance(victim, static_cast<long>(random() % open.size()));
        if (client.cancel(victim->first)) records[victim->second].cancelled = true;
        open.erase(victim);
      }
      if (random() % 200 == 0) server.drop_connections();
      const auto until = env.monotonic() + std::chrono::microseconds{random() % 3000};
      env.run_until([&] { return env.monotonic() >= until; });
      const auto now = client.statistics();
      REQUIRE(now.open <= 5);
      REQUIRE(now.waiting <= 60);
    }
    const auto end = client.statistics();
    CHECK(end.in_flight == 0);
    CHECK(end.waiting == 0);
    CHECK(end.open == end.idle);
    CHECK(end.responses + end.failures == records.size());
    CHECK(end.responses > 100);
  }
  for (const auto& r : records) CHECK(r.calls == 1);
  env.run_for(100ms);
  CHECK(env.pending_timers() == 0);
  CHECK(env.run_until([&] { return server.statistics().open == 0; }));
}
