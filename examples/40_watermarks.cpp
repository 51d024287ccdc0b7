// SPDX-License-Identifier: Apache-2.0
// Where watermarks come from. Three gateways send what they have collected, in turns, so that the
// stream as a whole jumps back in time while each gateway alone is nearly in order. The same
// windows with four strategies; "late" is what comes too late for its window.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using millrace::timestamp;

struct reading {
  int gateway = 0;
  timestamp at{};
  bool last_of_minute = false;
};

std::vector<reading> readings() {
  std::vector<reading> all;
  for (int minute = 0; minute < 30; ++minute) {
    for (int gateway = 0; gateway < 3; ++gateway) {
      for (int i = 0; i < 60; ++i) {
        const timestamp at{1'700'000'040s + minute * 60s + (i ^ 3) * 1s};
        all.push_back({gateway, at, gateway == 2 && i == 59});
      }
    }
  }
  return all;
}

// Asked for each reading and behind every batch; this one waits for a minute of event time.
struct every_minute {
  void on_record(const reading&, timestamp at, millrace::watermark_output&) {
    if (at > greatest) greatest = at;
  }
  void on_periodic(millrace::watermark_output& out) const { out.emit(greatest - 1min); }
  timestamp greatest{};
};

template <class Strategy>
std::size_t late_with(const char* name, Strategy strategy) {
  millrace::memory::sink<millrace::window_result<int, std::uint64_t>> counts;
  millrace::memory::sink<reading> late;
  const millrace::side_output<reading> late_tag("late");
  millrace::pipeline p("watermarks");
  auto windows = p.source("readings", millrace::memory::source(readings()))
                     .event_time(&reading::at, strategy)
                     .key_by(&reading::gateway)
                     .window(millrace::tumbling{.size = 10s})
                     .late_to(late_tag)
                     .aggregate("counts", millrace::count{});
  windows.to("results", counts);
  windows.side(late_tag).to("late", late);
  p.run();
  std::printf("%-24s %4zu windows, %4zu late\n", name, counts.size(), late.size());
  return late.size();
}

int main() {
  using millrace::per_partition, millrace::punctuated;
  // "Nothing older than this reading's minute follows."
  const auto mark = [](const reading& r, timestamp at) {
    return r.last_of_minute ? std::optional(at - 3s) : std::nullopt;
  };
  const auto lag = late_with("bounded lag of 5 s", millrace::bounded_lag{5s});
  const auto parts =
      late_with("per partition", per_partition(&reading::gateway, {.bound = 5s, .expected = 3}));
  const auto marks = late_with("marks in the stream", punctuated(mark));
  const auto own = late_with("a generator of our own", every_minute{});
  return lag > 0 && parts == 0 && marks == 0 && own == 0 ? 0 : 1;
}
