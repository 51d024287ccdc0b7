// SPDX-License-Identifier: Apache-2.0
// Window joins of every kind over tumbling, sliding and session windows against a naive one, in
// every way the harness knows.

#include <millrace/operators/window_join.hpp>

#include "catch.hpp"
#include "oracle/joins_run.hpp"
#include "oracle/window_join_oracle.hpp"

using namespace millrace;

namespace {

template <join_kind Kind>
void compare(const oracle::script<2>& steps, const oracle::join_spec& spec, oracle::keeps keeps) {
  using op = window_join_operator<int, oracle::event, oracle::event, Kind>;
  const auto expected = oracle::window_join(oracle::arrivals(steps), spec, keeps);
  const join_windows windows = spec.gap > 0
                                   ? join_windows(session{.gap = duration{spec.gap}})
                                   : join_windows(sliding{.size = duration{spec.size},
                                                          .slide = duration{spec.slide},
                                                          .offset = duration{spec.offset}});
  oracle::check_join(steps, expected, [&](const auto& s, const oracle::way& how) {
    return oracle::run_join<op>(s, how, [&](auto keys, auto left, auto right) {
      return op(windows, duration{spec.lateness}, keys, left, right);
    });
  });
}

oracle::join_spec random_spec(oracle::random_source& random) {
  oracle::join_spec s;
  s.size = random.between(1, 90);
  s.slide = random.one_in(3) ? s.size : random.between(8, 60);
  if (s.slide < 8) s.slide = 8;
  s.offset = random.between(-s.slide + 1, s.slide - 1);
  if (random.one_in(3)) s.gap = random.between(1, 60);
  if (random.one_in(3)) s.lateness = random.between(0, 60);
  return s;
}

}  // namespace

TEST_CASE("window joins of random streams are those of the naive join") {
  oracle::for_each_case(600, [](oracle::random_source& random) {
    const auto steps = oracle::random_script<2>(random, oracle::random_shape(random));
    const auto spec = random_spec(random);
    INFO("size " << spec.size << " slide " << spec.slide << " offset " << spec.offset << " gap "
                 << spec.gap << " lateness " << spec.lateness);
    switch (random.below(4)) {
      case 0: compare<join_kind::inner>(steps, spec, oracle::keeps::neither); break;
      case 1: compare<join_kind::left>(steps, spec, oracle::keeps::left); break;
      case 2: compare<join_kind::right>(steps, spec, oracle::keeps::right); break;
      default: compare<join_kind::full>(steps, spec, oracle::keeps::both);
    }
  });
}
