// SPDX-License-Identifier: Apache-2.0

#include "simulated_city.hpp"

#include <millrace/codec/json_writer.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

namespace bike_stations {

using namespace std::chrono_literals;

struct simulated_city::station {
  std::string topic;
  std::string id;
  bool electric = false;
  bool faulty = false;
  int docks = 20;
  double phase = 0;  // homes are full at night, offices by day
  double bikes = 10;
  std::mt19937 random{};
};

namespace {

/// A day of the city passes in two minutes.
double hour_of_day(double seconds) { return std::fmod(seconds / 5.0, 24.0); }

double uniform(std::mt19937& random) { return static_cast<double>(random()) / 4294967296.0; }

}  // namespace

simulated_city::simulated_city(millrace::testing::mqtt_broker& broker, city_options options)
    : broker_(broker), options_(options) {
  std::mt19937_64 random(options.seed);
  for (std::size_t i = 0; i < options.stations; ++i) {
    station s;
    s.id = std::to_string(100 + i);
    s.electric = i % 5 == 0;
    s.faulty = i % 50 == 49;
    s.docks = 10 + static_cast<int>(random() % 30);
    s.phase = static_cast<double>(random() % 24);
    s.bikes = s.docks / 2.0;
    s.random.seed(static_cast<std::uint32_t>(random()));
    // Type names with "_" are legal, and so are "|" in payloads: nothing may split at them.
    const std::string type = s.electric ? "ebike_station" : "bike_station";
    s.topic = "iot-2/type/" + type + "/id/" + s.id + "/evt/status/fmt/json";
    stations_.push_back(std::move(s));
  }
  thread_ = std::thread([this] { run(); });
}

simulated_city::~simulated_city() { stop(); }

void simulated_city::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

std::string simulated_city::report(station& s, double now) {
  const double want = s.docks * (0.5 + 0.4 * std::sin((hour_of_day(now) + s.phase) * M_PI / 12));
  s.bikes = std::clamp(s.bikes + 0.2 * (want - s.bikes) + uniform(s.random) * 2 - 1, 0.0,
                       static_cast<double>(s.docks));
  if (s.faulty && s.random() % 20 == 0) {
    ++broken_;
    return s.random() % 2 == 0 ? R"({"station_id":"broken | pipe")" : R"({"station_id":"no time"})";
  }
  const int bikes = static_cast<int>(s.bikes);
  std::string out;
  millrace::json_writer w(out);
  w.begin_object().member("station_id", s.id).member("num_bikes_available", bikes);
  if (s.electric) w.member("num_ebikes_available", bikes / 2);
  w.member("num_bikes_disabled", static_cast<int>(s.random() % 3));
  w.member("num_docks_available", s.docks - bikes).member("num_docks_disabled", 0);
  w.member("is_installed", 1).member("is_renting", 1).member("is_returning", 1);
  // A faulty clock is up to a second late: inside the lag.
  const double skew = s.faulty ? uniform(s.random) : 0.0;
  w.member("last_reported", std::floor((now - skew) * 1000) / 1000);
  w.member("eightd_has_available_keys", false).end_object();
  return out;
}

void simulated_city::run() {
  const auto began = std::chrono::steady_clock::now();
  std::vector<millrace::testing::mqtt_message> batch;
  std::uint64_t sent = 0;
  while (!stopping_) {
    const std::chrono::duration<double> running = std::chrono::steady_clock::now() - began;
    const auto due = static_cast<std::uint64_t>(running.count() * options_.reports_per_second);
    const std::chrono::duration<double> since_epoch =
        std::chrono::system_clock::now().time_since_epoch();
    batch.clear();
    for (; sent < due && batch.size() < 1000; ++sent) {
      auto& s = stations_[sent % stations_.size()];
      batch.push_back({.topic = s.topic, .payload = report(s, since_epoch.count()), .qos = 1});
    }
    if (!batch.empty()) broker_.publish(batch);
    published_ += batch.size();
    if (sent >= due) std::this_thread::sleep_for(10ms);
  }
}

}  // namespace bike_stations
