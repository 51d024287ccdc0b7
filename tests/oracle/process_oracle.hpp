// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the program of tests/semantics/process_state.cpp must say: a log of writes per key,
/// searched from the beginning on every read; timers in sets. Single-threaded.
#pragma once

#include "oracle/timed_driver.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace oracle {

/// The numbers of the program that both sides run.
struct program {
  static constexpr std::int64_t value_ttl = 40;  // event time, from the last write
  static constexpr std::int64_t read_ttl = 30;   // event time, from the last write or read
  static constexpr std::int64_t list_ttl = 50;   // event time
  static constexpr std::size_t list_limit = 6;
  static constexpr std::int64_t map_ttl = 35;  // wall clock
  static constexpr std::size_t map_limit = 4;
  static constexpr std::int64_t sum_ttl = 45;     // wall clock, from the last write or read
  static constexpr std::int64_t event_grid = 20;  // timers are set at multiples
  static constexpr std::int64_t wall_grid = 10;

  static std::int64_t next_multiple(std::int64_t t, std::int64_t grid) {
    const std::int64_t down = t / grid - (t % grid < 0 ? 1 : 0);
    std::int64_t up = 0;
    if (__builtin_mul_overflow(down + 1, grid, &up)) return INT64_MAX;
    return up;
  }
  static int operation(int value) { return ((value % 10) + 10) % 10; }
  static int map_key(int value) { return ((value / 10 % 6) + 6) % 6; }
};

class process_oracle {
 public:
  std::vector<std::string> lines;

  void run(const std::vector<timed_step>& script) {
    for (const auto& s : script) {
      if (const auto* ticks = std::get_if<std::int64_t>(&s.what)) {
        wall_ += *ticks;
        fire_wall();
      } else if (const auto* c = std::get_if<millrace::control>(&s.what)) {
        if (c->kind == millrace::control_kind::watermark) reach(c->time.time_since_epoch().count());
      } else {
        record(std::get<event>(s.what));
      }
    }
    std::sort(lines.begin(), lines.end());
  }

 private:
  struct write {
    int value;
    std::int64_t until;
  };
  struct state {
    std::optional<write> value, read, sum;
    std::vector<write> list;  // all that were ever added
    std::map<int, write> map;
  };
  static bool alive(const write& w, std::int64_t now) {
    return now < w.until || w.until == INT64_MAX;
  }

  void record(const event& e) {
    now_ = std::max(e.time, passed_);
    auto& s = states_[e.key];
    const int x = e.value;
    switch (program::operation(x)) {
      case 0: s.value = write{x, plus(now_, program::value_ttl)}; break;
      case 1: s.read = write{x, plus(now_, program::read_ttl)}; break;
      case 2: s.list.push_back({x, plus(now_, program::list_ttl)}); break;
      case 3: put(s, program::map_key(x), x); break;
      case 4: add(s, x); break;
      case 5: timers_.insert({program::next_multiple(e.time, program::event_grid), e.key}); break;
      case 6:
        wall_timers_.insert({program::next_multiple(wall_, program::wall_grid), e.key});
        break;
      case 7: timers_.erase({program::next_multiple(e.time, program::event_grid), e.key}); break;
      case 8:
        wall_timers_.erase({program::next_multiple(wall_, program::wall_grid), e.key});
        s.map.erase(program::map_key(x));
        break;
      case 9:
        if (x % 20 == 9) s = {};
        break;
    }
    say("record " + std::to_string(e.id), e.key, s, e.time);
  }

  void put(state& s, int key, int value) {
    int others = 0;
    for (const auto& [k, w] : s.map) others += k != key && alive(w, wall_) ? 1 : 0;
    if (others < static_cast<int>(program::map_limit)) {
      s.map[key] = {value, plus(wall_, program::map_ttl)};
    }
  }
  void add(state& s, int value) {
    const int before = s.sum && alive(*s.sum, wall_) ? s.sum->value : 0;
    s.sum = write{before + value, plus(wall_, program::sum_ttl)};
  }

  void reach(std::int64_t watermark) {
    while (!timers_.empty() && timers_.begin()->first <= watermark) {
      const auto [time, key] = *timers_.begin();
      timers_.erase(timers_.begin());
      passed_ = std::max(passed_, time);
      now_ = passed_;
      auto& s = states_[key];
      if (s.value && alive(*s.value, now_) && time < INT64_MAX - 1000) {
        timers_.insert({time + program::event_grid, key});
      }
      say("timer " + std::to_string(time), key, s, time);
    }
    passed_ = std::max(passed_, watermark);
    watermark_ = passed_;
  }

  void fire_wall() {
    while (!wall_timers_.empty() && wall_timers_.begin()->first <= wall_) {
      const auto [time, key] = *wall_timers_.begin();
      wall_timers_.erase(wall_timers_.begin());
      now_ = passed_;
      auto& s = states_[key];
      put(s, 7, static_cast<int>(time));
      const std::int64_t emitted =
          watermark_ == INT64_MIN || watermark_ == INT64_MAX ? watermark_ : watermark_ + 1;
      say("wall timer " + std::to_string(time), key, s, emitted);
    }
  }

  void say(const std::string& what, int key, state& s, std::int64_t time) {
    std::string line = std::to_string(key) + " " + what + ": ";
    if (s.value && alive(*s.value, now_)) line += "v" + std::to_string(s.value->value);
    if (s.read && alive(*s.read, now_)) {
      line += " r" + std::to_string(s.read->value);
      s.read->until = std::max(s.read->until, plus(now_, program::read_ttl));
    }
    const std::size_t all = s.list.size();
    for (std::size_t i = all > program::list_limit ? all - program::list_limit : 0; i < all; ++i) {
      if (alive(s.list[i], now_)) line += " l" + std::to_string(s.list[i].value);
    }
    for (const auto& [k, w] : s.map) {
      if (alive(w, wall_)) line += " m" + std::to_string(k) + "=" + std::to_string(w.value);
    }
    if (s.sum && alive(*s.sum, wall_)) {
      line += " s" + std::to_string(s.sum->value);
      s.sum->until = std::max(s.sum->until, plus(wall_, program::sum_ttl));
    }
    lines.push_back(line + " @" + std::to_string(time));
  }

  std::map<int, state> states_;
  std::set<std::pair<std::int64_t, int>> timers_, wall_timers_;
  std::int64_t passed_ = INT64_MIN;
  std::int64_t watermark_ = INT64_MIN;
  std::int64_t wall_ = 0;
  std::int64_t now_ = 0;
};

}  // namespace oracle
