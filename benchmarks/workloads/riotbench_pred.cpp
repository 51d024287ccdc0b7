// SPDX-License-Identifier: Apache-2.0
// RIoTBench PRED: parse -> {decision tree; linear regression; block average} -> error -> publish.
// The models are broadcast: a list of versions with the event time from which each holds, so that
// the swap in the middle of the run falls on the same record in every run.
#include "workloads/riotbench.hpp"

#include "workloads/programs.hpp"

#include <millrace/connectors/memory.hpp>
#include <millrace/dsl/broadcast_stream.hpp>

#include <cmath>
#include <memory>

namespace bench {

namespace {

constexpr std::uint64_t sensors = 1'000;
namespace riot = floors::riot;

/// A reading with what the current model says of it.
struct predicted {
  std::string source;
  double air = 0;
  double line = 0;
  int leaf = 0;
};

struct published {
  double error = riot::null;
  int leaf = 0;
};

struct average_state {
  riot::block_average average;
};

predicted predict(const city_reading& r, const std::vector<riot::model>& models) {
  const riot::model* current = &models.front();
  for (const auto& m : models) {
    if (r.at.time_since_epoch().count() >= m.from) current = &m;
  }
  return {r.source, r.values[4], current->line(r.values), current->leaf(r.values)};
}

riot::flow_totals run_pipeline(const floors::document_block& block, std::size_t passes) {
  const riot::bloom_filter known(sensors);
  riot::flow_totals totals;
  millrace::pipeline p{"PRED"};
  auto models =
      p.source("models", millrace::memory::source<std::vector<riot::model>>({riot::models()}))
          .broadcast();
  known_readings(p, block, passes, known)
      .with(models)
      .map([](const city_reading& r, const std::vector<riot::model>& m) { return predict(r, m); })
      .key_by(&predicted::source)
      .process<published>("error",
                          [](const predicted& r, average_state& s, auto& context) {
                            const double mean = s.average(r.air);
                            context.emit(published{std::abs(r.line - mean) / mean, r.leaf});
                          })
      .to("errors", noting_sink([&totals](const published& e) {
            ++totals.count;
            totals.distinct += static_cast<std::uint64_t>(e.leaf);
            if (e.error == e.error) totals.sum += e.error;
          }));
  p.run();
  return totals;
}

}  // namespace

benchmark riotbench_pred() {
  return {
      .name = "riotbench_pred",
      .what = "RIoTBench PRED on 380-byte SenML; 1,000 sensors, the model changes once",
      .passes = 20,
      .few = 4,
      .many = 8,
      .counted = {"ours", "floor", "known layout"},
      .quick = false,
      .prepare = [](scale s) {
        auto block = std::make_shared<const floors::document_block>(
            riot::make_city(s == scale::small ? 8'192 : 32'768, sensors));
        const auto as = [block](auto run) {
          return [block, run](std::size_t passes) {
            const riot::flow_totals t = run(*block, passes);
            return outcome{block->places.size() * passes, t.count ^ t.distinct << 40U, t.sum};
          };
        };
        const auto by_hand = [as](auto run) {
          return as([run](const auto& b, std::size_t passes) { return run(b, passes, sensors); });
        };
        return std::vector<contestant>{{"ours", as(run_pipeline)},
                                       {"floor", by_hand(riot::pred<riot::on_demand_city_reader>)},
                                       {"known layout", by_hand(riot::pred<riot::layout_reader>)}};
      }};
}

}  // namespace bench
