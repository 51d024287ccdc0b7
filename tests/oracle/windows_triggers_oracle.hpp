// SPDX-License-Identifier: Apache-2.0
/// \file
/// Windows with triggers, evictors, sessions and two clocks, written down naively: every window is
/// an object with a list of records and a set of timers, and everything is searched through at
/// every step. Shares no code with the library.
#pragma once

#include "oracle/random_stream.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace oracle {

__extension__ typedef __int128 wide_time;

enum class window_kind { sliding, session, global };
enum class trigger_kind {
  end,
  count,
  every_event,
  every_clock,
  early_count,
  early_clock,
  purging_end,
  purging_count,
  purging_every_event,
  delta,
  debounce,
  kinds
};
enum class evictor_kind { none, count, time, delta, after_count, kinds };

struct window_setup {
  window_kind kind = window_kind::sliding;
  std::int64_t size = 10;  ///< or the gap of sessions
  std::int64_t slide = 10;
  std::int64_t offset = 0;
  bool by_clock = false;
  std::int64_t lateness = 0;
  trigger_kind trigger = trigger_kind::end;
  std::int64_t trigger_number = 1;
  evictor_kind evictor = evictor_kind::none;
  std::int64_t evictor_number = 1;
  bool sorted = false;  ///< results name their records by number, not in order
};

/// What comes of one step: results as text, and the numbers of records that were late or in no
/// window.
struct window_step {
  std::vector<std::string> results;
  std::vector<int> late;
  int filtered = 0;
};

class triggered_windows {
 public:
  triggered_windows(const window_setup& setup, std::int64_t now) : s_(setup), now_(now) {}

  window_step record(const event& e) {
    window_step out;
    const std::int64_t time = s_.by_clock ? now_ : e.time;
    const auto spans = assign(time);
    bool accepted = false;
    for (const span& given : spans) {
      span w = given;
      std::vector<content*> same = join(e.key, w);
      if (gone(w)) continue;
      accepted = true;
      if (same.empty()) {
        contents_.push_back({e.key, w, {}, {}, {}, {}, {}, {}, {}, {}});
        same = {&contents_.back()};
      }
      content& c = *same.front();
      c.records.push_back({e, time});
      const int answer = on_record(c, e, time);
      act(c, answer, e.time, out);
    }
    if (accepted) return out;
    if (spans.empty()) {
      ++out.filtered;
    } else {
      out.late.push_back(e.id);
    }
    return out;
  }

  window_step watermark(std::int64_t time) {
    window_step out;
    watermark_ = std::max(watermark_, time);
    while (true) {
      // The earliest timer, or end of a window, of all.
      content* next = nullptr;
      std::int64_t when = 0;
      for (content& c : contents_) {
        std::optional<std::int64_t> t;
        if (!c.event_timers.empty()) t = *c.event_timers.begin();
        if (s_.kind != window_kind::global && !s_.by_clock) {
          t = t ? std::min(*t, cleanup(c.w)) : cleanup(c.w);
        }
        if (t && *t <= watermark_ && (next == nullptr || *t < when)) next = &c, when = *t;
      }
      if (next == nullptr) return out;
      if (next->event_timers.erase(when) != 0) act(*next, on_event_time(*next, when), when, out);
      if (s_.kind != window_kind::global && !s_.by_clock && cleanup(next->w) <= when) remove(next);
    }
  }

  window_step clock(std::int64_t now) {
    now_ = std::max(now_, now);
    window_step out;
    while (true) {
      content* next = nullptr;
      std::int64_t when = 0;
      for (content& c : contents_) {
        std::optional<std::int64_t> t;
        if (!c.clock_timers.empty()) t = *c.clock_timers.begin();
        if (s_.by_clock) t = t ? std::min(*t, last(c.w)) : last(c.w);
        if (t && *t < now_ && (next == nullptr || *t < when)) next = &c, when = *t;
      }
      if (next == nullptr) return out;
      if (next->clock_timers.erase(when) != 0) act(*next, on_clock(*next, when), when, out);
      if (s_.by_clock && last(next->w) <= when) remove(next);
    }
  }

  /// Every timer of the clock that is set fires once.
  window_step end() {
    now_ = INT64_MAX;
    window_step out;
    for (content& c : contents_) {
      const auto timers = c.clock_timers;
      for (const std::int64_t t : timers) act(c, on_clock(c, t), t, out);
    }
    if (s_.by_clock) contents_.clear();
    return out;
  }

  std::set<int> keys() const {
    std::set<int> all;
    for (const content& c : contents_) all.insert(c.key);
    return all;
  }

