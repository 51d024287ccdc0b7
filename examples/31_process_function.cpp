// SPDX-License-Identifier: Apache-2.0
// A process function: state per key that expires, timers in both clocks, a side output. A door that
// is open too long raises an alarm; so does one of which nothing is heard for a minute.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/state/list_state.hpp>
#include <millrace/state/value_state.hpp>

#include <cstdio>
using namespace std::chrono_literals;
using millrace::state_options;
using moment = millrace::timestamp;
struct report {
  std::string door;
  bool open = false;
  millrace::timestamp at{};
};
// What is remembered of a door. Members with a time to live are freed when it is over.
struct door {
  millrace::value_state<moment, state_options{.ttl = 24h}> open_since;
  millrace::list_state<moment, state_options{.limit = 10, .ttl = 1h}> openings;
};
BOOST_DESCRIBE_STRUCT(door, (), (open_since, openings))

int main() {
  const std::vector<report> reports{{"gate", true, moment{0min}},  {"gate", false, moment{2min}},
                                    {"attic", true, moment{3min}}, {"attic", false, moment{4min}},
                                    {"gate", true, moment{10min}}, {"gate", false, moment{40min}}};
  millrace::side_output<std::string> visits("visits");
  millrace::memory::sink<std::string> alarms, opened;
  millrace::pipeline p("doors");
  auto on_report = [visits](const report& r, door& d, auto& ctx) {
    const auto* since = d.open_since.get(ctx);
    if (r.open && since == nullptr) {
      d.open_since.set(ctx, r.at);
      d.openings.add(ctx, r.at);
      ctx.timer_at(r.at + 5min);
      ctx.emit_to(visits, r.door + " " + std::to_string(d.openings.size(ctx)));
    } else if (!r.open && since != nullptr) {
      if (r.at < *since + 5min) ctx.delete_timer(*since + 5min);
      d.open_since.clear();
    }
    ctx.processing_timer_at(ctx.now() + 1min);
  };
  auto on_timer = [](millrace::timestamp, door&, auto& ctx) {
    const bool silent = ctx.clock() == millrace::time_domain::processing_time;
    ctx.emit(ctx.key() + (silent ? " is silent" : " has been open for 5 minutes"));
  };
  auto watched = p.source("reports", millrace::memory::source(reports))
                     .event_time(&report::at, millrace::bounded_lag{15min})
                     .key_by(&report::door)
                     .process<std::string>("watch", on_report, on_timer);
  watched.to("alarms", alarms);
  watched.side(visits).to("visits", opened);
  p.run();
  for (const auto& line : alarms.values()) std::printf("alarm: %s\n", line.c_str());
  for (const auto& line : opened.values()) std::printf("opened: %s\n", line.c_str());
  return alarms.size() == 1 && opened.size() == 3 ? 0 : 1;
}
