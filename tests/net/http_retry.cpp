// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/http_retry.hpp>

#include "catch.hpp"

#include <chrono>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;
using net::http_method;
using net::http_response;

namespace {

const timestamp now{std::chrono::sys_days{std::chrono::year{2025} / 6 / 15} + 12h};

timestamp at(int year, unsigned month, unsigned day, std::chrono::seconds time) {
  return timestamp{std::chrono::sys_days{std::chrono::year{year} / static_cast<int>(month) /
                                         static_cast<int>(day)} +
                   time};
}

result<http_response> status(unsigned code) { return http_response{.status = code}; }
result<http_response> failure(errc code) { return {code, ""}; }

}  // namespace

TEST_CASE("HTTP dates are read in their three formats") {
  const auto expected = at(1994, 11, 6, 8h + 49min + 37s);
  CHECK(net::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", now) == expected);
  CHECK(net::parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", now) == expected);
  CHECK(net::parse_http_date("Sun Nov  6 08:49:37 1994", now) == expected);
  CHECK(net::parse_http_date("Tue, 29 Feb 2028 23:59:60 GMT", now) == at(2028, 2, 29, 24h));
  CHECK(net::parse_http_date("Friday, 01-Jan-60 00:00:00 GMT", now) == at(2060, 1, 1, 0s));
}

TEST_CASE("what is no HTTP date is refused") {
  for (const char* text :
       {"", "Sun", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 2024 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov 1994 08:49:37 CET", "2024-01-01T00:00:00Z",
        "Sun Nov 6 08:49:37 1994", ",,,,,,,,,,,,,,,,,,,,,,,,,", "Sun, -6 Nov 1994 08:49:37 GMT"}) {
    INFO(text);
    CHECK_FALSE(net::parse_http_date(text, now));
  }
}

TEST_CASE("Retry-After is seconds or a date, never negative, a day at most") {
  CHECK(net::parse_retry_after("120", now) == 120s);
  CHECK(net::parse_retry_after(" 0 ", now) == 0s);
  CHECK(net::parse_retry_after("Sun, 15 Jun 2025 12:00:30 GMT", now) == 30s);
  CHECK(net::parse_retry_after("Sun, 15 Jun 2025 11:00:00 GMT", now) == 0s);
  CHECK(net::parse_retry_after("99999999999999999999999", now) == 24h);
  CHECK(net::parse_retry_after("Sun, 15 Jun 2099 11:00:00 GMT", now) == 24h);
  CHECK_FALSE(net::parse_retry_after("", now));
  CHECK_FALSE(net::parse_retry_after("-1", now));
  CHECK_FALSE(net::parse_retry_after("1.5", now));
  CHECK_FALSE(net::parse_retry_after("soon", now));
}

TEST_CASE("good and final answers are not retried, overload is") {
  for (const unsigned code : {200U, 204U, 301U, 304U, 400U, 401U, 403U, 404U, 409U, 413U, 501U}) {
    net::http_retry retry({.attempts = 5});
    CHECK_FALSE(retry.next(http_method::get, status(code), 1));
  }
  for (const unsigned code : {408U, 425U, 429U, 500U, 502U, 503U, 504U}) {
    net::http_retry retry({.attempts = 5});
    CHECK(retry.next(http_method::get, status(code), 1));
    CHECK(net::http_retry({.attempts = 5}).next(http_method::post, status(code), 1));
  }
}

TEST_CASE("attempts are bounded, and one is the default") {
  net::http_retry three({.attempts = 3});
  CHECK(three.next(http_method::get, status(503), 1));
  CHECK(three.next(http_method::get, status(503), 2));
  CHECK_FALSE(three.next(http_method::get, status(503), 3));
  CHECK(three.attempts() == 3);
  CHECK_FALSE(net::http_retry{}.next(http_method::get, status(503), 1));
}

TEST_CASE("a lost connection is retried for idempotent methods, a missing one for all") {
  const net::http_retry_policy policy{.attempts = 3};
  const auto again = [&](http_method method, errc code, net::http_retry_policy p) {
    return net::http_retry(p).next(method, failure(code), 1).has_value();
  };
  CHECK(again(http_method::get, errc::connection_closed, policy));
  CHECK(again(http_method::put, errc::timeout, policy));
  CHECK_FALSE(again(http_method::post, errc::connection_closed, policy));
  CHECK_FALSE(again(http_method::post, errc::timeout, policy));
  CHECK(again(http_method::post, errc::unavailable, policy));
  auto all = policy;
  all.methods = net::retry_methods::all;
  CHECK(again(http_method::post, errc::connection_closed, all));
  for (const auto code : {errc::protocol_error, errc::too_large, errc::connection_refused,
                          errc::malformed, errc::aborted, errc::overloaded}) {
    CHECK_FALSE(again(http_method::get, code, all));
  }
}

TEST_CASE("Retry-After wins over the back-off, and a long one ends the attempts") {
  http_response busy{.status = 429};
  busy.retry_after = 7s;
  net::http_retry retry({.attempts = 9, .longest_retry_after = 10s});
  CHECK(retry.next(http_method::post, busy, 12345) == 7s);
  busy.retry_after = 11s;
  CHECK_FALSE(retry.next(http_method::post, busy, 12345));
}

TEST_CASE("waits stay between the bounds of the back-off") {
  net::http_retry retry(
      {.attempts = 100, .backoff = {.shortest = 10ms, .initial = 100ms, .longest = 1s}});
  std::uint64_t bits = 88172645463325252U;
  for (int i = 0; i < 50; ++i) {
    bits ^= bits << 13U;
    bits ^= bits >> 7U;
    bits ^= bits << 17U;
    const auto wait = retry.next(http_method::get, status(503), bits);
    REQUIRE(wait);
    CHECK(*wait >= 10ms);
    CHECK(*wait <= (i == 0 ? 100ms : 1000ms));
  }
}

TEST_CASE("an error for a status holds the start of the body, on one line") {
  const auto rejected = net::status_error({.status = 400, .body = "no\nfield \"x\""});
  CHECK(rejected.code == errc::rejected);
  CHECK(rejected.message == "HTTP 400: no field \"x\"");
  CHECK(net::status_error({.status = 503}).code == errc::unavailable);
  CHECK(net::status_error({.status = 503}).message == "HTTP 503");
  const auto long_one = net::status_error({.status = 400, .body = std::string(299, 'x') + "ä..."});
  CHECK(long_one.message == "HTTP 400: " + std::string(299, 'x') + "...");
}