 private:
  struct span {
    wide_time start;
    wide_time end;
  };
  struct stored {
    event e;
    std::int64_t time;
  };
  struct content {
    int key;
    span w;
    std::vector<stored> records;
    std::set<std::int64_t> event_timers;
    std::set<std::int64_t> clock_timers;
    std::int64_t count;
    std::optional<std::int64_t> next_event;
    std::optional<std::int64_t> next_clock;
    std::optional<int> last_value;
    std::optional<std::int64_t> quiet_at;
  };
  enum { wait = 0, fire = 1, purge = 2 };

  static std::int64_t cut(wide_time t) {
    return static_cast<std::int64_t>(std::clamp<wide_time>(t, INT64_MIN, INT64_MAX));
  }
  static wide_time mod(wide_time a, wide_time b) { return (a % b + b) % b; }

  std::int64_t last(const span& w) const {
    if (s_.kind == window_kind::global) return INT64_MAX;
    return w.end >= INT64_MAX ? INT64_MAX : cut(w.end - 1);
  }
  std::int64_t cleanup(const span& w) const {
    const std::int64_t t = last(w);
    return t == INT64_MIN || t == INT64_MAX ? t : cut(wide_time{t} + s_.lateness);
  }
  bool gone(const span& w) const {
    return !s_.by_clock && s_.kind != window_kind::global && cleanup(w) <= watermark_;
  }
  bool ended(const span& w) const { return s_.by_clock ? last(w) < now_ : last(w) <= watermark_; }

  std::vector<span> assign(std::int64_t time) const {
    if (s_.kind == window_kind::global) return {{INT64_MIN, INT64_MAX}};
    if (s_.kind == window_kind::session) {
      return {{time, std::min<wide_time>(wide_time{time} + s_.size, INT64_MAX)}};
    }
    std::vector<span> all;
    for (wide_time s = wide_time{time} - mod(wide_time{time} - s_.offset, s_.slide);
         s > wide_time{time} - s_.size; s -= s_.slide) {
      all.insert(all.begin(), span{s, s + s_.size});
    }
    return all;
  }

  // The contents that the window belongs to; for sessions the window grows, and contents are
  // joined.
  std::vector<content*> join(int key, span& w) {
    std::vector<content*> same;
    for (content& c : contents_) {
      if (c.key != key) continue;
      const bool touch = s_.kind == window_kind::session ? c.w.start <= w.end && w.start <= c.w.end
                                                         : c.w.start == w.start && c.w.end == w.end;
      if (touch) same.push_back(&c);
    }
    if (s_.kind != window_kind::session || same.empty()) return same;
    std::sort(same.begin(), same.end(),
              [](const content* a, const content* b) { return a->w.start < b->w.start; });
    const span given = w;
    for (const content* c : same) {
      w.start = std::min(w.start, c->w.start);
      w.end = std::max(w.end, c->w.end);
    }
    static_cast<void>(given);
    content& first = *same.front();
    if (same.size() == 1 && first.w.start == w.start && first.w.end == w.end) return same;
    content whole = first;
    whole.w = w;
    whole.event_timers.clear();
    whole.clock_timers.clear();
    for (std::size_t i = 1; i < same.size(); ++i) {
      const content& c = *same[i];
      whole.records.insert(whole.records.end(), c.records.begin(), c.records.end());
      whole.count += c.count;
      const auto least = [](auto& into, const auto& other) {
        if (other && (!into || *other < *into)) into = other;
      };
      least(whole.next_event, c.next_event);
      least(whole.next_clock, c.next_clock);
      if (!whole.last_value) whole.last_value = c.last_value;
      if (c.quiet_at && (!whole.quiet_at || *c.quiet_at > *whole.quiet_at)) {
        whole.quiet_at = c.quiet_at;
      }
    }
    set_timers_again(whole);
    std::erase_if(contents_, [&](const content& c) {
      return c.key == key && c.w.start <= given.end && given.start <= c.w.end;
    });
    contents_.push_back(whole);
    return {&contents_.back()};
  }

  void set_timers_again(content& c) {
    if (has_end() && !ended(c.w)) end_timers(c).insert(last(c.w));
    if (c.next_event) c.event_timers.insert(*c.next_event);
    if (c.next_clock) c.clock_timers.insert(*c.next_clock);
    if (c.quiet_at) c.event_timers.insert(*c.quiet_at);
  }

  std::set<std::int64_t>& end_timers(content& c) {
    return s_.by_clock ? c.clock_timers : c.event_timers;
  }

