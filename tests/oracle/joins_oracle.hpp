// SPDX-License-Identifier: Apache-2.0
/// \file
/// The joins of docs/semantics.md as a naive program: all records with the watermark at which they
/// came, then loops over loops. Shares no code with the library's joins.
#pragma once

#include "oracle/random_stream.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace oracle {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();

/// A record of either input, and the watermark that the operator had when it came.
struct arrival {
  std::size_t side = 0;
  event record;
  std::int64_t watermark = never;
};

/// The watermark of two inputs: the least of those that count. It never falls. Silent inputs do not
/// count, nor do those back from silence until they have reached it; when all that have not ended
/// are silent, the furthest of them decides. An input at the end of time has ended.
class two_watermarks {
 public:
  std::int64_t now() const { return now_; }
  void apply(std::size_t which, const millrace::control& c) {
    auto& in = inputs_[which];
    using kind = millrace::control_kind;
    if (c.kind == kind::watermark) in.time = std::max(in.time, c.time.time_since_epoch().count());
    if (c.kind == kind::idle) in.idle = true;
    if (c.kind == kind::active && in.idle) {
      in.idle = false;
      in.behind = true;
    }
    if (in.time >= now_) in.behind = false;
    std::int64_t least = for_ever;
    std::int64_t furthest = never;
    int open = 0, silent = 0, counting = 0;
    for (const auto& i : inputs_) {
      if (i.time == for_ever) continue;
      ++open;
      furthest = std::max(furthest, i.time);
      if (i.idle) ++silent;
      if (i.idle || i.behind) continue;
      ++counting;
      least = std::min(least, i.time);
    }
    if (open > 0 && silent == open) least = furthest;
    if (open > silent && counting == 0) least = now_;
    now_ = std::max(now_, least);
  }

 private:
  struct input {
    std::int64_t time = never;
    bool idle = false, behind = false;
  };
  std::array<input, 2> inputs_;
  std::int64_t now_ = never;
};

inline std::vector<arrival> arrivals(const script<2>& steps) {
  two_watermarks watermark;
  std::vector<arrival> all;
  for (const auto& s : steps) {
    if (s.what.index() == 0) {
      watermark.apply(s.input, std::get<0>(s.what));
    } else {
      const auto& record = s.what.index() == 1 ? std::get<1>(s.what) : std::get<2>(s.what);
      all.push_back({s.input, record.value, watermark.now()});
    }
  }
  return all;
}

/// What comes out: ids of both records, -1 for none; ids of late records by side, sorted.
struct outcome {
  std::vector<std::tuple<int, int, std::int64_t>> results;
  std::vector<int> late[2];
  std::uint64_t filtered = 0;
  std::uint64_t late_unseen = 0;  ///< counted as late, without an output
  void sort() {
    std::sort(results.begin(), results.end());
    for (auto& l : late) std::sort(l.begin(), l.end());
  }
  friend bool operator==(const outcome& a, const outcome& b) {
    return a.results == b.results && a.late[0] == b.late[0] && a.late[1] == b.late[1] &&
           a.filtered == b.filtered && a.late_unseen == b.late_unseen;
  }
};

enum class keeps { neither, left, right, both };
inline bool keeps_side(keeps k, std::size_t side) {
  return k == keeps::both || k == (side == 0 ? keeps::left : keeps::right);
}

__extension__ typedef __int128 wide;
inline wide apart(std::int64_t left, std::int64_t right) { return wide{right} - wide{left}; }

/// Interval join. A record is late when it is older than the watermark; it can be found until the
/// watermark has moved on to the last time of a possible partner.
inline outcome interval_join(const std::vector<arrival>& all, std::int64_t lower,
                             std::int64_t upper, keeps kind) {
  outcome out;
  const auto gone_at = [&](const arrival& a) {
    const std::int64_t reach = a.side == 0 ? upper : -lower;
    return plus(a.record.time, std::max<std::int64_t>(reach, 0));
  };
  std::vector<bool> matched(all.size());
  for (std::size_t j = 0; j < all.size(); ++j) {
    if (all[j].record.time < all[j].watermark) {
      out.late[all[j].side].push_back(all[j].record.id);
      continue;
    }
    for (std::size_t i = 0; i < j; ++i) {
      if (all[i].side == all[j].side || all[i].record.key != all[j].record.key) continue;
      if (all[i].record.time < all[i].watermark) continue;
      const bool gone = all[j].watermark > all[i].watermark && all[j].watermark >= gone_at(all[i]);
      const auto& l = all[i].side == 0 ? all[i].record : all[j].record;
      const auto& r = all[i].side == 0 ? all[j].record : all[i].record;
      const wide d = apart(l.time, r.time);
      if (gone || d < lower || d > upper) continue;
      matched[i] = matched[j] = true;
      out.results.emplace_back(l.id, r.id, std::max(l.time, r.time));
    }
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& a = all[i];
    if (matched[i] || a.record.time < a.watermark || !keeps_side(kind, a.side)) continue;
    out.results.emplace_back(a.side == 0 ? a.record.id : -1, a.side == 1 ? a.record.id : -1,
                             gone_at(a));
  }
  out.sort();
  return out;
}

/// As-of join: 0 previous, 1 next, 2 nearest. Late is what is not newer than the watermark.
inline outcome as_of_join(const std::vector<arrival>& all, int direction, std::int64_t tolerance,
                          bool left) {
  outcome out;
  for (const auto& a : all) {
    if (a.record.time <= a.watermark) out.late[a.side].push_back(a.record.id);
  }
  for (const auto& a : all) {
    const auto& l = a.record;
    if (a.side != 0 || l.time <= a.watermark) continue;
    const event* before = nullptr;
    const event* after = nullptr;
    for (const auto& b : all) {
      const auto& r = b.record;
      if (b.side != 1 || r.key != l.key || r.time <= b.watermark) continue;
      if (r.time <= l.time && apart(r.time, l.time) <= tolerance) {
        if (before == nullptr || r.time >= before->time) before = &r;
      }
      if (r.time >= l.time && apart(l.time, r.time) <= tolerance) {
        if (after == nullptr || r.time < after->time) after = &r;
      }
    }
    const event* best = direction == 1 ? after : before;
    if (direction == 2 && after != nullptr) {
      if (before == nullptr || apart(l.time, after->time) < apart(before->time, l.time)) {
        best = after;
      }
    }
    std::int64_t time = l.time;
    if (direction != 0) {
      const wide away = best == nullptr        ? wide{tolerance}
                        : best->time >= l.time ? apart(l.time, best->time)
                                               : apart(best->time, l.time);
      time = plus(l.time, static_cast<std::int64_t>(away));
    }
    if (best != nullptr || left) {
      out.results.emplace_back(l.id, best == nullptr ? -1 : best->id, time);
    } else {
      ++out.filtered;
    }
  }
  out.sort();
  return out;
}

}  // namespace oracle
