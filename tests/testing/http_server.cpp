// SPDX-License-Identifier: Apache-2.0
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::http_fault;
using testing::http_server;
using testing::served_request;
using testing::served_response;
using tcp = boost::asio::ip::tcp;

namespace {

/// A client that knows nothing but bytes.
class raw_client {
 public:
  explicit raw_client(std::uint16_t port) : socket_(context_) {
    socket_.connect({boost::asio::ip::address_v4::loopback(), port});
  }

  void send(const std::string& bytes) { boost::asio::write(socket_, boost::asio::buffer(bytes)); }

  /// All bytes until the server closes.
  std::string read_all() {
    std::string all;
    boost::system::error_code code;
    boost::asio::read(socket_, boost::asio::dynamic_buffer(all), code);
    return all + (code == boost::asio::error::eof ? "" : "<" + code.message() + ">");
  }

  std::string read(std::size_t size) {
    std::string text(size, '\0');
    boost::asio::read(socket_, boost::asio::buffer(text));
    return text;
  }

 private:
  boost::asio::io_context context_;
  tcp::socket socket_;
};

std::string ask(const http_server& server, const std::string& request) {
  raw_client client(server.port());
  client.send(request);
  return client.read_all();
}

std::string get(const http_server& server, const std::string& path) {
  return ask(server, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

}  // namespace

TEST_CASE("the longest route that matches answers, by method") {
  http_server server;
  server.route("GET", "/a", {.body = "exact"});
  server.route("POST", "/a", {.body = "post"});
  server.route("", "/*", {.body = "prefix"});
  server.route("", "/a/*", [](const served_request& r) {
    return served_response{.body = r.path + "|" + r.query};
  });
  CHECK_THAT(get(server, "/a"), ContainsSubstring("\r\n\r\nexact"));
  CHECK_THAT(get(server, "/a?x"), ContainsSubstring("\r\n\r\nexact"));
  CHECK_THAT(get(server, "/b"), ContainsSubstring("\r\n\r\nprefix"));
  CHECK_THAT(get(server, "/a/b%20c?q=1"), ContainsSubstring("\r\n\r\n/a/b%20c|q=1"));
  CHECK_THAT(ask(server, "PUT /a HTTP/1.1\r\nConnection: close\r\n\r\n"),
             ContainsSubstring("HTTP/1.1 405 "));
  server.route("GET", "/a", {.body = "replaced"});
  CHECK_THAT(get(server, "/a"), ContainsSubstring("replaced"));
}

TEST_CASE("a path without route is 404, a handler that throws 500") {
  http_server server;
  server.route("", "/bad", [](const served_request&) -> served_response {
    throw std::runtime_error("broken handler");
  });
  CHECK_THAT(get(server, "/nothing"), ContainsSubstring("HTTP/1.1 404 "));
  CHECK_THAT(get(server, "/bad"),
             ContainsSubstring("HTTP/1.1 500 ") && ContainsSubstring("broken handler"));
}

TEST_CASE("the bytes of a response are those of the book") {
  http_server server;
  server.route(
      "", "/",
      {.status = 201, .body = "body", .content_type = "text/plain", .headers = {{"X-A", "b"}}});
  CHECK(get(server, "/") ==
        "HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        "Content-Length: 4\r\n\r\nbody");
  server.route("", "/",
               {.body = std::string(1001, 'x'),
                .content_type = "",
                .framing = testing::http_framing::chunked});
  CHECK(get(server, "/") ==
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" +
            std::string(1000, 'x') + "\r\n1\r\nx\r\n0\r\n\r\n");
}

TEST_CASE("requests may be pipelined on a kept connection") {
  http_server server;
  server.route("", "/*", [](const served_request& r) {
    return served_response{.body = r.path, .content_type = ""};
  });
  raw_client client(server.port());
  client.send(
      "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"
      "POST /3 HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nxx");
  const std::string all = client.read_all();
  CHECK_THAT(all, ContainsSubstring("/1HTTP") && ContainsSubstring("/2HTTP") &&
                      Catch::Matchers::EndsWith("/3"));
  CHECK(server.statistics().connections == 1);
  CHECK(server.statistics().requests == 3);
}

TEST_CASE("faults do what their names say") {
  http_server server;
  const auto with = [&](http_fault fault) {
    server.route("", "/", {.body = "0123456789", .fault = fault, .cut_after = 20});
    return get(server, "/");
  };
  CHECK(with(http_fault::close).empty());
  CHECK_THAT(with(http_fault::reset), ContainsSubstring("reset"));
  CHECK(with(http_fault::truncate) == "HTTP/1.1 200 OK\r\nCon");
  CHECK_THAT(with(http_fault::garbage), ContainsSubstring("no HTTP"));
  CHECK(server.statistics().faults == 4);
}

TEST_CASE("a delayed response does not hold up others") {
  http_server server;
  server.route("", "/slow", {.body = "slow", .delay = 100ms});
  server.route("", "/fast", {.body = "fast"});
  raw_client slow(server.port());
  const auto begin = std::chrono::steady_clock::now();
  slow.send("GET /slow HTTP/1.1\r\nConnection: close\r\n\r\n");
  CHECK_THAT(get(server, "/fast"), ContainsSubstring("fast"));
  CHECK_THAT(slow.read_all(), ContainsSubstring("slow"));
  CHECK(std::chrono::steady_clock::now() - begin >= 100ms);
}

TEST_CASE("limits on connections, header and body hold") {
  http_server server({.max_connections = 1, .max_header = 1000, .max_body = 10});
  server.route("", "/", {.body = "x"});
  {
    raw_client first(server.port());
    first.send("GET / HTTP/1.1\r\n\r\n");
    CHECK(first.read(4) == "HTTP");
    raw_client second(server.port());
    CHECK_THAT(second.read_all(), !ContainsSubstring("HTTP"));
  }
  while (server.statistics().open > 0) std::this_thread::yield();
  CHECK_THAT(ask(server, "POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n"),
             ContainsSubstring("HTTP/1.1 413 "));
  while (server.statistics().open > 0) std::this_thread::yield();
  CHECK_THAT(ask(server, "GET / HTTP/1.1\r\nX: " + std::string(1200, 'x')),
             ContainsSubstring("HTTP/1.1 431 "));
  CHECK(server.statistics().refused == 1);
}

TEST_CASE("a server can go down and come back on the same port") {
  http_server server;
  server.route("", "/", {.body = "x"});
  raw_client open(server.port());
  open.send("GET / HTTP/1.1\r\n\r\n");
  CHECK(open.read(4) == "HTTP");
  server.go_down();
  server.go_down();
  CHECK_NOTHROW(open.read_all());
  CHECK_THROWS(get(server, "/"));
  server.come_back();
  server.come_back();
  CHECK_THAT(get(server, "/"), ContainsSubstring("200"));
}

TEST_CASE("it can run on an environment, and be destroyed before it") {
  testing::asio_environment env;
  std::atomic<bool> ended{false};
  std::string answer;
  std::thread client;
  const auto thread = std::this_thread::get_id();
  {
    http_server server(env);
    server.route("", "/stall", {.fault = http_fault::stall});
    server.route("", "/late", {.delay = 1h});
    server.route("", "/", [&](const served_request&) {
      return served_response{.body = thread == std::this_thread::get_id() ? "same" : "other",
                             .delay = 1ms};
    });
    client = std::thread([&, port = server.port()] {
      raw_client stalled(port);
      stalled.send("GET /stall HTTP/1.1\r\n\r\nGET /late HTTP/1.1\r\n\r\n");
      raw_client late(port);
      late.send("GET /late HTTP/1.1\r\n\r\n");
      raw_client asking(port);
      asking.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
      answer = asking.read_all();
      ended = true;
    });
    CHECK(env.run_until([&] { return ended.load(); }));
  }
  client.join();
  CHECK_THAT(answer, ContainsSubstring("same"));
  env.run_for(10ms);
}

TEST_CASE("it stops while requests are being answered") {
  for (int round = 0; round < 20; ++round) {
    http_server server;
    server.route("", "/", {.body = std::string(100000, 'x'), .delay = 100us});
    std::vector<std::thread> clients;
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back([port = server.port()] {
        try {
          raw_client client(port);
          client.send("GET / HTTP/1.1\r\n\r\n");
          client.read_all();
        } catch (const std::exception&) {
          // the server was faster
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::microseconds{round * 50});
    server.stop();
    for (auto& c : clients) c.join();
  }
}

TEST_CASE("an address that cannot be had is an exception") {
  CHECK_THROWS(http_server({.address = "192.0.2.1"}));
  http_server first;
  CHECK_THROWS(http_server({.port = first.port()}));
  CHECK_THROWS(http_server({.tls = net::tls_options{}}));
}
