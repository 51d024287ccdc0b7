// SPDX-License-Identifier: Apache-2.0
// Temporal joins against a naive table, in every way the harness knows.

#include <millrace/operators/temporal_join.hpp>

#include "catch.hpp"
#include "oracle/joins_run.hpp"
#include "oracle/temporal_join_oracle.hpp"

using namespace millrace;

namespace {

using change = std::optional<oracle::event>;

/// Deletions say only what they delete; late ones could not be told apart.
change as_change(const oracle::event& e) { return e.value < 0 ? std::nullopt : change(e); }

template <join_kind Kind>
void compare(const oracle::script<2>& steps, std::int64_t valid_for) {
  using op = temporal_join_operator<int, oracle::event, oracle::event, Kind>;
  temporal_options options;
  if (valid_for > 0) options.valid_for = duration{valid_for};
  auto expected =
      oracle::temporal_join(oracle::arrivals(steps), valid_for, Kind == join_kind::left);
  for (int& id : expected.late[1]) {
    for (const auto& s : steps) {
      const auto* r = std::get_if<2>(&s.what);
      if (r != nullptr && r->value.id == id && r->value.value < 0) id = -1;
    }
  }
  expected.sort();
  oracle::check_join(steps, expected, [&](const auto& s, const oracle::way& how) {
    return oracle::run_join<op, oracle::event, change>(
        s, how, [&](auto keys, auto left, auto right) { return op(options, keys, left, right); },
        as_change, valid_for > 0 ? oracle::keys_left::none : oracle::keys_left::rows);
  });
}

}  // namespace

TEST_CASE("temporal joins of random streams are those of the naive table") {
  oracle::for_each_case(600, [](oracle::random_source& random) {
    auto steps = oracle::random_script<2>(random, oracle::random_shape(random));
    const std::int64_t valid_for = random.between(1, 120);
    INFO("valid for " << valid_for);
    if (random.one_in(2)) {
      compare<join_kind::inner>(steps, valid_for);
    } else {
      compare<join_kind::left>(steps, valid_for);
    }
  });
}

TEST_CASE("temporal joins with rows that stay are those of the naive table") {
  oracle::for_each_case(300, [](oracle::random_source& random) {
    auto steps = oracle::random_script<2>(random, oracle::random_shape(random));
    compare<join_kind::left>(steps, 0);
  });
}
