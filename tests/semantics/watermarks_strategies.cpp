// SPDX-License-Identifier: Apache-2.0
// Every way of making watermarks against a naive one: random records, clocks and back-pressure.

#include <millrace/operators/event_time.hpp>
#include <millrace/operators/watermark_partitions.hpp>

#include "oracle/random_stream.hpp"
#include "oracle/watermarks_harness.hpp"
#include "oracle/watermarks_oracle.hpp"

#include "catch.hpp"

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

using namespace millrace;
using oracle::at;
using oracle::strategy;

namespace {

const auto time_of = [](const oracle::event& e) { return at(e.time); };

struct mark {
  std::optional<timestamp> operator()(const oracle::event& e, timestamp) const {
    const auto found = oracle::mark_of(e);
    return found ? std::optional(at(*found)) : std::nullopt;
  }
};

struct own_generator {
  void on_record(const oracle::event& e, timestamp t, watermark_output& out) {
    greatest = std::max(greatest, t);
    if (e.value % 7 == 0) out.emit(t);
  }
  void on_periodic(watermark_output& out) const {
    out.emit(saturating_sub(saturating_sub(greatest, bound), one_tick));
  }
  duration bound;
  timestamp greatest = min_timestamp;
};

template <class Strategy>
std::unique_ptr<subtask> generated(const Strategy& s, event_time_options<oracle::event> options) {
  auto generator = watermark_generator_of<oracle::event>(s);
  using task = generated_time_subtask<oracle::event, decltype(time_of), decltype(generator)>;
  return std::make_unique<task>(time_of, std::move(generator), std::move(options));
}

std::unique_ptr<subtask> make(const oracle::time_case& given) {
  event_time_options<oracle::event> options;
  options.period = duration{given.period};
  if (given.most_ahead) options.most_ahead = duration{*given.most_ahead};
  const duration bound{given.bound};
  const partition_options parts{
      .bound = bound, .idle_after = duration{given.idle_after}, .expected = given.expected};
  const auto key = [](const oracle::event& e) { return e.key; };
  if (given.how == strategy::per_partition) return generated(per_partition(key, parts), options);
  if (given.how == strategy::per_key) return generated(per_key(key, parts), options);
  options.idle_after = duration{given.idle_after};
  if (given.how == strategy::punctuated) return generated(punctuated(mark{}), options);
  if (given.how == strategy::generated) return generated(own_generator{bound}, options);
  return std::make_unique<event_time_subtask<oracle::event, decltype(time_of)>>(
      time_of, bounded_lag{.bound = bound}, options);
}

oracle::time_case random_case(oracle::random_source& random, strategy how) {
  oracle::time_case c;
  c.how = how;
  c.bound = random.one_in(3) ? 0 : random.between(0, 60);
  c.idle_after = random.one_in(3) && how != strategy::per_key ? 0 : 4 * random.between(1, 25);
  c.period = random.between(3, 60);
  if (random.one_in(4)) c.most_ahead = random.between(0, 80);
  if (random.one_in(3)) c.expected = static_cast<std::size_t>(random.between(0, 5));
  return c;
}

/// The first place where the two differ, and what came before it; empty when they are equal.
std::string difference(const std::vector<oracle::seen>& ours,
                       const std::vector<oracle::seen>& theirs) {
  const auto [a, b] = std::mismatch(ours.begin(), ours.end(), theirs.begin(), theirs.end());
  if (a == ours.end() && b == theirs.end()) return {};
  std::ostringstream out;
  out << "both:";
  for (auto c = a - ours.begin() > 12 ? a - 12 : ours.begin(); c != a; ++c) out << ' ' << *c;
  const auto rest = [&](auto from, auto end) {
    for (int i = 0; from != end && i < 6; ++i) out << ' ' << *from++;
  };
  out << "; found:";
  rest(a, ours.end());
  out << "; expected:";
  rest(b, theirs.end());
  return out.str();
}

void compare(oracle::random_source& random, strategy how) {
  const auto given = random_case(random, how);
  const auto shape = oracle::random_shape(random);
  oracle::time_harness ours(make(given));
  oracle::time_oracle theirs(given);
  // Event time and the wall clock go side by side, so that some records come from the future.
  std::int64_t clock = shape.start;
  ours.env().wall = at(clock);
  std::int64_t wall = clock;
  const auto pass = [&](std::int64_t d) {
    ours.advance(duration{d});
    theirs.advance(d);
    wall = oracle::shifted(wall, d);
  };
  int id = 0;
  bool blocked = false;
  const bool steady = random.one_in(2);
  const int silent_key = random.one_in(3) ? 0 : -1;
  for (int step = 0; step < shape.records; ++step) {
    if (random.one_in(15)) {
      blocked = !blocked;
      ours.block(blocked);
      theirs.block(blocked);
    }
    if (random.one_in(steady ? 3 : 6)) pass(random.between(1, random.one_in(4) ? 250 : 20));
    std::vector<oracle::event> events;
    for (auto n = random.between(1, 6); n > 0; --n) {
      clock = oracle::plus(clock, random.between(0, shape.step));
      oracle::event e{static_cast<int>(random.below(shape.keys)),
                      oracle::plus(clock, -random.between(0, shape.disorder)),
                      static_cast<int>(random.between(-20, 100)), ++id};
      if (e.key == silent_key && random.below(shape.records) < step) continue;
      if (random.one_in(20)) e.time = oracle::plus(e.time, random.between(0, 200));
      events.push_back(e);
    }
    if (events.empty()) continue;
    ours.push(events);
    theirs.push(events, wall);
  }
  if (random.one_in(2)) pass(random.between(1, 500));
  ours.end();
  theirs.end();
  INFO("strategy " << static_cast<int>(how) << ", bound " << given.bound << ", idle after "
                   << given.idle_after << ", period " << given.period << ", expected "
                   << given.expected);
  REQUIRE(difference(ours.log(), theirs.log()) == "");
}

}  // namespace

TEST_CASE("bounded lag: the greatest time less the bound and a tick, behind every batch") {
  oracle::for_each_case(600, [](oracle::random_source& r) { compare(r, strategy::bounded); });
}

TEST_CASE("punctuated watermarks stand directly behind the records that carry them") {
  oracle::for_each_case(600, [](oracle::random_source& r) { compare(r, strategy::punctuated); });
}

TEST_CASE("a generator of the application's is asked per record, per batch and per period") {
  oracle::for_each_case(600, [](oracle::random_source& r) { compare(r, strategy::generated); });
}

TEST_CASE("per partition: the least of those that are active, and back when they have caught up") {
  oracle::for_each_case(1'000,
                        [](oracle::random_source& r) { compare(r, strategy::per_partition); });
}

TEST_CASE("per key: the least of all, silent ones move on with the clock") {
  oracle::for_each_case(1'000, [](oracle::random_source& r) { compare(r, strategy::per_key); });
}
