// SPDX-License-Identifier: Apache-2.0
/// \file
/// Temporal joins as a naive program: the table is a list of all changes; every record looks
/// through all of it. Shares no code with the library.
#pragma once

#include "oracle/joins_oracle.hpp"

#include <vector>

namespace oracle {

/// Right records with a negative value are deletions. `valid_for` 0: for ever.
inline outcome temporal_join(const std::vector<arrival>& all, std::int64_t valid_for, bool left) {
  outcome out;
  struct change {
    event e;
    bool alive;
  };
  const auto gone = [&](const event& e, std::int64_t at) {
    return e.value < 0 || (valid_for > 0 && plus(e.time, valid_for) <= at);
  };
  std::vector<change> table;
  std::vector<event> waiting;
  // Resolves what has waited for this watermark, then forgets rows that are gone by then.
  const auto advance = [&](std::int64_t watermark) {
    std::vector<event> rest;
    for (const auto& l : waiting) {
      if (l.time > watermark) {
        rest.push_back(l);
        continue;
      }
      const event* row = nullptr;
      for (const auto& c : table) {
        if (!c.alive || c.e.key != l.key || c.e.time > l.time) continue;
        if (row == nullptr || c.e.time >= row->time) row = &c.e;
      }
      if (row != nullptr && gone(*row, l.time)) row = nullptr;
      if (row != nullptr || left) {
        out.results.emplace_back(l.id, row == nullptr ? -1 : row->id, l.time);
      } else {
        ++out.filtered;
      }
    }
    waiting = rest;
    for (int key = 0; key < 10; ++key) {
      const event* current = nullptr;
      for (const auto& c : table) {
        if (!c.alive || c.e.key != key || c.e.time > watermark) continue;
        if (current == nullptr || c.e.time >= current->time) current = &c.e;
      }
      if (current == nullptr || !gone(*current, watermark)) continue;
      for (auto& c : table) {
        if (c.e.key == key && c.e.time <= watermark) c.alive = false;
      }
    }
  };
  for (const auto& a : all) {
    advance(a.watermark);
    const bool passed = a.record.time <= a.watermark;
    if (a.side == 0) {
      if (passed) {
        out.late[0].push_back(a.record.id);
      } else {
        waiting.push_back(a.record);
      }
      continue;
    }
    bool replaced = false;
    for (const auto& c : table) {
      replaced = replaced || (c.alive && c.e.key == a.record.key && c.e.time > a.record.time &&
                              c.e.time <= a.watermark);
    }
    const bool over = a.record.value >= 0 && gone(a.record, a.watermark);
    if (passed && (replaced || over)) {
      out.late[1].push_back(a.record.id);
    } else {
      table.push_back({a.record, true});
      if (passed) advance(a.watermark);
    }
  }
  advance(for_ever);
  out.sort();
  return out;
}

/// Latest-value joins by event time: 0 drop, 1 hold, 2 emit without. The last value not after the
/// record, among those that had come when the watermark reached it; a held record takes the first
/// one after it, once the watermark has reached that.
inline outcome join_latest(const std::vector<arrival>& all, int policy) {
  outcome out;
  std::vector<event> rights;
  std::vector<event> waiting;
  std::vector<event> held;
  const auto advance = [&](std::int64_t watermark) {
    std::vector<event> rest;
    for (const auto& l : waiting) {
      if (l.time > watermark) {
        rest.push_back(l);
        continue;
      }
      const event* partner = nullptr;
      for (const auto& r : rights) {
        if (r.key != l.key || r.time > l.time) continue;
        if (partner == nullptr || r.time >= partner->time) partner = &r;
      }
      if (partner != nullptr) {
        out.results.emplace_back(l.id, partner->id, l.time);
      } else if (policy == 0) {
        ++out.filtered;
      } else if (policy == 2) {
        out.results.emplace_back(l.id, -1, l.time);
      } else {
        held.push_back(l);
      }
    }
    waiting = rest;
    rest.clear();
    for (const auto& l : held) {
      const event* partner = nullptr;
      for (const auto& r : rights) {
        if (r.key != l.key || r.time > watermark) continue;
        if (partner == nullptr || r.time < partner->time) partner = &r;
      }
      if (partner == nullptr) {
        rest.push_back(l);
      } else {
        out.results.emplace_back(l.id, partner->id, std::max(l.time, partner->time));
      }
    }
    held = rest;
  };
  std::int64_t watermark = never;
  for (const auto& a : all) {
    if (a.watermark > watermark) advance(watermark = a.watermark);
    if (a.side == 1) {
      const bool replaced = std::any_of(rights.begin(), rights.end(), [&](const event& r) {
        return r.key == a.record.key && r.time > a.record.time && r.time <= a.watermark;
      });
      if (replaced) ++out.late_unseen;
      if (!replaced) rights.push_back(a.record);
    } else if (a.record.time <= a.watermark) {
      out.late[0].push_back(a.record.id);
    } else {
      waiting.push_back(a.record);
    }
  }
  advance(for_ever);
  out.filtered += held.size();
  out.sort();
  return out;
}

}  // namespace oracle
