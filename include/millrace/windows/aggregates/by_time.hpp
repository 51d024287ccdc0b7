// SPDX-License-Identifier: Apache-2.0
/// \file
/// What depends on event times: the earliest and the latest record, and a mean in which old records
/// count less. Pure values.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/windows/projection.hpp>

#include <boost/describe/class.hpp>

#include <cmath>
#include <functional>
#include <optional>
#include <utility>

namespace millrace {

/// As time projection: the event time that the pipeline has given to the record. Other projections
/// read a `timestamp` from the record.
struct record_time {};

namespace detail {

template <class Time>
inline constexpr bool takes_record_time = std::is_same_v<Time, record_time>;

/// A value and its time.
template <class T>
struct dated {
  timestamp time{};
  T value{};

  BOOST_DESCRIBE_CLASS(dated, (), (time, value), (), ())
};

enum class time_side { earliest, latest };

}  // namespace detail

/// \see earliest, latest
template <class T, class Projection, class Time, detail::time_side Side>
class by_time {
 public:
  using state = std::optional<detail::dated<T>>;
  static constexpr bool needs_event_time = detail::takes_record_time<Time>;

  by_time(Projection projection, Time time) : projection_(projection), time_(time) {}

  template <class In>
    requires needs_event_time
  void add(state& s, const In& in, timestamp time) const {
    if (better(s, time)) s = detail::dated<T>{time, static_cast<T>(project(projection_, in))};
  }
  template <class In>
    requires(!needs_event_time)
  void add(state& s, const In& in) const {
    const timestamp time = project(time_, in);
    if (better(s, time)) s = detail::dated<T>{time, static_cast<T>(project(projection_, in))};
  }
  void merge(state& s, const state& later) const {
    if (later && better(s, later->time)) s = later;
  }
  T result(const state& s) const { return s ? s->value : T{}; }

 private:
  static bool better(const state& s, timestamp time) noexcept {
    if (!s) return true;
    return Side == detail::time_side::earliest ? time < s->time : time >= s->time;
  }

  [[no_unique_address]] Projection projection_;
  [[no_unique_address]] Time time_;
};

/// A part of the record with the smallest event time; of equal times the first to come:
/// `earliest(&reading::bikes)`, or `earliest(&reading::bikes, &reading::at)`.
template <class Projection, class Time = record_time>
auto earliest(Projection projection, Time time = {}) {
  using value = projected_t<Projection>;
  constexpr auto side = detail::time_side::earliest;
  return by_time<value, Projection, Time, side>(projection, time);
}

/// The greatest event time; of equal times the last to come.
template <class Projection, class Time = record_time>
auto latest(Projection projection, Time time = {}) {
  using value = projected_t<Projection>;
  constexpr auto side = detail::time_side::latest;
  return by_time<value, Projection, Time, side>(projection, time);
}

/// Mean with weights that halve every `half_life` before the newest record.
struct exponential_mean_state {
  timestamp newest{};
  double weight = 0;  ///< sum of the weights, relative to `newest`; 0: empty
  double mean = 0;

  /// `part` records' worth of weight at time `t`, with mean `x`. The value's scale cancels out of
  /// the mean, so that the order of times does not matter.
  void add(double x, double part, timestamp t, double half_life) noexcept {
    if (weight == 0) {
      *this = {t, part, x};
      return;
    }
    const double ticks = static_cast<double>(t.time_since_epoch().count()) -
                         static_cast<double>(newest.time_since_epoch().count());
    const double factor = std::exp2(-std::abs(ticks) / half_life);
    if (t > newest) {
      weight *= factor;
      newest = t;
    } else {
      part *= factor;
    }
    weight += part;
    mean += (x - mean) * (part / weight);
  }
};
BOOST_DESCRIBE_STRUCT(exponential_mean_state, (), (newest, weight, mean))

/// A mean in which a record counts half as much as one that is `half_life` newer. It depends on the
/// event times, not on the order of arrival: merging moves both parts to the later of their newest
/// times, and gives what one pass over all records gives, up to rounding. \see exponential_mean
template <class Projection, class Time>
class exponential_mean_of {
 public:
  using state = exponential_mean_state;
  static constexpr bool commutative = true;
  static constexpr bool needs_event_time = detail::takes_record_time<Time>;

  exponential_mean_of(duration half_life, Projection projection, Time time)
      : half_life_(static_cast<double>(half_life.count() < 1 ? 1 : half_life.count())),
        projection_(projection),
        time_(time) {}

  template <class In>
    requires(needs_event_time && numeric_projection<Projection, In>)
  void add(state& s, const In& in, timestamp time) const {
    s.add(static_cast<double>(project(projection_, in)), 1, time, half_life_);
  }
  template <class In>
    requires(!needs_event_time && numeric_projection<Projection, In>)
  void add(state& s, const In& in) const {
    s.add(static_cast<double>(project(projection_, in)), 1, project(time_, in), half_life_);
  }
  void merge(state& s, const state& later) const noexcept {
    if (later.weight > 0) s.add(later.mean, later.weight, later.newest, half_life_);
  }
  double result(const state& s) const noexcept { return s.mean; }

 private:
  double half_life_;
  [[no_unique_address]] Projection projection_;
  [[no_unique_address]] Time time_;
};

/// `exponential_mean(10min, &reading::bikes)`, or with a third argument that reads the time from
/// the record. A half-life below one tick counts as one tick.
template <class Projection = std::identity, class Time = record_time>
auto exponential_mean(duration half_life, Projection projection = {}, Time time = {}) {
  return exponential_mean_of<Projection, Time>(half_life, projection, time);
}

}  // namespace millrace
