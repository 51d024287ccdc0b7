// SPDX-License-Identifier: Apache-2.0
/// \file
/// Watermarks over streams that are put together from parts, each in its own order: partitions of a
/// source, or devices. The stream's watermark is the least one of those that count. Not thread safe
/// but for `explain`.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/operators/watermark_generator.hpp>
#include <millrace/operators/watermark_minimum.hpp>

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace millrace {

/// Keeps a copy of the part that holds the watermark, for other threads. A copy starts empty.
template <class P>
class published_part {
 public:
  published_part() = default;
  published_part(const published_part&) noexcept {}
  published_part& operator=(const published_part&) = delete;
  ~published_part() = default;

  /// Locks only when the part is another one than before.
  void set(const P* part) {
    if (part == nullptr ? !mine_ : mine_ && *mine_ == *part) return;
    mine_ = part == nullptr ? std::nullopt : std::optional<P>(*part);
    const std::lock_guard lock(mutex_);
    shared_ = mine_;
  }

  std::string text() const {
    const std::lock_guard lock(mutex_);
    if (!shared_) return {};
    if constexpr (std::is_convertible_v<const P&, std::string>) {
      return *shared_;
    } else if constexpr (std::is_arithmetic_v<P>) {
      return std::to_string(*shared_);
    } else if constexpr (requires { to_string(*shared_); }) {
      return to_string(*shared_);
    } else {
      return "a part without a text form";
    }
  }

 private:
  std::optional<P> mine_;
  mutable std::mutex mutex_;
  std::optional<P> shared_;
};

/// The generator behind `per_partition` and `per_key`.
template <class P, class F>
class partition_generator {
 public:
  static constexpr bool judges_silence = true;

  partition_generator(F part_of, partition_options options, when_silent mode)
      : part_of_(std::move(part_of)), options_(options), parts_(options, mode) {}

  void open(std::chrono::nanoseconds now, metric_group& metrics) {
    parts_.start(now);
    ignored_ = &metrics.counter("partitions_ignored");
  }

  template <class T>
  void on_record(const T& value, timestamp time, watermark_output& out) {
    const auto now = out.monotonic() - out.held_up();
    decltype(auto) part = std::invoke(part_of_, value);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(part)>, P>) {
      parts_.record(part, time, now);
    } else {
      scratch_ = part;
      parts_.record(scratch_, time, now);
    }
  }

  void on_periodic(watermark_output& out) {
    parts_.settle(out.monotonic() - out.held_up());
    if (parts_.watermark() > out.last()) out.emit(parts_.watermark());
    if (parts_.idle()) out.mark_idle();
    if (parts_.ignored() > ignored_->value()) ignored_->add(parts_.ignored() - ignored_->value());
    holder_.set(parts_.holder());
  }

  void explain(stall_cause& cause) const {
    cause.partition = holder_.text();
    cause.idle_after = options_.idle_after;
    if (cause.watermark == min_timestamp) return;
    cause.next_time = saturating_add(saturating_add(cause.watermark, options_.bound), one_tick);
  }

 private:
  F part_of_;
  partition_options options_;
  partition_watermarks<P> parts_;
  published_part<P> holder_;
  P scratch_{};
  counter* ignored_ = nullptr;
};

/// The type a part is kept as: text is copied.
template <class F, class T>
struct part_key {
  using result = std::remove_cvref_t<std::invoke_result_t<F&, const T&>>;
  using type =
      std::conditional_t<std::is_convertible_v<result, std::string_view>, std::string, result>;
};

/// One watermark per part of the stream, `part_of(const T&)` names it: a partition of the source, a
/// file, a connection. The stream's watermark is the least one of the active parts
/// (`max_seen - bound - 1 tick` each); a part that is silent for `idle_after` leaves, and counts
/// again when it has reached what was last handed on. When all are silent the furthest decides, and
/// the stream is idle (Flink: watermarks per split).
template <class F>
class per_partition {
 public:
  explicit per_partition(F part_of, partition_options options = {})
      : part_of_(std::move(part_of)), options_(options) {}

  template <class T>
  auto generator() const {
    using part = typename part_key<F, T>::type;
    return partition_generator<part, F>(part_of_, options_, when_silent::leave);
  }

 private:
  F part_of_;
  partition_options options_;
};

/// One watermark per key (a device with a clock of its own). Like `per_partition`, but when all
/// keys are silent time moves on with the clock, from the furthest of them, so that what came last
/// is not kept waiting for ever. A key counts again with its first record that is not late.
template <class F>
class per_key {
 public:
  /// \throws topology_error unless `options.idle_after > 0`
  explicit per_key(F key_of, partition_options options)
      : key_of_(std::move(key_of)), options_(options) {
    if (options.idle_after <= duration::zero()) {
      throw topology_error(
          "per_key(f, options): idle_after must be positive, or a key that has "
          "gone for good would hold back all others");
    }
  }

  template <class T>
  auto generator() const {
    using key = typename part_key<F, T>::type;
    return partition_generator<key, F>(key_of_, options_, when_silent::advance);
  }

 private:
  F key_of_;
  partition_options options_;
};

}  // namespace millrace
