// SPDX-License-Identifier: Apache-2.0
// RIoTBench ETL: parse -> Bloom filter by source -> range filter -> interpolation per sensor and
// observation -> annotate -> SenML again. The five observations of a message stay together in one
// record, so the original's join on the message id has nothing to do.
#include "workloads/riotbench.hpp"

#include "workloads/programs.hpp"

#include <memory>

namespace bench {

namespace {

constexpr std::uint64_t sensors = 1'000;

struct sensor_state {
  std::array<floors::riot::interpolation, floors::riot::kinds> kinds;
};

floors::digest run_pipeline(const floors::document_block& block, std::size_t passes) {
  namespace riot = floors::riot;
  const riot::bloom_filter known(sensors);
  floors::digest d;
  millrace::pipeline p{"ETL"};
  known_readings(p, block, passes, known)
      .map([](city_reading r) {
        riot::limit_ranges(r.values);
        return r;
      })
      .key_by(&city_reading::source)
      .process<city_reading>("interpolate",
                             [](const city_reading& r, sensor_state& s, auto& context) {
                               city_reading filled = r;
                               for (std::size_t k = 0; k < riot::kinds; ++k) {
                                 filled.values[k] = s.kinds[k](r.values[k]);
                               }
                               context.emit(std::move(filled));
                             })
      .to("senml", noting_sink([&d, text = std::string()](const city_reading& r) mutable {
            text.clear();
            riot::write_senml(text, r.source, r.longitude, r.latitude, r.values,
                              r.at.time_since_epoch().count() / 1000);
            riot::add_text(d, text);
          }));
  p.run();
  return d;
}

}  // namespace

benchmark riotbench_etl() {
  return {.name = "riotbench_etl",
          .what = "RIoTBench ETL on 380-byte SenML; 1,000 sensors",
          .passes = 20,
          .few = 2,
          .many = 5,
          .goals = {{"12", "floor", goal::of::instructions, 1.3}},
          .counted = {"ours", "floor", "known layout"},
          .prepare = [](scale s) {
            auto block = std::make_shared<const floors::document_block>(
                floors::riot::make_city(s == scale::small ? 8'192 : 32'768, sensors));
            const auto ours = [block](std::size_t passes) {
              const floors::digest d = run_pipeline(*block, passes);
              return outcome{block->places.size() * passes, d.sum ^ d.count};
            };
            const auto by_hand = [block](auto run) {
              return [block, run](std::size_t passes) {
                const floors::digest d = run(*block, passes, sensors);
                return outcome{block->places.size() * passes, d.sum ^ d.count};
              };
            };
            namespace riot = floors::riot;
            return std::vector<contestant>{
                {"ours", ours},
                {"floor", by_hand(riot::etl<riot::on_demand_city_reader>)},
                {"known layout", by_hand(riot::etl<riot::layout_reader>)}};
          }};
}

}  // namespace bench
