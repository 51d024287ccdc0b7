// SPDX-License-Identifier: Apache-2.0
// Late records: a window fires when the watermark passes its end, fires again for what comes within
// the allowed lateness, and hands over to a side output what comes later still.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct measurement {
  std::string sensor;
  double value = 0;
  millrace::timestamp at{};
};

std::vector<measurement> measurements() {
  const auto second = [](int s) { return millrace::timestamp{std::chrono::seconds{s}}; };
  return {{"t1", 20.0, second(1)},  {"t1", 21.0, second(8)}, {"t1", 22.0, second(12)},
          {"t1", 30.0, second(5)},   // the window 0-10 s has fired: once more
          {"t1", 23.0, second(45)},  // the watermark passes 40 s
          {"t1", 99.0, second(6)}};  // too late for 0-10 s, even with 20 s of patience
}

// A batch for every record, so that there is a watermark behind each.
struct one_by_one {
  using value_type = measurement;
  std::vector<measurement> all = measurements();
  std::size_t next = 0;

  one_by_one open(millrace::source_context&) const { return *this; }
  millrace::poll_status poll(millrace::source_output<measurement>& out) {
    if (next == all.size()) return millrace::poll_status::end;
    out.emit(all[next++], {});
    return millrace::poll_status::more;
  }
};

int main() {
  millrace::memory::sink<std::string> lines;
  const millrace::side_output<measurement> late("late");

  millrace::pipeline p("patience");
  auto means = p.source("measurements", one_by_one{})
                   .event_time(&measurement::at, millrace::bounded_lag{1s})
                   .key_by(&measurement::sensor)
                   .window(millrace::tumbling{.size = 10s})
                   .allowed_lateness(20s)
                   .late_to(late)
                   .aggregate("means", millrace::statistics{&measurement::value});
  means
      .map([](const auto& r) {
        return "from " + std::to_string(r.window.start.time_since_epoch() / 1s) +
               " s: " + std::to_string(r.value.count) + " values, at most " +
               std::to_string(static_cast<int>(r.value.max));
      })
      .to("results", lines);
  means.side(late)
      .map(
          [](const measurement& m) { return "late: " + std::to_string(static_cast<int>(m.value)); })
      .to("late out", lines);
  p.run();

  for (const auto& line : lines.values()) std::printf("%s\n", line.c_str());
  return lines.size() == 5 ? 0 : 1;
}
