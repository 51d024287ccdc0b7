// SPDX-License-Identifier: Apache-2.0
/// \file
/// What an event_time step gives, by the rules of docs/semantics.md: everything is worked out anew
/// from all that has come. Time is in ticks (microseconds), for clocks, too.
#pragma once

#include "oracle/random_stream.hpp"
#include "oracle/watermarks_harness.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <vector>

namespace oracle {

inline constexpr std::int64_t beginning = std::numeric_limits<std::int64_t>::min();
inline constexpr std::int64_t end_of_time = std::numeric_limits<std::int64_t>::max();

/// The ends of time stay what they are.
inline std::int64_t shifted(std::int64_t t, std::int64_t by) {
  return t == beginning || t == end_of_time ? t : plus(t, by);
}
inline std::int64_t lagged(std::int64_t t, std::int64_t bound) {
  return shifted(shifted(t, -bound), -1);
}

enum class strategy { bounded, punctuated, generated, per_partition, per_key };

struct time_case {
  strategy how = strategy::bounded;
  std::int64_t bound = 0;
  std::int64_t idle_after = 0;
  std::int64_t period = 40;
  std::optional<std::int64_t> most_ahead;
  std::size_t expected = 0;
};

/// The mark that the tests' punctuated strategy finds in a record.
inline std::optional<std::int64_t> mark_of(const event& e) {
  if (e.value % 5 != 0) return std::nullopt;
  return shifted(e.time, -e.value);
}

class time_oracle {
 public:
  explicit time_oracle(const time_case& given) : given_(given) {
    if (periodic()) tick_ = given.period;
    if (given.idle_after > 0 && !parted()) {
      tick_ = tick_ == 0 ? given.idle_after / 4 : std::min(tick_, given.idle_after / 4);
    }
  }

  void push(const std::vector<event>& events, std::int64_t wall) {
    std::vector<event> good;
    for (const auto& e : events) {
      if (given_.most_ahead && e.time > shifted(wall, *given_.most_ahead)) {
        log_.push_back({seen::quarantined, e.time, -1});
      } else {
        good.push_back(e);
      }
    }
    if (good.empty()) return;
    look();
    wake();
    for (const auto& e : good) {
      all_.push_back(e);
      log_.push_back({seen::record, e.time, e.id});
      see(e);
    }
    // Of two that stand behind the same record the greater one is enough.
    const bool behind_last = log_.back().kind == seen::watermark;
    const auto before = log_.size();
    ask();
    if (behind_last && log_.size() > before && log_[before].kind == seen::watermark) {
      log_.erase(log_.begin() + static_cast<std::ptrdiff_t>(before) - 1);
    }
    last_record_ = now_;
  }

  void advance(std::int64_t d) {
    for (const std::int64_t until = now_ + d; now_ < until;) {
      ++now_;
      if (tick_ != 0 && now_ % tick_ == 0) tick();
    }
  }

  void block(bool blocked) { blocked_ = blocked; }

  void end() {
    say(end_of_time);
    log_.push_back({seen::end, 0, -1});
  }

  const std::vector<seen>& log() const { return log_; }

 private:
  struct part {
    std::int64_t greatest = beginning;
    std::int64_t floor = beginning;
    std::int64_t last = 0;
    bool counts = false;
  };

  bool periodic() const {
    return given_.how != strategy::bounded && given_.how != strategy::punctuated;
  }
  bool parted() const {
    return given_.how == strategy::per_partition || given_.how == strategy::per_key;
  }

  void wake() {
    if (idle_) log_.push_back({seen::active, 0, -1});
    idle_ = false;
  }
  void sleep() {
    if (!idle_) log_.push_back({seen::idle, 0, -1});
    idle_ = true;
  }
  void say(std::int64_t watermark) {
    if (watermark <= watermark_) return;
    watermark_ = watermark;
    log_.push_back({seen::watermark, watermark, -1});
  }

  // Time in which the output was blocked does not count as silence.
  void look() {
    if (blocked_) held_up_ += now_ - looked_;
    looked_ = now_;
  }

