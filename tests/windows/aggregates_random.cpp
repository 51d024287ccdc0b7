// SPDX-License-Identifier: Apache-2.0
// Every aggregate on random data, cut into parts that are merged in random order, with a way
// through a snapshot, against two passes in long double, a sort, or a plain loop.

#include <millrace/state/serialize.hpp>
#include <millrace/windows/aggregates.hpp>
#include <millrace/windows/aggregates/by_time.hpp>
#include <millrace/windows/aggregates/collect.hpp>
#include <millrace/windows/aggregates/distinct.hpp>
#include <millrace/windows/aggregates/histogram.hpp>
#include <millrace/windows/aggregates/moments.hpp>
#include <millrace/windows/aggregates/quantiles.hpp>
#include <millrace/windows/aggregates/ranked.hpp>
#include <millrace/windows/aggregates/regression.hpp>
#include <millrace/windows/aggregates/where.hpp>

#include "catch.hpp"
#include "oracle/random_stream.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

using namespace millrace;

namespace {

struct record {
  double x = 0;
  double y = 0;
  int small = 0;
  int id = 0;
  std::string name;
  timestamp at{};
  friend bool operator==(const record&, const record&) = default;
};
BOOST_DESCRIBE_STRUCT(record, (), (x, y, small, id, name, at))

double uniform(oracle::random_source& random) {
  return static_cast<double>(random.bits() >> 11) / 9007199254740992.0;
}

/// Data of the kinds on which formulas fail: large offsets, outliers, ties, many decades.
std::vector<record> random_records(oracle::random_source& random) {
  constexpr double offsets[] = {0, 1e3, -1e9, 1e12};
  constexpr double scales[] = {1, 1e-3, 1e6};
  const double offset = offsets[random.below(4)];
  const double scale = scales[random.below(3)];
  const bool decades = random.one_in(4);
  const bool equal = random.one_in(10);
  const auto n = static_cast<std::size_t>(random.between(1, 300));
  std::vector<record> all(n);
  for (std::size_t i = 0; i < n; ++i) {
    record& r = all[i];
    r.x = offset + scale * (uniform(random) - 0.3);
    if (decades) r.x = std::exp(20 * (uniform(random) - 0.5)) * (random.one_in(3) ? -1 : 1);
    if (random.one_in(50)) r.x = -3 * offset + 7 * scale;
    if (equal) r.x = offset;
    r.y = 3 * r.x + scale * uniform(random);
    r.small = static_cast<int>(random.between(-4, 9));
    r.id = static_cast<int>(i);
    r.name = std::string("name-") + static_cast<char>('a' + random.below(26));
    r.at = timestamp{duration{random.between(-50, 50)}};
  }
  return all;
}

template <class S>
S saved_and_restored(const S& s) {
  snapshot_writer to;
  serialize(to, s);
  snapshot_reader from(to.view());
  S back{};
  deserialize(from, back);
  from.expect_end();
  REQUIRE(!from.failed());
  return back;
}

/// Cuts the records into parts, folds each, and merges neighbours in random order.
template <class A>
auto folded(oracle::random_source& random, const A& aggregate, const std::vector<record>& all) {
  static_assert(aggregate_for<A, record>);
  std::vector<typename A::state> parts(1);
  const std::int64_t length = random.between(1, 100);
  for (const record& r : all) {
    if (random.one_in(length)) parts.emplace_back();
    fold_record(aggregate, parts.back(), r, r.at);
  }
  while (parts.size() > 1) {
    const auto i =
        static_cast<std::size_t>(random.below(static_cast<std::int64_t>(parts.size() - 1)));
    if (random.one_in(8)) parts[i] = saved_and_restored(parts[i]);
    aggregate.merge(parts[i], parts[i + 1]);
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
  return aggregate.result(parts[0]);
}

struct two_passes {
  long double n = 0, sum = 0, mean = 0, magnitude = 0;
  long double relative = 0;  // the mean without the first value: more digits than the mean has
  long double second = 0, third = 0, third_magnitude = 0;
};
two_passes moments_of(const std::vector<record>& all, double record::*member) {
  two_passes e;
  e.n = static_cast<long double>(all.size());
  const long double pivot = all[0].*member;
  for (const record& r : all) {
    e.sum += r.*member;
    e.magnitude += std::abs(static_cast<long double>(r.*member));
    e.relative += r.*member - pivot;
  }
  e.relative /= e.n;
  e.mean = pivot + e.relative;
  for (const record& r : all) {
    const long double d = r.*member - pivot - e.relative;
    e.second += d * d;
    e.third += d * d * d;
    e.third_magnitude += std::abs(d * d * d);
  }
  return e;
}

bool near(long double found, long double expected, long double tolerance) {
  return std::abs(found - expected) <= tolerance;
}

}  // namespace

TEST_CASE("sums, moments and lines are those of two passes, however the records are cut") {
  oracle::for_each_case(1500, [](oracle::random_source& random) {
    const auto all = random_records(random);
    const two_passes x = moments_of(all, &record::x);
    const two_passes y = moments_of(all, &record::y);
    CHECK(folded(random, count{}, all) == all.size());
    CHECK(near(folded(random, sum(&record::x), all), x.sum,
               4e-16L * std::abs(x.sum) + 2e-17L * x.magnitude));
    CHECK(near(folded(random, mean{&record::x}, all), x.mean,
               1e-13L * x.magnitude / x.n + 1e-15L * std::abs(x.mean)));
    const long double spread = x.second / x.n;
    CHECK(near(folded(random, variance{&record::x}, all), spread, 1e-11L * spread));
    CHECK(near(folded(random, standard_deviation{&record::x}, all), std::sqrt(spread),
               1e-11L * std::sqrt(spread)));
    if (all.size() > 1) {
      CHECK(near(folded(random, sample_variance{&record::x}, all), x.second / (x.n - 1),
                 1e-11L * spread));
    }
    const double skew = folded(random, skewness{&record::x}, all);
    if (x.second == 0) {
      CHECK(skew == 0);
    } else {
      const long double root = std::sqrt(x.n) / (x.second * std::sqrt(x.second));
      CHECK(near(skew, root * x.third, 1e-10L * root * x.third_magnitude));
    }
    long double products = 0;
    for (const record& r : all) {
      const long double dx = r.x - static_cast<long double>(all[0].x) - x.relative;
      const long double dy = r.y - static_cast<long double>(all[0].y) - y.relative;
      products += dx * dy;
    }
    const long double scale = std::sqrt(x.second * y.second);
    const double together = folded(random, covariance{&record::x, &record::y}, all);
    CHECK(near(together, products / x.n, 1e-10L * scale / x.n + 1e-15L * scale));
    const regression_result line = folded(random, linear_regression{&record::x, &record::y}, all);
    CHECK(line.count == all.size());
    CHECK(line.covariance == Approx(together).margin(static_cast<double>(1e-10L * scale)));
    if (x.second == 0) {
      CHECK(std::isnan(line.slope));
    } else {
      CHECK(near(line.slope, products / x.second, 1e-9L * std::sqrt(y.second / x.second)));
      if (y.second == 0) {
        CHECK(std::isnan(line.r2));
      } else {
        CHECK(near(line.r2, products / x.second * (products / y.second), 1e-9L));
      }
      CHECK(near(line.intercept, y.mean - products / x.second * x.mean,
                 1e-9L * std::sqrt(y.second / x.second) * std::abs(x.mean) +
                     1e-12L * std::abs(y.mean) + 1e-9L * std::sqrt(y.second / y.n)));
    }
  });
}

TEST_CASE("first, last, ranks, lists and histograms are those of a plain loop") {
  oracle::for_each_case(1500, [](oracle::random_source& random) {
    const auto all = random_records(random);
    const auto id = [](const record& r) { return r.id; };
    CHECK(folded(random, first_of(id), all) == 0);
    CHECK(folded(random, last_of(id), all) == all.back().id);
    record oldest = all[0], newest = all[0], least = all[0], most = all[0];
    double smallest = all[0].x;
    for (const record& r : all) {
      if (r.at < oldest.at) oldest = r;
      if (r.at >= newest.at) newest = r;
      if (r.small < least.small) least = r;
      if (r.small > most.small) most = r;
      smallest = std::min(smallest, r.x);
    }
    CHECK(folded(random, earliest(id), all) == oldest.id);
    CHECK(folded(random, latest(id), all) == newest.id);
    CHECK(folded(random, latest(&record::name, &record::at), all) == newest.name);
    CHECK(folded(random, min_by(&record::small), all) == least);
    CHECK(folded(random, max_by(&record::small, id), all) == most.id);
    CHECK(folded(random, min_of(&record::x), all) == smallest);
    const auto k = static_cast<std::size_t>(random.between(0, 20));
    auto sorted = all;
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const record& a, const record& b) { return a.small > b.small; });
    const auto top = folded(random, top_k(k, &record::small, id), all);
    REQUIRE(top.size() == std::min(k, all.size()));
    for (std::size_t i = 0; i < top.size(); ++i) CHECK(top[i].value == sorted[i].id);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const record& a, const record& b) { return a.small < b.small; });
    const auto bottom = folded(random, bottom_k(k, &record::small), all);
    REQUIRE(bottom.size() == std::min(k, all.size()));
    for (std::size_t i = 0; i < bottom.size(); ++i) CHECK(bottom[i].value == sorted[i]);
    const auto list = folded(random, collect(k, id), all);
    REQUIRE(list.values.size() == std::min(k, all.size()));
    CHECK(list.omitted == all.size() - list.values.size());
    for (std::size_t i = 0; i < list.values.size(); ++i) CHECK(list.values[i] == all[i].id);
    const std::vector<double> bounds{-2, 0, 1.5, 8};
    std::vector<std::uint64_t> counts(5);
    for (const record& r : all) {
      std::size_t i = 0;
      while (i < 4 && r.small >= bounds[i]) ++i;
      ++counts[i];
    }
    CHECK(folded(random, histogram(bounds, &record::small), all).counts == counts);
    const auto positive = [](const record& r) { return r.small > 0; };
    CHECK(folded(random, where(positive, count{}), all) ==
          static_cast<std::uint64_t>(std::count_if(all.begin(), all.end(), positive)));
  });
}

