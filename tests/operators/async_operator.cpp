// SPDX-License-Identifier: Apache-2.0
// The async operator: no slot is ever lost, whatever the called side does.

#include <millrace/operators/async_operator.hpp>
#include <millrace/testing/operator_harness.hpp>

#include "catch.hpp"

#include <map>
#include <random>
#include <string>

using namespace millrace;
using namespace millrace::testing;
using namespace std::chrono_literals;

namespace {

/// Keeps the replies so that a test can give, drop or forget them.
struct calls {
  std::map<int, std::vector<async_reply<int>>> open;
  int started = 0;
  int cancelled = 0;

  bool answer(int input, int result) {
    auto& replies = open[input];
    if (replies.empty()) return false;
    auto reply = std::move(replies.back());
    replies.pop_back();
    reply(result);
    return true;
  }
  void fail(int input, errc code = errc::unavailable) {
    auto reply = std::move(open[input].back());
    open[input].pop_back();
    reply.fail(code);
  }
};

struct ask {
  calls* to;
  void operator()(const int& value, async_reply<int> reply) const {
    ++to->started;
    reply.on_cancel([c = to] { ++c->cancelled; });
    to->open[value].push_back(std::move(reply));
  }
};

struct by_parity {
  std::string operator()(const int& value) const { return value % 2 == 0 ? "even" : "odd"; }
};

using plain = async_operator<int, int, false, ask>;
using laned = async_operator<int, int, false, ask, by_parity>;

template <class Op>
using harness = operator_harness<Op, int>;

template <class Op>
harness<Op> make(calls& c, async_options options) {
  return harness<Op>([&] { return Op(ask{&c}, options); });
}

timestamp at(int t) { return timestamp{duration{t}}; }

std::vector<emitted<int>> numbers(int from, int to) {
  std::vector<emitted<int>> all;
  for (int i = from; i < to; ++i) all.push_back({i, at(i)});
  return all;
}

template <class H>
std::vector<int> values(H& h) {
  std::vector<int> all;
  for (const auto& e : h.results()) all.push_back(e.value);
  return all;
}

}  // namespace

TEST_CASE("at most in_flight calls run at a time; the rest waits") {
  calls c;
  auto h = make<plain>(c, {.in_flight = 3});
  h.open();
  h.push(numbers(0, 10));
  CHECK(c.started == 3);
  CHECK(h.task().blocked());
  c.answer(1, 11);
  h.advance(0s);
  CHECK(c.started == 4);
  CHECK(values(h) == std::vector<int>{11});
  for (int i = 0; i < 10; ++i) {
    if (i != 1) {
      REQUIRE(c.answer(i, i));
      h.advance(0s);
    }
  }
  CHECK(h.results().size() == 10);
  CHECK_FALSE(h.task().blocked());
}

namespace {

template <class H>
std::int64_t metric(H& h, const std::string& name) {
  for (const auto& m : h.task().metrics().read()) {
    if (m.name == name) return m.value;
  }
  return -1;
}

}  // namespace

TEST_CASE("limit, calls in flight, waiting records and retries of each lane can be read") {
  calls c;
  async_options options{.in_flight = 2};
  options.retry.attempts = 2;
  options.retry.first_delay = 1ms;
  auto h = make<laned>(c, options);
  h.open();
  h.push(numbers(0, 10));
  CHECK(metric(h, "in_flight_limit{lane=even}") == 2);
  CHECK(metric(h, "in_flight{lane=even}") == 2);
  CHECK(metric(h, "waiting{lane=even}") == 3);
  CHECK(metric(h, "waiting{lane=odd}") == 3);
  c.answer(0, 0);
  h.advance(0s);
  CHECK(metric(h, "in_flight{lane=even}") == 2);
  CHECK(metric(h, "waiting{lane=even}") == 2);
  CHECK(metric(h, "waiting{lane=odd}") == 3);
  CHECK(metric(h, "retries{lane=odd}") == 0);
  c.fail(1);
  h.advance(10ms);
  CHECK(metric(h, "retries{lane=odd}") == 1);
  CHECK(metric(h, "calls{lane=odd}") == 3);
  for (int turn = 0; turn < 10; ++turn) {
    for (int i = 0; i < 10; ++i) c.answer(i, i);
    h.advance(0s);
  }
  CHECK(h.results().size() == 10);
  for (const char* lane : {"even", "odd"}) {
    CHECK(metric(h, "in_flight{lane=" + std::string(lane) + "}") == 0);
    CHECK(metric(h, "waiting{lane=" + std::string(lane) + "}") == 0);
  }
}

