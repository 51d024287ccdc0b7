// SPDX-License-Identifier: Apache-2.0
/// \file
/// A token bucket per key. Functions and state for `process_operator`. Not thread safe.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/record/key.hpp>
#include <millrace/state/ttl.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

namespace millrace {

/// On average at most `records` records `per` time and key, and `burst` of them at once.
struct rate_limit_options {
  std::uint32_t records = 1;
  duration per = std::chrono::seconds(1);
  std::uint32_t burst = 0;  ///< 0: as many as `records`
  time_domain clock = time_domain::event_time;

  std::uint32_t capacity() const noexcept { return burst == 0 ? records : burst; }

  /// \throws topology_error
  void validate(const std::string& name) const {
    constexpr duration longest = std::chrono::hours(24 * 366);
    if (records == 0 || per <= duration::zero() || per > longest) {
      throw topology_error(name +
                           ": rate_limit needs at least one record per time, and a time of " +
                           "at most a year");
    }
    if (static_cast<std::int64_t>(capacity()) > (std::int64_t{1} << 62) / per.count()) {
      throw topology_error(name + ": rate_limit: burst times per is too large");
    }
  }
};

/// Exact: in units of which a record costs `per` (in ticks), and each tick brings `records`.
class token_bucket {
 public:
  /// Takes a token, if there is one. Time that goes back brings nothing. O(1)
  template <class Context>
  bool take(const rate_limit_options& options, Context& ctx) {
    const timestamp now = ctx.clock_time(options.clock);
    const std::int64_t cost = options.per.count();
    const std::int64_t full = cost * options.capacity();
    if (!used_) {
      used_ = true;
      clock_ = options.clock;
      credit_ = full;
      last_ = now;
    } else if (now > last_) {
      const auto elapsed = static_cast<std::uint64_t>(now.time_since_epoch().count()) -
                           static_cast<std::uint64_t>(last_.time_since_epoch().count());
      const auto earned = static_cast<detail::uint128>(elapsed) * options.records;
      const std::int64_t missing = full - credit_;
      credit_ = earned >= static_cast<detail::uint128>(missing)
                    ? full
                    : credit_ + static_cast<std::int64_t>(earned);
      last_ = now;
    }
    const bool granted = credit_ >= cost;
    if (granted) credit_ -= cost;
    // A bucket that is full again need not be remembered.
    const std::int64_t wait = (full - credit_ + options.records - 1) / options.records;
    full_at_ = deadline(last_, wait);
    ctx.expire_at(clock_, full_at_.free_at(0));
    return granted;
  }

  bool empty() const noexcept { return !used_; }

  /// \see expiring_state
  timestamp expire(time_domain clock, timestamp now) noexcept {
    if (!used_ || clock != clock_) return max_timestamp;
    if (!full_at_.passed(now)) return full_at_.free_at(0);
    used_ = false;
    return max_timestamp;
  }

 private:
  bool used_ = false;
  time_domain clock_ = time_domain::event_time;
  std::int64_t credit_ = 0;
  timestamp last_{};
  deadline full_at_;

  BOOST_DESCRIBE_CLASS(token_bucket, (), (), (), (used_, clock_, credit_, last_, full_at_))
};

/// Emits what the bucket has a token for; the rest is counted as filtered, and goes to the side
/// output.
template <class T>
struct rate_limit_function {
  rate_limit_options options;
  side_output<T> excess;

  template <class Context>
  void operator()(const T& value, token_bucket& bucket, Context& ctx) const {
    if (bucket.take(options, ctx)) return ctx.emit(value);
    ctx.counters().filtered.add();
    ctx.emit_to(excess, value);
  }
};

}  // namespace millrace
