// SPDX-License-Identifier: Apache-2.0
// Whole pipelines through the public DSL: on threads, on an executor, and in virtual time.

#include <millrace/base/asio.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

timestamp at(std::int64_t t) { return timestamp{duration{t}}; }

std::vector<memory::timed<int>> numbers(int n) {
  std::vector<memory::timed<int>> all;
  for (int i = 0; i < n; ++i) all.push_back({i, at(i)});
  return all;
}

template <class T>
std::vector<T> sorted(std::vector<T> v) {
  std::sort(v.begin(), v.end());
  return v;
}

const operator_status& find(const std::vector<operator_status>& all, const std::string& name) {
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const auto& s) { return s.name == name; });
  if (it == all.end()) throw std::logic_error("no operator " + name);
  return *it;
}

}  // namespace

TEST_CASE("map, filter, flat_map and inspect are fused into one node and keep the order") {
  pipeline p("steps");
  memory::sink<std::string> out;
  int inspected = 0;
  p.source("in", memory::source<int>(numbers(10)))
      .map([](int i) { return i * 2; })
      .filter([](int i) { return i % 4 == 0; })
      .inspect([&](int) { ++inspected; })
      .flat_map([](int i) {
        return std::vector<int>{i, i + 1};
      })
      .map([](int i) { return std::to_string(i); })
      .to("out", out);
  p.run();
  CHECK(out.values() ==
        std::vector<std::string>{"0", "1", "4", "5", "8", "9", "12", "13", "16", "17"});
  CHECK(inspected == 5);
  const auto status = p.status().operators;
  REQUIRE(status.size() == 3);
  CHECK(status[1].name == "map.filter.inspect.flat_map.map-1");
  CHECK(status[1].records_in == 10);
  CHECK(status[1].filtered == 5);
  CHECK(status[1].records_out == 10);
}

TEST_CASE("flat_map<U>(f) emits without a container") {
  pipeline p("emit");
  memory::sink<double> out;
  p.source("in", memory::source<int>(numbers(3)))
      .flat_map<double>([](int i, auto& emit) {
        for (int k = 0; k < i; ++k) emit(i + 0.5);
      })
      .to("out", out);
  p.run();
  CHECK(out.values() == std::vector<double>{1.5, 2.5, 2.5});
}

TEST_CASE("a stream that is used twice feeds both, also chains of steps") {
  pipeline p("fan-out");
  memory::sink<int> a;
  memory::sink<std::string> b;
  std::atomic<int> mapped{0};
  auto doubled = p.source("in", memory::source<int>(numbers(1000))).map([&](int i) {
    ++mapped;
    return 2 * i;
  });
  doubled.filter([](int i) { return i % 3 == 0; }).to("a", a);
  doubled.map([](int i) { return std::to_string(i); }).to("b", b);
  p.run();
  CHECK(mapped == 1000);
  CHECK(a.values().size() == 334);
  CHECK(b.values().size() == 1000);
  CHECK(b.values()[999] == "1998");
}

TEST_CASE("chains longer than the limit are cut and still do their work") {
  pipeline p("long");
  memory::sink<int> out;
  auto inc = [](int i) { return i + 1; };
  p.source("in", memory::source<int>(numbers(3)))
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .map(inc)
      .to("out", out);
  p.run();
  CHECK(out.values() == std::vector<int>{20, 21, 22});
}

TEST_CASE("split, merge and side outputs lose and double nothing") {
  for (const std::size_t workers : {1U, 3U}) {
    pipeline p("split");
    p.parallelism(workers);
    memory::sink<int> out;
    auto [even, odd] =
        p.source("in", memory::source<int>(numbers(5000))).split([](int i) { return i % 2 == 0; });
    even.map([](int i) { return i; }).merge(odd.map([](int i) { return -i; })).to("out", out);
    p.run();
    const auto values = out.values();
    CHECK(values.size() == 5000);
    CHECK(std::accumulate(values.begin(), values.end(), 0L) == -2500);
  }
}

