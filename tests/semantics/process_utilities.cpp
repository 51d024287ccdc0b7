// SPDX-License-Identifier: Apache-2.0
// deduplicate, rate_limit, sample, debounce and sort_by_time on random scripts, in every way of
// running, against what they say.

#include <millrace/operators/debounce.hpp>
#include <millrace/operators/deduplicate.hpp>
#include <millrace/operators/process.hpp>
#include <millrace/operators/rate_limit.hpp>
#include <millrace/operators/sample.hpp>
#include <millrace/operators/sort.hpp>

#include "catch.hpp"
#include "oracle/utilities_oracle.hpp"

#include <boost/describe.hpp>

#include <limits>
#include <string>

using namespace millrace;
using oracle::event;
using oracle::random_source;

namespace {

std::vector<std::string> lines(const std::vector<testing::emitted<event>>& all) {
  return oracle::sorted_lines(all, [](const event& e) { return std::to_string(e.id); });
}

struct situation {
  oracle::stream_shape shape;
  std::vector<oracle::timed_step> script;
  time_domain clock = time_domain::event_time;
  bool wall() const { return clock == time_domain::processing_time; }
};

situation random_situation(random_source& random, bool both_clocks) {
  situation s;
  s.shape = oracle::random_shape(random);
  if (random.one_in(2)) s.shape.lag = std::max(s.shape.lag, s.shape.disorder);
  if (both_clocks && random.one_in(3)) s.clock = time_domain::processing_time;
  s.script = oracle::timed_script(random, s.shape, both_clocks ? random.between(1, 30) : 0);
  return s;
}

/// Runs in two ways; results, side output and counters must be the expected ones.
template <class Driver>
void check(random_source& random, const situation& given, Driver& d,
           const oracle::utility_results& expected, std::uint64_t filtered, std::uint64_t late) {
  for (const auto& mode : oracle::random_modes(random, oracle::in_time(given.shape))) {
    INFO("batches of " << mode.batch << (mode.restore ? ", restored" : "")
                       << (mode.full ? ", full output" : ""));
    d.run(given.script, mode);
    REQUIRE(oracle::first_difference(lines(d.results), expected.lines(expected.out)) == "");
    REQUIRE(oracle::first_difference(lines(d.side), expected.lines(expected.side)) == "");
    REQUIRE(d.filtered == filtered);
    REQUIRE(d.late == late);
    REQUIRE(d.dead_letters == 0);
    // Nothing is left, unless its time to live reaches beyond the end of time.
    const bool ends = given.shape.start < std::numeric_limits<std::int64_t>::max() - 10'000;
    if (ends && !given.wall()) REQUIRE(d.keys_left == 0);
  }
}

/// A driver for a process operator with one function.
template <class F, class State>
auto function_driver(const F& f, const void* side) {
  using op = process_operator<int, State, event, F, no_timer, no_timer>;
  using driver = oracle::timed_driver<op>;
  return driver(
      [f](std::shared_ptr<key_table<int>> keys) {
        return std::make_unique<typename driver::harness>([&] { return op(f, {}, {}, keys); });
      },
      side);
}

struct id_of {
  int ids;
  int operator()(const event& e) const { return (e.value % ids + ids) % ids; }
};

}  // namespace

TEST_CASE("deduplicate lets an id pass once within a time") {
  oracle::for_each_case(700, [](random_source& random) {
    const situation given = random_situation(random, true);
    const deduplicate_options options{
        .within = duration{random.between(1, 120)},
        .clock = given.clock,
        .refresh = random.one_in(2) ? ttl_refresh::on_write : ttl_refresh::on_read};
    const int ids = static_cast<int>(random.between(1, 8));
    const auto expected =
        oracle::deduplicated(given.script, ids, options.within.count(),
                             options.refresh == ttl_refresh::on_read, given.wall());
    const side_output<event> duplicates("duplicates");
    if (ids == 1) {
      using function = deduplicate_function<event, key_is_id>;
      auto d = function_driver<function, function::state>(function{{}, options, duplicates},
                                                          duplicates.identity());
      check(random, given, d, expected, expected.side.size(), 0);
    } else {
      using function = deduplicate_function<event, id_of>;
      auto d = function_driver<function, function::state>(function{id_of{ids}, options, duplicates},
                                                          duplicates.identity());
      check(random, given, d, expected, expected.side.size(), 0);
    }
  });
}

