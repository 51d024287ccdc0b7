// SPDX-License-Identifier: Apache-2.0
// What `explain()` says of a pipeline before it runs.

#include <millrace/codec/json.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/dsl/plan_words.hpp>
#include <millrace/millrace.hpp>
#include <millrace/windows/aggregates.hpp>

#include "catch.hpp"

#include <boost/describe.hpp>

#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

struct bike_report {
  std::string station;
  int bikes = 0;
  timestamp at{};
};
BOOST_DESCRIBE_STRUCT(bike_report, (), (station, bikes, at))

struct door_state {
  bool open = false;
};
BOOST_DESCRIBE_STRUCT(door_state, (), (open))

/// Messages -> reports -> by station; windows of both kinds, a join, a process function, calls.
void assemble(pipeline& p) {
  memory::sink<std::string> out;
  auto by_station = p.source("stations", memory::source<message>(std::vector<message>{}))
                        .decode<bike_report>(json)
                        .filter([](const bike_report& r) { return r.bikes >= 0; })
                        .event_time(&bike_report::at, bounded_lag{5s})
                        .key_by(&bike_report::station);
  auto totals = by_station.window(sliding{10s, 1s})
                    .allowed_lateness(1500ms)
                    .aggregate("totals", sum(&bike_report::bikes));
  by_station.window(session{30s}).aggregate("visits", count{});
  by_station.window(count_window{100, 10}).aggregate("hundred", count{});
  by_station.process<int>("door", [](const bike_report& r, door_state& s, auto& ctx) {
    s.open = !s.open;
    ctx.emit(r.bikes);
  });
  by_station
      .interval_join("pairs", by_station.map([](const bike_report& r) { return r; }),
                     join_interval{-90s, 2min})
      .async_map<std::string>(
          "ask", [](const auto&, async_reply<std::string> reply) { reply(std::string("x")); },
          async_options{.in_flight = 8, .timeout = 2s, .order = async_order::ordered})
      .to("answers", out);
  p.parallelism(2);
}

const plan_node& find(const pipeline_plan& plan, const std::string& name) {
  for (const auto& node : plan.nodes) {
    if (node.name == name) return node;
  }
  throw std::logic_error("no node " + name);
}

std::string property(const plan_node& node, const std::string& name) {
  for (const auto& [key, value] : node.properties) {
    if (key == name) return value.empty() ? "yes" : value;
  }
  return "none";
}

}  // namespace

TEST_CASE("durations and windows are said in the largest unit that loses nothing") {
  CHECK(plan_text(10s) == "10s");
  CHECK(plan_text(1500ms) == "1500ms");
  CHECK(plan_text(90s) == "90s");
  CHECK(plan_text(duration{7'200'000'000}) == "2h");
  CHECK(plan_text(-2min) == "-2min");
  CHECK(plan_text(duration{1}) == "1us");
  CHECK(plan_text(duration{}) == "0s");
  CHECK(plan_text(sliding{10s, 1s}) == "10s by 1s");
  CHECK(plan_text(sliding{1min, 1min, 5s, time_domain::processing_time}) ==
        "1min, offset 5s, in processing time");
  CHECK(plan_text(session{30s}) == "session, gap 30s");
  CHECK(plan_text(count_window{100}) == "100 records");
  CHECK(plan_text(count_window{100, 10}) == "100 records by 10");
  CHECK(plan_text(global{}) == "global");
}

TEST_CASE("the plan says windows, codec, keys, state, lag, limits and parallelism") {
  pipeline p("explained");
  assemble(p);
  const auto plan = p.plan();
  CHECK(plan.workers == 2);
  const auto& decode = find(plan, "decode.filter-1");
  CHECK(property(decode, "codec") == "json");
  CHECK(property(find(plan, "event_time-2"), "lag") == "5s");
  const auto& key = find(plan, "key_by-3");
  CHECK(property(key, "key") == "string");
  CHECK(key.instances == 2);
  CHECK_FALSE(key.keyed_state);
  const auto& totals = find(plan, "totals");
  CHECK(property(totals, "window") == "10s by 1s");
  CHECK(property(totals, "allowed lateness") == "1500ms");
  CHECK(property(totals, "keys of") == "key_by-3");
  CHECK(totals.keyed_state);
  CHECK(totals.instances == 2);
  CHECK(property(find(plan, "visits"), "window") == "session, gap 30s");
  CHECK(property(find(plan, "visits"), "allowed lateness") == "none");
  CHECK(property(find(plan, "hundred"), "window") == "100 records by 10");
  CHECK(property(find(plan, "door"), "state") == "door_state");
  CHECK(property(find(plan, "pairs"), "between -90s and 2min") == "yes");
  CHECK(property(find(plan, "pairs"), "keys of") == "key_by-3");
  const auto& ask = find(plan, "ask");
  CHECK(property(ask, "in flight") == "8");
  CHECK(property(ask, "ordered") == "yes");
  CHECK(property(ask, "timeout") == "2s");
  CHECK(property(ask, "attempts") == "none");
  CHECK_FALSE(ask.keyed_state);
  for (const auto& node : plan.nodes) {  // a map keeps nothing, though its stream is keyed
    if (node.kind == "map") CHECK_FALSE(node.keyed_state);
  }
}

TEST_CASE("text, Mermaid and DOT show the same facts") {
  pipeline p("explained");
  assemble(p);
  const auto text = p.explain();
  CHECK_THAT(text, Contains("totals  [window], 2 instances, keyed state, window 10s by 1s, allowed "
                            "lateness 1500ms, keys of key_by-3  <- key_by-3"));
  CHECK_THAT(text,
             Contains("key_by-3  [key_by], 2 instances, key string  <- event_time-2 (by key)"));
  CHECK_THAT(text, Contains("ask  [async], 2 instances, in flight 8, ordered, timeout 2s"));
  for (const auto& drawn : {to_mermaid(p.plan()), to_dot(p.plan())}) {
    for (const char* fact :
         {"window 10s by 1s", "keys of key_by-3", "codec json", "lag 5s", "in flight 8",
          "2 instances", "keyed state", "by key", "handed over"}) {
      INFO(fact);
      CHECK_THAT(drawn, Contains(fact));
    }
  }
}
