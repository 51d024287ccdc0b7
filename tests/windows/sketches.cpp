// SPDX-License-Identifier: Apache-2.0
// The errors that count_distinct and quantiles state, measured. Fixed seeds: the bounds are
// statistical.

#include <millrace/windows/aggregates/distinct.hpp>
#include <millrace/windows/aggregates/quantiles.hpp>

#include "catch.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <vector>

using namespace millrace;

TEST_CASE("count_distinct is off by 1.04 / sqrt(registers), from hundreds to millions") {
  for (const int precision : {8, 12}) {
    const auto aggregate = count_distinct([](const std::uint64_t& v) { return v; }, precision);
    const double stated = 1.04 / std::sqrt(std::pow(2.0, precision));
    std::mt19937_64 random(3);
    for (const std::size_t n : {300U, 3'000U, 30'000U, 300'000U}) {
      double squares = 0;
      double worst = 0;
      const int rounds = n > 100'000 ? 20 : 100;
      for (int round = 0; round < rounds; ++round) {
        hyperloglog state;
        for (std::size_t i = 0; i < n; ++i) aggregate.add(state, random());
        const double off = state.estimate() / static_cast<double>(n) - 1;
        squares += off * off;
        worst = std::max(worst, std::abs(off));
      }
      const double error = std::sqrt(squares / rounds);
      INFO("precision " << precision << ", " << n << " values: error " << error << ", worst "
                        << worst << ", stated " << stated);
      CHECK(error < 1.4 * stated);
      CHECK(worst < 4 * stated);
    }
  }
}

TEST_CASE("count_distinct tells numbers in sequence, texts and doubles apart") {
  const auto off = [](const hyperloglog& s, double n) { return std::abs(s.estimate() / n - 1); };
  const auto ints = count_distinct([](const int& v) { return v; }, 14);
  const auto texts = count_distinct([](const std::string& v) { return v; }, 14);
  const auto doubles = count_distinct([](const double& v) { return v; }, 14);
  hyperloglog a, b, c;
  for (int i = 0; i < 100'000; ++i) {
    ints.add(a, i);
    texts.add(b, "sensor-" + std::to_string(i));
    doubles.add(c, i / 8.0);
  }
  CHECK(off(a, 100'000) < 0.03);
  CHECK(off(b, 100'000) < 0.03);
  CHECK(off(c, 100'000) < 0.03);
  CHECK(a.memory_bytes() == 16'384);
}

TEST_CASE("count_distinct merges states of different precision at the lower one") {
  const auto fine = count_distinct([](const std::uint64_t& v) { return v; }, 12);
  const auto coarse = count_distinct([](const std::uint64_t& v) { return v; }, 8);
  std::mt19937_64 random(5);
  hyperloglog a, b, expected;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t v = random();
    if (i % 2 == 0) {
      fine.add(a, v);
    } else {
      coarse.add(b, v);
    }
    coarse.add(expected, v);
  }
  hyperloglog into_fine = a, into_coarse = b;
  fine.merge(into_fine, b);
  coarse.merge(into_coarse, a);
  CHECK(into_fine.estimate() == expected.estimate());
  CHECK(into_coarse.estimate() == expected.estimate());
}

TEST_CASE("snapshots of sketches that are no sketches are refused") {
  const auto restored = [](auto& state, const snapshot_writer& w) {
    snapshot_reader from(w.view());
    state.restore(from);
    return !from.failed();
  };
  hyperloglog h;
  snapshot_writer seven;
  seven.number(true);
  seven.varint(7);
  seven.raw("1234567", 7);
  CHECK(!restored(h, seven));
  t_digest d;
  snapshot_writer weightless;
  weightless.varint(1);
  weightless.number(1.0);
  weightless.number(0.0);
  weightless.varint(0);
  weightless.number(1.0);
  weightless.number(1.0);
  CHECK(!restored(d, weightless));
}

namespace {

/// The shares of values below, and not above, `value`.
std::pair<double, double> ranks(const std::vector<double>& sorted, double value) {
  const auto n = static_cast<double>(sorted.size());
  const auto below = std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
  const auto upto = std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
  return {static_cast<double>(below) / n, static_cast<double>(upto) / n};
}

double rank_error(const std::vector<double>& sorted, double q, double value) {
  const auto [low, high] = ranks(sorted, value);
  return q < low ? low - q : q > high ? q - high : 0;
}

}  // namespace

TEST_CASE("quantiles are off in rank by what the scale function allows, whatever comes") {
  std::mt19937_64 random(9);
  std::normal_distribution<double> normal;
  std::vector<std::vector<double>> inputs(7, std::vector<double>(50'000));
  for (std::size_t i = 0; i < 50'000; ++i) {
    const double u = static_cast<double>(random() >> 11) / 9007199254740992.0;
    inputs[0][i] = u;
    inputs[1][i] = normal(random);
    inputs[2][i] = std::exp(5 * normal(random));
    inputs[3][i] = static_cast<double>(i);
    inputs[4][i] = -static_cast<double>(i);
    inputs[5][i] = static_cast<double>(random() % 10);
    inputs[6][i] = (i % 2 == 0 ? 1e9 : -1e9) + normal(random);
  }
  const auto id = [](const double& x) { return x; };
  for (const double d : {50.0, 200.0}) {
    for (std::size_t kind = 0; kind < inputs.size(); ++kind) {
      for (const std::size_t part : {std::size_t{50'000}, std::size_t{1'000}, std::size_t{37}}) {
        const auto aggregate = quantile(0.5, id, d);
        t_digest whole;
        for (std::size_t i = 0; i < inputs[kind].size(); i += part) {
          t_digest state;
          const std::size_t end = std::min(i + part, inputs[kind].size());
          for (std::size_t j = i; j < end; ++j) aggregate.add(state, inputs[kind][j]);
          aggregate.merge(whole, state);
        }
        CHECK(whole.count() == 50'000);
        CHECK(whole.memory_bytes() <= static_cast<std::size_t>(d) * 64);
        whole.settle(d);
        auto sorted = inputs[kind];
        std::sort(sorted.begin(), sorted.end());
        for (const double q : {0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0}) {
          const double bound = 2 * std::numbers::pi * std::sqrt(q * (1 - q)) / d +
                               std::pow(std::numbers::pi / d, 2) + 1e-4;
          const double error = rank_error(sorted, q, whole.quantile(q));
          INFO("compression " << d << ", input " << kind << ", parts of " << part << ", q " << q
                              << ": error " << error << ", bound " << bound);
          CHECK(error <= bound);
        }
      }
    }
  }
}
