// SPDX-License-Identifier: Apache-2.0
/// \file
/// What windows must do, written down naively: all records in a list, every window recomputed from
/// scratch. Shares no code with the library but `window` and the number types. Quadratic.
#pragma once

#include <millrace/windows/window.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace oracle {

__extension__ typedef __int128 wide;

struct record {
  std::uint32_t slot;
  std::int64_t time;
  int value;
};

struct result {
  std::uint32_t slot;
  std::int64_t start;
  std::int64_t end;
  std::vector<int> values;  // sorted by piece of time, then by arrival
  bool operator==(const result&) const = default;
};

class windows {
 public:
  enum class outcome { accepted, refire, late, no_window };

  windows(std::int64_t size, std::int64_t slide, std::int64_t offset, std::int64_t lateness)
      : size_(size), slide_(slide), offset_(offset), lateness_(lateness) {}

  outcome add(record r, std::vector<result>& out) {
    const std::vector<wide> starts = starts_of(r.time);
    if (starts.empty()) return outcome::no_window;
    bool live = false;
    for (const wide s : starts) live |= lives(s);
    if (!live) return outcome::late;
    records_.push_back(r);
    outcome what = outcome::accepted;
    for (const wide s : starts) {
      if (!lives(s) || last_time(s) > watermark_) continue;
      what = outcome::refire;
      out.push_back(compute(s, r.slot));
    }
    return what;
  }

  void advance(std::int64_t watermark, std::vector<result>& out) {
    if (watermark <= watermark_) return;
    std::map<wide, std::set<std::uint32_t>> due;
    for (const record& r : records_) {
      for (const wide s : starts_of(r.time)) {
        if (last_time(s) > watermark_ && last_time(s) <= watermark) due[s].insert(r.slot);
      }
    }
    watermark_ = watermark;
    for (const auto& [s, slots] : due) {
      for (const std::uint32_t slot : slots) out.push_back(compute(s, slot));
    }
    // Records in no window that lives can never show again.
    std::erase_if(records_, [this](const record& r) {
      const std::vector<wide> starts = starts_of(r.time);
      return std::none_of(starts.begin(), starts.end(), [this](wide s) { return lives(s); });
    });
  }

  /// Slots that occur in a window that lives.
  std::set<std::uint32_t> slots() const {
    std::set<std::uint32_t> all;
    for (const record& r : records_) all.insert(r.slot);
    return all;
  }
  std::int64_t watermark() const { return watermark_; }

 private:
  static wide mod(wide a, wide b) { return (a % b + b) % b; }
  static std::int64_t cut(wide t) {
    return static_cast<std::int64_t>(std::clamp<wide>(t, INT64_MIN, INT64_MAX));
  }

  std::vector<wide> starts_of(std::int64_t time) const {
    std::vector<wide> starts;
    for (wide s = wide{time} - mod(wide{time} - offset_, slide_); s > wide{time} - size_;
         s -= slide_) {
      starts.insert(starts.begin(), s);
    }
    return starts;
  }
  // The watermark that fires a window; windows cut at the end of time wait for the very last.
  std::int64_t last_time(wide start) const {
    return start + size_ >= INT64_MAX ? INT64_MAX : cut(start + size_ - 1);
  }
  bool lives(wide start) const {
    const std::int64_t last = last_time(start);
    // The two ends of time stay what they are, whatever is added.
    const std::int64_t gone =
        last == INT64_MIN || last == INT64_MAX ? last : cut(wide{last} + lateness_);
    return gone > watermark_;
  }
  std::pair<wide, bool> piece(std::int64_t time) const {
    const wide rest = mod(wide{time} - offset_, slide_);
    return {wide{time} - rest, rest >= size_ % slide_ && size_ % slide_ != 0};
  }
  result compute(wide start, std::uint32_t slot) const {
    std::vector<std::pair<std::pair<wide, bool>, int>> found;
    for (const record& r : records_) {
      if (r.slot == slot && r.time >= start && r.time < start + size_) {
        found.emplace_back(piece(r.time), r.value);
      }
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    result out{slot, cut(start), cut(start + size_), {}};
    for (const auto& [p, value] : found) out.values.push_back(value);
    return out;
  }

  std::int64_t size_, slide_, offset_, lateness_;
  std::int64_t watermark_ = INT64_MIN;
  std::vector<record> records_;
};

}  // namespace oracle
