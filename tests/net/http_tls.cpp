// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/http_client.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/certificates.hpp"
#include "support/raw_peer.hpp"

#include <optional>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using net::http_response;
using net::tls_options;
using testing::http_framing;
using testing::http_server;

namespace {

result<http_response> fetch(tls_options tls, net::http_request request) {
  testing::asio_environment env;
  net::http_client client(env, {.tls = std::move(tls)});
  std::optional<result<http_response>> outcome;
  client.send(std::move(request), [&](result<http_response> r) { outcome = std::move(r); });
  REQUIRE(env.run_until([&] { return outcome.has_value(); }));
  return *std::move(outcome);
}

tls_options server_tls(const testing::certificate_authority::files& files) {
  return {.certificate_file = files.certificate, .private_key_file = files.key};
}

}  // namespace

TEST_CASE("https verifies the server, and says what is wrong with it") {
  testing::certificate_authority authority;
  testing::certificate_authority stranger("stranger");
  http_server server({.tls = server_tls(authority.server())});
  server.route("", "/", {.body = "secret"});
  const tls_options trusting{.ca_file = authority.ca_file()};
  CHECK(fetch(trusting, {.url = server.url("/")})->body == "secret");
  CHECK(
      fetch(trusting, {.url = "https://localhost:" + std::to_string(server.port()) + "/"})->body ==
      "secret");

  const auto unknown = fetch({.ca_file = stranger.ca_file()}, {.url = server.url("/")});
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == errc::connection_refused);
  CHECK_THAT(unknown.error().message, ContainsSubstring("certificate verify failed"));
  CHECK_FALSE(fetch({}, {.url = server.url("/")}));
  const auto other_name =
      fetch({.ca_file = authority.ca_file(), .server_name = "example.org"}, {.url = server.url()});
  CHECK(other_name.error().code == errc::connection_refused);
  CHECK(fetch({.verify = net::tls_verify::none}, {.url = server.url("/")})->body == "secret");
}

TEST_CASE("a client can show a certificate of its own") {
  testing::certificate_authority authority;
  auto strict = server_tls(authority.server());
  strict.ca_file = authority.ca_file();
  http_server server({.tls = strict});
  server.route("", "/", {.body = "secret"});
  tls_options mine{.ca_file = authority.ca_file()};
  CHECK_FALSE(fetch(mine, {.url = server.url("/")}));
  mine.certificate_file = authority.client().certificate;
  mine.private_key_file = authority.client().key;
  CHECK(fetch(mine, {.url = server.url("/")})->body == "secret");
}

TEST_CASE("a server that does not speak TLS is refused, a missing file named") {
  testing::raw_peer peer(
      [](testing::raw_peer::connection& c) { c.send("HTTP/1.1 400 Bad\r\n\r\n"); });
  const auto url = "https://127.0.0.1:" + std::to_string(peer.port()) + "/";
  CHECK(fetch({}, {.url = url}).error().code == errc::connection_refused);
  const auto no_file = fetch({.ca_file = "/nonexistent/ca.pem"}, {.url = url});
  CHECK_THAT(no_file.error().message, ContainsSubstring("/nonexistent/ca.pem"));
}

TEST_CASE("connections over TLS are kept, replaced, and carry large bodies both ways") {
  testing::certificate_authority authority;
  http_server server({.tls = server_tls(authority.server())});
  server.route("", "/echo", [](const testing::served_request& r) {
    testing::served_response answer{.body = r.body};
    if (r.query == "chunked") answer.framing = http_framing::chunked;
    if (r.query == "close") answer.framing = http_framing::until_close;
    return answer;
  });
  testing::asio_environment env;
  net::http_client client(env, {.tls = {.ca_file = authority.ca_file()}});
  const auto echo = [&](const std::string& query, const std::string& body) {
    std::optional<result<http_response>> outcome;
    net::http_request request{
        .method = net::http_method::put, .url = server.url("/echo?" + query), .body = body};
    client.send(std::move(request), [&](result<http_response> r) { outcome = std::move(r); });
    REQUIRE(env.run_until([&] { return outcome.has_value(); }));
    if (!*outcome) INFO(outcome->error().to_string());
    return *outcome && (*outcome)->body == body;
  };
  const std::string large(3'000'000, 'L');
  for (int i = 0; i < 3; ++i) {
    CHECK(echo("", "small"));
    CHECK(echo("chunked", large));
  }
  CHECK(client.statistics().connections == 1);
  env.run_for(30ms);  // longer than a connection is trusted without a look
  CHECK(echo("", "again"));
  CHECK(client.statistics().connections == 1);
  CHECK(echo("close", large));
  CHECK(client.statistics().open == 0);
  CHECK(echo("", "x"));
  server.drop_connections();
  env.run_for(30ms);
  CHECK(echo("", "y"));
  server.drop_connections();
  CHECK(echo("", "z"));
}

TEST_CASE("a TLS connection cut without goodbye does not end a body") {
  testing::certificate_authority authority;
  http_server server({.tls = server_tls(authority.server())});
  server.route("", "/",
               {.body = std::string(100, 'x'),
                .framing = http_framing::until_close,
                .fault = testing::http_fault::truncate,
                .cut_after = 120});
  const auto response = fetch({.ca_file = authority.ca_file()}, {.url = server.url("/")});
  REQUIRE_FALSE(response);
  CHECK(response.error().code == errc::connection_closed);
}
