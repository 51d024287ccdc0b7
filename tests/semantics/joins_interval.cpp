// SPDX-License-Identifier: Apache-2.0
// Interval joins of every kind against a quadratic one, in every way the harness knows.

#include <millrace/operators/interval_join.hpp>

#include "catch.hpp"
#include "oracle/joins_run.hpp"

#include <algorithm>

using namespace millrace;

namespace {

template <join_kind Kind>
void compare(const oracle::script<2>& steps, join_interval between, oracle::keeps keeps) {
  using op = interval_join_operator<int, oracle::event, oracle::event, Kind>;
  const auto arrivals = oracle::arrivals(steps);
  // Two records that have the watermark's own time meet if no watermark comes between them, as in
  // Flink; after a restore the last watermark comes again.
  const bool with_restore =
      std::none_of(arrivals.begin(), arrivals.end(),
                   [](const oracle::arrival& a) { return a.record.time == a.watermark; });
  const auto expected = oracle::interval_join(
      arrivals, between.lower.count() + (between.at_lower == bound::exclusive ? 1 : 0),
      between.upper.count() - (between.at_upper == bound::exclusive ? 1 : 0), keeps);
  oracle::check_join(
      steps, expected,
      [&](const auto& s, const oracle::way& how) {
        return oracle::run_join<op>(s, how, [&](auto keys, auto left, auto right) {
          return op(between, keys, left, right);
        });
      },
      with_restore);
}

join_interval random_interval(oracle::random_source& random) {
  for (;;) {
    const std::int64_t a = random.between(-60, 60);
    const join_interval i{duration{a}, duration{a + random.between(0, 80)},
                          random.one_in(4) ? bound::exclusive : bound::inclusive,
                          random.one_in(4) ? bound::exclusive : bound::inclusive};
    if (i.closed().lower <= i.closed().upper) return i;
  }
}

}  // namespace

TEST_CASE("interval joins of random streams are those of the quadratic join") {
  oracle::for_each_case(600, [](oracle::random_source& random) {
    const auto steps = oracle::random_script<2>(random, oracle::random_shape(random));
    const join_interval between = random_interval(random);
    INFO("from " << between.lower.count() << " to " << between.upper.count());
    switch (random.below(4)) {
      case 0: compare<join_kind::inner>(steps, between, oracle::keeps::neither); break;
      case 1: compare<join_kind::left>(steps, between, oracle::keeps::left); break;
      case 2: compare<join_kind::right>(steps, between, oracle::keeps::right); break;
      default: compare<join_kind::full>(steps, between, oracle::keeps::both);
    }
  });
}
