// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/dial.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using boost::asio::use_awaitable;
using boost::asio::ip::tcp;
using Catch::Matchers::ContainsSubstring;

namespace {

std::uint16_t closed_port(testing::asio_environment& env) {
  tcp::acceptor a(env.context(), {boost::asio::ip::address_v4::loopback(), 0});
  return a.local_endpoint().port();
}

}  // namespace

TEST_CASE("a coroutine dials, and gets a socket without Nagle's algorithm") {
  testing::asio_environment env;
  tcp::acceptor acceptor(env.context(), {boost::asio::ip::address_v4::loopback(), 0});
  const auto port = acceptor.local_endpoint().port();
  std::optional<bool> no_delay;
  boost::asio::co_spawn(
      env.context(),
      [&]() -> boost::asio::awaitable<void> {
        auto socket = co_await net::async_dial(env, "localhost", port, {}, use_awaitable);
        tcp::no_delay option;
        socket.value().get_option(option);
        no_delay = option.value();
      },
      [](const std::exception_ptr& e) {
        if (e) std::rethrow_exception(e);
      });
  REQUIRE(env.run_until([&] { return no_delay.has_value(); }));
  CHECK(*no_delay);
  CHECK(env.pending_timers() == 0);
}

TEST_CASE("a failed dial names the address and the system's reason") {
  testing::asio_environment env;
  const auto port = closed_port(env);
  std::string words;
  net::dial(env, "127.0.0.1", port, {},
            [&](const result<tcp::socket>& r) { words = r.error().to_string(); });
  CHECK(words.empty());
  REQUIRE(env.run_until([&] { return !words.empty(); }));
  CHECK(words == "connect to 127.0.0.1:" + std::to_string(port) + ": Connection refused");
}

TEST_CASE("an address that does not answer ends with the time limit, and is named") {
  testing::asio_environment env;
  // A full backlog swallows further attempts without a word.
  tcp::acceptor acceptor(env.context());
  acceptor.open(tcp::v4());
  acceptor.bind({boost::asio::ip::address_v4::loopback(), 0});
  acceptor.listen(1);
  const auto endpoint = acceptor.local_endpoint();
  std::vector<tcp::socket> fillers;
  for (int i = 0; i < 8; ++i) {
    fillers.emplace_back(env.context()).async_connect(endpoint, [](boost::system::error_code) {});
  }
  env.run_for(20ms);
  std::optional<error> failure;
  net::dial(env, "127.0.0.1", endpoint.port(), {.connect_timeout = 30ms},
            [&](const result<tcp::socket>& r) { failure = r ? error{} : r.error(); });
  REQUIRE(env.run_until([&] { return failure.has_value(); }));
  CHECK(failure->code == errc::timeout);
  CHECK_THAT(failure->message, ContainsSubstring("(" + net::to_string(endpoint) + ")"));
}

TEST_CASE("cancelling a coroutine that dials ends it as aborted") {
  testing::asio_environment env;
  std::optional<std::error_code> code;
  boost::asio::cancellation_signal stop;
  boost::asio::co_spawn(
      env.context(),
      [&]() -> boost::asio::awaitable<void> {
        const auto socket = co_await net::async_dial(env, "localhost", 9, {}, use_awaitable);
        code = socket.error().code;
      },
      boost::asio::bind_cancellation_slot(stop.slot(), [](const std::exception_ptr&) {}));
  env.post([&] { stop.emit(boost::asio::cancellation_type::terminal); });
  REQUIRE(env.run_until([&] { return code.has_value(); }));
  CHECK(*code == errc::aborted);
}

TEST_CASE("an endpoint is written with its port, IPv6 in brackets") {
  using boost::asio::ip::make_address;
  CHECK(net::to_string({make_address("192.0.2.1"), 80}) == "192.0.2.1:80");
  CHECK(net::to_string({make_address("::1"), 8080}) == "[::1]:8080");
}
