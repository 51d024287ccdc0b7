// SPDX-License-Identifier: Apache-2.0
// HTTP calls of a pipeline against a client written with Beast by hand, both with 16 connections
// that are kept, one thread each, against the same server in a child process.
//
//   bench_http_calls [CALLS]
#include "harness/process.hpp"
#include "harness/replay_source.hpp"
#include "harness/spread.hpp"
#include "replayer/replayer.hpp"

#include <millrace/connectors/http/call.hpp>
#include <millrace/dsl/async_api.hpp>
#include <millrace/dsl/pipeline.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <sys/epoll.h>

#include <cstdio>
#include <exception>

namespace bench {
namespace {

constexpr std::size_t connections = 16;
constexpr std::string_view request_body = R"({"station":"station-00001","bikes":7.25})";
constexpr std::string_view answer = R"({"score":0.75})";

/// Answers everything; a request is over where its body ends, and comes in one read.
void serve(int listener) {
  const std::string response =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
      std::to_string(answer.size()) + "\r\n\r\n" + std::string(answer);
  const int poll = ::epoll_create1(0);
  epoll_event wanted{.events = EPOLLIN, .data = {.fd = listener}};
  ::epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted);
  std::array<epoll_event, 64> events{};
  std::array<char, 16'384> bytes{};
  for (;;) {
    const int n = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener) {
        const int client = ::accept(listener, nullptr, nullptr);
        const int on = 1;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        wanted.data.fd = client;
        ::epoll_ctl(poll, EPOLL_CTL_ADD, client, &wanted);
      } else if (::recv(fd, bytes.data(), bytes.size(), 0) <= 0 ||
                 ::send(fd, response.data(), response.size(), MSG_NOSIGNAL) <= 0) {
        ::close(fd);
      }
    }
  }
}

/// The server, in a child, from construction to destruction.
class server {
 public:
  server() : listener_(::socket(AF_INET, SOCK_STREAM, 0)), child_(start()) {}
  std::uint16_t port() const noexcept { return port_; }

 private:
  child start() {
    sockaddr_in address = replayer::loopback(0);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_.get(), any, size) != 0 || ::listen(listener_.get(), 64) != 0 ||
        ::getsockname(listener_.get(), any, &size) != 0) {
      throw std::runtime_error("cannot listen on loopback");
    }
    port_ = ntohs(address.sin_port);
    return child::of([this] { serve(listener_.get()); });
  }

  std::uint16_t port_ = 0;
  replayer::socket_handle listener_;
  child child_;
};

std::uint64_t call_with_pipeline(std::uint16_t port, std::uint64_t calls) {
  static const auto block = floors::make_events({});
  std::uint64_t good = 0;
  const auto request = [](const floors::event&) { return std::string(request_body); };
  const auto response = [](const millrace::net::http_response& r) { return r.body == answer; };
  const millrace::http::call_options options{
      .url = "http://127.0.0.1:" + std::to_string(port) + "/score",
      .client = {.connections_per_host = connections}};
  millrace::pipeline p{"calls"};
  p.source("events", replay_source(block, (calls + 65'535) / 65'536))
      .async_map("score", millrace::http::call<bool>(options, request, response), {.in_flight = 64})
      .to("answers", noting_sink([&good](bool right) { good += right ? 1 : 0; }));
  p.run();
  return good;
}

namespace asio = boost::asio;
namespace http = boost::beast::http;

asio::awaitable<void> call_with_beast(std::uint16_t port, std::uint64_t& left,
                                      std::uint64_t& good) {
  asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
  const asio::ip::tcp::endpoint server(asio::ip::address_v4::loopback(), port);
  co_await socket.async_connect(server, asio::use_awaitable);
  socket.set_option(asio::ip::tcp::no_delay(true));
  boost::beast::flat_buffer buffer;
  while (left > 0) {
    --left;
    http::request<http::string_body> request(http::verb::post, "/score", 11);
    request.set(http::field::host, "127.0.0.1");
    request.set(http::field::content_type, "application/json");
    request.body() = request_body;
    request.prepare_payload();
    co_await http::async_write(socket, request, asio::use_awaitable);
    http::response<http::string_body> response;
    co_await http::async_read(socket, buffer, response, asio::use_awaitable);
    good += response.body() == answer ? 1 : 0;
  }
}

std::uint64_t call_by_hand(std::uint16_t port, std::uint64_t calls) {
  calls = (calls + 65'535) / 65'536 * 65'536;
  std::uint64_t good = 0;
  asio::io_context io(1);
  for (std::size_t i = 0; i < connections; ++i) {
    asio::co_spawn(io, call_with_beast(port, calls, good), asio::detached);
  }
  io.run();
  return good;
}

void measure_calls(std::uint64_t calls) {
  const server peer;
  std::vector<double> rates[2];
  std::vector<double> cpu[2];
  for (int r = 0; r < 6; ++r) {
    std::uint64_t good[2] = {0, 0};
    for (std::size_t i = 0; i < 2; ++i) {
      const std::uint64_t start = replayer::now();
      const std::uint64_t before = processor_time();
      good[i] = i == 0 ? call_with_pipeline(peer.port(), calls) : call_by_hand(peer.port(), calls);
      if (r == 0) continue;  // warms up
      const auto each = static_cast<double>(good[i]);
      rates[i].push_back(each * 1e9 / static_cast<double>(replayer::now() - start));
      cpu[i].push_back(static_cast<double>(processor_time() - before) / each);
    }
    if (good[0] != good[1]) throw std::runtime_error("not all calls were answered");
  }
  const row speed = compared("http_calls", "calls/s", rates[0], "bare Beast client", rates[1]);
  print_row(with_target(speed, "10", relation::at_least, 0.9));
  print_row(compared("http_calls", "CPU ns/call", cpu[0], "bare Beast client", cpu[1]));
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    bench::measure_calls(argc > 1 ? std::stoull(argv[1]) : 131'072);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}
