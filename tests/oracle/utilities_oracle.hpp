// SPDX-License-Identifier: Apache-2.0
/// \file
/// What deduplicate, rate_limit, sample, debounce and sort_by_time must give, said as plainly as
/// possible. Single-threaded.
#pragma once

#include "oracle/timed_driver.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace oracle {

/// Emitted events and those of the side output, with their times.
struct utility_results {
  std::vector<std::pair<event, std::int64_t>> out, side;

  static std::vector<std::string> lines(const std::vector<std::pair<event, std::int64_t>>& all) {
    std::vector<std::string> texts;
    for (const auto& [e, time] : all) {
      texts.push_back(std::to_string(e.id) + " @" + std::to_string(time));
    }
    std::sort(texts.begin(), texts.end());
    return texts;
  }
};

/// Walks through a script: `record(event, now, watermark)` with the clock asked for, and
/// `reached(watermark)`.
template <class Record, class Reached>
void walk(const std::vector<timed_step>& script, bool wall_clock, Record&& record,
          Reached&& reached) {
  std::int64_t wall = 0;
  std::int64_t watermark = INT64_MIN;
  for (const auto& s : script) {
    if (const auto* ticks = std::get_if<std::int64_t>(&s.what)) {
      wall += *ticks;
    } else if (const auto* c = std::get_if<millrace::control>(&s.what)) {
      if (c->kind != millrace::control_kind::watermark) continue;
      watermark = std::max(watermark, c->time.time_since_epoch().count());
      reached(watermark);
    } else {
      const auto& e = std::get<event>(s.what);
      record(e, wall_clock ? wall : std::max(e.time, watermark), watermark);
    }
  }
}

inline bool before_end(std::int64_t now, std::int64_t start, std::int64_t length) {
  const std::int64_t end = plus(start, length);
  return now < end || end == INT64_MAX;
}

/// Ids are `value mod ids`. `prolong`: duplicates count as seen, too.
inline utility_results deduplicated(const std::vector<timed_step>& script, int ids,
                                    std::int64_t within, bool prolong, bool wall_clock) {
  struct seen {
    int key, id;
    std::int64_t now;
  };
  std::vector<seen> log;
  utility_results r;
  walk(
      script, wall_clock,
      [&](const event& e, std::int64_t now, std::int64_t) {
        const int id = (e.value % ids + ids) % ids;
        const bool again = std::any_of(log.begin(), log.end(), [&](const seen& s) {
          return s.key == e.key && s.id == id && before_end(now, s.now, within);
        });
        (again ? r.side : r.out).emplace_back(e, e.time);
        if (!again || prolong) log.push_back({e.key, id, now});
      },
      [](std::int64_t) {});
  return r;
}

/// The theoretical arrival time of ATM's generic cell rate algorithm: another way to say a token
/// bucket. In units of ticks times records.
inline utility_results rate_limited(const std::vector<timed_step>& script, std::int64_t records,
                                    std::int64_t per, std::int64_t burst, bool wall_clock) {
  __extension__ using wide = __int128;
  struct meter {
    wide expected = 0;
    std::int64_t latest = 0;
  };
  std::map<int, meter> meters;
  utility_results r;
  walk(
      script, wall_clock,
      [&](const event& e, std::int64_t now, std::int64_t) {
        const auto [found, fresh] = meters.try_emplace(e.key);
        meter& m = found->second;
        m.latest = fresh ? now : std::max(m.latest, now);
        const wide arrival = static_cast<wide>(m.latest) * records;
        const wide start = fresh || m.expected < arrival ? arrival : m.expected;
        const bool granted = start - arrival <= static_cast<wide>(burst - 1) * per;
        if (granted) m.expected = start + per;
        (granted ? r.out : r.side).emplace_back(e, e.time);
      },
      [](std::int64_t) {});
  return r;
}

/// Every nth; a count starts again when there was no record for `forget`.
inline utility_results sampled(const std::vector<timed_step>& script, std::uint64_t n,
                               std::int64_t forget, bool wall_clock) {
  std::map<int, std::vector<std::int64_t>> seen;
  utility_results r;
  walk(
      script, wall_clock,
      [&](const event& e, std::int64_t now, std::int64_t) {
        auto& times = seen[e.key];
        if (!times.empty() && !before_end(now, times.back(), forget)) times.clear();
        if (times.size() % n == 0) r.out.emplace_back(e, e.time);
        times.push_back(now);
      },
      [](std::int64_t) {});
  return r;
}

/// In the order of emission.
inline utility_results sorted_by_time(const std::vector<timed_step>& script, std::size_t most) {
  std::vector<event> held;
  utility_results r;
  walk(
      script, false,
      [&](const event& e, std::int64_t, std::int64_t watermark) {
        if (watermark != INT64_MIN && e.time <= watermark) {
          r.side.emplace_back(e, e.time);
        } else if (held.size() < most) {
          held.push_back(e);
        }
      },
      [&](std::int64_t watermark) {
        std::stable_sort(held.begin(), held.end(),
                         [](const event& a, const event& b) { return a.time < b.time; });
        while (!held.empty() && held.front().time <= watermark) {
          r.out.emplace_back(held.front(), held.front().time);
          held.erase(held.begin());
        }
      });
  return r;
}

/// Runs of records at most `quiet` apart, found again from all records of a key at every step.
class debounce_oracle {
 public:
  utility_results results;
  std::uint64_t taken = 0;

  debounce_oracle(const std::vector<timed_step>& script, std::int64_t quiet) : quiet_(quiet) {
    walk(
        script, false,
        [&](const event& e, std::int64_t, std::int64_t watermark) {
          auto& live = live_[e.key];
          const bool joins = std::any_of(live.begin(), live.end(), [&](const event& o) {
            return o.time <= plus(e.time, quiet_) && e.time <= plus(o.time, quiet_);
          });
          if (!joins && watermark != INT64_MIN && plus(e.time, quiet_) <= watermark) {
            results.side.emplace_back(e, e.time);
            return;
          }
          ++taken;
          live.push_back(e);
        },
        [&](std::int64_t watermark) {
          for (auto& [key, live] : live_) close(live, watermark);
        });
  }

 private:
  void close(std::vector<event>& live, std::int64_t watermark) {
    std::stable_sort(live.begin(), live.end(),
                     [](const event& a, const event& b) { return a.time < b.time; });
    for (std::size_t first = 0; first < live.size();) {
      std::size_t end = first + 1;
      while (end < live.size() && live[end].time <= plus(live[end - 1].time, quiet_)) ++end;
      const std::int64_t due = plus(live[end - 1].time, quiet_);
      if (due > watermark) {
        first = end;
        continue;
      }
      results.out.emplace_back(live[end - 1], due);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(first),
                 live.begin() + static_cast<std::ptrdiff_t>(end));
    }
  }

  std::int64_t quiet_;
  std::map<int, std::vector<event>> live_;
};

}  // namespace oracle
