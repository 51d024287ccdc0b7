// SPDX-License-Identifier: Apache-2.0
// Sampled records from source to sink: through queues between workers, windows and calls, in
// virtual time; what is in the file is read back by a strict parser.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/faulty_file_system.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "support/trace_file.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using testing::faulty_file_system;
using testing::simulation;
using testing::trace_entry;
using testing::trace_file;

namespace {

struct reading {
  std::string station;
  int value = 0;
  timestamp time{};
};

timestamp at(duration d) { return timestamp{d}; }

std::vector<std::string> names(const std::vector<trace_entry>& path) {
  std::vector<std::string> all;
  for (const auto& e : path) all.push_back(e.name);
  return all;
}

/// Each step begins within or after its parent, which is on the path or has brought the trace.
void check_order(const std::vector<trace_entry>& path, const std::vector<trace_entry>& others) {
  for (std::size_t i = 1; i < path.size(); ++i) {
    CAPTURE(path[i].name, path[i].parent);
    CHECK(path[i].at >= path[i - 1].at);
    const auto is_parent = [&](const trace_entry& e) { return e.span == path[i].parent; };
    const auto parent = std::find_if(path.begin(), path.end(), is_parent);
    if (parent != path.end()) {
      CHECK(parent->at <= path[i].at);
    } else {
      CHECK(std::any_of(others.begin(), others.end(), is_parent));
    }
  }
}

const char* const file = "d/trace.json";

trace_options into(faulty_file_system& disk, trace_options options = {}) {
  REQUIRE(disk.create_directories("d"));
  options.file = file;
  options.files = &disk;
  return options;
}

}  // namespace

TEST_CASE("a sampled record is followed from source to sink, window included, in order") {
  for (const std::size_t workers : {1u, 3u}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      CAPTURE(workers, seed);
      faulty_file_system disk;
      simulation sim({.workers = workers, .seed = seed});
      pipeline p("city");
      p.parallelism(workers).trace_to(into(disk, {.every = 1h}));
      memory::queue<reading> in;
      memory::sink<std::string> out;
      p.source("in", in)
          .event_time([](const reading& r) { return r.time; }, bounded_lag{0s})
          .key_by([](const reading& r) { return r.station; })
          .window(tumbling{10s})
          .aggregate("stats", count())
          .map([](const auto& w) { return w.key + " " + std::to_string(w.value); })
          .to("out", out);
      p.start(sim);
      for (int i = 0; i < 30; ++i) in.push({i % 3 == 0 ? "oslo" : "bergen", i, at(i * 100ms)});
      sim.advance(4s);
      in.push({"oslo", 0, at(11s)});
      sim.advance(1s);
      in.close();
      sim.run_to_end();
      p.wait();

      const trace_file trace(disk.content(file));
      CHECK(trace.process() == "city");
      CHECK(trace.threads().size() == workers);
      CHECK(p.status().trace.records == 1);
      REQUIRE(trace.traces().size() == 1);
      const auto path = trace.path(trace.traces()[0]);
      check_order(path, {});
      auto seen = names(path);
      const auto has = [&](const std::string& name) {
        return std::find(seen.begin(), seen.end(), name) - seen.begin();
      };
      REQUIRE(seen.front() == "in");
      REQUIRE(seen.back() == "out");
      for (const auto* name : {"in", "event_time-1", "stats", "out"}) {
        CAPTURE(name);
        CHECK(has(name) < std::ssize(seen));
      }
      CHECK(has("in") < has("event_time-1"));
      CHECK(has("event_time-1") < has("stats"));
      for (const auto& e : path) CHECK(e.records == 1);  // the result of its key alone
      const auto waits = trace.with("b", "wait");
      const auto window = std::find_if(waits.begin(), waits.end(),
                                       [](const auto& e) { return e.name == "stats waits"; });
      REQUIRE(window != waits.end());
      CHECK(path.back().at - window->at == 4'000'000'000);
      if (workers > 1) {
        CHECK(std::count_if(waits.begin(), waits.end(), [](const auto& e) {
                return e.name.find(".receive waits") != std::string::npos;
              }) >= 2);
      }
      CHECK(out.values().size() == 3);
    }
  }
}

namespace {

/// A record from another program.
struct order {
  int number = 0;
  std::string traceparent;
  std::string tracestate;
};

incoming_trace incoming_trace_of(const order& o) {
  return {o.traceparent, o.tracestate, o.traceparent.empty() ? 0u : 1u};
}

std::string trace_id(int number) {
  const std::string digits = std::to_string(number);
  return std::string(32 - digits.size(), 'a') + digits;
}
std::string parent_of(int number, const std::string& flags = "01") {
  return "00-" + trace_id(number) + "-00f067aa0ba902b7-" + flags;
}

/// What left: a value, and the context it carried.
struct sent {
  int number;
  std::string traceparent;
  std::string tracestate;
};

/// A writer that hands contexts on.
struct courier {
  struct writer {
    void trace(const trace_context* context) {
      now = context != nullptr ? std::optional(*context) : std::nullopt;
    }
    void write(const int& number, timestamp) {
      to->push_back({number, now ? to_traceparent(*now) : "", now ? now->state : ""});
    }
    std::vector<sent>* to;
    std::optional<trace_context> now{};
  };
  writer open(sink_context&) const { return {to}; }
  std::vector<sent>* to;
};

}  // namespace