TEST_CASE("an exponential mean depends on event times, not on the order of records") {
  oracle::for_each_case(800, [](oracle::random_source& random) {
    auto all = random_records(random);
    const auto half_life = random.between(1, 60);
    timestamp newest = all[0].at;
    for (const record& r : all) newest = std::max(newest, r.at);
    long double weights = 0, weighted = 0, largest = 0;
    for (const record& r : all) {
      const auto age = static_cast<long double>((newest - r.at).count());
      const long double w = std::exp2(-age / static_cast<long double>(half_life));
      weights += w;
      weighted += w * r.x;
      largest = std::max(largest, std::abs(static_cast<long double>(r.x)));
    }
    const auto aggregate = exponential_mean(duration{half_life}, &record::x);
    CHECK(near(folded(random, aggregate, all), weighted / weights, 1e-13L * largest));
    for (std::size_t i = all.size() - 1; i > 0; --i) {
      std::swap(all[i],
                all[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i) + 1))]);
    }
    CHECK(near(folded(random, aggregate, all), weighted / weights, 1e-13L * largest));
  });
}

TEST_CASE("few different values are counted exactly, and merging is one pass") {
  oracle::for_each_case(600, [](oracle::random_source& random) {
    const auto all = random_records(random);
    std::set<double> different;
    for (const record& r : all) different.insert(r.x);
    const auto exact = count_distinct(&record::x, 13);  // exact up to 512
    CHECK(folded(random, exact, all) == different.size());
    const auto rough = count_distinct(&record::x, static_cast<int>(random.between(4, 8)));
    hyperloglog whole;
    for (const record& r : all) rough.add(whole, r);
    CHECK(folded(random, rough, all) == rough.result(whole));
    CHECK(folded(random, count_distinct(&record::name), all) <= 26);
  });
}

