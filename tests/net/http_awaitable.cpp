// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/http_awaitable.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

using namespace millrace;
namespace asio = boost::asio;

TEST_CASE("a coroutine can await responses one after the other") {
  testing::asio_environment env;
  testing::http_server server;
  server.route("", "/*", [](const testing::served_request& r) {
    return testing::served_response{.body = r.path};
  });
  net::http_client client(env);
  std::string seen;
  bool ended = false;
  const auto talk = [&]() -> asio::awaitable<void> {
    for (const char* path : {"/a", "/b"}) {
      net::http_request request{.url = server.url(path)};
      auto response = co_await net::async_send(client, std::move(request), asio::use_awaitable);
      seen += response ? response->body : response.error().to_string();
    }
    net::http_request wrong{.url = "nothing"};
    auto failed = co_await net::async_send(client, std::move(wrong), asio::use_awaitable);
    seen += failed ? "" : "!";
    ended = true;
  };
  asio::co_spawn(env.context(), talk(), asio::detached);
  REQUIRE(env.run_until([&] { return ended; }));
  CHECK(seen == "/a/b!");
}

TEST_CASE("cancelling the awaiting operation gives the request up") {
  testing::asio_environment env;
  testing::http_server server;
  server.route("", "/", {.fault = testing::http_fault::stall});
  net::http_client client(env);
  asio::cancellation_signal signal;
  std::optional<result<net::http_response>> outcome;
  net::async_send(client, {.url = server.url("/")},
                  asio::bind_cancellation_slot(signal.slot(), [&](result<net::http_response> r) {
                    outcome = std::move(r);
                  }));
  REQUIRE(env.run_until([&] { return server.statistics().requests == 1; }));
  signal.emit(asio::cancellation_type::terminal);
  REQUIRE(env.run_until([&] { return outcome.has_value(); }));
  CHECK(outcome->error().code == errc::aborted);
  CHECK(client.statistics().open == 0);
}

TEST_CASE("destroying the client destroys the coroutine that waits for it") {
  testing::asio_environment env;
  testing::http_server server;
  server.route("", "/", {.fault = testing::http_fault::stall});
  const auto live = std::make_shared<int>(0);
  auto client = std::make_unique<net::http_client>(env);
  const auto talk = [&, kept = live]() -> asio::awaitable<void> {
    const auto mine = kept;
    net::http_request request{.url = server.url("/")};
    (void)co_await net::async_send(*client, std::move(request), asio::use_awaitable);
    FAIL("resumed");
  };
  asio::co_spawn(env.context(), talk(), asio::detached);
  REQUIRE(env.run_until([&] { return server.statistics().requests == 1; }));
  CHECK(live.use_count() == 3);
  client.reset();
  CHECK(env.run_until([&] { return live.use_count() == 2; }));  // Asio posts the destruction
}
