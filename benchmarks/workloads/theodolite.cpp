// SPDX-License-Identifier: Apache-2.0
// Theodolite's use cases 2 to 4: statistics per minute; means per hour of the day over 30 days;
// sums over a hierarchy of groups that changes while it runs. The original's hierarchy feeds sums
// back into its input; the DSL has no loops, so here each of the two levels is a stage of its own.
#include "floors/theodolite.hpp"

#include "harness/block_sources.hpp"
#include "harness/replay_source.hpp"
#include "workloads/programs.hpp"

#include <millrace/connectors/memory.hpp>
#include <millrace/dsl/broadcast_stream.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>

#include <memory>
#include <utility>

namespace bench {

namespace {

using namespace std::chrono_literals;
namespace theodolite = floors::theodolite;
using theodolite::reading;

auto readings(millrace::pipeline& p, const std::vector<reading>& all, std::size_t many) {
  return p.source("readings", vector_source(all, many))
      .event_time([](const reading& r) { return at(r.time); }, millrace::monotone_times);
}

std::int64_t end_of(const millrace::window& w) { return w.end.time_since_epoch().count(); }

floors::digest uc2(const std::vector<reading>& all, std::size_t many) {
  floors::digest d;
  millrace::pipeline p{"UC2"};
  readings(p, all, many)
      .key_by(&reading::sensor)
      .window(millrace::tumbling{60s})
      .aggregate(
          "statistics",
          millrace::compose(millrace::sum(&reading::watts), millrace::min_of(&reading::watts),
                            millrace::max_of(&reading::watts), millrace::count{}))
      .to("out", noting_sink([&d](const auto& r) {
            const auto& [sum, least, greatest, count] = r.value;
            const auto n = static_cast<double>(count);
            theodolite::add_statistics(d, r.key, end_of(r.window), n, sum / n, least, greatest);
          }));
  p.run();
  return d;
}

floors::digest uc3(const std::vector<reading>& all, std::size_t many) {
  floors::digest d;
  millrace::pipeline p{"UC3"};
  readings(p, all, many)
      .key_by([](const reading& r) { return r.sensor * 24ULL + theodolite::hour_of_day(r.time); })
      .window(millrace::sliding{.size = 24h * 30, .slide = 24h})
      .aggregate("means", millrace::compose(millrace::sum(&reading::watts), millrace::count{}))
      .to("out", noting_sink([&d](const auto& r) {
            const auto& [sum, count] = r.value;
            d.add(r.key, end_of(r.window), sum / static_cast<double>(count), 0, 0);
          }));
  p.run();
  return d;
}

/// Watts of a member of a group, or of a group.
struct contribution {
  std::uint32_t group = 0;
  double watts = 0;
};

auto last_watts() {
  return millrace::make_aggregate(
      0.0, [](double& s, const reading& r) { s = r.watts; },
      [](double& s, const double& later) { s = later; });
}

floors::digest uc4(const std::vector<reading>& all, std::size_t many) {
  using sensor_result = millrace::window_result<std::uint32_t, double>;
  floors::digest d;
  millrace::pipeline p{"UC4"};
  auto groups = p.source("groups", millrace::memory::source<std::vector<theodolite::grouping>>(
                                       {theodolite::groupings()}))
                    .broadcast();
  auto sums = readings(p, all, many)
                  .key_by(&reading::sensor)
                  .window(millrace::tumbling{1s})
                  .aggregate("last", last_watts())
                  .unkeyed()
                  .with(groups)
                  .map([](const sensor_result& r, const std::vector<theodolite::grouping>& g) {
                    const auto& current = theodolite::grouping_at(g, end_of(r.window) - 1);
                    return contribution{current.group_of(r.key), r.value};
                  })
                  .key_by(&contribution::group)
                  .window(millrace::tumbling{1s})
                  .aggregate("group sums", millrace::sum(&contribution::watts));
  sums.to("groups out",
          noting_sink([&d](const auto& r) { d.add(r.key, end_of(r.window), r.value, 1, 0); }));
  sums.map([](const auto& r) {
        return contribution{theodolite::parent_of(r.key), r.value};
      })
      .key_by(&contribution::group)
      .window(millrace::tumbling{1s})
      .aggregate("parent sums", millrace::sum(&contribution::watts))
      .to("parents out",
          noting_sink([&d](const auto& r) { d.add(r.key, end_of(r.window), r.value, 2, 0); }));
  p.run();
  return d;
}

constexpr std::size_t step = 16'384;
constexpr std::size_t passes = 50;

/// A pass is `step` readings more.
benchmark use_case(std::string name, std::string what, std::int64_t between,
                   floors::digest (*ours)(const std::vector<reading>&, std::size_t),
                   floors::digest (*plain)(theodolite::readings)) {
  return {.name = std::move(name),
          .what = std::move(what),
          .passes = passes,
          .few = 8,
          .many = 16,
          .counted = {"ours", "plain"},
          .quick = false,
          .prepare = [=](scale s) {
            auto all = std::make_shared<const std::vector<reading>>(
                theodolite::make_readings(step * (s == scale::small ? 16 : passes), 100, between));
            const auto result = [](std::size_t many, const floors::digest& d) {
              return outcome{many, d.sum ^ d.count};
            };
            return std::vector<contestant>{
                {"ours", [all, ours, result](
                             std::size_t n) { return result(n * step, ours(*all, n * step)); }},
                {"plain", [all, plain, result](std::size_t n) {
                   return result(n * step, plain({all->data(), n * step}));
                 }}};
          }};
}

}  // namespace

benchmark theodolite_uc2() {
  return use_case("theodolite_uc2", "statistics per minute; 100 sensors, each once a second",
                  floors::second / 100, uc2, theodolite::uc2);
}
benchmark theodolite_uc3() {
  return use_case("theodolite_uc3", "per hour of day, 30 days by 1 day; 100 sensors every 10 min",
                  6 * floors::second, uc3, theodolite::uc3);
}
benchmark theodolite_uc4() {
  return use_case("theodolite_uc4", "sums over a hierarchy that changes; 100 sensors, 10 groups",
                  floors::second / 250, uc4, theodolite::uc4);
}

}  // namespace bench
