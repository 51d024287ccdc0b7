// SPDX-License-Identifier: Apache-2.0
// The queue of folds that never pauses, against the concatenation of what is in it; and count
// windows that are long enough to use it, against a loop.

#include <millrace/connectors/memory.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>
#include <millrace/windows/daba_lite.hpp>

#include "catch.hpp"
#include "oracle/random_stream.hpp"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

using namespace millrace;

namespace {

/// Texts one after the other: associative, nothing more. Counts its merges.
struct concatenation {
  using state = std::string;
  std::size_t* merges;
  void merge(state& s, const state& later) const {
    ++*merges;
    s += later;
  }
};

std::string all_of(const std::deque<std::string>& parts) {
  std::string all;
  for (const auto& p : parts) all += p;
  return all;
}

}  // namespace

TEST_CASE("a daba_lite comes to its elements in order, in at most five merges a call") {
  oracle::for_each_case(300, [](oracle::random_source& random) {
    std::size_t merges = 0;
    const concatenation aggregate{&merges};
    daba_lite<concatenation> queue;
    std::deque<std::string> oracle;
    const auto longest = static_cast<std::size_t>(random.between(1, 60));
    for (int i = 0; i < 400; ++i) {
      merges = 0;
      const bool grow = oracle.empty() || (oracle.size() < longest && random.between(0, 2) != 0);
      if (grow) {
        oracle.emplace_back(1, static_cast<char>('a' + random.between(0, 25)));
        queue.push(aggregate, std::string(oracle.back()));
      } else {
        oracle.pop_front();
        queue.pop(aggregate);
      }
      REQUIRE(queue.size() == oracle.size());
      if (!oracle.empty()) REQUIRE(queue.query(aggregate) == all_of(oracle));
      REQUIRE(merges <= 5);
      if (random.between(0, 19) == 0) {  // saved and restored: the same from there on
        snapshot_writer to;
        queue.save(to);
        snapshot_reader from(to.view());
        daba_lite<concatenation> other;
        other.restore(from);
        from.expect_end();
        REQUIRE_FALSE(from.failed());
        queue = std::move(other);
      }
    }
  });
}

TEST_CASE("a daba_lite keeps its blocks in order beyond many of them") {
  std::size_t merges = 0;
  struct greatest {
    using state = int;
    void merge(state& s, int later) const { s = std::max(s, later); }
  };
  daba_lite<greatest> queue;
  std::deque<int> oracle;
  std::uint32_t number = 1;
  for (int i = 0; i < 60'000; ++i, ++merges) {
    number = number * 1'664'525U + 1'013'904'223U;
    const int value = static_cast<int>(number >> 8U);
    queue.push({}, int{value});
    while (!oracle.empty() && oracle.back() < value) oracle.pop_back();
    oracle.push_back(value);
    if (queue.size() > 5'000) {
      // the oldest leaves the oracle, too, if it still counts there
      const int before = queue.query({});
      queue.pop({});
      const int after = queue.query({});
      if (after != before) oracle.pop_front();
    }
    if (queue.size() < 5'000) REQUIRE(queue.query({}) == oracle.front());
  }
  while (queue.size() > 1) queue.pop({});
  CHECK(queue.query({}) == static_cast<int>(number >> 8U));
}

TEST_CASE("a snapshot of a daba_lite with its parts out of order is refused") {
  snapshot_writer to;
  for (const std::uint64_t place : {2U, 1U, 0U, 1U, 2U}) to.varint(place);
  for (int i = 0; i < 2; ++i) save_value(to, std::string("x"));
  snapshot_reader from(to.view());
  daba_lite<concatenation> queue;
  queue.restore(from);
  CHECK(from.failed());
  CHECK(queue.empty());
}

TEST_CASE("the greatest of the last 70,000 values of a key") {
  constexpr std::size_t size = 70'000, count = 180'000;
  std::vector<memory::timed<double>> values;
  std::vector<double> expected;
  std::deque<std::pair<std::size_t, double>> falling;
  std::uint64_t number = 7;
  for (std::size_t i = 0; i < count; ++i) {
    number = number * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
    const double value = static_cast<double>(number >> 40U) - static_cast<double>(40 * i);
    values.push_back({value, timestamp{duration{static_cast<std::int64_t>(i)}}});
    while (!falling.empty() && falling.back().second <= value) falling.pop_back();
    falling.emplace_back(i, value);
    if (falling.front().first + size <= i) falling.pop_front();
    expected.push_back(falling.front().second);  // the first windows are shorter
  }
  memory::sink<double> out;
  pipeline p{"long count windows"};
  p.source("in", memory::source<double>(std::move(values)))
      .key_by([](double) { return 1; })
      .window(count_window{size, 1})
      .aggregate("greatest", max_of())
      .map([](const auto& r) { return r.value; })
      .to("out", out);
  p.run();
  const auto results = out.values();
  REQUIRE(results.size() == expected.size());
  const auto differs = std::mismatch(results.begin(), results.end(), expected.begin()).first;
  CHECK(differs - results.begin() == static_cast<std::ptrdiff_t>(expected.size()));
}
