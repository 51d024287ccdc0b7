// SPDX-License-Identifier: Apache-2.0
/// \file
/// Where a worker's time goes, and how long records take to get somewhere: two clock reads per
/// batch and part, nothing per record. Written by the worker, read by any thread.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/base/time.hpp>
#include <millrace/operators/tracer.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace millrace {

/// A cheap clock of unknown, constant rate: the time-stamp counter where there is one. For shares
/// of time only; whoever reads it calibrates it against `environment::monotonic`.
inline std::uint64_t cycle_ticks() noexcept {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  std::uint64_t ticks = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

/// Counts of latencies in powers of two of a microsecond: bucket `i` holds those below `2^i` us and
/// not below `2^(i-1)` us; the last one all that are longer (over nine minutes).
class latency_histogram {
 public:
  static constexpr std::size_t buckets = 30;

  void add(std::chrono::nanoseconds latency) noexcept {
    const auto ns = latency.count() < 0 ? std::uint64_t{0} : std::uint64_t(latency.count());
    const auto bucket = static_cast<std::size_t>(std::bit_width(ns / 1000));
    counts_[bucket < buckets ? bucket : buckets - 1].add();
    sum_.add(ns);
  }

  struct reading {
    std::array<std::uint64_t, buckets> counts{};
    std::uint64_t count = 0;
    std::chrono::nanoseconds sum{};

    /// Upper end of the bucket `i`; the last one has none.
    static constexpr std::chrono::nanoseconds upper(std::size_t i) noexcept {
      return std::chrono::microseconds{std::int64_t{1} << i};
    }

    /// The upper end of the bucket in which the quantile `q` in [0, 1] lies; zero without samples.
    std::chrono::nanoseconds quantile(double q) const noexcept {
      if (count == 0) return {};
      const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(count - 1));
      std::uint64_t seen = 0;
      for (std::size_t i = 0; i < buckets; ++i) {
        seen += counts[i];
        if (seen > rank) return upper(i);
      }
      return upper(buckets - 1);
    }

    reading& operator+=(const reading& other) noexcept {
      for (std::size_t i = 0; i < buckets; ++i) counts[i] += other.counts[i];
      count += other.count;
      sum += other.sum;
      return *this;
    }
  };

  /// From any thread; counts of one reading may be a moment apart.
  reading read() const noexcept {
    reading out;
    for (std::size_t i = 0; i < buckets; ++i) {
      out.counts[i] = counts_[i].value();
      out.count += out.counts[i];
    }
    out.sum = std::chrono::nanoseconds{static_cast<std::int64_t>(sum_.value())};
    return out;
  }

 private:
  std::array<counter, buckets> counts_;
  counter sum_;
};

/// A state that comes and goes, and for how long it has been there in all. One writer; any thread
/// may read, and no reading is ever less than one before it.
class stopwatch {
 public:
  void start(std::uint64_t now = cycle_ticks()) noexcept {
    const auto word = word_.load(std::memory_order_relaxed);
    if (word < open) word_.store((now - word) | open, std::memory_order_relaxed);
  }
  void stop(std::uint64_t now = cycle_ticks()) noexcept {
    const auto word = word_.load(std::memory_order_relaxed);
    if (word >= open) word_.store((now - word) & ~open, std::memory_order_relaxed);
  }
  bool running() const noexcept { return word_.load(std::memory_order_relaxed) >= open; }

  /// Up to now. The rate of the clock may be known better from one call to the next.
  std::chrono::nanoseconds total(double ns_per_tick) const noexcept {
    const auto word = word_.load(std::memory_order_relaxed);
    auto ticks = word < open ? word : (cycle_ticks() - word) & ~open;
    if (ticks >= open / 2) ticks = 0;  // another processor's counter, a little behind
    const auto all = static_cast<std::int64_t>(static_cast<double>(ticks) * ns_per_tick);
    auto told = told_.load(std::memory_order_relaxed);
    while (told < all && !told_.compare_exchange_weak(told, all, std::memory_order_relaxed)) {
    }
    return std::chrono::nanoseconds{told < all ? all : told};
  }

 private:
  static constexpr std::uint64_t open = std::uint64_t{1} << 63U;

  // Stopped: the total. Running: the top bit, and the time at which a total of zero would have
  // begun to run. So one load gives both, and no stretch is counted twice or left out.
  std::atomic<std::uint64_t> word_{0};
  mutable std::atomic<std::int64_t> told_{0};  // the greatest total that was read
};

class activity_clock;

/// The time and latency account of one part.
struct activity {
  stopwatch busy;             ///< in this part itself, without what it called
  latency_histogram latency;  ///< from source to here, sampled
  activity_clock* clock = nullptr;
  std::string_view name;

  /// Null unless the pipeline is traced.
  millrace::tracer* tracer() const noexcept;
};

/// One per worker: charges time to the part at work.
class activity_clock {
 public:
  using now_function = std::chrono::nanoseconds (*)(const void* environment);

  activity_clock(const void* environment, now_function now) noexcept
      : environment_(environment), monotonic_(now) {}

  /// The part at work from now on; null: none of them. Returns the one until now.
  activity* enter(activity* next) noexcept {
    const std::uint64_t now = cycle_ticks();
    if (current_ != nullptr) current_->busy.stop(now);
    if (next != nullptr) next->busy.start(now);
    return std::exchange(current_, next);
  }

  std::chrono::nanoseconds monotonic() const { return monotonic_(environment_); }

  /// Set before the worker starts.
  void set_tracer(millrace::tracer* t) noexcept { tracer_ = t; }
  millrace::tracer* tracer() const noexcept { return tracer_; }

 private:
  activity* current_ = nullptr;
  const void* environment_;
  now_function monotonic_;
  millrace::tracer* tracer_ = nullptr;
};

inline tracer* activity::tracer() const noexcept {
  return clock != nullptr ? clock->tracer() : nullptr;
}

/// A marker that left its source at that monotonic time (ns) has come to this part.
inline void note_latency(activity* who, std::uint64_t left) {
  if (!metrics_enabled || who == nullptr || who->clock == nullptr) return;
  const auto since = std::chrono::nanoseconds{static_cast<std::int64_t>(left)};
  who->latency.add(who->clock->monotonic() - since);
}

/// Charges the time of a scope to a part that is handed so many records (0: a control element, or
/// none); without an account it does nothing.
class activity_scope {
 public:
  explicit activity_scope(activity* who, std::size_t records = 0)
      : clock_(metrics_enabled && who != nullptr ? who->clock : nullptr) {
    if (clock_ == nullptr) return;
    before_ = clock_->enter(who);
    if (auto* t = clock_->tracer(); MILLRACE_UNLIKELY(t != nullptr)) t->begin(who->name, records);
  }
  activity_scope(const activity_scope&) = delete;
  activity_scope& operator=(const activity_scope&) = delete;
  ~activity_scope() {
    if (clock_ == nullptr) return;
    clock_->enter(before_);
    if (auto* t = clock_->tracer(); MILLRACE_UNLIKELY(t != nullptr)) t->end();
  }

 private:
  activity_clock* clock_;
  activity* before_ = nullptr;
};

}  // namespace millrace