  void tick() {
    look();
    if (periodic() && now_ - asked_ >= given_.period) {
      const auto before = watermark_;
      const auto place = log_.size();
      ask();
      // A watermark wakes the stream.
      if (watermark_ > before && idle_before_) {
        log_.insert(log_.begin() + static_cast<std::ptrdiff_t>(place), {seen::active, 0, -1});
        if (idle_) log_.push_back({seen::idle, 0, -1});
      }
    }
    if (blocked_) last_record_ = now_;
    if (!parted() && given_.idle_after > 0 && now_ - last_record_ >= given_.idle_after) sleep();
  }

  void see(const event& e) {
    if (given_.how == strategy::punctuated) {
      if (const auto mark = mark_of(e)) say(*mark);
    } else if (given_.how == strategy::generated) {
      if (e.value % 7 == 0) say(e.time);
    } else if (parted()) {
      see_part(e);
    }
  }

  void ask() {
    asked_ = now_;
    idle_before_ = idle_;
    if (given_.how == strategy::bounded || given_.how == strategy::generated) {
      std::int64_t greatest = beginning;
      for (const auto& e : all_) greatest = std::max(greatest, e.time);
      say(lagged(greatest, given_.bound));
    } else if (parted()) {
      settle();
    }
  }

  std::int64_t clock() const { return looked_ - held_up_; }
  bool silent(const part& p) const {
    return given_.idle_after > 0 && clock() - p.last >= given_.idle_after;
  }
  std::int64_t base(const part& p) const {
    return std::max(lagged(p.greatest, given_.bound), p.floor);
  }
  void see_part(const event& e) {
    auto& p = parts_[e.key];
    const bool back = !p.counts || silent(p);
    p.greatest = std::max(p.greatest, e.time);
    p.last = last_any_ = clock();
    before_silence_ = settled_;
    if (back) {
      const bool caught_up = lagged(p.greatest, given_.bound) >= settled_;
      p.counts = caught_up || (given_.how == strategy::per_key && p.greatest > settled_);
      if (given_.how == strategy::per_key) p.floor = settled_;
    }
    if (!p.counts) return;
    furthest_ = std::max(furthest_.value_or(beginning), base(p));
  }

  std::optional<std::int64_t> least() const {
    std::optional<std::int64_t> least;
    for (const auto& [key, p] : parts_) {
      if (p.counts && (!least || base(p) < *least)) least = base(p);
    }
    return least;
  }

  void settle() {
    for (auto& [key, p] : parts_) {
      if (silent(p)) p.counts = false;
    }
    const bool quiet = given_.idle_after > 0 && clock() - last_any_ >= given_.idle_after;
    const auto minimum = least();
    complete_ = complete_ || parts_.size() >= given_.expected ||
                (given_.idle_after > 0 && clock() >= given_.idle_after);
    if (complete_) {
      if (minimum) {
        settled_ = std::max(settled_, *minimum);
      } else if (quiet && furthest_) {
        auto next = *furthest_;
        if (given_.how == strategy::per_key) {
          next = shifted(std::max(next, before_silence_), clock() - last_any_ - given_.idle_after);
        }
        settled_ = std::max(settled_, next);
      }
      say(settled_);
    }
    if (quiet && (given_.how == strategy::per_partition || !furthest_)) sleep();
  }

  time_case given_;
  std::int64_t tick_ = 0;
  std::int64_t now_ = 0;
  std::int64_t looked_ = 0;
  std::int64_t held_up_ = 0;
  std::int64_t asked_ = 0;
  std::int64_t last_record_ = 0;
  std::int64_t last_any_ = 0;
  std::int64_t watermark_ = beginning;
  std::int64_t settled_ = beginning;
  bool blocked_ = false;
  bool idle_ = false;
  bool idle_before_ = false;
  bool complete_ = false;
  std::vector<event> all_;
  std::map<int, part> parts_;
  std::optional<std::int64_t> furthest_;
  std::int64_t before_silence_ = beginning;
  std::vector<seen> log_;
};

}  // namespace oracle
