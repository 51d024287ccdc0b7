// SPDX-License-Identifier: Apache-2.0
// Two sources, one of them a replay of an archive that would run hours ahead: the alignment keeps
// it within a minute of the other. Then the other stops, and explain_stall says why no window
// comes out. Virtual time, so that the figures are the same in every run.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include <cstdio>
#include <vector>

using namespace std::chrono_literals;
using millrace::timestamp;

struct reading {
  int meter = 0;
  timestamp at{};
};

int main() {
  const timestamp start{1'700'000'000s};
  std::vector<reading> archive;
  for (int i = 0; i < 36'000; ++i) archive.push_back({1, start + i * 1s});

  millrace::testing::simulation clock({.start = start});
  millrace::memory::queue<reading> live;
  millrace::memory::sink<millrace::window_result<int, std::uint64_t>> counts;
  const millrace::watermark_alignment together(1min, 1h);
  const millrace::bounded_lag lag{5s};

  millrace::pipeline p("why");
  p.source("archive", millrace::memory::source(archive))
      .event_time(&reading::at, lag, {.aligned = together})
      .merge(p.source("live", live).event_time(&reading::at, lag, {.aligned = together}))
      .key_by(&reading::meter)
      .window(millrace::tumbling{.size = 1min})
      .aggregate("counts", millrace::count{})
      .to("results", counts);
  p.start(clock);

  for (int i = 0; i < 600; ++i) {
    live.push({2, clock.now()});
    clock.advance(1s);
  }
  std::uint64_t read = 0;
  for (const auto& part : p.status().operators) {
    if (part.name == "archive") read = part.records_out;
  }
  std::printf("after ten minutes: %zu windows, %llu of %zu records of the archive read\n",
              counts.size(), static_cast<unsigned long long>(read), archive.size());

  clock.advance(20s);
  const auto stalls = p.explain_stall(10s);
  for (const auto& stall : stalls) std::printf("%s\n", stall.sentence.c_str());
  const bool found = stalls.size() == 1 && stalls[0].name == "counts" &&
                     stalls[0].sources == std::vector<std::string>{"live"};
  live.close();
  clock.run_to_end();
  return found && read < 2'000 ? 0 : 1;
}
