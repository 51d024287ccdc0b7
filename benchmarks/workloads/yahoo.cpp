// SPDX-License-Identifier: Apache-2.0
// The Yahoo streaming benchmark: JSON -> views -> campaign of the ad -> count per 10 s.
#include "floors/yahoo.hpp"

#include "harness/block_sources.hpp"
#include "harness/replay_source.hpp"
#include "workloads/programs.hpp"

#include <millrace/codec/json.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>

#include <boost/describe/class.hpp>

#include <memory>
#include <string>

namespace bench {

struct ad_event {
  std::string ad_id;
  std::string event_type;
  millrace::timestamp event_time;
};
BOOST_DESCRIBE_STRUCT(ad_event, (), (ad_id, event_type, event_time))

namespace {

floors::digest run_pipeline(const floors::document_block& block, std::size_t passes) {
  using namespace std::chrono_literals;
  floors::digest d;
  floors::yahoo::campaign_table campaign;
  const auto json = millrace::json.with({.timestamp_unit = millrace::json_time::milliseconds});
  millrace::pipeline p{"yahoo"};
  p.source("events", document_source(block, passes))
      .decode<ad_event>(json, [](const millrace::message& m,
                                 ad_event& e) { e.event_time += m.received.time_since_epoch(); })
      .event_time(&ad_event::event_time,
                  millrace::bounded_lag{millrace::duration{floors::yahoo::skew}})
      .filter([](const ad_event& e) { return e.event_type == "view"; })
      .map([&campaign](const ad_event& e) { return campaign(e.ad_id); })
      .key_by([](std::uint64_t c) { return c; })
      .window(millrace::tumbling{10s})
      .aggregate("views", millrace::count{})
      .to("counts", noting_sink([&d](const auto& r) {
            floors::yahoo::add_result(d, r.key, r.window.end.time_since_epoch().count(), r.value);
          }));
  p.run();
  return d;
}

}  // namespace

benchmark yahoo() {
  return {.name = "yahoo",
          .what = "Yahoo streaming benchmark: 250-byte JSON, views per campaign and 10 s",
          .passes = 40,
          .few = 4,
          .many = 10,
          .goals = {{"12", "floor", goal::of::instructions, 1.3}},
          .prepare = [](scale s) {
            auto block = std::make_shared<const floors::document_block>(
                floors::yahoo::make_events(s == scale::small ? 16'384 : 65'536));
            const auto as = [block](auto run) {
              return [block, run](std::size_t passes) {
                const floors::digest d = run(*block, passes);
                return outcome{block->places.size() * passes, d.sum ^ d.count};
              };
            };
            return std::vector<contestant>{{"ours", as(run_pipeline)},
                                           {"floor", as(floors::yahoo::count_views)}};
          }};
}

}  // namespace bench
