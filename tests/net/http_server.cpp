// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/asio.hpp>
#include <millrace/net/http_server.hpp>

#include "catch.hpp"
#include "support/raw_client.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using testing::body_of;
using testing::get_request;
using testing::raw_client;
using testing::status_of;

namespace {

net::http_served_response echo(const net::http_served_request& r) {
  if (r.path == "/throw") throw std::runtime_error("on purpose");
  if (r.path == "/big") return {.body = std::string(8 << 20, 'x')};
  return {.body = r.method + " " + r.path + " ?" + r.query + " @" + r.host + " " + r.body};
}

net::http_server_options with(net::http_server_limits limits) {
  return {.address = "127.0.0.1", .port = 0, .limits = limits};
}

std::string ask(net::http_server& server, const std::string& request) {
  raw_client client(server.port());
  client.send(request);
  return client.read_response();
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

}  // namespace

TEST_CASE("http_server: a request reaches the handler, the answer the client") {
  net::http_server server({}, echo);
  const auto response = ask(server, get_request("/a/b?x=1&y=2"));
  CHECK(status_of(response) == 200);
  CHECK(body_of(response) == "GET /a/b ?x=1&y=2 @localhost ");
  CHECK(response.find("\r\nContent-Type: text/plain; charset=utf-8\r\n") != std::string::npos);
  CHECK(response.find(" GMT\r\n") != std::string::npos);
  CHECK(body_of(ask(server, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")) ==
        "POST /p ? @h abc");
  CHECK(body_of(ask(server,
                    "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")) == "POST /p ? @h abc");
  CHECK(server.url("/x") == "http://127.0.0.1:" + std::to_string(server.port()) + "/x");
}

TEST_CASE("http_server: a connection is kept, and closed when the client or a limit says so") {
  net::http_server server(with({.requests_per_connection = 3}), echo);
  raw_client client(server.port());
  for (int i = 0; i < 2; ++i) {
    client.send(get_request("/"));
    CHECK(client.read_response().find("Connection: close") == std::string::npos);
  }
  client.send(get_request("/"));
  CHECK(client.read_response().find("\r\nConnection: close\r\n") != std::string::npos);
  CHECK(client.closed_within(5s));

  raw_client polite(server.port());
  polite.send(get_request("/", "Connection: close\r\n"));
  CHECK(status_of(polite.read_response()) == 200);
  CHECK(polite.closed_within(5s));

  raw_client old(server.port());
  old.send("GET / HTTP/1.0\r\n\r\n");
  CHECK(status_of(old.read_response()) == 200);
  CHECK(old.closed_within(5s));
}

TEST_CASE("http_server: HEAD is answered without a body, with its length") {
  net::http_server server({}, echo);
  raw_client client(server.port());
  client.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n" + get_request("/y"));
  const auto head = client.read_response(false);
  CHECK(status_of(head) == 200);
  CHECK(head.find("Content-Length: 13\r\n") != std::string::npos);
  CHECK(body_of(client.read_response()).starts_with("GET /y"));
}

TEST_CASE("http_server: pipelined requests are answered in order, up to the limit") {
  net::http_server server(with({.pipelined = 4}), echo);
  raw_client client(server.port());
  std::string all;
  for (int i = 0; i < 10; ++i) all += get_request("/" + std::to_string(i));
  client.send(all);
  for (int i = 0; i < 5; ++i) {
    CHECK(body_of(client.read_response()).starts_with("GET /" + std::to_string(i) + " "));
  }
  CHECK(status_of(client.read_response()) == 400);
  CHECK(client.read_response().empty());
}

TEST_CASE("http_server: what is no good request is refused with the status that says why") {
  net::http_server server(with({.target = 100, .header = 1000, .body = 50}), echo);
  const std::pair<std::string, int> cases[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET http://other/x HTTP/1.1\r\nHost: h\r\n\r\n", 200},
      {"GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /" + std::string(100, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(2000, 'a') + "\r\n\r\n", 431},
      {"GET /" + std::string(20'000, 'a'), 431},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 51\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", 417},
      {"\x16\x03\x01\x02", 400},
      {"GET /throw HTTP/1.1\r\nHost: h\r\n\r\n", 500},
  };
  for (const auto& [request, status] : cases) {
    INFO(request.substr(0, 100));
    CHECK(status_of(ask(server, request)) == status);
  }
  CHECK(server.statistics().rejected == std::size(cases) - 2);
  CHECK(body_of(ask(server, "GET http://other:1/x?y HTTP/1.1\r\nHost: h\r\n\r\n")) ==
        "GET /x ?y @other:1 ");
}

TEST_CASE(
    "http_server: a request that trickles in, or never ends, costs its sender the connection") {
  net::http_server server(with({.idle = 60s, .request = 50ms}), echo);
  raw_client slow(server.port());
  slow.send("GET / HT");
  CHECK(slow.closed_within(5s));
  raw_client body(server.port());
  body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  CHECK(body.closed_within(5s));
  CHECK(server.statistics().timeouts == 2);
  raw_client patient(server.port());
  CHECK_FALSE(patient.closed_within(150ms));  // it has not begun a request
  patient.send(get_request("/"));
  CHECK(status_of(ask(server, get_request("/"))) == 200);
}

TEST_CASE("http_server: silent connections and slow readers are closed") {
  net::http_server server(with({.idle = 50ms, .response = 50ms}), echo);
  raw_client silent(server.port());
  CHECK(silent.closed_within(5s));
  raw_client reader(server.port(), 4096);
  reader.send(get_request("/big"));
  CHECK(eventually([&] { return server.statistics().timeouts == 2; }));
  CHECK(reader.read_all().size() < (8U << 20U));
  CHECK(eventually([&] { return server.statistics().open == 0; }));
}

TEST_CASE("http_server: when all connections are taken, the longest idle one makes way") {
  net::http_server server(with({.connections = 3, .request = 60s}), echo);
  std::vector<raw_client> clients;
  for (std::size_t i = 0; i < 3; ++i) {
    clients.emplace_back(server.port());
    REQUIRE(eventually([&] { return server.statistics().open == i + 1; }));
  }
  CHECK(status_of(ask(server, get_request("/"))) == 200);
  CHECK(clients[0].closed_within(5s));
  CHECK_FALSE(clients[1].closed_within(50ms));
  REQUIRE(eventually([&] { return server.statistics().open == 2; }));

  // Those in the middle of a request stay; then a new one is turned away.
  raw_client third(server.port());
  for (auto* c : {&clients[1], &clients[2], &third}) c->send("GET /");
  REQUIRE(eventually([&] { return server.statistics().open == 3; }));
  CHECK(eventually([&] { return ask(server, get_request("/")).empty(); }));
}

TEST_CASE("http_server: requests beyond the rate wait, and none is lost") {
  net::http_server server(with({.rate = 100}), echo);
  const auto began = std::chrono::steady_clock::now();
  raw_client client(server.port());
  for (int i = 0; i < 150; ++i) {
    client.send(get_request("/"));
    REQUIRE(status_of(client.read_response()) == 200);
  }
  // One second's worth is there at the start.
  CHECK(std::chrono::steady_clock::now() - began > 400ms);
}

TEST_CASE("http_server: a task runs again and again until the server stops") {
  std::atomic<int> runs{0};
  net::http_server_options options;
  options.task_every = 1ms;
  options.task = [&] { ++runs; };
  net::http_server server(options, echo);
  CHECK(eventually([&] { return runs >= 3; }));
  CHECK(status_of(ask(server, get_request("/"))) == 200);
  server.stop();
  const int then = runs;
  std::this_thread::yield();
  CHECK(runs == then);
}

TEST_CASE("http_server: header fields of the handler cannot smuggle in others") {
  net::http_server server({}, [](const net::http_served_request&) {
    net::http_served_response r;
    r.headers.add("X-Name", "a\r\nSet-Cookie: b");
    return r;
  });
  const auto response = ask(server, get_request("/"));
  CHECK(response.find("\r\nX-Name: a  Set-Cookie: b\r\n") != std::string::npos);
}

TEST_CASE("http_server: after stop no handler runs, and stopping twice is fine") {
  std::atomic<int> calls{0};
  net::http_server server({}, [&](const net::http_served_request&) {
    ++calls;
    return net::http_served_response{};
  });
  raw_client waiting(server.port());
  raw_client half(server.port());
  half.send("GET / HTTP");
  CHECK(status_of(ask(server, get_request("/"))) == 200);
  server.stop();
  server.stop();
  CHECK(calls == 1);
  CHECK(waiting.closed_within(5s));
  CHECK(half.closed_within(5s));
  CHECK_FALSE(raw_client(server.port()).connected());
}

TEST_CASE("http_server: an address that cannot be had is an error with words") {
  net::http_server first({}, echo);
  CHECK_THROWS_WITH(net::http_server({.address = "127.0.0.1", .port = first.port()}, echo),
                    Catch::Matchers::ContainsSubstring("cannot bind to 127.0.0.1:"));
  CHECK_THROWS_WITH(net::http_server({.address = "somewhere"}, echo),
                    Catch::Matchers::ContainsSubstring("not an IP address: somewhere"));
}

TEST_CASE("http_server: it runs on several threads of the application's executor") {
  boost::asio::thread_pool pool(3);
  io_executor executor{pool.get_executor()};
  {
    net::http_server server(executor, {}, echo);
    std::vector<std::thread> clients;
    std::atomic<int> good{0};
    for (int c = 0; c < 4; ++c) {
      clients.emplace_back([&] {
        for (int i = 0; i < 20; ++i) good += status_of(ask(server, get_request("/"))) == 200;
      });
    }
    for (auto& c : clients) c.join();
    CHECK(good == 80);
  }
  pool.join();
}

TEST_CASE("http_server: an executor that is destroyed with open connections leaks nothing") {
  auto context = std::make_unique<boost::asio::io_context>();
  io_executor executor{context->get_executor()};
  std::optional<raw_client> client;
  {
    net::http_server server(executor, {}, echo);
    client.emplace(server.port());
    for (int i = 0; i < 100 && server.statistics().open == 0; ++i) context->run_one_for(10ms);
    CHECK(server.statistics().open == 1);
  }
  context.reset();
  CHECK(client->closed_within(5s));
}
