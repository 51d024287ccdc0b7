// SPDX-License-Identifier: Apache-2.0
/// \file
/// Events that floors and library programs work on, and what their results come to. Nothing here or
/// in the other floors uses the library. Pure functions.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace floors {

/// Records are taken in runs of this many; time is looked at once per run, by floors and library
/// alike.
inline constexpr std::size_t run_length = 512;

inline constexpr std::int64_t second = 1'000'000;  ///< in microseconds, the unit of all times

struct event {
  std::uint64_t key;
  double value;
  std::int64_t time;
};

/// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }
  std::uint64_t below(std::uint64_t limit) noexcept { return next() % limit; }

 private:
  std::uint64_t state_;
};

/// A block of events to be replayed: pass `r` adds `r * span()` to the times.
struct event_block {
  std::vector<event> events;
  std::int64_t between = 0;  ///< microseconds from one event to the next

  std::int64_t span() const noexcept { return between * static_cast<std::int64_t>(events.size()); }
};

struct block_options {
  std::size_t events = 1 << 16;
  std::uint64_t keys = 10'000;
  std::uint64_t per_second = 100'000;   ///< events per second of event time
  std::uint64_t late_per_thousand = 0;  ///< of them, so many are late
  std::int64_t latest = 2 * second;     ///< by at most this
  std::uint64_t seed = 1;
};

/// Values are whole multiples of 1/4 below 1,024, so that sums are exact in any order.
inline event_block make_events(const block_options& o) {
  random_numbers random(o.seed);
  event_block block;
  block.between = second / static_cast<std::int64_t>(o.per_second);
  const std::int64_t start = 1'700'000'000 * second;
  std::int64_t time = start;
  for (std::size_t i = 0; i < o.events; ++i, time += block.between) {
    event e{random.below(o.keys) * 7919 + 13, static_cast<double>(random.below(4096)) / 4, time};
    if (random.below(1000) < o.late_per_thousand) {
      e.time -= static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(o.latest)));
      e.time = std::max(e.time, start);
    }
    block.events.push_back(e);
  }
  return block;
}

/// What results come to, whatever their order.
struct digest {
  std::uint64_t sum = 0;
  std::uint64_t count = 0;

  void add(std::uint64_t a, std::uint64_t b) noexcept {
    sum += (a * 0x9e3779b97f4a7c15ULL) ^ (b * 0xd1b54a32d192ed03ULL);
    ++count;
  }
  void add(std::uint64_t key, std::int64_t time, double x, double y, double z) noexcept {
    add(key ^ static_cast<std::uint64_t>(time), std::bit_cast<std::uint64_t>(x) +
                                                    3 * std::bit_cast<std::uint64_t>(y) +
                                                    7 * std::bit_cast<std::uint64_t>(z));
  }
  bool operator==(const digest&) const = default;
};

}  // namespace floors
