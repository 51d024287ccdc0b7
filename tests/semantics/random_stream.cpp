// SPDX-License-Identifier: Apache-2.0
// The generator of the differential tests makes what it says.

#include "oracle/random_stream.hpp"

#include "catch.hpp"

using namespace millrace;

namespace {

template <std::size_t Inputs>
void check_script(oracle::random_source& random) {
  const auto shape = oracle::random_shape(random);
  const auto script = oracle::random_script<Inputs>(random, shape);
  std::array<timestamp, Inputs> watermark{};
  std::array<int, Inputs> ends{};
  watermark.fill(min_timestamp);
  int records = 0;
  for (const auto& step : script) {
    REQUIRE(step.input < Inputs);
    const auto* c = std::get_if<0>(&step.what);
    if (c == nullptr) {
      ++records;
      CHECK(ends[step.input] == 0);
    } else if (c->kind == control_kind::watermark) {
      CHECK(c->time > watermark[step.input]);
      watermark[step.input] = c->time;
    } else if (c->kind == control_kind::end) {
      ++ends[step.input];
    }
  }
  CHECK(records <= shape.records);
  for (std::size_t i = 0; i < Inputs; ++i) {
    CHECK(ends[i] == 1);
    CHECK(watermark[i] == max_timestamp);
  }
}

}  // namespace

TEST_CASE("random scripts have rising watermarks and one end per input") {
  oracle::for_each_case(500, [](oracle::random_source& random) {
    check_script<1>(random);
    check_script<2>(random);
  });
}

TEST_CASE("the same seed gives the same script") {
  oracle::random_source a(42), b(42);
  const auto one = oracle::random_script<2>(a, oracle::random_shape(a));
  const auto two = oracle::random_script<2>(b, oracle::random_shape(b));
  REQUIRE(one.size() == two.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    CHECK(one[i].what.index() == two[i].what.index());
    if (one[i].what.index() == 1) CHECK(std::get<1>(one[i].what) == std::get<1>(two[i].what));
  }
}