TEST_CASE("calls of a sampled record show their attempts, and its result goes on") {
  for (const auto order_of_results :
       {async_order::ordered, async_order::unordered, async_order::as_completed}) {
    faulty_file_system disk;
    simulation sim;
    pipeline p("calls");
    p.trace_to(into(disk, {.every = 0s, .propagation = trace_propagation::contexts}));
    memory::queue<order> in;
    std::vector<sent> out;
    std::vector<std::string> asked;  // the context of each attempt
    std::vector<async_reply<int>> open;
    const auto ask = [&](const order& o, async_reply<int> reply) {
      const auto* context = reply.env().trace();
      asked.push_back(context != nullptr ? to_traceparent(*context) : "");
      if (asked.size() <= 2)
        return reply.fail(errc::unavailable, "not " + std::to_string(o.number));
      open.push_back(std::move(reply));
    };
    async_options options{.in_flight = 1, .order = order_of_results, .waiting = 2};
    options.retry = {.attempts = 3, .first_delay = 100ms};
    p.source("in", in).async_map<int>("score", ask, options).to("out", courier{&out});
    p.start(sim);
    in.push({1, parent_of(1), "rojo=1"});
    for (int i = 2; i <= 9; ++i) in.push({i, i == 5 ? parent_of(5) : "", ""});
    sim.advance(1s);
    REQUIRE(asked.size() == 3);
    for (const auto& context : asked) CHECK(context.substr(3, 32) == trace_id(1));
    CHECK(asked[0] != asked[1]);
    for (int answer = 10; out.size() < 9; ++answer) {
      REQUIRE(open.size() == 1);
      auto reply = std::move(open.back());
      open.pop_back();
      reply(answer);
      sim.advance(1s);
    }
    in.close();
    sim.run_to_end();
    p.wait();

    const trace_file trace(disk.content(file));
    CHECK(trace.traces().size() == 2);
    CHECK(p.status().trace.records == 2);
    const auto path = trace.path(trace_id(1));
    check_order(path, trace.with("b", "call"));
    CHECK(names(path) ==
          std::vector<std::string>{"in", "score", "score", "score", "score", "score", "out"});
    CHECK(path.front().parent == "00f067aa0ba902b7");
    std::vector<std::string> outcomes;
    for (const auto& e : trace.with("e", "call")) {
      if (e.trace == trace_id(1)) outcomes.push_back(e.name + ": " + e.outcome);
    }
    REQUIRE(outcomes.size() == 4);
    CHECK(outcomes[0].find("attempt: ") == 0);
    CHECK(outcomes[0].find("not 1") != std::string::npos);
    CHECK(outcomes[2] == "attempt: ok");
    CHECK(outcomes[3] == "score: ok");
    // What left carries the trace, the span it left from, and the state; others carry nothing.
    for (const auto& s : out) {
      const bool first = &s == &out.front();
      CAPTURE(s.number, first);
      if (first) {
        CHECK(s.traceparent == "00-" + trace_id(1) + "-" + path.back().span + "-01");
        CHECK(s.tracestate == "rojo=1");
      } else {
        CHECK((s.traceparent.empty() || s.traceparent.substr(3, 32) == trace_id(5)));
      }
    }
    CHECK(std::count_if(out.begin(), out.end(),
                        [](const auto& s) { return !s.traceparent.empty(); }) == 2);
    const auto fifth = trace.path(trace_id(5));
    check_order(fifth, trace.with("b", "call"));
    CHECK(fifth.back().name == "out");
  }
}

TEST_CASE("contexts count when they are valid, sampled, and not too many") {
  struct expectation {
    trace_propagation propagation;
    std::uint32_t most;
    std::size_t followed;
    std::uint64_t bad;
  };
  for (const auto& expected : {expectation{trace_propagation::contexts, 1000, 6, 2},
                               expectation{trace_propagation::contexts, 4, 4, 2},
                               expectation{trace_propagation::none, 1000, 0, 0}}) {
    faulty_file_system disk;
    simulation sim;
    pipeline p("contexts");
    p.trace_to(
        into(disk,
             {.every = 0s, .most_per_second = expected.most, .propagation = expected.propagation}));
    memory::queue<order> in;
    std::vector<sent> out;
    p.source("in", in).map([](const order& o) { return o.number; }).to("out", courier{&out});
    p.start(sim);
    for (int i = 0; i < 6; ++i) in.push({i, parent_of(i), ""});
    in.push({6, parent_of(6, "00"), ""});
    in.push({7, parent_of(7, "0g"), ""});
    in.push({8, "nonsense", ""});
    in.push({9, "", ""});
    sim.advance(1s);
    in.close();
    sim.run_to_end();
    p.wait();
    CHECK(p.status().trace.records == expected.followed);
    CHECK(p.status().trace.bad_contexts == expected.bad);
    REQUIRE(out.size() == 10);
    for (int i = 0; i < 10; ++i) {
      const auto& s = out[static_cast<std::size_t>(i)];
      CHECK(s.number == i);
      const bool carries = static_cast<std::size_t>(i) < expected.followed;
      CHECK(s.traceparent.substr(0, carries ? 36 : 99) ==
            (carries ? "00-" + trace_id(i) + "-" : ""));
    }
    CHECK(trace_file(disk.content(file)).traces().size() == expected.followed);
  }
}

