// SPDX-License-Identifier: Apache-2.0
// The latest-value join against a naive one, in every way the harness knows.

#include <millrace/operators/join_latest.hpp>
#include <millrace/testing/operator_harness.hpp>

#include "catch.hpp"

#include <boost/describe.hpp>

#include <algorithm>
#include <random>
#include <string>

using namespace millrace;
using namespace millrace::testing;
using namespace std::chrono_literals;

namespace {

struct left_record {
  int key = 0;
  int id = 0;
  friend bool operator==(const left_record&, const left_record&) = default;
};
struct right_record {
  int key = 0;
  int id = 0;
  friend bool operator==(const right_record&, const right_record&) = default;
};

BOOST_DESCRIBE_STRUCT(left_record, (), (key, id))
BOOST_DESCRIBE_STRUCT(right_record, (), (key, id))

using join = join_latest_operator<int, left_record, right_record, false>;
using left_join = join_latest_operator<int, left_record, right_record, true>;
using step = script_step<left_record, right_record>;

timestamp at(int t) { return timestamp{duration{t}}; }

step left(int t, int key, int id) { return {0, emitted<left_record>{{key, id}, at(t)}}; }
step right(int t, int key, int id) { return {1, emitted<right_record>{{key, id}, at(t)}}; }
step watermark(std::size_t input, timestamp t) { return {input, control::watermark(t)}; }

int key_of(const step& s) {
  return s.input == 0 ? std::get<1>(s.what).value.key : std::get<2>(s.what).value.key;
}

template <class Join>
auto verifier(join_latest_options options) {
  using harness = operator_harness<Join, left_record, right_record>;
  return operator_verifier<Join, int, left_record, right_record>(
      [options](std::shared_ptr<key_table<int>> keys) {
        return std::make_unique<harness>(
            [&] { return Join(options, keys, side_output<left_record>("late")); });
      },
      key_of);
}

struct pair_seen {
  int left;
  int right;
  auto operator<=>(const pair_seen&) const = default;
};

std::vector<pair_seen> pairs(const std::vector<emitted<joined<left_record, right_record>>>& all) {
  std::vector<pair_seen> result;
  for (const auto& e : all) result.push_back({e.value.left.id, e.value.right.id});
  std::sort(result.begin(), result.end());
  return result;
}

/// All records first, then each left record looks for its partner.
std::vector<pair_seen> oracle(const std::vector<step>& script, bool hold) {
  std::vector<pair_seen> result;
  timestamp seen[2] = {min_timestamp, min_timestamp};
  for (const auto& s : script) {
    if (const auto* c = std::get_if<control>(&s.what)) {
      seen[s.input] = std::max(seen[s.input], c->time);
      continue;
    }
    if (s.input != 0) continue;
    const auto& l = std::get<1>(s.what);
    if (l.time <= std::min(seen[0], seen[1])) continue;  // late
    const emitted<right_record>* before = nullptr;
    const emitted<right_record>* after = nullptr;
    for (const auto& other : script) {
      if (other.input != 1 || other.what.index() != 2) continue;
      const auto& r = std::get<2>(other.what);
      if (r.value.key != l.value.key) continue;
      if (r.time <= l.time && (before == nullptr || r.time >= before->time)) before = &r;
      if (r.time > l.time && (after == nullptr || r.time < after->time)) after = &r;
    }
    if (before != nullptr) {
      result.push_back({l.value.id, before->value.id});
    } else if (hold && after != nullptr) {
      result.push_back({l.value.id, after->value.id});
    }
  }
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace

TEST_CASE("by event time, a record gets the right value with the greatest time not after its own") {
  auto v = verifier<join>({.mode = join_mode::by_event_time, .without_partner = unmatched::drop});
  const std::vector<step> script{right(10, 1, 100),
                                 left(20, 1, 1),
                                 left(9, 1, 2),
                                 right(15, 1, 101),
                                 right(20, 1, 102),
                                 right(25, 1, 103),
                                 watermark(0, max_timestamp),
                                 watermark(1, max_timestamp)};
  CHECK(pairs(v.run(script, 1, false, false)) == std::vector<pair_seen>{{1, 102}});
}

TEST_CASE("a held record gets the first right value after it, at the later time") {
  auto v = verifier<join>({});
  const std::vector<step> script{
      left(5, 1, 1),     watermark(0, at(6)),         watermark(1, at(6)),        right(30, 1, 101),
      right(20, 1, 100), watermark(0, max_timestamp), watermark(1, max_timestamp)};
  const auto results = v.run(script, 8, false, false);
  REQUIRE(results.size() == 1);
  CHECK(results[0].value.right.id == 100);
  CHECK(results[0].time == at(20));
}

TEST_CASE("by arrival, a record gets what has come before it") {
  auto v = verifier<join>({.mode = join_mode::by_arrival, .without_partner = unmatched::drop});
  const std::vector<step> script{left(1, 1, 1),     right(50, 1, 100), left(2, 1, 2),
                                 right(10, 1, 101), left(3, 1, 3),     left(4, 2, 4)};
  CHECK(pairs(v.run(script, 1, false, false)) == std::vector<pair_seen>{{2, 100}, {3, 101}});
}

TEST_CASE("a left join emits records without a partner") {
  auto v = verifier<left_join>({});
  const std::vector<step> script{left(5, 1, 1), right(6, 1, 100), left(7, 1, 2),
                                 watermark(0, max_timestamp), watermark(1, max_timestamp)};
  const auto results = v.run(script, 8, false, false);
  REQUIRE(results.size() == 2);
  CHECK_FALSE(results[0].value.right.has_value());
  CHECK(results[1].value.right->id == 100);
}

TEST_CASE("beyond the limit of held records they become dead letters") {
  auto keys = std::make_shared<key_table<int>>();
  operator_harness<join, left_record, right_record> h([&] {
    return join({.mode = join_mode::by_arrival, .most_held = 3}, keys,
                side_output<left_record>("late"));
  });
  h.open();
  for (int i = 0; i < 5; ++i) h.push<0>({{{1, i}, at(i)}}, {keys->find_or_insert(1)});
  CHECK(h.dead_letters.size() == 2);
  h.push<1>({{{1, 9}, at(9)}}, {keys->find_or_insert(1)});
  CHECK(h.results().size() == 3);
}

TEST_CASE(
    "random scripts give the naive result: one at a time, batched, restored, with a full output") {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 300; ++round) {
    std::vector<step> script;
    int low = 0;
    const int n = 5 + pick(60);
    const int keys = 1 + pick(4);
    for (int i = 0; i < n; ++i) {
      const int t = low + pick(40) - (pick(10) == 0 ? 30 : 0);
      const int kind = pick(10);
      if (kind < 5) script.push_back(left(t, pick(keys), i));
      // Right records keep their promise: none is late, so that every left one has one answer.
      if (kind >= 5 && kind < 8) script.push_back(right(low + 1 + pick(40), pick(keys), i));
      if (kind >= 8) {
        low += pick(20);
        script.push_back(watermark(0, at(low)));
        script.push_back(watermark(1, at(low)));
      }
    }
    script.push_back(watermark(0, max_timestamp));
    script.push_back(watermark(1, max_timestamp));
    for (const bool hold : {false, true}) {
      auto v = verifier<join>({.without_partner = hold ? unmatched::hold : unmatched::drop});
      const auto expected = oracle(script, hold);
      INFO("round " << round << " hold " << hold);
      REQUIRE(pairs(v.run(script, 1, false, false)) == expected);
      REQUIRE(pairs(v.run(script, 7, false, true)) == expected);
      REQUIRE(pairs(v.run(script, 1000, false, false)) == expected);
      REQUIRE(pairs(v.run(script, 3, true, true)) == expected);
    }
  }
}
