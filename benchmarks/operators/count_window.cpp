// SPDX-License-Identifier: Apache-2.0
// The greatest of the last 1,024 values of a key, after every record; and the longest pause with a
// million.
#include "floors/count_window.hpp"

#include "harness/replay_source.hpp"
#include "operators/programs.hpp"

#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>

#include <algorithm>
#include <bit>
#include <ctime>
#include <memory>

namespace bench {

namespace {

/// `note(key, greatest)` after every record.
template <class Note>
void run_pipeline(const floors::event_block& block, std::size_t passes, std::int64_t size,
                  Note note) {
  millrace::pipeline p{"count windows"};
  p.source("events", replay_source(block, passes))
      .key_by(&floors::event::key)
      .window(millrace::count_window{size, 1})
      .aggregate("greatest", millrace::max_of(&floors::event::value))
      .to("results", noting_sink([note](const auto& r) mutable { note(r.key, r.value); }));
  p.run();
}

/// Notes the digest of results, or the longest time between two of them.
struct digest_of_results {
  floors::digest* d;
  void operator()(std::uint64_t key, double greatest) const noexcept {
    d->add(key, std::bit_cast<std::uint64_t>(greatest));
  }
};

struct longest_pause {
  std::uint64_t* longest;
  std::uint64_t last = 0;
  void operator()(std::uint64_t, double) noexcept {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);  // does not run while others do
    const auto now = static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U +
                     static_cast<std::uint64_t>(t.tv_nsec);
    if (last != 0) *longest = std::max(*longest, now - last);
    last = now;
  }
};

std::vector<contestant> prepare(scale) {
  constexpr std::size_t keys = 100;
  constexpr std::size_t size = 1'024;
  auto block = std::make_shared<floors::event_block>(floors::make_events({.keys = keys}));
  const auto ours = [block](std::size_t passes) {
    floors::digest d;
    run_pipeline(*block, passes, size, digest_of_results{&d});
    return outcome{block->events.size() * passes, d.sum ^ d.count};
  };
  const auto floor = [block](std::size_t passes) {
    floors::digest d;
    floors::count_windows(*block, passes, keys, size, digest_of_results{&d});
    return outcome{block->events.size() * passes, d.sum ^ d.count};
  };
  return {{"ours", ours}, {"floor", floor}};
}

}  // namespace

benchmark count_window() {
  return {.name = "count_window",
          .what = "greatest of the last 1,024 values per key after every record; 100 keys",
          .passes = 50,
          .few = 6,
          .many = 12,
          .goals = {{"5", "floor", goal::of::instructions, 1.3}},
          .prepare = prepare};
}

// The ratio is that of the least of several runs: interruptions only add.
benchmark count_window_pause() {
  constexpr std::int64_t size = 1'000'000;
  return {.name = "count_window_pause",
          .what =
              "longest time between two results, a window of the last 1,000,000 values; the "
              "thread's processor time",
          .passes = 50,
          .goals = {{"5", "two stacks", goal::of::time, 0.1}},
          .compare = results::different,
          .prepare = [](scale) {
            auto block = std::make_shared<floors::event_block>(floors::make_events({.keys = 1}));
            const auto ours = [block](std::size_t passes) {
              std::uint64_t longest = 0;
              run_pipeline(*block, passes, size, longest_pause{&longest});
              return outcome{.events = block->events.size() * passes,
                             .figure = static_cast<double>(longest)};
            };
            const auto floor = [block](std::size_t passes) {
              std::uint64_t longest = 0;
              floors::count_windows(*block, passes, 1, size, longest_pause{&longest});
              return outcome{.events = block->events.size() * passes,
                             .figure = static_cast<double>(longest)};
            };
            return std::vector<contestant>{{"ours", ours}, {"two stacks", floor}};
          }};
}

}  // namespace bench
