// SPDX-License-Identifier: Apache-2.0
// As-of joins in every direction against a quadratic one, in every way the harness knows.

#include <millrace/operators/as_of_join.hpp>

#include "catch.hpp"
#include "oracle/joins_run.hpp"

using namespace millrace;

namespace {

template <join_kind Kind>
void compare(const oracle::script<2>& steps, as_of_options options) {
  using op = as_of_join_operator<int, oracle::event, oracle::event, Kind>;
  const auto expected =
      oracle::as_of_join(oracle::arrivals(steps), static_cast<int>(options.direction),
                         options.tolerance.count(), Kind == join_kind::left);
  oracle::check_join(steps, expected, [&](const auto& s, const oracle::way& how) {
    return oracle::run_join<op>(
        s, how, [&](auto keys, auto left, auto right) { return op(options, keys, left, right); });
  });
}

}  // namespace

TEST_CASE("as-of joins of random streams are those of the quadratic join") {
  oracle::for_each_case(600, [](oracle::random_source& random) {
    const auto steps = oracle::random_script<2>(random, oracle::random_shape(random));
    as_of_options options{static_cast<as_of>(random.below(3)), duration{random.between(0, 80)}};
    if (random.one_in(8)) options.tolerance = duration{};
    INFO("direction " << static_cast<int>(options.direction) << " tolerance "
                      << options.tolerance.count());
    if (random.one_in(2)) {
      compare<join_kind::inner>(steps, options);
    } else {
      compare<join_kind::left>(steps, options);
    }
  });
}