TEST_CASE("windows per key, late records and re-firing through the DSL") {
  for (const std::size_t workers : {1U, 2U, 4U}) {
    pipeline p("windows");
    p.parallelism(workers);
    side_output<int> late("late");
    memory::sink<window_result<int, std::uint64_t>> out;
    memory::sink<int> too_late;
    std::vector<memory::timed<int>> in;
    for (int i = 0; i < 10'000; ++i) in.push_back({i, at(i)});
    auto counts = p.source("in", memory::source<int>(in))
                      .event_time([](int i) { return at(i); }, bounded_lag{duration{50}})
                      .key_by([](int i) { return i % 10; })
                      .window(tumbling{duration{1000}})
                      .late_to(late)
                      .aggregate("counts", count{});
    counts.to("out", out);
    counts.side(late).to("late", too_late);
    p.run();
    const auto results = out.values();
    CHECK(results.size() == 100);
    for (const auto& r : results) CHECK(r.value == 100);
    CHECK(too_late.values().empty());
  }
}

TEST_CASE("what is late is counted once and goes to the late output") {
  pipeline p("late");
  side_output<int> late("late");
  memory::sink<window_result<int, std::uint64_t>> out;
  memory::sink<int> too_late;
  // Every batch ends with a watermark, so the second source poll is behind the first.
  std::vector<memory::timed<int>> in;
  for (int i = 0; i < 512; ++i) in.push_back({10'000 + i, at(0)});
  for (int i = 0; i < 5; ++i) in.push_back({i, at(0)});
  auto counts = p.source("in", memory::source<int>(in))
                    .event_time([](int i) { return at(i); }, monotone_times)
                    .key_by([](int) { return 0; })
                    .window(sliding{.size = duration{1000}, .slide = duration{100}})
                    .late_to(late)
                    .aggregate("counts", count{});
  counts.to("out", out);
  counts.side(late).to("late", too_late);
  p.run();
  CHECK(too_late.values() == std::vector<int>{0, 1, 2, 3, 4});
  CHECK(find(p.status().operators, "counts").late == 5);
}

TEST_CASE("a process function has state and timers per key") {
  struct seen {
    int count = 0;
  };
  for (const std::size_t workers : {1U, 3U}) {
    pipeline p("process");
    p.parallelism(workers);
    memory::sink<int> out;
    p.source("in", memory::source<int>(numbers(1000)))
        .event_time([](int i) { return at(i); }, monotone_times)
        .key_by([](int i) { return std::to_string(i % 7); })
        .process<int>(
            "count",
            [](const int& i, seen& s, auto& ctx) {
              if (++s.count == 1) ctx.timer_at(at(i + 500));
            },
            [](timestamp, seen& s, auto& ctx) {
              ctx.emit(s.count);
              ctx.clear_state();
            })
        .to("out", out);
    p.run();
    // 7 keys: each counts about 500 / 7 records, then starts again; the end fires what is left.
    const auto counts = out.values();
    CHECK(counts.size() == 14);
    CHECK(std::accumulate(counts.begin(), counts.end(), 0) == 1000);
  }
}

TEST_CASE("connected streams share state per key") {
  struct balance {
    int value = 0;
  };
  for (const std::size_t workers : {1U, 4U}) {
    pipeline p("connect");
    p.parallelism(workers);
    memory::sink<int> out;
    auto in = p.source("in", memory::source<int>(numbers(100)))
                  .event_time([](int i) { return at(i); }, monotone_times);
    auto plus = in.key_by([](int i) { return i % 5; });
    auto minus = in.map([](int i) { return i; }).key_by([](int i) { return i % 5; });
    plus.connect(minus)
        .process<int>(
            "sum", [](const int& i, balance& b, auto& ctx) { ctx.emit(b.value += i); },
            [](const int& i, balance& b, auto& ctx) { ctx.emit(b.value -= i); })
        .to("out", out);
    p.run();
    CHECK(out.values().size() == 200);
    const auto status = p.status().operators;
    CHECK(find(status, "sum").records_in > 0);
  }
}

TEST_CASE("records wait for the first broadcast value, and all see the current one") {
  for (const std::size_t workers : {1U, 3U}) {
    pipeline p("with");
    p.parallelism(workers);
    memory::sink<int> out;
    auto factor = p.source("factor", memory::source<int>(std::vector<int>{10})).broadcast();
    p.source("in", memory::source<int>(numbers(100)))
        .key_by([](int i) { return i; })
        .with(factor)
        .map([](int i, int f) { return i * f; })
        .to("out", out);
    p.run();
    const auto values = sorted(out.values());
    REQUIRE(values.size() == 100);
    CHECK(values[99] == 990);
  }
}

TEST_CASE("without a broadcast value ever, held records become dead letters") {
  pipeline p("with nothing");
  memory::sink<int> out;
  memory::sink<dead_letter> dead;
  auto factor = p.source("factor", memory::source<int>(std::vector<int>{})).broadcast();
  p.source("in", memory::source<int>(numbers(3)))
      .with(factor)
      .map([](int i, int f) { return i * f; })
      .to("out", out);
  p.dead_letters().to("dead", dead);
  p.run();
  CHECK(out.values().empty());
  CHECK(dead.values().size() == 3);
}

TEST_CASE("an exception from user code names the operator and keeps its cause") {
  for (const std::size_t workers : {1U, 2U}) {
    pipeline p("throws");
    p.parallelism(workers);
    memory::sink<int> out;
    struct nothing {};
    p.source("in", memory::source<int>(numbers(100)))
        .key_by([](int i) { return i; })
        .process<int>("explode",
                      [](const int& i, nothing&, auto& ctx) {
                        if (i == 42) throw std::runtime_error("boom");
                        ctx.emit(i);
                      })
        .to("out", out);
    try {
      p.run();
      FAIL("must throw");
    } catch (const pipeline_error& e) {
      CHECK(e.operator_name() == "explode");
      CHECK(std::string(e.what()) == "explode: boom");
      CHECK_THROWS_AS(std::rethrow_if_nested(e), std::runtime_error);
    }
  }
}

TEST_CASE("two parts with one name are refused before any record flows") {
  pipeline p("names");
  memory::sink<int> out;
  auto in = p.source("in", memory::source<int>(numbers(1)));
  in.to("out", out);
  in.to("out", out);
  CHECK_THROWS_WITH(p.run(), Catch::Matchers::ContainsSubstring("\"out\""));
  CHECK(out.values().empty());
}

TEST_CASE("wrong options are refused with words") {
  pipeline p("options");
  CHECK_THROWS_AS(p.parallelism(0), topology_error);
  CHECK_THROWS_AS(p.parallelism(129), topology_error);
  auto keyed = p.source("in", memory::source<int>(numbers(1))).key_by([](int i) { return i; });
  CHECK_THROWS_AS(keyed.window(sliding{.size = 0s, .slide = 1s}), topology_error);
}

TEST_CASE("an empty pipeline is refused; a second start, too") {
  pipeline empty("empty");
  CHECK_THROWS_AS(empty.run(), topology_error);
  pipeline p("twice");
  memory::sink<int> out;
  p.source("in", memory::source<int>(numbers(1))).to("out", out);
  p.run();
  CHECK_THROWS_AS(p.run(), topology_error);
}

TEST_CASE("stop drains: what was taken from the source arrives") {
  pipeline p("stop");
  memory::queue<int> in;
  memory::sink<int> out;
  p.source("in", in).map([](int i) { return i; }).to("out", out);
  p.start();
  int pushed = 0;
  std::thread feeder([&] {
    while (in.push(pushed)) ++pushed;
  });
  while (out.size() < 1000) std::this_thread::yield();
  p.stop();
  p.wait();
  feeder.join();
  CHECK(out.size() == static_cast<std::size_t>(pushed));
}

TEST_CASE("cancel ends at once, and a pipeline may be destroyed while it runs") {
  memory::queue<int> in;
  memory::sink<int> out;
  {
    pipeline p("cancel");
    p.source("in", in).to("out", out);
    p.start();
    p.cancel();
    p.wait();
    CHECK(p.ended());
  }
  memory::queue<int> in2;
  pipeline p("destroyed");
  p.parallelism(3);
  p.source("in", in2).key_by([](int i) { return i; }).to("out", out);
  p.start();
}

TEST_CASE("a pipeline runs on the application's executor, in the application's threads only") {
  for (const std::size_t workers : {1U, 3U}) {
    boost::asio::io_context io;
    io_executor executor{io.get_executor()};
    memory::sink<int> out;
    const auto here = std::this_thread::get_id();
    bool elsewhere = false;
    pipeline p("executor");
    p.parallelism(workers);
    p.source("in", memory::source<int>(numbers(20'000)))
        .inspect([&](int) { elsewhere = elsewhere || std::this_thread::get_id() != here; })
        .key_by([](int i) { return i % 100; })
        .map([](int i) { return i; })
        .to("out", out);
    p.start(executor);
    io.run();
    p.wait();
    CHECK(out.size() == 20'000);
    CHECK_FALSE(elsewhere);
  }
}

TEST_CASE("a pipeline runs on a thread pool of the application") {
  boost::asio::thread_pool pool(3);
  io_executor executor{pool.get_executor()};
  memory::sink<int> out;
  pipeline p("pool");
  p.parallelism(4);
  p.source("in", memory::source<int>(numbers(50'000)))
      .key_by([](int i) { return i % 100; })
      .map([](int i) { return i; })
      .to("out", out);
  p.start(executor);
  p.wait();
  CHECK(out.size() == 50'000);
  pool.join();
}

TEST_CASE("idle inputs do not hold back the others") {
  testing::simulation sim;
  memory::queue<int> quiet;
  memory::queue<int> busy;
  memory::sink<window_result<int, std::uint64_t>> out;
  pipeline p("idle");
  const auto time_of = [](int i) { return at(i); };
  const bounded_lag lag{.bound = duration{0}, .idle_after = 1s};
  p.source("quiet", quiet)
      .event_time(time_of, lag)
      .merge(p.source("busy", busy).event_time(time_of, lag))
      .key_by([](int) { return 0; })
      .window(tumbling{duration{100}})
      .aggregate("counts", count{})
      .to("out", out);
  p.start(sim);
  quiet.push(5);
  for (int i = 0; i < 300; ++i) busy.push(i);
  sim.run_until_idle();
  CHECK(out.size() == 0);
  sim.advance(900ms);
  busy.push(300);
  sim.run_until_idle();
  CHECK(out.size() == 0);
  sim.advance(600ms);
  CHECK(out.size() == 3);
  quiet.push(301);
  busy.push(450);
  sim.run_until_idle();
  CHECK(out.size() == 3);
  quiet.push(460);
  sim.run_until_idle();
  CHECK(out.size() == 4);
  quiet.close();
  busy.close();
  sim.run_to_end();
}

TEST_CASE("a record ahead of the clock by more than the limit is quarantined") {
  testing::simulation sim({.start = at(1'000'000)});
  memory::sink<int> out;
  memory::sink<dead_letter> dead;
  pipeline p("future");
  p.source("in", memory::source<int>(std::vector<int>{1'000'000, 1'000'500, 9'000'000, 1'000'100}))
      .event_time([](int i) { return at(i); }, bounded_lag{.most_ahead = duration{1000}})
      .to("out", out);
  p.dead_letters().to("dead", dead);
  p.start(sim);
  p.wait();
  CHECK(out.values() == std::vector<int>{1'000'000, 1'000'500, 1'000'100});
  REQUIRE(dead.values().size() == 1);
  CHECK(dead.values()[0].time == at(9'000'000));
}

TEST_CASE("records that wait for a broadcast value keep their keys") {
  struct seen {
    int count = 0;
  };
  testing::simulation sim;
  memory::queue<int> rules;
  memory::queue<int> in;
  memory::sink<int> out;
  pipeline p("held keys");
  auto keyed = p.source("in", in).key_by([](int i) { return i; });
  using pair = with_broadcast<int, int>;
  keyed.with(p.source("rules", rules).broadcast())
      .pairs()
      .process<int>("check",
                    [](const pair& v, seen& s, auto& ctx) {
                      if (ctx.key() == v.value && ++s.count == 1) ctx.emit(v.value);
                    })
      .to("out", out);
  p.start(sim);
  // Between the records the worker has every reason to forget keys nobody has state for.
  for (int i = 0; i < 50; ++i) {
    in.push(i);
    for (int k = 0; k < 100; ++k) sim.step();
    sim.advance(1ms);
  }
  CHECK(out.size() == 0);
  rules.push(1);
  sim.run_until_idle();
  CHECK(out.size() == 50);
  p.stop();
  sim.run_to_end();
}
