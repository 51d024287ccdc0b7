// SPDX-License-Identifier: Apache-2.0
/// \file
/// A value per key that may be absent and may expire; a value that others are folded into. Members
/// of the state of a process function. Not thread safe.
#pragma once

#include <millrace/state/serialize.hpp>
#include <millrace/state/ttl.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace millrace {

/// At most one value; `ctx` is the context of the process function. O(1).
template <class T, state_options Options = state_options{}>
class value_state {
 public:
  static constexpr state_options options = Options;

  /// The value, or nullptr when there is none, or not any more. Valid until the next write.
  template <class Context>
  const T* get(Context& ctx) {
    if (!value_) return nullptr;
    if constexpr (Options.expires()) {
      const timestamp now = ctx.clock_time(Options.clock);
      if (until_.passed(now)) return nullptr;
      if constexpr (Options.refresh == ttl_refresh::on_read) renew(now);
    }
    return &*value_;
  }
  template <class Context>
  T value_or(Context& ctx, T otherwise) {
    const T* present = get(ctx);
    return present == nullptr ? std::move(otherwise) : *present;
  }

  template <class Context>
  void set(Context& ctx, T value) {
    value_ = std::move(value);
    written(ctx);
  }

  /// Writes by `f(T&)`, called with the value, or a default-constructed one.
  template <class Context, class F>
  void update(Context& ctx, F&& f) {
    if (get(ctx) == nullptr) value_.emplace();
    f(*value_);
    written(ctx);
  }

  void clear() noexcept { value_.reset(); }
  bool empty() const noexcept { return !value_; }

  /// \see expiring_state
  timestamp expire(time_domain clock, timestamp now) {
    if (!value_ || !Options.expires() || clock != Options.clock) return max_timestamp;
    if (!until_.passed(now)) return until_.free_at(Options.ttl.ticks);
    value_.reset();
    return max_timestamp;
  }

  void save(snapshot_writer& to) const
    requires serializable<T>
  {
    serialize(to, value_);
    until_.save(to);
  }
  void restore(snapshot_reader& from)
    requires serializable<T>
  {
    deserialize(from, value_);
    until_.restore(from);
  }
  static std::string snapshot_description() { return "value_state<" + type_description<T>() + ">"; }

 private:
  template <class Context>
  void written(Context& ctx) {
    if constexpr (Options.expires()) {
      until_ = deadline(ctx.clock_time(Options.clock), Options.ttl.ticks);
      ctx.expire_at(Options.clock, until_.free_at(Options.ttl.ticks));
    }
  }
  void renew(timestamp now) {
    const deadline later(now, Options.ttl.ticks);
    if (later.end() > until_.end()) until_ = later;
  }

  std::optional<T> value_;
  deadline until_;
};

/// Values folded into one: `reducing_state<int, std::plus<>>`. The fold is `f(T, const T&) -> T`,
/// its type default-constructible. O(1).
template <class T, class Fold, state_options Options = state_options{}>
class reducing_state {
 public:
  static constexpr state_options options = Options;

  /// The first value is taken as it is, others are folded into what is there.
  template <class Context>
  void add(Context& ctx, const T& value) {
    const T* present = value_.get(ctx);
    value_.set(ctx, present == nullptr ? value : T(Fold{}(*present, value)));
  }

  template <class Context>
  const T* get(Context& ctx) {
    return value_.get(ctx);
  }

  void clear() noexcept { value_.clear(); }
  bool empty() const noexcept { return value_.empty(); }
  timestamp expire(time_domain clock, timestamp now) { return value_.expire(clock, now); }

  void save(snapshot_writer& to) const
    requires serializable<T>
  {
    value_.save(to);
  }
  void restore(snapshot_reader& from)
    requires serializable<T>
  {
    value_.restore(from);
  }
  static std::string snapshot_description() {
    return "reducing_state<" + type_description<T>() + ">";
  }

 private:
  value_state<T, Options> value_;
};

}  // namespace millrace
