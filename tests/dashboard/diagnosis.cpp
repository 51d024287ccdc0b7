// SPDX-License-Identifier: Apache-2.0
#include <millrace/dashboard/diagnosis.hpp>

#include "catch.hpp"

#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

/// A pipeline by hand: parts with their plan, and time that passes.
struct model {
  pipeline_plan plan;
  pipeline_status now;

  model() {
    now.started = true;
    now.at = timestamp{1'000'000s};
    now.age = 60s;
    now.workers.resize(1);
  }

  std::size_t add(std::string name, std::string kind, std::vector<plan_input> inputs,
                  std::size_t instances = 1) {
    const auto node = plan.nodes.size();
    plan.nodes.push_back({name, std::move(kind), instances, false, std::move(inputs), {}});
    plan.workers = std::max(plan.workers, instances);
    now.workers.resize(plan.workers);
    for (std::size_t w = 0; w < instances; ++w) {
      operator_status s;
      s.name = name;
      s.node = node;
      s.worker = w;
      now.operators.push_back(s);
    }
    return node;
  }

  operator_status& of(const std::string& name, std::size_t worker = 0) {
    for (auto& s : now.operators) {
      if (s.name == name && s.worker == worker) return s;
    }
    throw std::logic_error("no part " + name);
  }

  void set(const std::string& name, const std::string& metric, std::int64_t value) {
    for (auto& m : of(name).metrics) {
      if (m.name == metric) {
        m.value = value;
        return;
      }
    }
    of(name).metrics.push_back({metric, value, true});
  }

  void pass(std::chrono::nanoseconds time) {
    now.age += time;
    now.at += std::chrono::duration_cast<duration>(time);
  }

  void charge(const std::string& name, std::chrono::nanoseconds busy) {
    of(name).busy += busy;
    now.workers[of(name).worker].busy += busy;
  }
};

/// in -> parse -> score -> out
model chain() {
  model m;
  m.add("in", "source", {});
  m.add("parse", "map", {{0, "", {}, false}});
  m.add("score", "async_map", {{1, "", {}, false}});
  m.add("out", "sink", {{2, "", {}, false}});
  return m;
}

/// sensors on four workers and models into stats
model junction() {
  model m;
  m.add("sensors", "source", {}, 4);
  m.add("weather", "source", {});
  m.add("times", "event_time", {{0, "", plan_route::same_thread, false}}, 4);
  m.add("weather_times", "event_time", {{1, "", {}, false}});
  m.add("stats", "window", {{2, "", plan_route::by_key, false}, {3, "", plan_route::by_key, false}},
        4);
  for (auto& s : m.now.operators) s.watermark = m.now.at;
  for (std::size_t w = 0; w < 4; ++w) m.of("sensors", w).watermark = min_timestamp;
  m.of("weather").watermark = min_timestamp;
  return m;
}

}  // namespace

