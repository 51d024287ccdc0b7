// SPDX-License-Identifier: Apache-2.0
// Temporal join: raw values of sensors and a table of calibrations that changes. Each value gets
// the factor that was valid when it was measured, whenever either of them came. Guide 20 explains
// it.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct sample {
  std::string sensor;
  double raw = 0;
  millrace::timestamp at{};
};
struct calibration {
  std::string sensor;
  std::optional<double> factor;  // none: the sensor has been taken away
  millrace::timestamp from{};
};

millrace::timestamp second(int s) { return millrace::timestamp{std::chrono::seconds{s}}; }

int main() {
  const std::vector<sample> samples{{"no2", 10, second(5)},
                                    {"no2", 10, second(20)},
                                    {"no2", 10, second(12)},
                                    {"no2", 10, second(31)}};
  const std::vector<calibration> table{
      {"no2", 1.5, second(0)}, {"no2", 2.0, second(15)}, {"no2", {}, second(30)}};
  millrace::memory::sink<std::string> lines;
  millrace::pipeline p("air");
  auto raw = p.source("samples", millrace::memory::source(samples))
                 .event_time(&sample::at, millrace::bounded_lag{10s})
                 .key_by(&sample::sensor);
  auto factors = p.source("calibrations", millrace::memory::source(table))
                     .event_time(&calibration::from, millrace::monotone_times)
                     .key_by(&calibration::sensor)
                     .map([](const calibration& c) { return c.factor; });

  raw.temporal_join<millrace::join_kind::left>("calibrated", factors)
      .map([](const auto& j) {
        return j.right ? std::to_string(static_cast<int>(j.left.raw * *j.right)) : "unknown";
      })
      .to("lines", lines);
  p.run();
  for (const auto& line : lines.values()) std::printf("%s\n", line.c_str());
  return lines.values() == std::vector<std::string>{"15", "15", "20", "unknown"} ? 0 : 1;
}