TEST_CASE("records that were kept together lead to one result, and each shows its wait") {
  faulty_file_system disk;
  simulation sim;
  pipeline p("kept");
  p.trace_to(into(disk, {.every = 0s, .propagation = trace_propagation::contexts}));
  memory::queue<order> in;
  memory::sink<std::uint64_t> out;
  p.source("in", in)
      .event_time([](const order& o) { return at(o.number * 1s); }, bounded_lag{0s})
      .key_by([](const order& o) { return o.number % 2; })
      .window(tumbling{10s})
      .aggregate("stats", count())
      .map([](const auto& w) { return w.value; })
      .to("out", out);
  p.start(sim);
  for (int i = 1; i <= 5; ++i) in.push({i, i == 2 || i == 4 ? parent_of(i) : "", ""});
  sim.advance(1s);
  in.close();
  sim.run_to_end();
  p.wait();
  const trace_file trace(disk.content(file));
  CHECK(names(trace.path(trace_id(2))).back() == "out");
  CHECK(names(trace.path(trace_id(4))).back() == "stats");
  CHECK(trace.with("b", "wait").size() == 2);
  CHECK(trace.with("f", "flow").size() == 2);
}

TEST_CASE("a full disk ends the file, not the pipeline") {
  for (std::uint64_t capacity : {2'000u, 5'000u, 20'000u}) {
    CAPTURE(capacity);
    faulty_file_system disk;
    std::vector<std::string> lines;
    simulation sim;
    pipeline p("full");
    p.log_to([&](const log_record& r) {
       lines.emplace_back(r.message);
     }).trace_to(into(disk, {.every = 1ms}));
    memory::queue<int> in;
    memory::sink<int> out;
    p.source("in", in).map([](int i) { return i + 1; }).to("out", out);
    p.start(sim);
    disk.set_capacity(capacity);
    for (int i = 0; i < 500; ++i) {
      in.push(i);
      sim.advance(10ms);
    }
    in.close();
    sim.run_to_end();
    p.wait();
    CHECK(out.values().size() == 500);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("no more events are written: ") == 0);
    const trace_file trace(disk.content(file));
    CHECK(trace.traces().size() < 500);
    CHECK_FALSE(p.status().trace.writing);
  }
}

TEST_CASE("the file keeps to its greatest size") {
  faulty_file_system disk;
  std::vector<std::string> lines;
  simulation sim;
  pipeline p("large");
  p.log_to([&](const log_record& r) {
     lines.emplace_back(r.message);
   }).trace_to(into(disk, {.every = 1ms, .most_bytes = 65'536}));
  memory::queue<int> in;
  memory::sink<int> out;
  p.source("in", in).map([](int i) { return i + 1; }).to("out", out);
  p.start(sim);
  for (int i = 0; i < 1'000; ++i) {
    in.push(i);
    sim.advance(10ms);
  }
  in.close();
  sim.run_to_end();
  p.wait();
  const std::string text = disk.content(file);
  CHECK(text.size() <= 65'536);
  CHECK(text.size() > 64'000);
  const trace_file trace(text);
  CHECK(trace.traces().size() > 50);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("greatest size") != std::string::npos);
  CHECK(out.values().size() == 1'000);
  CHECK(p.status().trace.records == 1'000);
}

TEST_CASE("options that cannot work are refused before anything runs") {
  pipeline p("wrong");
  CHECK_THROWS_AS(p.trace_to({}), topology_error);
  CHECK_THROWS_AS(p.trace_to({.file = "x", .every = -1s}), topology_error);
  CHECK_THROWS_AS(p.trace_to({.file = "x", .most_per_second = 0}), topology_error);
  CHECK_THROWS_AS(p.trace_to({.file = "x", .most_bytes = 1}), topology_error);
  faulty_file_system disk;
  memory::queue<int> in;
  memory::sink<int> out;
  p.source("in", in).to("out", out);
  p.trace_to({.file = "missing/trace.json", .files = &disk});
  simulation sim;
  CHECK_THROWS_AS(p.start(sim), topology_error);
}
