// SPDX-License-Identifier: Apache-2.0
// Keyed event-time windows: tumbling (W2), sliding with few slides, sliding with many (W3).
#include "floors/bucket_windows.hpp"
#include "floors/panes.hpp"
#include "floors/two_stacks.hpp"

#include "harness/replay_source.hpp"
#include "operators/programs.hpp"

#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>

#include <memory>

namespace bench {

namespace {

using block_pointer = std::shared_ptr<const floors::event_block>;

outcome outcome_of(const floors::event_block& block, std::size_t passes, const floors::digest& d) {
  return {block.events.size() * passes, d.sum ^ d.count};
}

/// Runs events through a keyed window into `note(window result)`.
template <class Aggregate, class Note>
void run_pipeline(const floors::event_block& block, std::size_t passes,
                  const floors::window_options& o, Aggregate aggregate, Note note) {
  using millrace::duration;
  millrace::pipeline p{"windows"};
  p.source("events", replay_source(block, passes))
      .event_time([](const floors::event& e) { return at(e.time); },
                  millrace::bounded_lag{duration{o.bound}})
      .key_by(&floors::event::key)
      .window(millrace::sliding{duration{o.slide * o.panes}, duration{o.slide}})
      .aggregate("totals", std::move(aggregate))
      .to("results", noting_sink(std::move(note)));
  p.run();
}

template <template <class, class> class Windows, class State, class Add>
void run_floor(const floors::event_block& block, std::size_t passes,
               const floors::window_options& o, Add add) {
  const auto emit = [&](std::uint32_t, std::uint64_t key, std::int64_t end, const State& s) {
    add(key, end, s);
  };
  Windows<State, decltype(emit)> windows(o, emit);
  floors::replay(block, passes, windows);
}

void add_totals(floors::digest& d, std::uint64_t key, std::int64_t end, double sum, double least,
                double greatest, std::uint64_t count) {
  d.add(key, end, sum + static_cast<double>(count), least, greatest);
}

// Mean and deviation differ in the last bits between formulas.
struct moments_digest {
  floors::digest exact;
  double near = 0;

