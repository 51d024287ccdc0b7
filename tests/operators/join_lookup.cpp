// SPDX-License-Identifier: Apache-2.0
// The lookup join: what is asked for, when, and what the cache answers; then against a plain loop.

#include <millrace/operators/lookup_join.hpp>
#include <millrace/testing/operator_harness.hpp>

#include "catch.hpp"
#include "oracle/random_stream.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace millrace;
using namespace millrace::testing;
using namespace std::chrono_literals;

namespace {

/// An outside table that a test answers for.
struct table {
  std::vector<std::pair<int, async_reply<std::optional<std::string>>>> asked;
  int calls = 0;
  int cancelled = 0;

  void answer(std::optional<std::string> row) {
    auto reply = std::move(asked.front().second);
    asked.erase(asked.begin());
    reply(std::move(row));
  }
  void fail() {
    auto reply = std::move(asked.front().second);
    asked.erase(asked.begin());
    reply.fail(errc::unavailable);
  }
};

struct ask {
  table* to;
  void operator()(const int& key, async_reply<std::optional<std::string>> reply) const {
    ++to->calls;
    reply.on_cancel([t = to] { ++t->cancelled; });
    to->asked.emplace_back(key, std::move(reply));
  }
};
struct tens {
  int operator()(const int& value) const { return value / 10; }
};

using op = lookup_join_operator<int, int, std::string, tens, ask>;
using harness = operator_harness<op, int>;

std::unique_ptr<harness> make(table& t, const lookup_options& options) {
  auto h = std::make_unique<harness>([&] { return op(tens{}, ask{&t}, options); });
  h->open();
  return h;
}

void push(harness& h, std::vector<int> values) {
  std::vector<emitted<int>> records;
  for (const int v : values) records.push_back({v, oracle::at(v)});
  h.push(std::move(records));
}

std::vector<std::string> lines(harness& h) {
  h.advance(0s);
  std::vector<std::string> all;
  for (const auto& e : h.results()) {
    all.push_back(std::to_string(e.value.left) + " " + e.value.right.value_or("none"));
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("records that want the same row at the same time share one call") {
  table t;
  auto h = make(t, {});
  push(*h, {10, 11, 20, 12});
  CHECK(t.calls == 2);
  t.answer("ten");
  t.answer("twenty");
  CHECK(lines(*h) == std::vector<std::string>{"10 ten", "11 ten", "12 ten", "20 twenty"});
  CHECK(h->task().metrics().counter("lookups_shared").value() == 2);
}

TEST_CASE("a cached row is not asked for again until its time to live is over") {
  table t;
  auto h = make(t, {.cache = {.ttl = 5s}});
  push(*h, {10});
  t.answer("old");
  h->advance(4s);
  push(*h, {11});
  CHECK(t.calls == 1);
  h->advance(1s);
  push(*h, {12});
  CHECK(t.calls == 2);
  t.answer("new");
  CHECK(lines(*h) == std::vector<std::string>{"10 old", "11 old", "12 new"});
}

TEST_CASE("that there is no row is remembered, too, for a time of its own") {
  table t;
  auto h = make(t, {.cache = {.ttl = 1h, .negative_ttl = 2s}});
  push(*h, {10});
  t.answer(std::nullopt);
  push(*h, {11});
  CHECK(t.calls == 1);
  h->advance(2s);
  push(*h, {12});
  CHECK(t.calls == 2);
  t.answer("late");
  CHECK(lines(*h) == std::vector<std::string>{"10 none", "11 none", "12 late"});
}

TEST_CASE("the cache holds so many rows, and the least recently used one goes first") {
  table t;
  auto h = make(t, {.cache = {.rows = 2}});
  for (const int v : {10, 20}) {
    push(*h, {v});
    t.answer(std::to_string(v));
  }
  push(*h, {11, 30});  // 1 is used again, 3 takes the place of 2
  t.answer("30");
  push(*h, {12});
  CHECK(t.calls == 3);
  push(*h, {21});
  CHECK(t.calls == 4);
  CHECK(h->task().metrics().counter("cache_evictions").value() == 1);
}

TEST_CASE("failures are not cached, and are retried by the options of the calls") {
  table t;
  auto h = make(t, {.calls = {.retry = {.attempts = 2, .first_delay = 1s, .multiplier = 1.0}}});
  push(*h, {10, 11});
  t.fail();
  h->advance(2s);
  CHECK(t.calls == 2);
  t.answer("ten");
  CHECK(lines(*h) == std::vector<std::string>{"10 ten", "11 ten"});
}

TEST_CASE("when all that wait for a row have timed out its call is cancelled") {
  table t;
  auto h = make(t, {.calls = {.timeout = 1s}});
  push(*h, {10});
  h->advance(500ms);
  push(*h, {11});
  h->advance(500ms);
  CHECK(t.cancelled == 0);
  h->advance(500ms);
  CHECK(t.cancelled == 1);
  CHECK(h->dead_letters.size() == 2);
}

TEST_CASE("a cached row does not pass a watermark, and ordered results keep their order") {
  for (const auto order : {async_order::unordered, async_order::ordered}) {
    table t;
    auto h = make(t, {.calls = {.order = order}});
    push(*h, {10});
    t.answer("ten");
    push(*h, {20});
    if (order == async_order::unordered) h->send(control::watermark(oracle::at(20)));
    push(*h, {11});
    CHECK(lines(*h).size() == 1);
    t.answer("twenty");
    h->advance(0s);
    REQUIRE(h->results().size() == 3);
    CHECK(h->results()[1].value.left == 20);
    CHECK(h->results()[2].value.left == 11);
  }
}

TEST_CASE("records in flight are saved, and asked for again") {
  table t;
  auto h = make(t, {});
  push(*h, {10, 11, 20});
  const std::string bytes = h->snapshot();
  table other;
  auto restored = std::make_unique<harness>([&] { return op(tens{}, ask{&other}, {}); });
  restored->restore(bytes);
  restored->open();
  CHECK(other.calls == 2);
  other.answer("ten");
  other.answer(std::nullopt);
  CHECK(lines(*restored) == std::vector<std::string>{"10 ten", "11 ten", "20 none"});
}

TEST_CASE("random lookups give every record its row, whatever the order of answers") {
  oracle::for_each_case(500, [](oracle::random_source& random) {
    table t;
    lookup_options options;
    options.calls.in_flight = static_cast<std::size_t>(random.between(1, 8));
    options.calls.order = static_cast<async_order>(random.below(3));
    options.cache.rows = static_cast<std::size_t>(random.below(4));
    options.cache.ttl = std::chrono::seconds(random.below(5));
    options.cache.negative_ttl = std::chrono::seconds(random.below(5));
    auto h = make(t, options);
    std::vector<std::string> expected;
    const auto row = [](int key) {
      return key % 3 == 0 ? std::optional<std::string>() : std::to_string(key);
    };
    const auto answer_one = [&] {
      std::swap(t.asked.front(), t.asked[static_cast<std::size_t>(
                                     random.below(static_cast<std::int64_t>(t.asked.size())))]);
      t.answer(row(t.asked.front().first));
      h->advance(0s);
    };
    const int n = static_cast<int>(random.below(60));
    for (int i = 0; i < n; ++i) {
      const int value = static_cast<int>(random.below(60));
      push(*h, {value});
      expected.push_back(std::to_string(value) + " " + row(value / 10).value_or("none"));
      if (random.one_in(4)) h->send(control::watermark(oracle::at(i)));
      while (!t.asked.empty() && random.one_in(2)) answer_one();
      if (random.one_in(5)) h->advance(1s);
    }
    while (!t.asked.empty()) answer_one();
    std::sort(expected.begin(), expected.end());
    REQUIRE(lines(*h) == expected);
  });
}
