// SPDX-License-Identifier: Apache-2.0
#include <millrace/state/serialize.hpp>
#include <millrace/windows/aggregate.hpp>
#include <millrace/windows/aggregates.hpp>

#include "catch.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {

struct reading {
  std::string station;
  int bikes = 0;
  double weight = 0;
  double half() const { return bikes / 2.0; }
};

/// Two passes in long double: the definition.
struct exact {
  long double mean = 0, deviations = 0, sum = 0;
  explicit exact(const std::vector<double>& values) {
    const long double pivot = values.back();
    for (const double x : values) sum += x - pivot;
    const long double shift = sum / static_cast<long double>(values.size());
    for (const double x : values) deviations += (x - pivot - shift) * (x - pivot - shift);
    mean = pivot + shift;
  }
};

template <class A, class In>
auto fold(const A& aggregate, const std::vector<In>& values, std::size_t part) {
  static_assert(millrace::aggregate_for<A, In>);
  typename A::state whole{};
  for (std::size_t i = 0; i < values.size(); i += part) {
    typename A::state s{};
    for (std::size_t j = i; j < std::min(values.size(), i + part); ++j) aggregate.add(s, values[j]);
    aggregate.merge(whole, s);
  }
  return aggregate.result(whole);
}

double relative_error(double found, long double expected) {
  return static_cast<double>(std::abs((found - expected) / expected));
}

}  // namespace

TEST_CASE("count, sum, min, max, first and last say what their names say") {
  using namespace millrace;
  const std::vector<reading> r = {{"a", 3, 0.5}, {"b", -7, 1.5}, {"c", 5, 0.25}};
  for (const std::size_t part : {1U, 2U, 3U}) {
    CHECK(fold(count{}, r, part) == 3);
    CHECK(fold(sum(&reading::bikes), r, part) == 1);
    CHECK(fold(sum(&reading::weight), r, part) == 2.25);
    CHECK(fold(min_of(&reading::bikes), r, part) == -7);
    CHECK(fold(max_of(&reading::bikes), r, part) == 5);
    CHECK(fold(min_of(&reading::station), r, part) == "a");
    CHECK(fold(max_of(&reading::station), r, part) == "c");
    CHECK(fold(first_of(&reading::station), r, part) == "a");
    CHECK(fold(last_of([](const reading& x) { return x.bikes * 2; }), r, part) == 10);
    CHECK(fold(mean(&reading::half), r, part) == Approx(1.0 / 6));
  }
  STATIC_REQUIRE(std::is_same_v<aggregate_result_t<decltype(sum(&reading::bikes))>, std::int64_t>);
  STATIC_REQUIRE(std::is_same_v<aggregate_result_t<decltype(max_of(&reading::bikes))>, int>);
  STATIC_REQUIRE(commutative_aggregate<count>);
  STATIC_REQUIRE(!commutative_aggregate<decltype(first_of(&reading::bikes))>);
  STATIC_REQUIRE(invertible_aggregate<count>);
  STATIC_REQUIRE(!aggregate_for<decltype(sum(&reading::bikes)), std::string>);
}

TEST_CASE("integer sums are exact beyond 64 bits and clamped at the end") {
  using namespace millrace;
  constexpr auto max = std::numeric_limits<std::int64_t>::max();
  constexpr auto min = std::numeric_limits<std::int64_t>::min();
  const auto all = sum([](const std::int64_t& x) { return x; });
  CHECK(fold(all, std::vector<std::int64_t>{max, max, min, min, 5}, 2) == 3);
  CHECK(fold(all, std::vector<std::int64_t>{max, 1}, 1) == max);
  CHECK(fold(all, std::vector<std::int64_t>{min, -1}, 1) == min);
  const auto positive = sum([](const std::uint64_t& x) { return x; });
  CHECK(fold(positive, std::vector<std::uint64_t>{~0ULL, 1}, 1) == ~0ULL);
  wide_sum w;
  w.add(max);
  w.add(max);
  wide_sum other;
  other.add(std::int64_t{-9});
  w.add(other);
  w.subtract(other);
  CHECK(w.to_double() == 2.0 * static_cast<double>(max));
}

TEST_CASE("sums of doubles do not lose what a large value hides") {
  using namespace millrace;
  const std::vector<double> values = {1e16, 1, 1, 1, 1, 1, 1, 1, 1, -1e16};
  CHECK(fold(sum(), values, 3) == 8);
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(fold(sum(), std::vector<double>{1, infinity, 2}, 2) == infinity);
  CHECK(std::isnan(fold(sum(), std::vector<double>{infinity, -infinity}, 2)));
}

TEST_CASE("extremes ignore NaN") {
  using namespace millrace;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(fold(min_of(), std::vector<double>{nan, 2, nan, 1, nan}, 2) == 1);
  CHECK(fold(max_of(), std::vector<double>{nan, 2, nan, 1, nan}, 2) == 2);
}

