// SPDX-License-Identifier: Apache-2.0
// Pipelines with windows of every kind give what the oracle says at parallelism 1 to 4, in any
// order of scheduling.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "oracle/random_stream.hpp"
#include "oracle/windows_triggers_oracle.hpp"

#include "catch.hpp"

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using oracle::at;
using oracle::event;
using oracle::random_source;
using oracle::trigger_kind;
using oracle::window_kind;
using oracle::window_setup;

namespace {

using lines = std::vector<std::string>;
using batches = std::vector<std::vector<event>>;

std::int64_t ticks(timestamp t) { return t.time_since_epoch().count(); }

/// Emits the given batches, one per poll: where watermarks fall does not depend on the run.
struct scripted_source {
  using value_type = event;
  std::shared_ptr<const batches> all;

  struct reader {
    std::shared_ptr<const batches> all;
    std::size_t next = 0;
    poll_status poll(source_output<event>& out) {
      if (next == all->size()) return poll_status::end;
      for (const auto& e : (*all)[next]) out.emit(e, timestamp{});
      ++next;
      return poll_status::more;
    }
  };
  reader open(source_context&) const { return {all, 0}; }
};

struct numbers {
  using state = std::vector<int>;
  void add(state& s, const event& e) const { s.push_back(e.id); }
  void merge(state& s, const state& later) const { s.insert(s.end(), later.begin(), later.end()); }
  state result(const state& s) const { return s; }
};

std::string text_of(const std::string& name, int key, const window& w, timestamp time,
                    const std::vector<int>& ids) {
  std::string text = name + std::to_string(key) + " [" + std::to_string(ticks(w.start)) + " " +
                     std::to_string(ticks(w.end)) + ") at " + std::to_string(ticks(time)) + ":";
  for (const int id : ids) text += " " + std::to_string(id);
  return text;
}

struct given {
  batches input;
  duration lag{};
  window_setup sessions;
  window_setup early_sliding;
  window_setup global_counts;
};

given random_input(random_source& random) {
  given g;
  int id = 0;
  std::int64_t now = random.between(-500, 500);
  const auto keys = random.between(1, 12);
  const auto disorder = random.between(0, 60);
  for (auto n = random.between(1, 25); n > 0; --n) {
    std::vector<event> some;
    for (auto i = random.below(30); i > 0; --i) {
      now += random.between(0, random.one_in(40) ? 200 : 8);
      some.push_back({static_cast<int>(random.below(keys)), now - random.between(0, disorder),
                      static_cast<int>(random.below(100)), id++});
    }
    g.input.push_back(std::move(some));
  }
  g.lag = duration{random.between(0, 60)};
  g.sessions = {.kind = window_kind::session, .size = random.between(1, 60)};
  g.early_sliding = {.size = random.between(10, 80), .trigger = trigger_kind::early_count};
  g.early_sliding.slide = random.between(10, 60);
  g.early_sliding.trigger_number = random.between(1, 6);
  g.global_counts = {.kind = window_kind::global, .trigger = trigger_kind::purging_count};
  g.global_counts.trigger_number = random.between(1, 6);
  for (auto* s : {&g.sessions, &g.early_sliding}) s->lateness = random.between(0, 80);
  return g;
}

/// Record by record, and a watermark behind every batch that moves it.
void expect(lines& all, const std::string& name, const window_setup& s, const given& g) {
  oracle::triggered_windows windows(s, 0);
  std::int64_t greatest = INT64_MIN;
  std::int64_t watermark = INT64_MIN;
  const auto said = [&](const oracle::window_step& step) {
    for (const auto& r : step.results) all.push_back(name + r);
    for (const int id : step.late) all.push_back(name + "late " + std::to_string(id));
  };
  for (const auto& some : g.input) {
    for (const auto& e : some) {
      said(windows.record(e));
      greatest = std::max(greatest, e.time);
    }
    if (some.empty() || greatest - g.lag.count() - 1 <= watermark) continue;
    said(windows.watermark(watermark = greatest - g.lag.count() - 1));
  }
  said(windows.watermark(INT64_MAX));
}

lines expected(const given& g) {
  lines all;
  expect(all, "session ", g.sessions, g);
  expect(all, "records ", g.sessions, g);
  expect(all, "early ", g.early_sliding, g);
  expect(all, "global ", g.global_counts, g);
  window_setup all_keys = g.sessions;
  given one = g;
  for (auto& some : one.input) {
    for (auto& e : some) e.key = 0;
  }
  expect(all, "all ", all_keys, one);
  std::sort(all.begin(), all.end());
  return all;
}

template <class Stream>
void late_lines(const Stream& results, const side_output<event>& late, const std::string& name,
                memory::sink<std::string>& out) {
  results.side(late)
      .map([name](const event& e) { return name + "late " + std::to_string(e.id); })
      .to(name + "late", out);
}

lines run(const given& g, std::size_t workers, std::uint64_t seed) {
  testing::simulation sim({.workers = workers, .seed = seed});
  pipeline p("windows");
  p.parallelism(workers).ring_batches(2 + seed % 3);
  memory::sink<std::string> out;
  auto in = p.source("in", scripted_source{std::make_shared<const batches>(g.input)})
                .event_time([](const event& e) { return at(e.time); }, bounded_lag{g.lag});
  auto keyed = in.key_by(&event::key);
  const auto print = [&out](const auto& stream, const side_output<event>& late,
                            const std::string& name) {
    stream.to(name + "out", out);
    late_lines(stream, late, name, out);
  };
  const auto of_fold = [](const char* name) {
    return [name](int key, const window& w, const std::vector<int>& ids, auto& ctx) {
      ctx.emit(text_of(name, key, w, ctx.time(), ids));
    };
  };
  const auto gap = session{duration{g.sessions.size}};
  const side_output<event> late[4] = {side_output<event>("a"), side_output<event>("b"),
                                      side_output<event>("c"), side_output<event>("d")};
  print(keyed.window(gap)
            .allowed_lateness(duration{g.sessions.lateness})
            .late_to(late[0])
            .template aggregate<std::string>("sessions", numbers{}, of_fold("session ")),
        late[0], "session ");
  print(keyed.window(gap)
            .allowed_lateness(duration{g.sessions.lateness})
            .late_to(late[1])
            .template apply<std::string>(
                "records",
                [](int key, const window& w, std::span<const window_record<event>> records,
                   auto& ctx) {
                  std::vector<int> ids;
                  for (const auto& r : records) ids.push_back(r.value.id);
                  ctx.emit(text_of("records ", key, w, ctx.time(), ids));
                }),
        late[1], "records ");
  print(keyed.window(sliding{duration{g.early_sliding.size}, duration{g.early_sliding.slide}})
            .trigger(early(on_count{static_cast<std::uint64_t>(g.early_sliding.trigger_number)}))
            .allowed_lateness(duration{g.early_sliding.lateness})
            .late_to(late[2])
            .template aggregate<std::string>("early", numbers{}, of_fold("early ")),
        late[2], "early ");
  keyed.window(global{})
      .trigger(purging(on_count{static_cast<std::uint64_t>(g.global_counts.trigger_number)}))
      .template aggregate<std::string>("global", numbers{}, of_fold("global "))
      .to("global out", out);
  print(in.window_all(gap)
            .allowed_lateness(duration{g.sessions.lateness})
            .late_to(late[3])
            .template aggregate<std::string>(
                "all", numbers{},
                [](whole_stream, const window& w, const std::vector<int>& ids, auto& ctx) {
                  ctx.emit(text_of("all ", 0, w, ctx.time(), ids));
                }),
        late[3], "all ");
  p.start(sim);
  p.wait();
  auto all = out.values();
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("pipelines with windows give what the oracle says, at parallelism 1 to 4") {
  oracle::for_each_case(60, [](random_source& random) {
    const given g = random_input(random);
    const lines wanted = expected(g);
    for (std::size_t workers = 1; workers <= 4; ++workers) {
      INFO(workers << " workers");
      REQUIRE(run(g, workers, random.bits()) == wanted);
    }
  });
}

TEST_CASE("windows of processing time go by the wall clock, and lose nothing at the end") {
  testing::simulation sim({.start = timestamp{1000s}});
  pipeline p("clock");
  memory::sink<std::string> out;
  std::vector<event> records(7);
  for (int i = 0; i < 7; ++i) records[static_cast<std::size_t>(i)].id = i;
  p.source("in", memory::source(records))
      .key_by(&event::key)
      .window(tumbling{.size = 10s, .clock = time_domain::processing_time})
      .aggregate("ten seconds", numbers{},
                 [](int key, const window& w, const std::vector<int>& ids) {
                   return text_of("", key, w, w.max_timestamp(), ids);
                 })
      .to("out", out);
  p.start(sim);
  p.wait();
  CHECK(out.values() == lines{"0 [1000000000 1010000000) at 1009999999: 0 1 2 3 4 5 6"});
}
