// SPDX-License-Identifier: Apache-2.0
/// \file
/// Time to live of per-key state, and its bounds. Plain values.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/state/snapshot.hpp>

#include <boost/describe/members.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace millrace {

/// What renews the time to live.
enum class ttl_refresh : std::uint8_t {
  on_write,
  on_read,  ///< writing and reading
};

/// A duration that may be part of a type.
struct type_duration {
  std::int64_t ticks = 0;

  constexpr type_duration() = default;
  template <class Rep, class Period>
  constexpr type_duration(std::chrono::duration<Rep, Period> d)
      : ticks(std::chrono::duration_cast<duration>(d).count()) {}
};

/// How `value_state`, `list_state`, `map_state` and `reducing_state` behave; part of their type, so
/// that it takes no memory: `map_state<int, double, state_options{.ttl = 10min}>`.
///
/// A value that is written at time `t` can be seen while the clock is before `t + ttl`, never
/// later. The event-time clock is the time of the current record (or, if that is later, the
/// watermark), in a timer the time of the timer. The memory is free at the latest an eighth of
/// `ttl` later, also for keys that have gone quiet.
struct state_options {
  std::size_t limit = 65536;  ///< most entries of a list or map, per key
  type_duration ttl{};        ///< 0: for ever
  time_domain clock = time_domain::event_time;
  ttl_refresh refresh = ttl_refresh::on_write;

  constexpr bool expires() const noexcept { return ttl.ticks > 0; }
};

/// The end of a time to live. What reaches `max_timestamp` never ends.
class deadline {
 public:
  deadline() = default;
  constexpr deadline(timestamp written, std::int64_t ttl) noexcept
      : end_(duration{saturating_add(written.time_since_epoch().count(), ttl)}) {}

  constexpr bool passed(timestamp now) const noexcept { return end_ <= now && !never(); }
  constexpr bool never() const noexcept { return end_ == max_timestamp; }
  constexpr timestamp end() const noexcept { return end_; }

  /// When memory is to be freed: later by an eighth of `ttl`, so that values that expire one after
  /// the other are freed together.
  constexpr timestamp free_at(std::int64_t ttl) const noexcept {
    if (never()) return max_timestamp;
    return timestamp{duration{saturating_add(end_.time_since_epoch().count(), ttl / 8)}};
  }

  void save(snapshot_writer& to) const { to.number(end_.time_since_epoch().count()); }
  void restore(snapshot_reader& from) { end_ = timestamp{duration{from.number<std::int64_t>()}}; }

 private:
  timestamp end_ = max_timestamp;
};

/// State that lets go of what has expired. `expire(clock, now)` frees what has expired by that
/// clock, and returns when it wants to be called again (`max_timestamp`: not at all); `empty()`
/// says that it holds nothing at all, and may be forgotten.
template <class S>
concept expiring_state = requires(S& s, time_domain clock, timestamp now) {
  { s.expire(clock, now) } -> std::same_as<timestamp>;
  { s.empty() } -> std::convertible_to<bool>;
};

namespace detail {

template <class S>
struct expiring_members {
  template <template <class...> class List, class... D>
  static constexpr int count(List<D...>) {
    return (0 + ... +
            int{expiring_state<std::remove_cvref_t<decltype(std::declval<S&>().*D::pointer)>>});
  }
  template <template <class...> class List, class... D>
  static constexpr int all(List<D...>) {
    return static_cast<int>(sizeof...(D));
  }
  template <template <class...> class List, class... D, class F>
  static void for_each(S& s, F&& f, List<D...>) {
    const auto one = [&f](auto& member) {
      if constexpr (expiring_state<std::remove_cvref_t<decltype(member)>>) f(member);
    };
    (one(s.*D::pointer), ...);
  }
};

template <class S>
using state_members = boost::describe::describe_members<S, boost::describe::mod_any_access |
                                                               boost::describe::mod_inherited>;

template <class S>
constexpr int count_expiring() {
  if constexpr (expiring_state<S>) {
    return 1;
  } else if constexpr (std::is_class_v<S> && boost::describe::has_describe_members<S>::value) {
    return expiring_members<S>::count(state_members<S>{});
  } else {
    return 0;
  }
}

}  // namespace detail

/// Whether a state, or a member of a described struct, is an `expiring_state`.
template <class S>
inline constexpr bool has_expiring_state = detail::count_expiring<S>() > 0;

/// Calls `expire` of a state, or of the members of a described struct; returns the earliest time.
template <class S>
timestamp expire_state(S& state, time_domain clock, timestamp now) {
  if constexpr (expiring_state<S>) {
    return state.expire(clock, now);
  } else {
    timestamp next = max_timestamp;
    detail::expiring_members<S>::for_each(
        state, [&](auto& member) { next = std::min(next, member.expire(clock, now)); },
        detail::state_members<S>{});
    return next;
  }
}

/// Whether nothing is left that is worth keeping. A struct with other members than expiring ones
/// always is.
template <class S>
bool state_is_empty(S& state) {
  if constexpr (expiring_state<S>) {
    return state.empty();
  } else if constexpr (detail::count_expiring<S>() <
                       detail::expiring_members<S>::all(detail::state_members<S>{})) {
    return false;
  } else {
    bool empty = true;
    detail::expiring_members<S>::for_each(
        state, [&](auto& member) { empty = empty && member.empty(); }, detail::state_members<S>{});
    return empty;
  }
}

}  // namespace millrace