TEST_CASE("rate_limit is a token bucket per key, exact to the tick") {
  oracle::for_each_case(700, [](random_source& random) {
    const situation given = random_situation(random, true);
    const rate_limit_options options{
        .records = static_cast<std::uint32_t>(random.between(1, 7)),
        .per = duration{random.between(1, 100)},
        .burst = random.one_in(2) ? 0 : static_cast<std::uint32_t>(random.between(1, 9)),
        .clock = given.clock};
    const auto expected = oracle::rate_limited(given.script, options.records, options.per.count(),
                                               options.capacity(), given.wall());
    const side_output<event> excess("excess");
    using function = rate_limit_function<event>;
    auto d = function_driver<function, token_bucket>(function{options, excess}, excess.identity());
    check(random, given, d, expected, expected.side.size(), 0);
  });
}

TEST_CASE("sample takes every nth record of a key, and forgets keys that have gone quiet") {
  oracle::for_each_case(500, [](random_source& random) {
    const situation given = random_situation(random, true);
    const every_nth rule{static_cast<std::uint64_t>(random.between(1, 5))};
    const sample_options options{duration{random.between(1, 200)}, given.clock};
    const auto expected =
        oracle::sampled(given.script, rule.n, options.forget_after.count(), given.wall());
    using function = sample_function<event, every_nth>;
    auto d = function_driver<function, sample_counter>(function{rule, options}, nullptr);
    std::uint64_t records = 0;
    for (const auto& s : given.script) records += std::holds_alternative<event>(s.what) ? 1 : 0;
    check(random, given, d, expected, records - expected.out.size(), 0);
  });
}

TEST_CASE("debounce gives the last record of each run") {
  oracle::for_each_case(700, [](random_source& random) {
    const situation given = random_situation(random, false);
    const duration quiet{random.between(0, 60)};
    const oracle::debounce_oracle expected(given.script, quiet.count());
    const side_output<event> late("late");
    using op = process_operator<int, debounce_runs<event>, event, debounce_function<event>,
                                no_timer, debounce_timer<event>>;
    using driver = oracle::timed_driver<op>;
    driver d(
        [&](std::shared_ptr<key_table<int>> keys) {
          return std::make_unique<driver::harness>([&] {
            return op(debounce_function<event>{quiet, late}, {}, debounce_timer<event>{quiet},
                      keys);
          });
        },
        late.identity());
    check(random, given, d, expected.results, expected.taken - expected.results.out.size(),
          expected.results.side.size());
  });
}

TEST_CASE("sort_by_time emits in order of time, equal times in order of arrival") {
  oracle::for_each_case(700, [](random_source& random) {
    const situation given = random_situation(random, false);
    const auto expected = oracle::sorted_by_time(given.script, 1'000'000);
    const side_output<event> late("late");
    using op = sort_operator<event, held_keys<int>>;
    using driver = oracle::timed_driver<op>;
    driver d(
        [&](std::shared_ptr<key_table<int>> keys) {
          return std::make_unique<driver::harness>(
              [&] { return op(sort_options{}, late, held_keys<int>(keys)); });
        },
        late.identity());
    check(random, given, d, expected, 0, expected.side.size());
    std::vector<int> ids;
    for (const auto& [e, time] : expected.out) ids.push_back(e.id);
    std::vector<int> found;
    for (const auto& e : d.results) found.push_back(e.value.id);
    CHECK(found == ids);
  });
}