TEST_CASE("quantiles of few values are those of a sort, of many near them in rank") {
  oracle::for_each_case(600, [](oracle::random_source& random) {
    const auto all = random_records(random);
    std::vector<double> sorted;
    for (const record& r : all) sorted.push_back(r.x);
    std::sort(sorted.begin(), sorted.end());
    const double q = random.one_in(8) ? static_cast<double>(random.below(2)) : uniform(random);
    const double at = q * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const auto above = std::min(below + 1, sorted.size() - 1);
    const double share = at - static_cast<double>(below);
    const double expected = sorted[below] * (1 - share) + sorted[above] * share;
    CHECK(folded(random, quantile(q, &record::x, 300), all) ==
          Approx(expected).epsilon(1e-12).margin(1e-300));
    const double d = static_cast<double>(random.between(20, 100));
    const double found = folded(random, quantile(q, &record::x, d), all);
    CHECK(found >= sorted.front());
    CHECK(found <= sorted.back());
  });
}

TEST_CASE("what a histogram or a sum has merged it can take out again") {
  oracle::for_each_case(300, [](oracle::random_source& random) {
    const auto all = random_records(random);
    const auto check = [&](const auto& aggregate) {
      using state = typename std::remove_cvref_t<decltype(aggregate)>::state;
      state first{}, both{}, second{};
      const auto half = all.size() / 2;
      for (std::size_t i = 0; i < all.size(); ++i) {
        aggregate.add(i < half ? first : second, all[i]);
      }
      both = first;
      aggregate.merge(both, second);
      aggregate.subtract(both, second);
      if (half > 0) CHECK(aggregate.result(both) == aggregate.result(first));
    };
    check(count{});
    check(sum(&record::small));
    check(histogram({-1, 2, 5}, &record::small));
    check(compose(count{}, sum(&record::id)));
  });
}

