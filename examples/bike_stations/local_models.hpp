// SPDX-License-Identifier: Apache-2.0
/// \file
/// A registry and model servers in this process: one quick, one slow, one that fails now and then,
/// and a fourth that appears after a while.
#pragma once

#include <millrace/testing/http_server.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

namespace bike_stations {

class local_models {
 public:
  /// \param newcomer_after when the registry first lists the fourth model
  explicit local_models(std::chrono::milliseconds newcomer_after);

  /// Where the list of models is.
  std::string registry_url() const;

  /// How long the model "weather" takes for an answer from now on; 40 ms at first. Thread safe.
  void set_weather_delay(std::chrono::milliseconds delay) { *weather_delay_ = delay; }

 private:
  std::string list(bool with_newcomer) const;

  std::chrono::steady_clock::time_point newcomer_at_;
  std::shared_ptr<std::atomic<std::chrono::milliseconds>> weather_delay_;
  millrace::testing::http_server registry_;
  millrace::testing::http_server quick_;
  millrace::testing::http_server slow_;
  millrace::testing::http_server moody_;
  millrace::testing::http_server newcomer_;
};

}  // namespace bike_stations
