// SPDX-License-Identifier: Apache-2.0
// What a running pipeline tells about itself.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

std::vector<int> numbers(int n) {
  std::vector<int> all;
  for (int i = 0; i < n; ++i) all.push_back(i);
  return all;
}

const operator_status& find(const pipeline_status& all, const std::string& name) {
  const auto it = std::find_if(all.operators.begin(), all.operators.end(),
                               [&](const auto& s) { return s.name == name; });
  if (it == all.operators.end()) throw std::logic_error("no operator " + name);
  return *it;
}

/// Burns processor's time without asking a clock for it.
int burn(int value, int rounds) {
  volatile unsigned out = static_cast<unsigned>(value);
  for (int i = 0; i < rounds; ++i) out = out * 31 + static_cast<unsigned>(i);
  return static_cast<int>(out % 1000);
}

struct refuse {
  using output_type = int;
  void process(const int& i, operator_context<int>& c) {
    c.dead_letter("number " + std::to_string(i), std::string(5000, 'x'));
  }
};

struct count_state {
  int n = 0;
};

}  // namespace

TEST_CASE("time is charged to the part that spends it, not to those that call it") {
  pipeline p("status");
  memory::sink<int> out;
  auto cheap = p.source("in", memory::source<int>(numbers(2000))).map([](int i) { return i; });
  cheap.map([](int i) { return burn(i, 30000); }).filter([](int) { return true; }).to("out", out);
  p.run();
  const auto s = p.status();
  const auto dear = find(s, "map.filter-2").busy;
  CHECK(dear > 5ms);
  CHECK(find(s, "in").busy < dear / 4);
  CHECK(find(s, "map-1").busy < dear / 4);
  CHECK(find(s, "out").busy < dear / 4);
  REQUIRE(s.workers.size() == 1);
  CHECK(s.workers[0].busy >= dear);
  CHECK(s.workers[0].busy <= s.age);
  CHECK(s.ended);
  CHECK(s.failure.empty());
  CHECK(find(s, "out").records_in == 2000);
}

TEST_CASE("latency markers reach every part, through rings, joins and side outputs") {
  testing::simulation sim({.workers = 2, .seed = 3});
  pipeline p("latency");
  p.parallelism(2);
  memory::queue<int> in;
  memory::sink<int> out;
  auto keyed = p.source("in", in).key_by([](int i) { return i; });
  keyed.process<int>("count", [](const int& i, count_state& s, auto& ctx) { ctx.emit(i + s.n++); })
      .to("out", out);
  p.start(sim);
  for (int i = 0; i < 10; ++i) {
    in.push(i);
    sim.advance(100ms);
  }
  in.close();
  sim.run_to_end();
  const auto s = p.status();
  for (const auto& o : s.operators) {
    INFO(o.name);
    if (o.name == "in") continue;  // the markers begin there
    CHECK(o.latency.count >= 5);
    CHECK(o.latency.quantile(0.99) <= 1ms);  // virtual time stands still while they travel
  }
  CHECK(out.values().size() == 10);
}

TEST_CASE("a sink that takes nothing is blocked, and what feeds it is held up") {
  testing::simulation sim;
  pipeline p("blocked");
  struct closed_sink {
    struct writer {
      sink_context* context;
      void write(const int&, timestamp) { context->block(); }
    };
    writer open(sink_context& context) const { return {&context}; }
  };
  memory::queue<int> in;
  p.source("in", in).to("out", closed_sink{});
  p.start(sim);
  in.push(1);
  sim.run_until_idle();
  std::this_thread::sleep_for(2ms);
  const auto s = p.status();
  CHECK(find(s, "out").blocked);
  CHECK_FALSE(find(s, "out").held_up);
  CHECK(find(s, "in").held_up);
  CHECK(find(s, "out").blocked_for >= 1ms);
  CHECK(find(s, "in").held_up_for >= 1ms);
  p.cancel();
  sim.run_to_end();
}

TEST_CASE("the last dead letters can be looked at, cut and in bounds") {
  pipeline p("letters");
  memory::sink<int> out;
  p.source("in", memory::source<int>(numbers(100))).apply("refuse", refuse{}).to("out", out);
  p.run();
  const auto letters = p.status().last_dead_letters;
  REQUIRE(letters.size() == recent_dead_letters::most);
  CHECK(letters.back().reason == "number 99");
  CHECK(letters.back().where == "refuse");
  CHECK(letters.back().payload.size() == recent_dead_letters::longest_payload);
}

TEST_CASE("a status before the start and after a failure says so") {
  pipeline p("failing");
  memory::sink<int> out;
  p.source("in", memory::source<int>(numbers(3)))
      .map([](int i) -> int { return i < 2 ? i : throw std::runtime_error("two is too much"); })
      .to("out", out);
  CHECK_FALSE(p.status().started);
  CHECK(p.status().operators.empty());
  CHECK_THROWS_AS(p.run(), pipeline_error);
  const auto s = p.status();
  CHECK(s.ended);
  CHECK(s.failure.find("two is too much") != std::string::npos);
}

TEST_CASE("the plan names nodes, fused steps, ways and side outputs") {
  pipeline p("plan");
  p.parallelism(2);
  memory::sink<int> out;
  auto [even, odd] = p.source("in", memory::source<int>(numbers(3)))
                         .map([](int i) { return i; })
                         .filter([](int) { return true; })
                         .split([](int i) { return i % 2 == 0; });
  even.key_by([](int i) { return i; })
      .process<int>("count", [](const int& i, count_state&, auto& ctx) { ctx.emit(i); })
      .to("even", out);
  odd.to("odd", out);
  const auto plan = p.plan();
  CHECK(plan.pipeline == "plan");
  CHECK(plan.workers == 2);
  const auto node = [&](const std::string& name) {
    return *std::find_if(plan.nodes.begin(), plan.nodes.end(),
                         [&](const auto& n) { return n.name.starts_with(name); });
  };
  CHECK(node("map").kind == "map.filter");
  CHECK(node("map").instances == 1);
  CHECK(node("key_by").instances == 2);
  CHECK(node("key_by").inputs.at(0).route == plan_route::by_key);
  CHECK(node("count").inputs.at(0).route == plan_route::same_thread);
  CHECK(node("count").keyed_state);
  CHECK(node("even").inputs.at(0).route == plan_route::hand_over);
  CHECK(node("odd").inputs.at(0).output == "rest");
}
