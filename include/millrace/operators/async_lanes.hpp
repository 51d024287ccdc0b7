// SPDX-License-Identifier: Apache-2.0
/// \file
/// Lanes of the async operator: calls to one peer share a limit, a waiting line and a circuit
/// breaker, apart from those of other peers. Not thread safe.
#pragma once

#include <millrace/base/metrics.hpp>
#include <millrace/operators/async.hpp>
#include <millrace/operators/circuit_breaker.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// All records in one lane.
struct one_lane {
  template <class T>
  std::string_view operator()(const T&) const noexcept {
    return {};
  }
};

/// One peer's share of an async operator.
struct async_lane {
  async_lane(std::string lane_name, const async_options& options, metric_group& metrics)
      : name(std::move(lane_name)),
        breaker(options.breaker),
        calls(metrics.counter(label("calls"))),
        failures(metrics.counter(label("failures"))),
        timeouts(metrics.counter(label("timeouts"))),
        refused(metrics.counter(label("refused"))),
        retries(metrics.counter(label("retries"))),
        microseconds(metrics.counter(label("microseconds"))),
        in_flight_now(metrics.gauge(label("in_flight"))),
        waiting_now(metrics.gauge(label("waiting"))) {
    metrics.gauge(label("in_flight_limit")).set(static_cast<std::int64_t>(options.in_flight));
  }

  std::string name;
  std::size_t in_flight = 0;
  std::deque<std::uint32_t> waiting;
  circuit_breaker breaker;
  counter& calls;     ///< attempts started
  counter& failures;  ///< attempts that failed, timeouts included
  counter& timeouts;
  counter& refused;       ///< without a try: breaker open, or waiting line full
  counter& retries;       ///< attempts but the first ones
  counter& microseconds;  ///< total time of answered attempts
  gauge& in_flight_now;
  gauge& waiting_now;

  /// The waiting line.
  void wait(std::uint32_t call) {
    waiting.push_back(call);
    waiting_now.add(1);
  }
  std::uint32_t next() {
    const std::uint32_t call = waiting.front();
    waiting.pop_front();
    waiting_now.add(-1);
    return call;
  }

 private:
  std::string label(std::string_view metric) const {
    return name.empty() ? std::string(metric) : std::string(metric) + "{lane=" + name + "}";
  }
};

/// Lanes by name, at most `most_lanes`; names beyond share the last one. O(lanes) per look-up.
class async_lanes {
 public:
  async_lanes(const async_options& options, metric_group& metrics)
      : options_(options), metrics_(metrics) {}

  async_lane& of(std::string_view name) {
    for (auto& lane : lanes_) {
      if (lane->name == name) return *lane;
    }
    if (lanes_.size() >= options_.most_lanes && !lanes_.empty()) return *lanes_.back();
    lanes_.push_back(std::make_unique<async_lane>(std::string(name), options_, metrics_));
    return *lanes_.back();
  }

  /// Whether a record may come, whatever its lane.
  bool any_full() const noexcept {
    for (const auto& lane : lanes_) {
      if (lane->waiting.size() >= options_.waiting) return true;
    }
    return false;
  }

  std::vector<std::unique_ptr<async_lane>>& all() noexcept { return lanes_; }

 private:
  const async_options& options_;
  metric_group& metrics_;
  std::vector<std::unique_ptr<async_lane>> lanes_;
};

}  // namespace millrace
