// SPDX-License-Identifier: Apache-2.0
/// \file
/// A city of bike stations that exists only here: daily rhythm, three kinds of devices, some of
/// them faulty. Publishes to an in-process broker from a thread of its own.
#pragma once

#include <millrace/testing/mqtt_broker.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace bike_stations {

struct city_options {
  std::size_t stations = 500;
  double reports_per_second = 2'000;
  std::uint64_t seed = 1;
};

class simulated_city {
 public:
  /// Starts to publish at QoS 1.
  simulated_city(millrace::testing::mqtt_broker& broker, city_options options);
  ~simulated_city();
  simulated_city(const simulated_city&) = delete;
  simulated_city& operator=(const simulated_city&) = delete;

  /// No more reports from when it returns. Idempotent.
  void stop();

  std::uint64_t published() const noexcept { return published_; }
  /// Of these, reports that are broken on purpose.
  std::uint64_t broken() const noexcept { return broken_; }

 private:
  struct station;

  void run();
  std::string report(station& s, double now);

  millrace::testing::mqtt_broker& broker_;
  city_options options_;
  std::vector<station> stations_;
  std::atomic<std::uint64_t> published_{0};
  std::atomic<std::uint64_t> broken_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace bike_stations