TEST_CASE("aggregates say what may be done with them") {
  STATIC_REQUIRE(commutative_aggregate<decltype(count_distinct(&record::x))>);
  STATIC_REQUIRE(commutative_aggregate<histogram<double record::*>>);
  STATIC_REQUIRE(invertible_aggregate<histogram<double record::*>>);
  STATIC_REQUIRE(!commutative_aggregate<decltype(top_k(3, &record::x))>);
  STATIC_REQUIRE(!invertible_aggregate<decltype(min_by(&record::x))>);
  STATIC_REQUIRE(event_time_aggregate<decltype(earliest(&record::x))>);
  STATIC_REQUIRE(!event_time_aggregate<decltype(earliest(&record::x, &record::at))>);
  STATIC_REQUIRE(event_time_aggregate<decltype(compose(count{}, latest(&record::x)))>);
  STATIC_REQUIRE(commutative_aggregate<decltype(exponential_mean(duration{5}, &record::x))>);
}

TEST_CASE("parameters out of range are refused") {
  CHECK_THROWS_AS(histogram(std::vector<double>{}), topology_error);
  CHECK_THROWS_AS(histogram({1, 1}), topology_error);
  CHECK_THROWS_AS(count_distinct(&record::x, 3), topology_error);
  CHECK_THROWS_AS(quantile(1.5, &record::x), topology_error);
  CHECK_THROWS_AS(quantile(0.5, &record::x, 5), topology_error);
}

TEST_CASE("NaN has no rank and no place in a histogram; empty states have results") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const record bad{.x = nan, .y = nan, .small = 0, .id = 0, .name = {}, .at = {}};
  const auto of = [&](const auto& aggregate, std::initializer_list<record> records) {
    typename std::remove_cvref_t<decltype(aggregate)>::state s{};
    for (const auto& r : records) aggregate.add(s, r);
    return aggregate.result(s);
  };
  const record good{.x = 2, .y = 1, .small = 0, .id = 7, .name = {}, .at = {}};
  CHECK(of(max_by(&record::x, &record::id), {bad, good, bad}) == 7);
  CHECK(of(top_k(3, &record::x), {bad, good}).size() == 1);
  CHECK(of(histogram({1}, &record::x), {bad, good}) == histogram_result{{0, 1}, 1});
  CHECK(of(quantile(0.5, &record::x), {bad, good}) == 2);
  CHECK(std::isnan(of(quantile(0.5, &record::x), {})));
  CHECK(of(skewness{&record::x}, {}) == 0);
  CHECK(of(min_by(&record::x, &record::id), {}) == 0);
  CHECK(std::isnan(of(linear_regression{&record::x, &record::y}, {}).slope));
}