  bool one_of(std::initializer_list<trigger_kind> kinds) const {
    return std::find(kinds.begin(), kinds.end(), s_.trigger) != kinds.end();
  }
  bool has_end() const {
    using enum trigger_kind;
    return one_of({end, every_event, early_count, early_clock, purging_end, purging_every_event});
  }
  bool has_count() const {
    return one_of({trigger_kind::count, trigger_kind::early_count, trigger_kind::purging_count});
  }
  bool has_every_event() const {
    return one_of({trigger_kind::every_event, trigger_kind::purging_every_event});
  }
  bool has_every_clock() const {
    return one_of({trigger_kind::every_clock, trigger_kind::early_clock});
  }
  int purged(int answer) const {
    const bool purges = one_of({trigger_kind::purging_end, trigger_kind::purging_count,
                                trigger_kind::purging_every_event, trigger_kind::debounce});
    return answer == fire && purges ? fire | purge : answer;
  }
  std::int64_t multiple_after(std::int64_t t) const {
    return cut(wide_time{t} - mod(t, s_.trigger_number) + s_.trigger_number);
  }

  int on_record(content& c, const event& e, std::int64_t time) {
    int answer = wait;
    const bool over = ended(c.w);
    if (has_end()) {
      if (over) answer = fire;
      if (!over) end_timers(c).insert(last(c.w));
    }
    if (has_count() && ++c.count >= s_.trigger_number) {
      c.count = 0;
      answer = fire;
    }
    if (has_every_event() && !over && !c.next_event) {
      c.next_event = multiple_after(std::max(time, watermark_));
      c.event_timers.insert(*c.next_event);
    }
    if (has_every_clock() && !c.next_clock) {
      c.next_clock = multiple_after(now_);
      c.clock_timers.insert(*c.next_clock);
    }
    if (s_.trigger == trigger_kind::delta) {
      if (!c.last_value) {
        c.last_value = e.value;
      } else if (std::abs(*c.last_value - e.value) > s_.trigger_number) {
        c.last_value = e.value;
        answer = fire;
      }
    }
    if (s_.trigger == trigger_kind::debounce) {
      if (c.quiet_at) c.event_timers.erase(*c.quiet_at);
      c.quiet_at = cut(wide_time{time} + s_.trigger_number);
      c.event_timers.insert(*c.quiet_at);
    }
    return purged(answer);
  }

  int on_event_time(content& c, std::int64_t t) {
    int answer = wait;
    if (has_end() && !s_.by_clock && t == last(c.w)) answer = fire;
    if (has_every_event() && c.next_event == t) {
      c.next_event.reset();
      answer = fire;
    }
    if (s_.trigger == trigger_kind::debounce && c.quiet_at == t) {
      c.quiet_at.reset();
      answer = fire;
    }
    return purged(answer);
  }

  int on_clock(content& c, std::int64_t t) {
    int answer = wait;
    if (has_end() && s_.by_clock && t == last(c.w)) answer = fire;
    if (has_every_clock() && c.next_clock == t) {
      c.next_clock.reset();
      answer = fire;
    }
    return purged(answer);
  }

  void evict_before(std::vector<stored>& records) const {
    const std::int64_t n = s_.evictor_number;
    if (s_.evictor == evictor_kind::count) {
      while (static_cast<std::int64_t>(records.size()) > n) records.erase(records.begin());
    } else if (s_.evictor == evictor_kind::time) {
      std::int64_t newest = INT64_MIN;
      for (const stored& r : records) newest = std::max(newest, r.time);
      std::erase_if(records, [&](const stored& r) { return r.time <= cut(wide_time{newest} - n); });
    } else if (s_.evictor == evictor_kind::delta && !records.empty()) {
      const int value = records.back().e.value;
      std::erase_if(records, [&](const stored& r) { return r.e.value - value >= n; });
    }
  }

  void act(content& c, int answer, std::int64_t current, window_step& out) {
    if ((answer & fire) != 0 && !c.records.empty()) {
      evict_before(c.records);
      if (!c.records.empty()) {
        const std::int64_t time = s_.kind == window_kind::global ? current : last(c.w);
        std::string line = std::to_string(c.key) + " [" + std::to_string(cut(c.w.start)) + " " +
                           std::to_string(cut(c.w.end)) + ") at " + std::to_string(time) + ":";
        std::vector<int> ids;
        for (const stored& r : c.records) ids.push_back(r.e.id);
        if (s_.sorted) std::sort(ids.begin(), ids.end());
        for (const int id : ids) line += " " + std::to_string(id);
        out.results.push_back(line);
      }
      if (s_.evictor == evictor_kind::after_count) {
        while (static_cast<std::int64_t>(c.records.size()) > s_.evictor_number) {
          c.records.erase(c.records.begin());
        }
      }
    }
    if ((answer & purge) != 0) c.records.clear();
  }

  void remove(const content* gone) {
    contents_.erase(contents_.begin() + (gone - contents_.data()));
  }

  window_setup s_;
  std::int64_t watermark_ = INT64_MIN;
  std::int64_t now_;
  std::vector<content> contents_;
};

}  // namespace oracle
