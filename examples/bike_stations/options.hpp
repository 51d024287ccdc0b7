// SPDX-License-Identifier: Apache-2.0
/// \file
/// Options of the bike-station demo: defaults, a TOML file, the command line; each wins over those
/// before it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bike_stations {

struct options {
  // Input. An empty broker: one in this process, with a simulated city.
  std::string broker;
  std::string topic = "iot-2/type/+/id/+/evt/+/fmt/json";
  int qos = 1;
  std::string client_id;
  std::string user;
  std::string password;
  std::chrono::seconds session_expiry{0};

  // Schema. Empty numeric fields: inferred from the reports.
  std::string time_field = "last_reported";
  std::vector<std::string> numeric_fields;

  // Windows, in event time.
  std::chrono::milliseconds window_size{6'000};
  std::chrono::milliseconds window_slide{2'000};
  std::chrono::milliseconds lag{1'000};
  std::string join = "event_time";  ///< or "arrival"

  // Models. Empty: a registry and models in this process.
  std::string models;
  std::chrono::milliseconds models_every{30'000};
  std::chrono::milliseconds weather_delay{40};  ///< of the slow model in this process
  std::size_t in_flight = 128;                  ///< requests per model
  std::size_t waiting = 20'000;  ///< reports that may wait per model; beyond, they get no answer
  std::chrono::milliseconds timeout{2'000};

  // Output.
  std::string output;         ///< a folder for JSON lines
  std::string elasticsearch;  ///< a URL
  std::string index_prefix = "bikes-";
  std::string api_key;

  // The run.
  std::size_t parallelism = 1;
  std::optional<std::chrono::milliseconds> duration;
  std::size_t stations = 500;
  double reports_per_second = 2'000;
  bool status_line = true;
  std::optional<std::uint16_t> dashboard = 0;  ///< its port; 0: a free one; nothing: off
  std::string dashboard_token;                 ///< who shows it may stop the pipeline
};

/// \throws std::invalid_argument with words for the user
options parse_options(int count, const char* const* arguments);

/// What --help prints.
std::string help();

}  // namespace bike_stations