  void add(std::uint64_t key, std::int64_t end, double count, double least, double greatest,
           double mean, double deviation) {
    exact.add(key, end, count, least, greatest);
    near += mean + deviation;
  }
};

std::vector<contestant> totals_contestants(const block_pointer& block,
                                           const floors::window_options& o) {
  const auto ours = [block, o](std::size_t passes) {
    floors::digest d;
    run_pipeline(*block, passes, o,
                 millrace::compose(millrace::sum(&floors::event::value),
                                   millrace::min_of(&floors::event::value),
                                   millrace::max_of(&floors::event::value), millrace::count{}),
                 [&d](const auto& r) {
                   const auto& [sum, least, greatest, count] = r.value;
                   add_totals(d, r.key, r.window.end.time_since_epoch().count(), sum, least,
                              greatest, count);
                 });
    return outcome_of(*block, passes, d);
  };
  const auto floor = [block, o](std::size_t passes) {
    floors::digest d;
    run_floor<floors::pane_windows, floors::totals>(
        *block, passes, o, [&d](std::uint64_t key, std::int64_t end, const floors::totals& t) {
          add_totals(d, key, end, t.sum, t.least, t.greatest, t.count);
        });
    return outcome_of(*block, passes, d);
  };
  return {{"ours", ours}, {"floor", floor}};
}

template <template <class, class> class Windows>
std::vector<contestant> moments_contestants(const block_pointer& block,
                                            const floors::window_options& o) {
  const auto ours = [block, o](std::size_t passes) {
    moments_digest d;
    run_pipeline(*block, passes, o, millrace::statistics(&floors::event::value),
                 [&d](const auto& r) {
                   const auto& s = r.value;
                   d.add(r.key, r.window.end.time_since_epoch().count(),
                         static_cast<double>(s.count), s.min, s.max, s.mean, s.standard_deviation);
                 });
    outcome result = outcome_of(*block, passes, d.exact);
    result.near = d.near;
    return result;
  };
  const auto floor = [block, o](std::size_t passes) {
    moments_digest d;
    run_floor<Windows, floors::moments>(
        *block, passes, o, [&d](std::uint64_t key, std::int64_t end, const floors::moments& m) {
          d.add(key, end, m.count, m.least, m.greatest, m.mean(), m.deviation());
        });
    outcome result = outcome_of(*block, passes, d.exact);
    result.near = d.near;
    return result;
  };
  return {{"ours", ours}, {"floor", floor}};
}

block_pointer make_block(const floors::block_options& o) {
  return std::make_shared<const floors::event_block>(floors::make_events(o));
}

}  // namespace

benchmark keyed_window() {
  return {
      .name = "keyed_window",
      .what =
          "sliding 10 s by 1 s: sum, min, max, count; 10,000 keys, 100,000 events/s, 1 % "
          "late by up to 2 s",
      .passes = 100,
      .few = 60,
      .many = 75,
      .goals = {{"3", "floor", goal::of::instructions, 1.5},
                {"3", "buckets", goal::of::instructions_saved, 8}},
      .counted = {"ours", "floor", "buckets"},
      .prepare = [](scale) {
        const auto block = make_block({.late_per_thousand = 10});
        auto all = totals_contestants(block, {});
        all.push_back({"buckets",
                       [block](std::size_t passes) {
                         floors::digest d;
                         run_floor<floors::bucket_windows, floors::totals>(
                             *block, passes, {},
                             [&d](std::uint64_t key, std::int64_t end, const floors::totals& t) {
                               add_totals(d, key, end, t.sum, t.least, t.greatest, t.count);
                             });
                         return outcome_of(*block, passes, d);
                       },
                       5});
        return all;
      }};
}

// Events come so densely that what windows cost when they fire hardly counts.
benchmark window_length() {
  return {.name = "window_length",
          .what =
              "cost of an event in windows of 60 s by 1 s against 10 s by 1 s; 1,000 keys, "
              "1,000,000 events/s",
          .passes = 100,
          .few = 120,
          .many = 180,
          .goals = {{"4", "10 s by 1 s", goal::of::instructions, 1.05},
                    {"4", "10 s by 1 s", goal::of::time, 1.05}},
          .counted = {"60 s by 1 s", "10 s by 1 s"},
          .compare = results::different,
          .prepare = [](scale s) {
            const auto block = make_block({.events = s == scale::small ? 8'192U : 1U << 16U,
                                           .keys = 1'000,
                                           .per_second = s == scale::small ? 8'192U : 1'000'000U});
            auto long_ones = totals_contestants(block, {.panes = 60, .keys = 1'000})[0];
            auto short_ones = totals_contestants(block, {.panes = 10, .keys = 1'000})[0];
            long_ones.name = "60 s by 1 s";
            short_ones.name = "10 s by 1 s";
            return std::vector<contestant>{long_ones, short_ones};
          }};
}

benchmark window_disorder() {
  return {.name = "window_disorder",
          .what =
              "sliding 10 s by 1 s: 10 % of the events late by up to 2 s against none; 10,000 "
              "keys, 100,000 events/s",
          .passes = 100,
          .few = 60,
          .many = 75,
          .goals = {{"4", "in order", goal::of::instructions, 1.2},
                    {"4", "in order", goal::of::time, 1.2}},
          .counted = {"10 % late", "in order"},
          .compare = results::different,
          .prepare = [](scale) {
            const floors::window_options o{.bound = 2 * floors::second};
            auto late = totals_contestants(make_block({.late_per_thousand = 100}), o)[0];
            auto in_order = totals_contestants(make_block({}), o)[0];
            late.name = "10 % late";
            in_order.name = "in order";
            return std::vector<contestant>{late, in_order};
          }};
}

benchmark tumbling_statistics() {
  return {.name = "tumbling_statistics",
          .what = "tumbling 1 s: count, min, max, mean, deviation; 10,000 keys, 100,000 events/s",
          .passes = 100,
          .few = 15,
          .many = 30,
          .prepare = [](scale) {
            return moments_contestants<floors::pane_windows>(make_block({}),
                                                             {.panes = 1, .bound = 0});
          }};
}

benchmark long_window() {
  return {.name = "long_window",
          .what =
              "sliding 600 s by 1 s: count, min, max, mean, deviation; 10,000 keys (counted: "
              "1,000), one event per key and second",
          .passes = 200,
          .few = 20,
          .many = 40,
          .quick = false,
          .prepare = [](scale s) {
            const std::uint64_t keys = s == scale::small ? 1'000 : 10'000;
            return moments_contestants<floors::two_stack_windows>(
                make_block({.keys = keys, .per_second = keys}),
                {.panes = 600, .bound = 0, .keys = keys});
          }};
}

}  // namespace bench