TEST_CASE("statistics are exact for integers, in any partition") {
  using namespace millrace;
  std::mt19937 random(7);
  std::vector<reading> values(1000);
  std::int64_t sum = 0, squares = 0;
  for (reading& r : values) {
    r.bikes = static_cast<int>(random() % 41) - 5;
    sum += r.bikes;
    squares += r.bikes * r.bikes;
  }
  for (const std::size_t part : {1U, 7U, 100U, 1000U}) {
    const statistics_result s = fold(statistics{&reading::bikes}, values, part);
    CHECK(s.count == 1000);
    CHECK(s.sum == static_cast<double>(sum));
    CHECK(s.mean == Approx(static_cast<double>(sum) / 1000).epsilon(1e-15));
    CHECK(s.sum_of_squared_deviations ==
          Approx(static_cast<double>(squares) - static_cast<double>(sum * sum) / 1000)
              .epsilon(1e-13));
    CHECK(s.standard_deviation == std::sqrt(s.sum_of_squared_deviations / 1000));
  }
}

TEST_CASE("statistics keep their accuracy on nasty data, against two passes in long double") {
  using namespace millrace;
  std::mt19937_64 random(11);
  std::normal_distribution<double> normal;
  const auto make = [&](std::size_t n, auto f) {
    std::vector<double> v(n);
    for (std::size_t i = 0; i < n; ++i) v[i] = f(static_cast<int>(i));
    return v;
  };
  struct data {
    const char* name;
    std::vector<double> values;
    double tolerance;
  };
  const std::vector<data> all = {
      {"mean 1e9, deviation 1e-3", make(100000, [&](int) { return 1e9 + 1e-3 * normal(random); }),
       1e-12},
      {"mean -1e15, deviation 1", make(100000, [&](int) { return -1e15 + normal(random); }), 1e-12},
      {"first value far away",
       make(10000, [&](int i) { return i == 0 ? 0 : 1e9 + 1e-3 * normal(random); }), 1e-10},
      {"trend", make(100000, [&](int i) { return i + normal(random); }), 1e-12},
      {"twelve decades", make(10000, [&](int) { return std::exp(14 * normal(random)); }), 1e-12},
      {"two clusters",
       make(10000, [&](int i) { return (i % 2 == 0 ? 1e8 : -1e8) + normal(random); }), 1e-12},
      {"tiny", make(1000, [&](int) { return 1e-150 * normal(random); }), 1e-12},
  };
  for (const data& d : all) {
    const exact e(d.values);
    for (const std::size_t part : {std::size_t{1}, std::size_t{10}, d.values.size()}) {
      const statistics_result s = fold(statistics{}, d.values, part);
      INFO(d.name << ", parts of " << part << ": mean off by " << relative_error(s.mean, e.mean)
                  << ", deviations off by "
                  << relative_error(s.sum_of_squared_deviations, e.deviations));
      CHECK(s.count == d.values.size());
      CHECK(relative_error(s.sum_of_squared_deviations, e.deviations) < d.tolerance);
      CHECK(std::abs(static_cast<double>(s.mean - e.mean)) <=
            1e-14 * std::max({std::abs(s.mean), std::abs(s.min), std::abs(s.max)}));
    }
  }
}

TEST_CASE("equal values have no deviation at all") {
  using namespace millrace;
  const statistics_result s = fold(statistics{}, std::vector<double>(1000, 0.1), 7);
  CHECK(s.sum_of_squared_deviations == 0);
  CHECK(s.standard_deviation == 0);
  CHECK(s.mean == 0.1);
  CHECK(fold(variance{}, std::vector<double>{1, 3}, 1) == 1);
  CHECK(fold(standard_deviation{}, std::vector<double>{1, 3}, 1) == 1);
}

TEST_CASE("aggregates compose, into a tuple or a struct of yours, and lambdas make one") {
  using namespace millrace;
  const std::vector<reading> r = {{"a", 3, 0.5}, {"b", 7, 1.5}};
  const auto [n, total] = fold(compose(count{}, sum(&reading::bikes)), r, 1);
  CHECK(n == 2);
  CHECK(total == 10);
  struct summary {
    std::uint64_t n;
    int most;
    statistics_result weight;
  };
  const auto s = fold(
      compose_as<summary>(count{}, max_of(&reading::bikes), statistics{&reading::weight}), r, 1);
  CHECK(s.most == 7);
  CHECK(s.weight.mean == 1);
  const auto names = make_aggregate(
      std::string("names:"), [](std::string& all, const reading& x) { all += x.station; },
      [](std::string& all, const std::string& later) { all += later.substr(6); });
  CHECK(fold(names, r, 1) == "names:ab");
  STATIC_REQUIRE(serializable<decltype(names)::state>);
  using composed = decltype(compose(count{}, min_of(&reading::bikes), statistics{}));
  STATIC_REQUIRE(serializable<composed::state>);
}
