// SPDX-License-Identifier: Apache-2.0
// What comes out of a window: a result with key and window, what a function makes of it, the
// records reduced to one, or all of them; and windows that go by the wall clock.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <algorithm>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct lap {
  std::string runner;
  int seconds = 0;
  millrace::timestamp at{};
};

std::vector<lap> laps() {
  const auto at = [](int s) { return millrace::timestamp{std::chrono::seconds{s}}; };
  return {{"mia", 61, at(61)},
          {"leo", 70, at(70)},
          {"mia", 59, at(120)},
          {"leo", 66, at(136)},
          {"mia", 64, at(184)}};
}

int main() {
  millrace::memory::sink<std::string> lines;
  millrace::pipeline p("race");
  auto by_runner = p.source("laps", millrace::memory::source(laps()))
                       .event_time(&lap::at, millrace::bounded_lag{5s})
                       .key_by(&lap::runner);
  auto race = by_runner.window(millrace::tumbling{.size = 10min});

  race.reduce("fastest", [](const lap& a, const lap& b) { return a.seconds <= b.seconds ? a : b; })
      .map([](const auto& r) {
        return "fastest of " + r.key + ": " + std::to_string(r.value.seconds);
      })
      .to("fastest out", lines);

  // All records, in order of arrival; any number of results.
  race.apply<std::string>("improvements",
                          [](const std::string& runner, const millrace::window&,
                             std::span<const millrace::window_record<lap>> all, auto& out) {
                            for (std::size_t i = 1; i < all.size(); ++i) {
                              if (all[i].value.seconds < all[i - 1].value.seconds) {
                                out.emit(runner + " faster in lap " + std::to_string(i + 1));
                              }
                            }
                          })
      .to("improvements out", lines);

  // By the wall clock: no watermarks, nothing is late; at the end of the input what is left fires.
  by_runner.window(millrace::tumbling{.size = 24h, .clock = millrace::time_domain::processing_time})
      .aggregate("today", millrace::count{},
                 [](const std::string& runner, const millrace::window&, std::uint64_t n) {
                   return runner + " today: " + std::to_string(n);
                 })
      .to("today out", lines);
  p.run();

  auto sorted = lines.values();
  std::sort(sorted.begin(), sorted.end());
  for (const auto& line : sorted) std::printf("%s\n", line.c_str());
  return sorted.size() >= 6 && sorted.size() <= 8 ? 0 : 1;  // midnight may divide "today"
}
