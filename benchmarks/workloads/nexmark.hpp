// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the programs of Nexmark share: events with their times, 4 s behind the newest, and how a
/// query becomes a benchmark. For one thread.
#pragma once

#include "floors/nexmark_queries.hpp"
#include "harness/block_sources.hpp"
#include "harness/replay_source.hpp"
#include "workloads/programs.hpp"

#include <millrace/dsl/pipeline.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace nexmark = floors::nexmark;
using nexmark::event;
using nexmark::kind;

/// The first `many` events.
inline auto nexmark_events(millrace::pipeline& p, const std::vector<event>& all, std::size_t many) {
  return p.source("events", vector_source(all, many))
      .event_time([](const event& e) { return at(e.time); },
                  millrace::bounded_lag{std::chrono::seconds{4}});
}

using nexmark_program = floors::digest (*)(const std::vector<event>&, std::size_t many);
using nexmark_oracle = floors::digest (*)(nexmark::events);

/// A pass is 16,384 events more.
inline benchmark nexmark_query(std::string name, std::string what, nexmark_program ours,
                               nexmark_oracle plain) {
  static constexpr std::size_t step = 16'384;
  static constexpr std::size_t passes = 100;
  return {.name = std::move(name),
          .what = std::move(what),
          .passes = passes,
          .few = 10,
          .many = 20,
          .counted = {"ours", "plain"},
          .quick = false,
          .prepare = [ours, plain](scale s) {
            auto all = std::make_shared<const std::vector<event>>(
                nexmark::make_events(step * (s == scale::small ? 20 : passes)));
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

}  // namespace bench
