// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/backoff.hpp>

#include "catch.hpp"

#include <cmath>
#include <random>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

constexpr net::backoff_options small{
    .shortest = 10ms, .initial = 100ms, .longest = 1s, .factor = 2.0};

}  // namespace

TEST_CASE("the ceiling of a back-off doubles from wait to wait up to its bound") {
  net::backoff b(small);
  for (const auto ceiling : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    CHECK(b.ceiling() == ceiling);
    // All bits set draw the upper end of the range.
    const auto wait = b.next(UINT64_MAX);
    CHECK(wait <= ceiling);
    CHECK(wait > ceiling - 1us);
  }
  CHECK(b.attempts() == 6);
}

TEST_CASE("the jitter of a back-off is full: it reaches from the shortest wait to the ceiling") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  double sum = 0;
  std::chrono::nanoseconds least = 1h;
  std::chrono::nanoseconds most = 0ns;
  constexpr int rounds = 20000;
  for (int i = 0; i < rounds; ++i) {
    net::backoff b(small);
    const auto wait = b.next(random());
    least = std::min(least, wait);
    most = std::max(most, wait);
    sum += std::chrono::duration<double, std::milli>(wait).count();
  }
  CHECK(least >= 10ms);
  CHECK(least < 11ms);
  CHECK(most <= 100ms);
  CHECK(most > 99ms);
  CHECK(sum / rounds == Approx(55.0).margin(1.5));
  CHECK(net::backoff(small).next(0) == 10ms);
}

TEST_CASE("a back-off starts over after a reset") {
  net::backoff b(small);
  for (int i = 0; i < 10; ++i) b.next(UINT64_MAX);
  b.reset();
  CHECK(b.attempts() == 0);
  CHECK(b.ceiling() == 100ms);
  CHECK(b.next(UINT64_MAX) <= 100ms);
}

TEST_CASE("a back-off neither overflows nor leaves its bounds in a million tries") {
  net::backoff b(
      {.shortest = 0ns, .initial = 1ns, .longest = std::chrono::nanoseconds::max(), .factor = 1e6});
  bool negative = false;
  for (int i = 0; i < 1'000'000; ++i) negative |= b.next(UINT64_MAX - 7).count() < 0;
  CHECK_FALSE(negative);
  CHECK(b.ceiling() == std::chrono::nanoseconds::max());
}

TEST_CASE("options of a back-off that contradict each other are refused with words") {
  CHECK(net::validate(net::backoff_options{}).has_value());
  CHECK_FALSE(net::validate({.shortest = -1ns}).has_value());
  CHECK_FALSE(net::validate({.shortest = 1s, .initial = 1ms}).has_value());
  CHECK_FALSE(net::validate({.initial = 1s, .longest = 1ms}).has_value());
  CHECK(net::validate({.factor = 0.5}).error().message == "factor must be 1 or more");
  CHECK_FALSE(net::validate({.factor = std::nan("")}).has_value());
}