TEST_CASE("diagnosis: the part that waits for a slow peer is the bottleneck, with figures") {
  auto m = chain();
  m.set("score", "calls{lane=model A}", 1000);
  m.set("score", "in_flight{lane=model A}", 3);
  m.set("score", "in_flight_limit{lane=model A}", 64);
  m.set("score", "calls{lane=model B}", 100);
  m.set("score", "microseconds{lane=model B}", 1'000'000);
  m.set("score", "in_flight{lane=model B}", 64);
  m.set("score", "in_flight_limit{lane=model B}", 64);
  const auto before = m.now;
  m.pass(10s);
  m.of("score").blocked_for = 9s;
  m.of("parse").held_up_for = 9s;
  m.of("in").held_up_for = 9s;
  m.set("score", "calls{lane=model A}", 1200);
  m.set("score", "microseconds{lane=model A}", 200'000);
  m.set("score", "calls{lane=model B}", 110);
  m.set("score", "microseconds{lane=model B}", 20'000'000);
  const auto found = diagnose(before, m.now, m.plan);
  CHECK(found.bottleneck ==
        "score is the bottleneck: 64 of 64 requests in flight, model B answers in 1.9 s");
  CHECK(found.bottleneck_operator == "score");
  CHECK(found.stall.empty());
}

TEST_CASE("diagnosis: an operator that turns records away is one though it never blocks") {
  auto m = chain();
  m.set("score", "calls", 0);
  m.set("score", "in_flight", 8);
  m.set("score", "refused", 5);
  const auto before = m.now;
  m.pass(2s);
  m.set("score", "calls", 16);
  m.set("score", "microseconds", 16 * 1'000'000);
  m.set("score", "refused", 25);
  CHECK(diagnose(before, m.now, m.plan).bottleneck ==
        "score is the bottleneck: 8 requests in flight, answered in 1.0 s, 10 per second are "
        "turned away");
}

TEST_CASE("diagnosis: a line that waits for a peer is seen before it is full") {
  auto m = chain();
  m.set("score", "calls", 0);
  m.set("score", "in_flight", 8);
  const auto before = m.now;
  m.pass(2s);
  m.of("score").records_in = 5000;
  m.set("score", "calls", 10);
  m.set("score", "microseconds", 10 * 300'000);
  CHECK(diagnose(before, m.now, m.plan).bottleneck ==
        "score is the bottleneck: 8 requests in flight, answered in 300 ms, the line grows by "
        "2,495 per second");
  m.set("score", "in_flight_limit", 8);
  m.set("score", "waiting", 4990);
  m.of("score").records_in = 0;
  CHECK(diagnose(before, m.now, m.plan).bottleneck ==
        "score is the bottleneck: 8 of 8 requests in flight, answered in 300 ms, 4,990 wait");
}

TEST_CASE("diagnosis: a peer that does not answer is named") {
  auto m = chain();
  m.set("score", "calls{lane=B}", 100);
  m.set("score", "in_flight{lane=B}", 64);
  const auto before = m.now;
  m.pass(2s);
  m.of("score").blocked_for = 2s;
  CHECK(diagnose(before, m.now, m.plan).bottleneck ==
        "score is the bottleneck: 64 requests in flight, B has not answered for the last 2.0 s");
  m.set("score", "timeouts{lane=B}", 7);
  CHECK(diagnose(before, m.now, m.plan).bottleneck ==
        "score is the bottleneck: 64 requests in flight, B does not answer in time");
}

TEST_CASE("diagnosis: a sink that takes no more is blamed, not what it holds up") {
  auto m = chain();
  const auto before = m.now;
  m.pass(10s);
  m.of("out").blocked_for = 8300ms;
  m.of("score").held_up_for = 8300ms;
  m.of("score").blocked_for = 8300ms;  // its own line is full, because of the sink
  CHECK(diagnose(before, m.now, m.plan).bottleneck ==
        "out is the bottleneck: it took no more for 83 % of the time");
  m.of("out").blocked_for = 1s;
  m.of("score").held_up_for = m.of("score").blocked_for = 1s;
  CHECK(diagnose(before, m.now, m.plan).bottleneck.empty());
}

TEST_CASE("diagnosis: a worker that never rests is named with the part that takes its time") {
  auto m = chain();
  const auto before = m.now;
  m.pass(10s);
  m.charge("parse", 7100ms);
  m.charge("out", 2700ms);
  CHECK(
      diagnose(before, m.now, m.plan).bottleneck ==
      "parse is the bottleneck: it takes 71 % of the worker's time, which is busy for 98 % of it");
  m.now.workers[0].busy = 5s;
  CHECK(diagnose(before, m.now, m.plan).bottleneck.empty());
}

TEST_CASE("diagnosis: with several workers the busiest is meant") {
  auto m = junction();
  const auto before = m.now;
  m.pass(10s);
  m.of("stats", 1).busy += 9s;
  m.now.workers[1].busy += 9500ms;
  m.now.workers[2].busy += 5s;
  const auto found = diagnose(before, m.now, m.plan);
  CHECK(found.bottleneck ==
        "stats is the bottleneck: it takes 90 % of worker 1's time, which is busy for 95 % of it");
}

TEST_CASE("diagnosis: the end of a queue is no bottleneck of its own") {
  auto m = chain();
  operator_status sender;
  sender.name = "score.send";
  sender.node = 2;
  m.now.operators.push_back(sender);
  const auto before = m.now;
  m.pass(10s);
  m.of("score.send").blocked_for = 10s;
  CHECK(diagnose(before, m.now, m.plan).bottleneck.empty());
}

TEST_CASE("diagnosis: who waits for the watermark of a silent source is told for how long") {
  auto m = junction();
  diagnostician watch;
  watch.look(m.now, m.plan);
  const auto stuck = m.now.at;
  for (int second = 1; second <= 41; ++second) {
    m.pass(1s);
    for (auto& s : m.now.operators) {
      const bool silent = (s.name == "sensors" || s.name == "times") && s.worker == 3;
      if (!silent) s.records_out += 10;
      if (s.watermark != min_timestamp && !silent) s.watermark = m.now.at;
      if (s.name == "stats") s.watermark = stuck;
    }
    const auto found = watch.look(m.now, m.plan);
    if (second < 10) CHECK(found.stall.empty());
    if (second == 41) {
      CHECK(found.stall == "stats/0 waits for the watermark of sensors/3, silent for 41 s");
      CHECK(found.stall_operator == "stats");
      CHECK(found.stall_cause == "sensors");
    }
  }
  m.of("sensors", 3).finished = m.of("times", 3).finished = true;
  CHECK(watch.look(m.now, m.plan).stall.empty());
}

TEST_CASE("diagnosis: a part whose time stands still although records come is named itself") {
  auto m = junction();
  auto before = m.now;
  m.pass(20s);
  for (auto& s : m.now.operators) {
    s.records_out += 10;
    if (s.watermark != min_timestamp && s.name != "weather_times" && s.name != "stats") {
      s.watermark = m.now.at;
    }
  }
  CHECK(diagnose(before, m.now, m.plan).stall ==
        "stats/0 waits for the watermark of weather_times, which has not moved for 20 s although "
        "records come");
  before = m.now;
  m.of("weather_times").watermark = min_timestamp;
  for (std::size_t w = 0; w < 4; ++w) m.of("stats", w).watermark = min_timestamp;
  auto since = m.now;
  m.pass(20s);
  for (auto& s : m.now.operators) s.records_out += 10;
  CHECK(diagnose(since, m.now, m.plan).stall ==
        "stats/0 waits for the watermark of weather_times, which has none yet");
}

TEST_CASE("diagnosis: a watermark that was pushed into the future is told so") {
  auto m = chain();
  m.of("parse").watermark = m.now.at + 1h;
  const auto before = m.now;
  m.pass(30s);
  m.of("in").records_out += 12'000;
  m.of("parse").records_in += 12'000;
  CHECK(diagnose(before, m.now, m.plan).stall ==
        "the watermark of parse has not moved for 30 s, while 12,000 records came: it is "
        "59 min 30 s ahead of the clock");
}

TEST_CASE("diagnosis: silence of everything is told, that of a polled list is not") {
  auto m = chain();
  const auto list = m.add("list", "source", {});
  m.plan.nodes[2].inputs.push_back({list, "", plan_route::broadcast, true});
  m.of("parse").watermark = m.now.at;
  const auto before = m.now;
  m.pass(90s);
  CHECK(diagnose(before, m.now, m.plan).stall == "nothing comes: in has been silent for 90 s");
  m.of("in").records_out += 1;
  CHECK(diagnose(before, m.now, m.plan).stall.empty());
  m.of("parse").watermark = min_timestamp;  // without event time nothing waits
  CHECK(diagnose(before, before, m.plan).stall.empty());
}

TEST_CASE("diagnosis: the summary says how it is doing") {
  auto m = chain();
  CHECK(diagnose({}, {}, {}).summary == "Not started yet.");
  CHECK(diagnose({}, m.now, m.plan).summary == "Running for 60 s.");
  const auto before = m.now;
  m.pass(2s);
  m.of("in").records_out = 24'600;
  m.charge("parse", 680ms);
  CHECK(diagnose(before, m.now, m.plan).summary ==
        "Running for 62 s: 12,300 records per second from the sources, the worker is busy 34 % of "
        "the time.");
  m.now.stopping = true;
  CHECK(diagnose(before, m.now, m.plan).summary.starts_with("Draining for 62 s: "));
  m.now.ended = true;
  CHECK(diagnose(before, m.now, m.plan).summary == "Ended after 62 s.");
  m.now.failure = "out: disk full";
  CHECK(diagnose(before, m.now, m.plan).summary == "Failed: out: disk full");
}

TEST_CASE("diagnosis: samples that do not fit together give no nonsense") {
  auto m = chain();
  const auto one = m.now;
  CHECK(diagnose(one, one, m.plan).bottleneck.empty());
  m.pass(1s);
  auto shorter = one;
  shorter.operators.pop_back();
  CHECK(diagnose(shorter, m.now, m.plan).bottleneck.empty());
  CHECK(diagnose(one, m.now, {}).bottleneck.empty());
  CHECK(diagnose(m.now, one, m.plan).bottleneck.empty());
}

TEST_CASE("diagnosis: durations and counts are written for people") {
  CHECK(duration_text(0ns) == "0 us");
  CHECK(duration_text(1900ms) == "1.9 s");
  CHECK(duration_text(340ms) == "340 ms");
  CHECK(duration_text(999ms) == "999 ms");
  CHECK(duration_text(1500us) == "1.5 ms");
  CHECK(duration_text(250us) == "250 us");
  CHECK(duration_text(41s) == "41 s");
  CHECK(duration_text(200s) == "3 min 20 s");
  CHECK(duration_text(26h) == "26 h 0 min");
  CHECK(count_text(0) == "0");
  CHECK(count_text(999) == "999");
  CHECK(count_text(1000) == "1,000");
  CHECK(count_text(12'345'678) == "12,345,678");
  CHECK(split_metric_name("calls{lane=a{b}}") ==
        std::pair<std::string, std::string>("calls", "a{b}"));
  CHECK(split_metric_name("calls") == std::pair<std::string, std::string>("calls", ""));
}

TEST_CASE(
    "diagnosis: checkpoints that fail are named with the reason and the age of the last one") {
  auto m = chain();
  m.now.checkpoints = {.every = 10s, .completed = 7, .last_id = 7, .age = 25s};
  auto before = m.now;
  m.pass(1s);
  CHECK(diagnose(before, m.now, m.plan).checkpoint.empty());
  m.now.checkpoints.failed = m.now.checkpoints.failed_since = 1;
  m.now.checkpoints.last_failure = "no space left on device";
  CHECK(diagnose(before, m.now, m.plan).checkpoint ==
        "the last attempt to take a checkpoint failed (no space left on device); the last one, "
        "number 7, is 25 s old");
  m.now.checkpoints.failed_since = 3;
  m.now.checkpoints.completed = 0;
  CHECK(diagnose(before, m.now, m.plan).checkpoint ==
        "the last 3 attempts to take a checkpoint failed (no space left on device); there is none "
        "yet, after 25 s");
  m.now.checkpoints.failed_since = 0;  // one has succeeded meanwhile
  m.now.checkpoints.completed = 8;
  CHECK(diagnose(before, m.now, m.plan).checkpoint.empty());
}

TEST_CASE("diagnosis: a checkpoint that does not come is old, and what it waits for is named") {
  auto m = chain();
  m.now.checkpoints = {.every = 10s, .completed = 2, .last_id = 4, .last_took = 1s, .age = 33s};
  const auto before = m.now;
  m.pass(1s);
  CHECK(diagnose(before, m.now, m.plan).checkpoint.empty());
  m.now.checkpoints.age = 34s;
  CHECK(diagnose(before, m.now, m.plan).checkpoint ==
        "a checkpoint is due every 10 s, but the last one, number 4, is 34 s old");
  m.now.checkpoints.under_way = 22s;
  m.now.checkpoints.waits_for = "score";
  CHECK_THAT(
      diagnose(before, m.now, m.plan).checkpoint,
      Catch::Matchers::EndsWith("34 s old; one has been under way for 22 s, it waits for score"));
  m.now.checkpoints.waits_for.clear();
  CHECK_THAT(diagnose(before, m.now, m.plan).checkpoint,
             Catch::Matchers::EndsWith("; one has been under way for 22 s and is being stored"));
  // Often: `still` is the bound.
  m.now.checkpoints.every = 10ms;
  m.now.checkpoints.last_took = 0s;
  m.now.checkpoints.age = 9s;
  CHECK(diagnose(before, m.now, m.plan).checkpoint.empty());
  m.now.checkpoints.age = 11s;
  CHECK_FALSE(diagnose(before, m.now, m.plan).checkpoint.empty());
  m.now.stopping = true;
  CHECK(diagnose(before, m.now, m.plan).checkpoint.empty());
  m.now.stopping = false;
  m.now.checkpoints = {};  // none are wanted
  CHECK(diagnose(before, m.now, m.plan).checkpoint.empty());
}
