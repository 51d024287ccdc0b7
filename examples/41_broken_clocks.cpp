// SPDX-License-Identifier: Apache-2.0
// Devices with clocks of their own. One is set to the year 2033: what it sends goes to a side
// output, so that it makes nobody late. One goes quiet: it holds nobody back. When all have, time
// moves on with the wall clock, so that the last windows come out without another record. Virtual
// time, so that it is quick.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include <cstdio>
#include <string>

using namespace std::chrono_literals;
using millrace::timestamp;

struct reading {
  std::string device;
  timestamp at{};
};

int main() {
  const timestamp start{1'700'000'000s};
  millrace::testing::simulation clock({.start = start});
  millrace::memory::queue<reading> readings;
  millrace::memory::sink<millrace::window_result<std::string, std::uint64_t>> counts;
  millrace::memory::sink<reading> broken;
  const millrace::side_output<reading> future("future");

  millrace::pipeline p("clocks");
  auto timed =
      p.source("readings", readings)
          .event_time(&reading::at,
                      millrace::per_key(&reading::device, {.bound = 2s, .idle_after = 30s}),
                      {.most_ahead = 1h, .future = future});
  timed.key_by(&reading::device)
      .window(millrace::tumbling{.size = 10s})
      .aggregate("counts", millrace::count{})
      .to("results", counts);
  timed.side(future).to("broken", broken);
  p.start(clock);

  for (int i = 0; i < 60; ++i) {
    readings.push({"steady", clock.now()});
    if (i < 25) readings.push({"quiet", clock.now() - 1s});
    readings.push({"2033", clock.now() + 24h * 3650});
    clock.advance(1s);
  }
  std::printf("after a minute: %zu windows, %zu readings from the future\n", counts.size(),
              broken.size());
  const auto waiting = counts.size();
  clock.advance(60s);
  std::printf("a minute of silence later: %zu windows\n", counts.size());
  const bool all_out = counts.size() > waiting && broken.size() == 60;
  readings.close();
  clock.run_to_end();
  return all_out && counts.size() == 10 ? 0 : 1;
}
