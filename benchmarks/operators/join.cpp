// SPDX-License-Identifier: Apache-2.0
// Each record with its key's last one-second totals (W4): as they arrive, and as of its time.
#include "floors/last_value_join.hpp"

#include "harness/replay_source.hpp"
#include "operators/programs.hpp"

#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>

#include <memory>

namespace bench {

namespace {

constexpr std::size_t keys = 10'000;

floors::digest run_pipeline(const floors::event_block& block, std::size_t passes,
                            millrace::join_mode mode) {
  floors::digest d;
  millrace::pipeline p{"join"};
  auto by_key =
      p.source("events", replay_source(block, passes))
          .event_time([](const floors::event& e) { return at(e.time); }, millrace::monotone_times)
          .key_by(&floors::event::key);
  auto totals = by_key.window(millrace::tumbling{std::chrono::seconds{1}})
                    .aggregate("totals", millrace::compose(millrace::sum(&floors::event::value),
                                                           millrace::count{}));
  by_key.join_latest("join", totals, {.mode = mode, .without_partner = millrace::unmatched::drop})
      .to("pairs", noting_sink([&d](const auto& pair) {
            const auto& [sum, count] = pair.right.value;
            floors::add_pair(d, pair.left, sum / static_cast<double>(count));
          }));
  p.run();
  return d;
}

using floor_function = floors::digest (*)(const floors::event_block&, std::size_t, std::size_t);

std::vector<contestant> prepare(millrace::join_mode mode, floor_function floor) {
  auto block = std::make_shared<floors::event_block>(floors::make_events({.keys = keys}));
  const auto as = [block](auto run) {
    return [block, run](std::size_t passes) {
      const floors::digest d = run(*block, passes);
      return outcome{block->events.size() * passes, d.sum ^ d.count};
    };
  };
  return {{"ours", as([mode](const auto& b, std::size_t n) { return run_pipeline(b, n, mode); })},
          {"floor", as([floor](const auto& b, std::size_t n) { return floor(b, n, keys); })}};
}

}  // namespace

benchmark join_by_arrival() {
  return {.name = "join_by_arrival",
          .what =
              "record joined with its key's last 1 s totals as they arrive; 10,000 keys, "
              "100,000 events/s",
          .passes = 100,
          .few = 10,
          .many = 25,
          .prepare = [](scale) {
            return prepare(millrace::join_mode::by_arrival, floors::join_by_arrival);
          }};
}

benchmark join_by_event_time() {
  return {.name = "join_by_event_time",
          .what = "the same as of the record's time (the default mode)",
          .passes = 100,
          .few = 10,
          .many = 25,
          .prepare = [](scale) {
            return prepare(millrace::join_mode::by_event_time, floors::join_by_event_time);
          }};
}

}  // namespace bench
