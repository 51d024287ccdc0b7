// SPDX-License-Identifier: Apache-2.0
// From the start of a pipeline to its first result, in a fresh process each time: JSON texts in
// memory -> windows per station -> sink. Prints a row.
#include "harness/process.hpp"
#include "harness/replay_source.hpp"
#include "harness/spread.hpp"
#include "replayer/replayer.hpp"

#include <millrace/codec/json.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>

#include <boost/describe/class.hpp>

#include <cstdio>
#include <exception>

namespace bench {

struct reading {
  std::string station;
  double bikes = 0;
  millrace::timestamp at;
};
BOOST_DESCRIBE_STRUCT(reading, (), (station, bikes, at))

namespace {

std::vector<millrace::message> texts() {
  std::vector<millrace::message> all;
  for (int i = 0; i < 100; ++i) {
    const std::string text =
        R"({"station":"harbour","bikes":7,"at":)" + std::to_string(1'700'000'000 + i) + "}";
    all.push_back(millrace::message::copy_of("bikes/harbour", text, {}));
  }
  return all;
}

/// Nanoseconds from before the pipeline is assembled to its first result.
std::uint64_t first_result() {
  using namespace std::chrono_literals;
  auto messages = texts();
  const std::uint64_t start = replayer::now();
  std::uint64_t first = 0;
  millrace::pipeline p{"start"};
  p.source("texts", millrace::memory::source(std::move(messages)))
      .decode<reading>(millrace::json)
      .event_time(&reading::at, millrace::bounded_lag{1s})
      .key_by(&reading::station)
      .window(millrace::tumbling{10s})
      .aggregate("totals", millrace::sum(&reading::bikes))
      .to("out", noting_sink([&first](const auto&) {
            if (first == 0) first = replayer::now();
          }));
  p.run();
  return first - start;
}

void measure_start() {
  std::vector<double> milliseconds;
  for (int r = 0; r < 11; ++r) {
    int ends[2] = {-1, -1};
    if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
    child once = child::of([&] {
      const std::uint64_t took = first_result();
      if (::write(ends[1], &took, sizeof took) != sizeof took) std::fprintf(stderr, "lost\n");
    });
    std::uint64_t took = 0;
    if (::read(ends[0], &took, sizeof took) != sizeof took) throw std::runtime_error("no answer");
    once.wait();
    ::close(ends[0]);
    ::close(ends[1]);
    milliseconds.push_back(static_cast<double>(took) * 1e-6);
  }
  const spread s = spread_of(milliseconds);
  print_row({.name = "start",
             .measure = "ms to first result",
             .ours = s.median,
             .target = "16",
             .wants = relation::at_most,
             .limit = 10});
}

}  // namespace
}  // namespace bench

int main() {
  try {
    bench::measure_start();
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}
