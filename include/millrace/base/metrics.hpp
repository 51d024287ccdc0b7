// SPDX-License-Identifier: Apache-2.0
/// \file
/// Counters and gauges with one writer and any number of readers: a plain add for the worker that
/// owns them, no lock, no shared cache line, no read-modify-write instruction.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// False when compiled with MILLRACE_NO_METRICS (everywhere in a program, or nowhere): counters
/// stay zero, time and latency are not measured. For measuring what metrics cost.
#if defined(MILLRACE_NO_METRICS)
inline constexpr bool metrics_enabled = false;
#else
inline constexpr bool metrics_enabled = true;
#endif

/// A monotonic count. `add` from the owning thread only; `value` from any thread.
class counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    if constexpr (metrics_enabled) {
      value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
  }
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A value that goes up and down. `set` and `add` from the owning thread only.
class gauge {
 public:
  explicit gauge(std::int64_t initial = 0) noexcept : value_(initial) {}
  void set(std::int64_t v) noexcept { value_.store(v, std::memory_order_relaxed); }
  void add(std::int64_t n) noexcept { set(value() + n); }
  std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_;
};

/// The metrics of one part of a pipeline (operator, connector) on one worker. Registering and
/// reading lock; counting does not. References stay valid as long as the group.
class metric_group {
 public:
  struct reading {
    std::string name;
    std::int64_t value;
    bool monotonic;
  };

  /// The counter of that name, made on first use. O(number of metrics).
  millrace::counter& counter(std::string_view name) { return find(counters_, name); }
  millrace::gauge& gauge(std::string_view name) { return find(gauges_, name); }

  /// All values; from any thread.
  std::vector<reading> read() const {
    const std::lock_guard lock(mutex_);
    std::vector<reading> all;
    for (const auto& c : counters_) {
      all.push_back({c.name, static_cast<std::int64_t>(c.metric.value()), true});
    }
    for (const auto& g : gauges_) all.push_back({g.name, g.metric.value(), false});
    return all;
  }

 private:
  template <class M>
  struct named {
    explicit named(std::string_view n) : name(n) {}
    std::string name;
    M metric;
  };

  template <class M>
  M& find(std::deque<named<M>>& all, std::string_view name) {
    const std::lock_guard lock(mutex_);
    for (auto& entry : all) {
      if (entry.name == name) return entry.metric;
    }
    return all.emplace_back(name).metric;
  }

  mutable std::mutex mutex_;
  std::deque<named<millrace::counter>> counters_;
  std::deque<named<millrace::gauge>> gauges_;
};

}  // namespace millrace
