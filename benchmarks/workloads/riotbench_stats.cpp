// SPDX-License-Identifier: Apache-2.0
// RIoTBench STATS: parse -> Bloom filter -> per sensor: {Kalman filter -> sliding regression;
// second-order moment of ten; distinct sensors} -> publish.
#include "workloads/riotbench.hpp"

#include "workloads/programs.hpp"

#include <bit>
#include <memory>

namespace bench {

namespace {

constexpr std::uint64_t sensors = 1'000;
namespace riot = floors::riot;

struct trend_state {
  std::array<riot::kalman, riot::kinds> filters;
  std::array<riot::sliding_regression, riot::kinds> lines;
};
struct moment_state {
  std::array<riot::block_moment, riot::kinds> moments;
};
struct seen_state {
  bool seen = false;
};

riot::flow_totals run_pipeline(const floors::document_block& block, std::size_t passes) {
  const riot::bloom_filter known(sensors);
  riot::flow_totals totals;
  const auto publish = noting_sink([&totals](double value) {
    totals.sum += value;
    ++totals.count;
  });
  millrace::pipeline p{"STATS"};
  auto by_sensor = known_readings(p, block, passes, known).key_by(&city_reading::source);
  by_sensor
      .process<double>("trend",
                       [](const city_reading& r, trend_state& s, auto& context) {
                         for (std::size_t k = 0; k < riot::kinds; ++k) {
                           const double line = s.lines[k](s.filters[k](r.values[k]));
                           if (line == line) context.emit(line);
                         }
                       })
      .to("trends", publish);
  by_sensor
      .process<double>("moment",
                       [](const city_reading& r, moment_state& s, auto& context) {
                         for (std::size_t k = 0; k < riot::kinds; ++k) {
                           const double moment = s.moments[k](r.values[k]);
                           if (moment == moment) context.emit(moment);
                         }
                       })
      .to("moments", publish);
  by_sensor
      .process<std::uint64_t>("distinct",
                              [](const city_reading&, seen_state& s, auto& context) {
                                if (!s.seen) context.emit(std::uint64_t{1});
                                s.seen = true;
                              })
      .to("sensors", noting_sink([&totals](std::uint64_t n) { totals.distinct += n; }));
  p.run();
  return totals;
}

}  // namespace

benchmark riotbench_stats() {
  return {
      .name = "riotbench_stats",
      .what = "RIoTBench STATS on 380-byte SenML; 1,000 sensors",
      .passes = 20,
      .few = 2,
      .many = 5,
      .goals = {{"12", "floor", goal::of::instructions, 1.3}},
      .counted = {"ours", "floor", "known layout"},
      .prepare = [](scale s) {
        auto block = std::make_shared<const floors::document_block>(
            riot::make_city(s == scale::small ? 8'192 : 32'768, sensors));
        const auto as = [block](auto run) {
          return [block, run](std::size_t passes) {
            const riot::flow_totals t = run(*block, passes);
            return outcome{block->places.size() * passes, t.count ^ t.distinct << 48U, t.sum};
          };
        };
        const auto by_hand = [as](auto run) {
          return as([run](const auto& b, std::size_t passes) { return run(b, passes, sensors); });
        };
        return std::vector<contestant>{{"ours", as(run_pipeline)},
                                       {"floor", by_hand(riot::stats<riot::on_demand_city_reader>)},
                                       {"known layout", by_hand(riot::stats<riot::layout_reader>)}};
      }};
}

}  // namespace bench
