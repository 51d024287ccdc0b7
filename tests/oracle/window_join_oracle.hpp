// SPDX-License-Identifier: Apache-2.0
/// \file
/// Window joins as in Flink's documentation, step by step: every record is put into every window it
/// belongs to, sessions are lists of records that are merged, windows are looked at one by one.
/// Shares no code with the library.
#pragma once

#include "oracle/joins_oracle.hpp"

#include <algorithm>
#include <vector>

namespace oracle {

/// Sessions when `gap` is positive.
struct join_spec {
  std::int64_t size = 1, slide = 1, offset = 0;
  std::int64_t gap = 0;
  std::int64_t lateness = 0;
};

struct join_pane {
  int key = 0;
  wide start = 0, end = 0;
  std::vector<event> sides[2];
  bool fired = false;
  std::int64_t last() const {
    if (end >= for_ever) return for_ever;
    return end - 1 <= never ? never : static_cast<std::int64_t>(end - 1);
  }
};

inline void fire(join_pane& p, keeps kind, outcome& out) {
  p.fired = true;
  for (const auto& l : p.sides[0]) {
    for (const auto& r : p.sides[1]) out.results.emplace_back(l.id, r.id, p.last());
    if (p.sides[1].empty() && keeps_side(kind, 0)) out.results.emplace_back(l.id, -1, p.last());
  }
  for (const auto& r : p.sides[1]) {
    if (p.sides[0].empty() && keeps_side(kind, 1)) out.results.emplace_back(-1, r.id, p.last());
  }
}

/// The windows of a record, live or not.
inline std::vector<join_pane> panes_of(const event& e, const join_spec& spec) {
  std::vector<join_pane> all;
  if (spec.gap > 0) {
    all.push_back({e.key, e.time, wide{e.time} + spec.gap, {}, false});
    return all;
  }
  const wide since = wide{e.time} - spec.offset;
  wide start = e.time - ((since % spec.slide) + spec.slide) % spec.slide;
  for (; start > wide{e.time} - spec.size; start -= spec.slide) {
    all.push_back({e.key, start, start + spec.size, {}, false});
  }
  return all;
}

inline outcome window_join(const std::vector<arrival>& all, const join_spec& spec, keeps kind) {
  outcome out;
  std::vector<join_pane> panes;
  const auto over = [&](const join_pane& p, std::int64_t watermark) {
    return plus(p.last(), spec.lateness) <= watermark;
  };
  const auto advance = [&](std::int64_t watermark) {
    for (auto& p : panes) {
      if (!p.fired && p.last() <= watermark) fire(p, kind, out);
    }
    std::erase_if(panes, [&](const join_pane& p) { return over(p, watermark); });
  };
  for (const auto& a : all) {
    advance(a.watermark);
    auto own = panes_of(a.record, spec);
    if (own.empty()) {
      ++out.filtered;
      continue;
    }
    bool taken = false;
    for (auto& p : own) {
      p.sides[a.side].push_back(a.record);
      std::erase_if(panes, [&](const join_pane& other) {
        const bool same =
            spec.gap > 0 ? other.start <= p.end && p.start <= other.end : other.start == p.start;
        if (other.key != p.key || !same) return false;
        p.start = std::min(p.start, other.start);
        p.end = std::max(p.end, other.end);
        for (const std::size_t s : {0, 1}) {
          p.sides[s].insert(p.sides[s].end(), other.sides[s].begin(), other.sides[s].end());
        }
        return true;
      });
      if (over(p, a.watermark)) continue;
      taken = true;
      if (p.last() <= a.watermark) fire(p, kind, out);
      panes.push_back(p);
    }
    if (!taken) out.late[a.side].push_back(a.record.id);
  }
  advance(for_ever);
  out.sort();
  return out;
}

}  // namespace oracle
