// SPDX-License-Identifier: Apache-2.0
// The first pipeline: JSON texts -> readings -> statistics per station in sliding windows -> lines.
// Everything is in this process; guide 1 explains it line by line.

#include <millrace/codec/json.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <boost/describe.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct reading {
  std::string station;
  int bikes = 0;
  millrace::timestamp at{};
};
BOOST_DESCRIBE_STRUCT(reading, (), (station, bikes, at))

// What a broker would send: two stations, a report every ten seconds, and one that is no JSON.
std::vector<millrace::message> reports() {
  std::vector<millrace::message> all;
  for (int i = 0; i < 60; ++i) {
    const std::string at = std::to_string(1'700'000'000 + 10 * (i / 2));
    const std::string station = i % 2 == 0 ? "harbour" : "castle";
    const std::string text = R"({"station":")" + station + R"(","bikes":)" + std::to_string(i % 7) +
                             R"(,"at":)" + at + "}";
    all.push_back(millrace::message::copy_of("bikes/" + station, i == 13 ? "oops" : text, {}));
  }
  return all;
}

int main() {
  using result = millrace::window_result<std::string, millrace::statistics_result>;
  millrace::memory::sink<result> results;
  millrace::memory::sink<millrace::dead_letter> dead;

  millrace::pipeline p("first");
  p.source("reports", millrace::memory::source(reports()))
      .decode<reading>(millrace::json)
      .event_time(&reading::at, millrace::bounded_lag{5s})
      .key_by(&reading::station)
      .window(millrace::sliding{.size = 60s, .slide = 20s})
      .aggregate("statistics", millrace::statistics{&reading::bikes})
      .to("results", results);
  p.dead_letters().to("dead", dead);
  p.run();

  for (const auto& r : results.values()) {
    const auto from = r.window.start.time_since_epoch() / 1s;
    std::printf("%-8s from %lld: %llu reports, mean %.2f, at most %.0f\n", r.key.c_str(),
                static_cast<long long>(from), static_cast<unsigned long long>(r.value.count),
                r.value.mean, r.value.max);
  }
  for (const auto& d : dead.values()) std::printf("%s: %s\n", d.where.c_str(), d.reason.c_str());
  return results.size() == 34 && dead.size() == 1 ? 0 : 1;
}
