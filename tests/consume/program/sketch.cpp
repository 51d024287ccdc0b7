// SPDX-License-Identifier: Apache-2.0
// The program of the README, against the installed package; without arguments it only says which
// library it was built with, because it needs servers.
#include <millrace/codec/json.hpp>
#include <millrace/connectors/console.hpp>
#include <millrace/connectors/mqtt.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>

struct reading {
  std::string station;
  int bikes;
  millrace::timestamp at;
};
BOOST_DESCRIBE_STRUCT(reading, (), (station, bikes, at))

void run(const std::string& server) {
  using namespace millrace;
  using namespace std::chrono_literals;
  pipeline p{"bike-stations"};
  auto by_station = p.source("stations", mqtt::source{{.url = server, .topic = "bikes/+/status"}})
                        .decode<reading>(json)  // what cannot be decoded becomes a dead letter
                        .event_time(&reading::at, {.bound = 5s})
                        .key_by(&reading::station);
  auto usual = by_station.window(sliding{.size = 45min, .slide = 5min})
                   .aggregate("usual", statistics{&reading::bikes});
  by_station.join_latest("compare", usual)
      .filter([](const auto& pair) {
        const auto& [now, then] = pair;
        return now.bikes < then.value.mean - 3 * then.value.standard_deviation;
      })
      .to("alerts", console::sink{[](const auto& pair) { return pair.left.station + " empties"; }});
  p.run();  // until another thread calls p.stop()
}

int main(int argc, char** argv) {
  if (argc > 1) run(argv[1]);
  std::printf("millrace %s\n", MILLRACE_VERSION_STRING);
}
