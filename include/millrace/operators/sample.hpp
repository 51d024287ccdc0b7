// SPDX-License-Identifier: Apache-2.0
/// \file
/// Lets some of the records of each key pass: every nth, or a random share. Functions and state for
/// `process_operator`. Not thread safe.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/record/key.hpp>
#include <millrace/state/ttl.hpp>

#include <boost/describe/class.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>

namespace millrace {

/// The first record of each key, then every `n`th.
struct every_nth {
  std::uint64_t n = 1;

  /// \throws topology_error
  void validate(const std::string& name) const {
    if (n == 0) throw topology_error(name + ": sample needs every_nth of at least 1");
  }
  bool picks(std::uint64_t number, std::uint64_t) const noexcept { return number % n == 0; }
};

/// Each record with the probability `share`, drawn from the seed, the key and the record's number:
/// the same in every replay, whatever the parallelism.
struct random_share {
  double share = 1;
  std::uint64_t seed = 1;

  /// \throws topology_error
  void validate(const std::string& name) const {
    if (!(share >= 0 && share <= 1)) {
      throw topology_error(name + ": sample needs a random_share of 0 to 1");
    }
  }
  bool picks(std::uint64_t number, std::uint64_t key) const noexcept {
    const std::uint64_t drawn =
        detail::mix64(detail::mix64(number ^ seed, detail::hash_step) ^ key, detail::hash_seed);
    return std::ldexp(static_cast<double>(drawn >> 11U), -53) < share;
  }
};

/// Records of one key seen so far; forgotten when there has been none for `forget_after`.
class sample_counter {
 public:
  template <class Context>
  std::uint64_t next(duration forget_after, time_domain clock, Context& ctx) {
    const timestamp now = ctx.clock_time(clock);
    if (until_.passed(now)) count_ = 0;
    clock_ = clock;
    forget_after_ = forget_after.count();
    until_ = deadline(now, forget_after_);
    ctx.expire_at(clock, until_.free_at(forget_after_));
    return count_++;
  }

  bool empty() const noexcept { return count_ == 0; }

  /// \see expiring_state
  timestamp expire(time_domain clock, timestamp now) noexcept {
    if (empty() || clock != clock_) return max_timestamp;
    if (!until_.passed(now)) return until_.free_at(forget_after_);
    count_ = 0;
    return max_timestamp;
  }

 private:
  std::uint64_t count_ = 0;
  std::int64_t forget_after_ = 0;
  time_domain clock_ = time_domain::event_time;
  deadline until_;

  BOOST_DESCRIBE_CLASS(sample_counter, (), (), (), (count_, forget_after_, clock_, until_))
};

/// After how long without a record of a key its count starts again.
struct sample_options {
  duration forget_after = std::chrono::hours(1);
  time_domain clock = time_domain::event_time;
};

/// Emits what the rule picks; the rest is counted as filtered.
template <class T, class Rule>
struct sample_function {
  Rule rule;
  sample_options options;

  template <class Context>
  void operator()(const T& value, sample_counter& counter, Context& ctx) const {
    const std::uint64_t number = counter.next(options.forget_after, options.clock, ctx);
    if (rule.picks(number, ctx.key_hash())) return ctx.emit(value);
    ctx.counters().filtered.add();
  }
};

}  // namespace millrace
