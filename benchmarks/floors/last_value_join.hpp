// SPDX-License-Identifier: Apache-2.0
/// \file
/// Floors of the join of each record with its key's last one-second totals: as they have arrived,
/// and as of the record's time (records in order). Not thread safe.
#pragma once

#include "floors/data.hpp"
#include "floors/panes.hpp"

#include <cstdint>
#include <vector>

namespace floors {

/// What a join comes to.
inline void add_pair(digest& d, const event& e, double mean) noexcept {
  d.add(e.key ^ static_cast<std::uint64_t>(e.time),
        std::bit_cast<std::uint64_t>(e.value) + 3 * std::bit_cast<std::uint64_t>(mean));
}

inline window_options second_by_second(std::size_t keys) {
  return {.slide = second, .panes = 1, .bound = 0, .keys = keys};
}

/// Mean of the last window of each key; negative: none yet.
inline digest join_by_arrival(const event_block& block, std::size_t passes, std::size_t keys) {
  digest result;
  std::vector<double> last(keys, -1);
  const auto store = [&last](std::uint32_t k, std::uint64_t, std::int64_t, const totals& t) {
    last[k] = t.sum / static_cast<double>(t.count);
  };
  pane_windows<totals, decltype(store)> windows(second_by_second(keys), store);
  for (std::size_t p = 0; p < passes; ++p) {
    const std::int64_t later = static_cast<std::int64_t>(p) * block.span();
    for (std::size_t i = 0; i < block.events.size();) {
      for (const std::size_t to = i + run_length; i < to; ++i) {
        event e = block.events[i];
        e.time += later;
        const std::uint32_t k = windows.add(e.key, e.value, e.time);
        if (last[k] >= 0) add_pair(result, e, last[k]);
      }
      windows.advance();
    }
  }
  return result;
}

/// A record waits until its time has passed, and takes the last window that had ended by then.
inline digest join_by_event_time(const event_block& block, std::size_t passes, std::size_t keys) {
  digest result;
  struct waiting {
    event e;
    std::uint32_t k;
  };
  std::vector<waiting> held;
  std::size_t first = 0;
  std::vector<double> last(keys, -1);
  const auto release = [&](std::int64_t before) {
    for (; first < held.size() && held[first].e.time < before; ++first) {
      const waiting& w = held[first];
      if (last[w.k] >= 0) add_pair(result, w.e, last[w.k]);
    }
  };
  std::int64_t seen = 0;
  const auto store = [&](std::uint32_t k, std::uint64_t, std::int64_t end, const totals& t) {
    if (end != seen) release((seen = end) - 1);
    last[k] = t.sum / static_cast<double>(t.count);
  };
  pane_windows<totals, decltype(store)> windows(second_by_second(keys), store);
  for (std::size_t p = 0; p < passes; ++p) {
    const std::int64_t later = static_cast<std::int64_t>(p) * block.span();
    for (std::size_t i = 0; i < block.events.size();) {
      std::int64_t newest = 0;
      for (const std::size_t to = i + run_length; i < to; ++i) {
        event e = block.events[i];
        e.time += later;
        const std::uint32_t k = windows.add(e.key, e.value, e.time);
        held.push_back({e, k});
        newest = e.time;
      }
      windows.advance();
      release(newest);
      held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(first));
      first = 0;
    }
  }
  windows.finish();
  release(INT64_MAX);
  return result;
}

}  // namespace floors
