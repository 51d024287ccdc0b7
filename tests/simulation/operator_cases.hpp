// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs a pipeline with one kind of operator again and again at another parallelism, and compares.
#pragma once

#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "simulation/crash_runs.hpp"
#include "simulation/random_pipeline.hpp"

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace random_pipelines {

inline std::string text(const event& e) {
  return std::to_string(e.key) + "/" + std::to_string(e.time) + "/" + std::to_string(e.value);
}
inline std::string text(const std::optional<event>& e) { return e ? text(*e) : "nobody"; }
inline std::string text(const window& w) {
  return std::to_string(w.start.time_since_epoch().count());
}
inline std::string text(int i) { return std::to_string(i); }

/// More than records come out of order.
inline constexpr bounded_lag no_late{duration{60}};

/// The stream under test, and where results go.
struct setting {
  pipeline& p;
  const parameters& given;
  const transactional_sink& out;

  auto source(const char* name) const {
    return p.source(
        name, scripted_source{std::make_shared<std::vector<std::vector<event>>>(given.batches)});
  }
  auto timed() const {
    return source("in").event_time([](const event& e) { return at(e.time); },
                                   bounded_lag{given.lag});
  }
  auto keyed() const {
    return timed().key_by([](const event& e) { return e.key; });
  }
  /// Two streams of one source, without late records: which records of two inputs are late depends
  /// on the schedule.
  auto both() const {
    auto in = source("in").event_time([](const event& e) { return at(e.time); }, no_late);
    auto [left, right] = in.split([](const event& e) { return e.value % 2 == 0; });
    return std::pair{left.key_by([](const event& e) { return e.key; }),
                     right.key_by([](const event& e) { return e.key; })};
  }
  template <class Joined>
  void pairs(const Joined& joined) const {
    joined.map([](const auto& j) { return text(j.left) + " with " + text(j.right); })
        .to("out", out);
  }
  template <class Results>
  void counts(const Results& results) const {
    results
        .map([](const auto& r) {
          return text(r.key) + " " + text(r.window) + " " + std::to_string(std::get<0>(r.value)) +
                 " " + std::to_string(std::get<1>(r.value));
        })
        .to("out", out);
  }
  template <class Records>
  void records(const Records& all) const {
    all.map([](const event& e) { return text(e); }).to("out", out);
  }
};

inline auto sums() { return compose(count{}, sum(&event::value)); }

struct operator_case {
  const char* name;
  std::function<void(const setting&)> assemble;
};

inline void run(const std::vector<operator_case>& cases) {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  for (const auto& one : cases) {
    std::mt19937 random(seed);
    int crashes = 0;
    int changes = 0;
    std::size_t rows = 0;
    for (int round = 0; round < 25; ++round) {
      INFO(one.name << ", round " << round << ", seed " << seed);
      const parameters given = random_parameters(random);
      const auto graph = [&](pipeline& p, const transactional_sink& out) {
        one.assemble(setting{p, given, out});
      };
      const auto without = run_with_crashes(always(1), graph, random, 0);
      std::size_t last = 0;
      const auto any = [&] {
        const std::size_t next = 1 + random() % 4;
        changes += last != 0 && next != last ? 1 : 0;
        return last = next;
      };
      const auto with = run_with_crashes(any, graph, random, 5, 80);
      crashes += with.crashes;
      rows += without.rows.size();
      REQUIRE(difference(with.rows, without.rows) == "");
    }
    INFO(one.name << ", seed " << seed);
    CHECK(crashes > 20);
    CHECK(changes > 15);
    CHECK(rows > 50);
  }
}

}  // namespace random_pipelines
