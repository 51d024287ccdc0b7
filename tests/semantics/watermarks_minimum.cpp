// SPDX-License-Identifier: Apache-2.0
// The minimum over several inputs against a naive one, and its corner cases by name.

#include <millrace/operators/watermark_minimum.hpp>
#include <millrace/operators/watermarks.hpp>
#include <millrace/testing/operator_harness.hpp>

#include "oracle/random_stream.hpp"

#include "catch.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

using namespace millrace;
using oracle::at;

namespace {

// Works everything out from the whole history of an input.
struct naive_input {
  std::vector<control> history;
  bool counts = true;

  timestamp time() const {
    timestamp t = min_timestamp;
    for (const auto& c : history) {
      if (c.kind == control_kind::watermark) t = std::max(t, c.time);
    }
    return t;
  }
  bool done() const {
    return time() == max_timestamp || std::any_of(history.begin(), history.end(), [](auto& c) {
             return c.kind == control_kind::end;
           });
  }
  bool idle() const {
    bool idle = false;
    for (const auto& c : history) {
      if (c.kind == control_kind::idle) idle = true;
      if (c.kind == control_kind::active) idle = false;
    }
    return idle;
  }
};

struct naive_minimum {
  explicit naive_minimum(std::size_t n) : inputs(n) {}

  void apply(std::size_t input, const control& c) {
    auto& in = inputs[input];
    const bool was_idle = in.idle();
    in.history.push_back(c);
    if (in.idle()) {
      in.counts = false;
    } else if (was_idle || !in.counts) {
      in.counts = in.time() >= watermark;
    }
    std::optional<timestamp> least;
    timestamp furthest = min_timestamp;
    bool all_done = true;
    bool all_silent = true;
    for (const auto& i : inputs) {
      if (i.done()) continue;
      all_done = false;
      all_silent = all_silent && i.idle();
      furthest = std::max(furthest, i.time());
      if (i.counts) least = std::min(least.value_or(max_timestamp), i.time());
    }
    if (all_done) {
      for (const auto& i : inputs) watermark = std::max(watermark, i.time());
    } else if (all_silent) {
      watermark = std::max(watermark, furthest);
    } else if (least) {
      watermark = std::max(watermark, *least);
    }
    idle = all_silent && !all_done;
  }

  std::vector<naive_input> inputs;
  timestamp watermark = min_timestamp;
  bool idle = false;
};

}  // namespace

TEST_CASE("the watermark of several inputs is the least one of those that count") {
  testing::harness_environment env;
  oracle::for_each_case(1'500, [&](oracle::random_source& random) {
    const auto n = static_cast<std::size_t>(random.between(1, 5));
    watermark_merger ours(n);
    naive_minimum theirs(n);
    std::vector<std::int64_t> clock(n, random.between(-100, 100));
    std::vector<bool> ended(n, false);
    for (int i = 0; i < 60; ++i) {
      const auto input = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(n)));
      if (ended[input]) continue;
      control c = control::idle();
      if (random.one_in(30)) {
        if (random.one_in(2)) {
          ours.apply(input, control::watermark(max_timestamp), env);
          theirs.apply(input, control::watermark(max_timestamp));
          REQUIRE(ours.watermark() == theirs.watermark);
        }
        c = control::end();
        ended[input] = true;
      } else if (random.one_in(3)) {
        c = random.one_in(2) ? control::idle() : control::active();
      } else {
        clock[input] += random.between(-3, 20);
        c = control::watermark(at(clock[input]));
      }
      const timestamp before = ours.watermark();
      const bool was_idle = ours.idle();
      const auto change = ours.apply(input, c, env);
      theirs.apply(input, c);
      REQUIRE(ours.watermark() == theirs.watermark);
      REQUIRE(ours.idle() == theirs.idle);
      CHECK(change.advanced == (ours.watermark() > before));
      CHECK(change.went_idle == (!was_idle && theirs.idle));
    }
  });
}

TEST_CASE("an input that is back from silence holds nobody back until it has caught up") {
  testing::harness_environment env;
  watermark_merger m(2);
  m.apply(0, control::watermark(at(10)), env);
  m.apply(1, control::watermark(at(100)), env);
  m.apply(0, control::idle(), env);
  CHECK(m.watermark() == at(100));
  m.apply(0, control::active(), env);
  m.apply(0, control::watermark(at(50)), env);
  CHECK(m.standing(0) == input_standing::behind);
  m.apply(1, control::watermark(at(200)), env);
  CHECK(m.watermark() == at(200));
  m.apply(0, control::watermark(at(200)), env);
  CHECK(m.standing(0) == input_standing::counts);
  m.apply(1, control::watermark(at(300)), env);
  CHECK(m.watermark() == at(200));
}

TEST_CASE("when all inputs are silent the furthest decides") {
  testing::harness_environment env;
  watermark_merger m(2);
  m.apply(0, control::watermark(at(10)), env);
  m.apply(1, control::watermark(at(100)), env);
  m.apply(1, control::idle(), env);
  CHECK(m.watermark() == at(10));
  const auto change = m.apply(0, control::idle(), env);
  CHECK(m.watermark() == at(100));
  CHECK(change.went_idle);
}

TEST_CASE("an input that has ended does not drag silent ones to the end of time") {
  testing::harness_environment env;
  watermark_merger m(2);
  m.apply(0, control::watermark(at(10)), env);
  m.apply(1, control::watermark(at(5)), env);
  m.apply(1, control::idle(), env);
  m.apply(0, control::watermark(max_timestamp), env);
  m.apply(0, control::end(), env);
  CHECK(m.watermark() == at(10));
  m.apply(1, control::active(), env);
  m.apply(1, control::watermark(at(12)), env);
  CHECK(m.watermark() == at(12));
  m.apply(1, control::watermark(max_timestamp), env);
  CHECK(m.watermark() == max_timestamp);
}

TEST_CASE("parts that have gone quiet are forgotten") {
  using namespace std::chrono_literals;
  for (const auto mode : {when_silent::leave, when_silent::advance}) {
    partition_watermarks<int> parts({.bound = 10us, .idle_after = 1ms}, mode);
    parts.start(0ns);
    std::chrono::nanoseconds now{0};
    std::size_t most = 0;
    for (int i = 0; i < 200'000; ++i) {
      now += 10us;
      parts.record(i, at(i * 10), now);  // each part speaks once
      parts.record(-1, at(i * 10), now);
      if (i % 16 == 0) parts.settle(now);
      most = std::max(most, parts.size());
    }
    // Those of the last millisecond, and what the settling leaves over.
    CHECK(most < 300);
    CHECK(parts.watermark() > at(1'900'000));
  }
}
