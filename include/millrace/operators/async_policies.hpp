// SPDX-License-Identifier: Apache-2.0
/// \file
/// Small parts of the async operator: what is known of a call, delays between attempts, the list
/// of deadlines, the failures counted in a stretch of time, and the order in which results leave.
/// Pure but for the time passed in; not thread safe.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/operators/async.hpp>
#include <millrace/operators/async_lanes.hpp>
#include <millrace/operators/call_trace.hpp>
#include <millrace/record/batch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

namespace millrace {

enum class call_phase : std::uint8_t { waiting, running, delayed, finished };

/// One record of the async operator, from its arrival until its result has left. Recycled.
template <class In, class R>
struct async_call {
  In value{};
  timestamp time{};
  slot_index slot = no_slot;
  std::uint32_t generation = 0;  // counts uses and ends: answers to older ones are ignored
  std::uint32_t attempt = 0;
  call_phase now = call_phase::finished;
  async_lane* lane = nullptr;
  std::uint64_t epoch = 0;  // number of its segment
  std::chrono::nanoseconds deadline{};
  std::chrono::nanoseconds started{};
  timer_id retry_timer = 0;
  std::function<void()> cancel;
  std::optional<R> result;
  call_trace trace;
};

/// Emits the result of a call, or its elements, under its trace; nothing when there is none.
template <bool Flatten, class Call, class Context>
void emit_result(Call& call, Context& c) {
  trace_handle trace = call.trace.take();
  if (!call.result) return;
  const bool traced = trace != nullptr;
  if (MILLRACE_UNLIKELY(traced)) c.out().flush();
  const trace_scope scope(c.owner().activity().tracer(), c.name(), std::move(trace));
  c.set_current(call.time, call.slot);
  if constexpr (Flatten) {
    for (auto&& one : *call.result) c.emit(std::move(one));
  } else {
    c.emit(std::move(*call.result));
  }
  if (MILLRACE_UNLIKELY(traced)) c.out().flush();
  call.result.reset();
}

/// How long to wait after so many attempts: exponential, drawn from the upper half.
inline std::chrono::nanoseconds retry_delay(const retry_options& retry, std::uint32_t attempts,
                                            std::uint64_t random_bits) {
  double delay = static_cast<double>(retry.first_delay.count());
  for (std::uint32_t k = 1; k < attempts; ++k) delay *= retry.multiplier;
  delay = std::min(delay, static_cast<double>(retry.longest_delay.count()));
  const double share = 0.5 + 0.5 * static_cast<double>(random_bits >> 11U) * 0x1p-53;
  return std::chrono::nanoseconds{static_cast<std::int64_t>(delay * share)};
}

/// More than so many failures within so long.
class failure_window {
 public:
  bool exceeded(std::chrono::nanoseconds now, const async_options& options) {
    times_.push_back(now);
    while (times_.front() < now - options.failures_within) times_.pop_front();
    return times_.size() > options.failures_allowed;
  }

 private:
  std::deque<std::chrono::nanoseconds> times_;
};

/// Deadlines of calls, all with the same timeout and therefore in order.
class call_deadlines {
 public:
  struct entry {
    std::chrono::nanoseconds at;
    std::uint32_t call;
    std::uint32_t generation;
  };

  /// `is_over(entry)` says which ones at the front can be forgotten.
  template <class F>
  void add(entry e, F&& is_over) {
    while (!entries_.empty() && is_over(entries_.front())) entries_.pop_front();
    entries_.push_back(e);
  }

  std::optional<std::chrono::nanoseconds> next() const {
    if (entries_.empty()) return std::nullopt;
    return entries_.front().at;
  }

  std::optional<entry> take_due(std::chrono::nanoseconds now) {
    if (entries_.empty() || entries_.front().at > now) return std::nullopt;
    const entry due = entries_.front();
    entries_.pop_front();
    return due;
  }

 private:
  std::deque<entry> entries_;
};

/// What an async operator emits: the result, or its elements.
template <class R, bool Flatten>
struct async_element {
  using type = R;
};
template <class R>
struct async_element<R, true> {
  using type = std::decay_t<decltype(*std::begin(std::declval<R&>()))>;
};

/// What stands in a dead letter for a value: `to_dead_letter(value)`, or nothing.
template <class T>
std::string dead_letter_payload(const T& value) {
  if constexpr (requires {
                  { to_dead_letter(value) } -> std::convertible_to<std::string>;
                }) {
    return to_dead_letter(value);
  } else {
    return {};
  }
}

/// Calls between two watermarks, in the order of their inputs, and the watermark behind them.
class call_segments {
 public:
  struct segment {
    std::deque<std::uint32_t> order;
    std::optional<timestamp> closing;
  };

  call_segments() : segments_(1) {}

  /// Number of the segment that new calls go to.
  std::uint64_t current() const noexcept { return first_ + segments_.size() - 1; }
  void add(std::uint32_t call) { segments_.back().order.push_back(call); }

  /// Whether a watermark could leave at once.
  bool empty() const noexcept { return segments_.size() == 1 && segments_.front().order.empty(); }

  /// Whether a result may leave past calls in flight: there is no order, and no watermark between.
  bool free_order(async_order order) const noexcept {
    return order != async_order::ordered && segments_.size() == 1;
  }

  /// Ends the current segment; a watermark with nothing before it takes the place of the last.
  void close(timestamp watermark) {
    if (segments_.back().order.empty() && segments_.size() > 1) {
      segments_[segments_.size() - 2].closing = watermark;
      return;
    }
    segments_.back().closing = watermark;
    segments_.emplace_back();
  }

  segment& front() noexcept { return segments_.front(); }
  void pop_front() {
    segments_.pop_front();
    ++first_;
  }

  /// Takes a call out of its segment, wherever it stands. O(calls in the segment)
  void remove(std::uint64_t segment_number, std::uint32_t call) {
    auto& order = segments_[segment_number - first_].order;
    order.erase(std::find(order.begin(), order.end(), call));
  }

  template <class F>
  void for_each(F&& visit) const {
    for (const auto& s : segments_) {
      for (const std::uint32_t call : s.order) visit(call);
    }
  }

 private:
  std::deque<segment> segments_;
  std::uint64_t first_ = 0;
};

}  // namespace millrace