TEST_CASE("without lanes the limit can be read before the first record comes") {
  calls c;
  auto h = make<plain>(c, {.in_flight = 7});
  h.open();
  CHECK(metric(h, "in_flight_limit") == 7);
  CHECK(metric(h, "in_flight") == 0);
  CHECK(metric(h, "waiting") == 0);
  CHECK(metric(h, "retries") == 0);
}

TEST_CASE("ordered results leave in the order of their inputs") {
  calls c;
  auto h = make<plain>(c, {.in_flight = 8, .order = async_order::ordered});
  h.open();
  h.push(numbers(0, 4));
  for (const int i : {3, 1, 0, 2}) {
    c.answer(i, i);
    h.advance(0s);
  }
  CHECK(values(h) == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("unordered results do not pass a watermark in either direction") {
  calls c;
  auto h = make<plain>(c, {.in_flight = 8, .order = async_order::unordered});
  h.open();
  h.push(numbers(0, 2));
  h.send(control::watermark(at(1)));
  h.push(numbers(2, 4));
  c.answer(3, 3);
  c.answer(1, 1);
  h.advance(0s);
  CHECK(values(h) == std::vector<int>{1});
  CHECK(h.controls().empty());
  c.answer(0, 0);
  h.advance(0s);
  CHECK(values(h) == std::vector<int>{1, 0, 3});
  CHECK(h.controls().size() == 1);
}

TEST_CASE("as_completed results overtake a watermark, and it waits for those before it") {
  calls c;
  auto h = make<plain>(c, {.in_flight = 8, .order = async_order::as_completed});
  h.open();
  h.push(numbers(0, 2));
  h.send(control::watermark(at(1)));
  h.push(numbers(2, 4));
  c.answer(3, 3);
  h.advance(0s);
  CHECK(values(h) == std::vector<int>{3});
  CHECK(h.controls().empty());
  c.answer(0, 0);
  c.answer(1, 1);
  h.advance(0s);
  CHECK(h.controls().size() == 1);
}

TEST_CASE("a timeout frees the slot at once, and a later answer is ignored") {
  calls c;
  auto h = make<plain>(c, {.in_flight = 1, .timeout = 2s});
  h.open();
  h.push(numbers(0, 2));
  CHECK(c.started == 1);
  h.advance(2s);
  CHECK(c.cancelled == 1);
  CHECK(c.started == 2);
  REQUIRE(h.dead_letters.size() == 1);
  CHECK(h.dead_letters[0].reason == "timed out");
  CHECK(c.answer(0, 77));
  h.advance(0s);
  CHECK(values(h).empty());
  c.answer(1, 1);
  h.advance(0s);
  CHECK(values(h) == std::vector<int>{1});
}

TEST_CASE("a reply that is dropped fails its call") {
  calls c;
  auto h = make<plain>(c, {.in_flight = 1});
  h.open();
  h.push(numbers(0, 1));
  c.open.clear();
  h.advance(0s);
  REQUIRE(h.dead_letters.size() == 1);
  CHECK(h.dead_letters[0].reason == "abandoned without an answer");
}

TEST_CASE("failures are retried within the timeout, with growing delays") {
  calls c;
  auto h = make<plain>(
      c, {.timeout = 10s, .retry = {.attempts = 3, .first_delay = 1s, .multiplier = 2.0}});
  h.open();
  h.push(numbers(0, 1));
  c.fail(0);
  h.advance(1s);
  CHECK(c.started == 2);
  c.fail(0);
  h.advance(900ms);
  CHECK(c.started == 2);
  h.advance(1100ms);
  CHECK(c.started == 3);
  c.fail(0);
  h.advance(0s);
  CHECK(h.dead_letters.size() == 1);
}

TEST_CASE("an error that is not worth a retry is final") {
  calls c;
  auto h = make<plain>(c, {.retry = {.attempts = 5, .when = [](const error& e) {
                                       return e.code == make_error_code(errc::unavailable);
                                     }}});
  h.open();
  h.push(numbers(0, 1));
  c.fail(0, errc::rejected);
  h.advance(1s);
  CHECK(c.started == 1);
  CHECK(h.dead_letters.size() == 1);
}

TEST_CASE("a dead lane does not hold up the others") {
  calls c;
  auto h = make<laned>(c, {.in_flight = 2,
                           .order = async_order::as_completed,
                           .waiting = 4,
                           .overflow = on_overflow::refuse});
  h.open();
  int answered = 0;
  for (int i = 0; i < 200; ++i) {
    h.push(numbers(i, i + 1));
    if (i % 2 == 1) {
      REQUIRE(c.answer(i, i));
      h.advance(0s);
      ++answered;
    }
  }
  CHECK(answered == 100);
  CHECK(h.results().size() == 100);
  CHECK(h.dead_letters.size() == 94);  // 2 in flight, 4 waiting
  CHECK(h.dead_letters[0].reason == "lane even: overloaded");
}

TEST_CASE("after failures in a row the breaker refuses calls, then tries one") {
  calls c;
  auto h = make<plain>(c, {.in_flight = 1, .breaker = {.failures = 3, .open_for = 5s}});
  h.open();
  for (int i = 0; i < 3; ++i) {
    h.push(numbers(i, i + 1));
    c.fail(i);
    h.advance(0s);
  }
  h.push(numbers(3, 6));
  CHECK(c.started == 3);
  CHECK(h.dead_letters.size() == 6);
  h.advance(5s);
  h.push(numbers(6, 7));
  CHECK(c.started == 4);
  c.answer(6, 6);
  h.advance(0s);
  h.push(numbers(7, 8));
  CHECK(c.started == 5);
}

TEST_CASE("a fallback takes the place of a result") {
  calls c;
  harness<plain> h(
      [&] { return plain(ask{&c}, {}, {}, [](const int& v, const error&) { return -v; }); });
  h.open();
  h.push(numbers(5, 6));
  c.fail(5);
  h.advance(0s);
  CHECK(values(h) == std::vector<int>{-5});
  CHECK(h.dead_letters.empty());
}

TEST_CASE("with on_failure::fail the pipeline fails when more failures come than allowed") {
  calls c;
  auto h =
      make<plain>(c, {.failure = on_failure::fail, .failures_allowed = 1, .failures_within = 10s});
  h.open();
  h.push(numbers(0, 2));
  c.fail(0);
  h.advance(20s);
  c.fail(1);
  h.advance(20s);
  h.push(numbers(2, 4));
  c.fail(2);
  c.fail(3);
  CHECK_THROWS_WITH(h.advance(0s), Catch::Matchers::ContainsSubstring("peer unavailable"));
}

TEST_CASE("calls in flight are saved and issued again") {
  calls before;
  auto h = make<plain>(before, {.in_flight = 4});
  h.open();
  h.push(numbers(0, 3));
  before.answer(1, 1);
  h.advance(0s);
  const std::string bytes = h.snapshot();
  calls after;
  auto restored = make<plain>(after, {.in_flight = 4});
  restored.restore(bytes);
  restored.open();
  CHECK(after.started == 2);
  after.answer(0, 10);
  after.answer(2, 12);
  restored.advance(0s);
  CHECK(values(restored) == std::vector<int>{10, 12});
}

TEST_CASE("every record ends as a result or a dead letter, however calls end") {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 200; ++round) {
    calls c;
    async_options options{.in_flight = static_cast<std::size_t>(1 + pick(5)),
                          .timeout = std::chrono::seconds{1 + pick(5)}};
    options.order = static_cast<async_order>(pick(3));
    options.retry.attempts = static_cast<std::uint32_t>(1 + pick(3));
    options.breaker.failures = static_cast<std::uint32_t>(pick(4));
    auto h = make<laned>(c, options);
    h.open();
    h.output_is_always_full(pick(2) == 0);
    const int n = 60;
    for (int i = 0; i < n;) {
      const int many = std::min(1 + pick(6), n - i);
      h.push(numbers(i, i + many));
      i += many;
      if (pick(3) == 0) h.send(control::watermark(at(i)));
      for (auto& [input, replies] : c.open) {
        if (replies.empty()) continue;
        switch (pick(6)) {
          case 0: c.answer(input, input); break;
          case 1: c.fail(input); break;
          case 2: replies.clear(); break;
          default: break;
        }
      }
      h.advance(std::chrono::milliseconds{pick(900)});
    }
    h.send(control::watermark(max_timestamp));
    h.send(control::end());
    for (int i = 0; i < 400 && !h.task().finished(); ++i) h.advance(1s);
    INFO("round " << round);
    REQUIRE(h.task().finished());
    REQUIRE(h.results().size() + h.dead_letters.size() == static_cast<std::size_t>(n));
    REQUIRE_FALSE(h.controls().empty());
    REQUIRE(h.controls().back().kind == control_kind::end);
  }
}
