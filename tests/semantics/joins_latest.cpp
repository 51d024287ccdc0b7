// SPDX-License-Identifier: Apache-2.0
// Latest-value joins by event time against a naive one, late records included, in every way the
// harness knows.

#include <millrace/operators/join_latest.hpp>

#include "catch.hpp"
#include "oracle/joins_run.hpp"
#include "oracle/temporal_join_oracle.hpp"

using namespace millrace;

namespace {

template <bool LeftJoin>
void compare(const oracle::script<2>& steps, int policy) {
  using op = join_latest_operator<int, oracle::event, oracle::event, LeftJoin>;
  const join_latest_options options{.without_partner =
                                        policy == 0 ? unmatched::drop : unmatched::hold};
  const auto expected = oracle::join_latest(oracle::arrivals(steps), policy);
  oracle::check_join(steps, expected, [&](const auto& s, const oracle::way& how) {
    return oracle::run_join<op>(
        s, how, [&](auto keys, auto left, auto) { return op(options, keys, left); },
        oracle::keys_left::rows);
  });
}

}  // namespace

TEST_CASE("latest-value joins of random streams are those of the naive join, late records too") {
  oracle::for_each_case(600, [](oracle::random_source& random) {
    const auto steps = oracle::random_script<2>(random, oracle::random_shape(random));
    const int policy = static_cast<int>(random.below(3));
    INFO("policy " << policy);
    policy == 2 ? compare<true>(steps, policy) : compare<false>(steps, policy);
  });
}
