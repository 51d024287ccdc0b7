// SPDX-License-Identifier: Apache-2.0
// explain_stall: what holds a watermark is found by name, whatever it is.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "oracle/random_stream.hpp"

#include "catch.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using oracle::at;

namespace {

const auto time_of = [](int i) { return at(i); };
const auto one_key = [](int) { return 0; };

/// Takes one record, then blocks until it is told otherwise.
struct valve {
  struct shared {
    sink_context* context = nullptr;
  };
  struct writer {
    shared& s;
    void write(int, timestamp) { s.context->block(); }
  };
  writer open(sink_context& context) const {
    state->context = &context;
    return {*state};
  }
  std::shared_ptr<shared> state = std::make_shared<shared>();
};

std::optional<stall> find(const std::vector<stall>& all, const std::string& name) {
  for (const auto& s : all) {
    if (s.name == name) return s;
  }
  return std::nullopt;
}

bool says(const stall& s, const std::string& what) {
  INFO(s.sentence);
  CHECK(s.sentence.find(what) != std::string::npos);
  return s.sentence.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("explain_stall names the quiet source that holds a merge back, and since when") {
  testing::simulation sim;
  memory::queue<int> quiet, busy;
  memory::sink<window_result<int, std::uint64_t>> out;
  pipeline p("quiet");
  const bounded_lag lag{.bound = duration{10}, .idle_after = 60s};
  p.source("busy", busy)
      .event_time(time_of, lag)
      .merge(p.source("quiet", quiet).event_time(time_of, lag))
      .key_by(one_key)
      .window(tumbling{duration{100}})
      .aggregate("counts", count{})
      .to("out", out);
  p.start(sim);
  quiet.push(50);
  sim.run_until_idle();
  const timestamp stopped = sim.now();
  for (int i = 0; i < 20; ++i) {
    busy.push(i * 50);
    sim.advance(1s);
  }
  const auto found = find(p.explain_stall(), "counts");
  REQUIRE(found);
  CHECK(found->watermark == at(39));
  CHECK(found->reason == stall_reason::standing);
  CHECK(found->sources == std::vector<std::string>{"quiet"});
  CHECK(found->since == stopped);
  CHECK(found->lasting == 20s);
  CHECK(found->next_time == at(50));
  CHECK(found->idle_after == 60s);
  CHECK(says(*found, "for 20.0 s"));
  CHECK(says(*found, "silence for 60.0 s"));
  CHECK(p.explain_stall(21s).empty());
  sim.advance(41s);
  busy.push(1'000);
  sim.run_until_idle();
  CHECK(p.explain_stall().empty());
  busy.close();
  quiet.close();
  sim.run_to_end();
  CHECK(p.explain_stall(0s).empty());
}

TEST_CASE("explain_stall tells a source without records from one without event time") {
  testing::simulation sim;
  memory::queue<int> busy, silent, plain;
  memory::sink<window_result<int, std::uint64_t>> out;
  pipeline p("none");
  p.source("busy", busy)
      .event_time(time_of, bounded_lag{})
      .merge(p.source("silent", silent).event_time(time_of, bounded_lag{}))
      .key_by(one_key)
      .window(tumbling{duration{100}})
      .aggregate("counts", count{})
      .to("out", out);
  p.source("plain", plain)
      .key_by(one_key)
      .window(tumbling{duration{100}})
      .aggregate("plain counts", count{})
      .to("plain out", out);
  p.start(sim);
  busy.push(5);
  plain.push(5);
  sim.run_until_idle();
  const auto all = p.explain_stall();
  const auto found = find(all, "counts");
  REQUIRE(found);
  CHECK(found->reason == stall_reason::no_records);
  CHECK(found->sources == std::vector<std::string>{"silent"});
  CHECK_FALSE(found->since);
  CHECK(says(*found, "no record has come from \"silent\""));
  const auto without = find(all, "plain counts");
  REQUIRE(without);
  CHECK(without->reason == stall_reason::no_event_time);
  CHECK(without->sources == std::vector<std::string>{"plain"});
  for (auto* q : {&busy, &silent, &plain}) q->close();
  sim.run_to_end();
}

TEST_CASE("explain_stall names the partition that is behind") {
  testing::simulation sim;
  memory::queue<int> in;
  memory::sink<window_result<int, std::uint64_t>> out;
  pipeline p("partitions");
  const auto partition = [](int i) { return "p" + std::to_string(i % 3); };
  p.source("in", in)
      .event_time(time_of, per_partition(partition, {.idle_after = 30s}))
      .key_by(one_key)
      .window(tumbling{duration{100}})
      .aggregate("counts", count{})
      .to("out", out);
  p.start(sim);
  for (int i = 0; i < 6; ++i) in.push(i);
  for (int i = 6; i < 600; ++i) {
    if (i % 3 != 1) in.push(i);
  }
  sim.advance(5s);
  const auto found = find(p.explain_stall(), "counts");
  REQUIRE(found);
  CHECK(found->reason == stall_reason::partition);
  CHECK(found->partition == "p1");
  CHECK(found->watermark == at(3));
  CHECK(says(*found, "partition \"p1\" of \"in\""));
  CHECK(says(*found, "silence for 30.0 s"));
  in.close();
  sim.run_to_end();
}

TEST_CASE("explain_stall sees through workers and names the connection") {
  testing::simulation sim({.workers = 2, .seed = 3});
  memory::queue<int> in;
  memory::sink<int> out;
  struct nothing {};
  pipeline p("workers");
  p.source("in", in)
      .event_time(time_of, bounded_lag{})
      .key_by([](int i) { return i; })
      .process<int>(
          "timers", [](int i, nothing&, auto& ctx) { ctx.timer_at(at(i + 1'000)); },
          [](timestamp, nothing&, auto& ctx) { ctx.emit(ctx.key()); })
      .to("out", out);
  p.start(sim);
  for (int i = 0; i < 100; ++i) in.push(i);
  sim.advance(10s);
  const auto all = p.explain_stall();
  CHECK(all.size() == 2);
  bool crossed = false;
  for (const auto& s : all) {
    CHECK(s.name == "timers");
    CHECK(s.sources == std::vector<std::string>{"in"});
    CHECK(s.lasting == 10s);
    crossed = crossed || s.connection == "worker 0 to worker 1";
  }
  CHECK(crossed);
  in.close();
  sim.run_to_end();
}

TEST_CASE("explain_stall names the operator that has work to finish before a watermark") {
  testing::simulation sim;
  memory::queue<int> in, rules;
  memory::sink<int> out;
  pipeline p("held");
  p.source("in", in)
      .event_time(time_of, bounded_lag{})
      .with(p.source("rules", rules).broadcast())
      .pairs()
      .key_by([](const auto& pair) { return pair.value; })
      .to("out", memory::sink<with_broadcast<int, int>>());
  p.start(sim);
  in.push(5);
  sim.advance(5s);
  const auto all = p.explain_stall();
  REQUIRE(all.size() == 1);
  CHECK(all[0].reason == stall_reason::held_by_operator);
  CHECK(all[0].name.starts_with("with"));
  CHECK(says(all[0], "has work to finish first"));
  rules.push(1);
  sim.run_until_idle();
  for (const auto& s : p.explain_stall(0s)) FAIL_CHECK(s.sentence);
  in.close();
  rules.close();
  sim.run_to_end();
}

TEST_CASE("explain_stall names who a paused source waits for") {
  testing::simulation sim;
  memory::queue<int> fast, slow, other;
  memory::sink<window_result<int, std::uint64_t>> out;
  memory::sink<int> rest;
  pipeline p("aligned");
  const watermark_alignment together(duration{10}, 60s);
  p.source("fast", fast)
      .event_time(time_of, bounded_lag{}, {.aligned = together})
      .key_by(one_key)
      .window(tumbling{duration{100}})
      .aggregate("counts", count{})
      .to("out", out);
  p.source("slow", slow).event_time(time_of, bounded_lag{}, {.aligned = together}).to("rest", rest);
  p.start(sim);
  slow.push(0);
  fast.push(120);
  sim.advance(5s);
  const auto found = find(p.explain_stall(), "counts");
  REQUIRE(found);
  CHECK(found->reason == stall_reason::alignment);
  CHECK(says(*found, "\"fast\" is paused until \"event_time-"));
  fast.close();
  slow.close();
  sim.run_to_end();
}

TEST_CASE("explain_stall names the part that takes no more") {
  testing::simulation sim;
  memory::queue<int> in;
  memory::sink<window_result<int, std::uint64_t>> out;
  valve closed;
  pipeline p("blocked");
  auto timed = p.source("in", in).event_time(time_of, bounded_lag{.idle_after = 1s});
  timed.to("valve", closed);
  timed.key_by(one_key).window(tumbling{duration{100}}).aggregate("counts", count{}).to("out", out);
  p.start(sim);
  in.push(5);
  sim.run_until_idle();
  in.push(250);
  sim.advance(20s);
  const auto found = find(p.explain_stall(), "counts");
  REQUIRE(found);
  CHECK(found->reason == stall_reason::back_pressure);
  CHECK(found->blocked_by == "valve");
  CHECK(found->lasting == 20s);
  CHECK(says(*found, "\"in\" is not asked because \"valve\" takes no more"));
  closed.state->context->unblock();
  sim.run_until_idle();
  CHECK(out.size() == 1);
  closed.state->context->unblock();
  in.close();
  sim.run_until_idle();
  closed.state->context->unblock();
  sim.run_to_end();
}

TEST_CASE("explain_stall answers from any thread while a worker is stuck") {
  std::atomic<bool> stuck{false}, go_on{false};
  memory::queue<int> in;
  memory::sink<window_result<int, std::uint64_t>> out;
  pipeline p("stuck");
  p.source("in", in)
      .event_time(time_of, bounded_lag{})
      .key_by(one_key)
      .window(tumbling{duration{100}})
      .aggregate("counts", count{})
      .inspect([&](const auto&) {
        stuck = true;
        while (!go_on) std::this_thread::yield();
      })
      .to("out", out);
  p.start();
  in.push(5);
  in.push(250);
  while (!stuck) std::this_thread::yield();
  // The window is handing its result on: the watermark it works on has not gone further.
  const auto all = p.explain_stall(0s);
  CHECK(find(all, "counts"));
  go_on = true;
  in.close();
  p.wait();
}
