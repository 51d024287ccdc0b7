// SPDX-License-Identifier: Apache-2.0
// Accounts of time: read while they are written, also in the middle of a stretch of work.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/operators/activity.hpp>

#include "catch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

const operator_status& find(const pipeline_status& all, const std::string& name) {
  const auto it = std::find_if(all.operators.begin(), all.operators.end(),
                               [&](const auto& s) { return s.name == name; });
  if (it == all.operators.end()) throw std::logic_error("no operator " + name);
  return *it;
}

}  // namespace

TEST_CASE("a stopwatch tells the stretch that is open, and keeps those that are over") {
  stopwatch watch;
  CHECK_FALSE(watch.running());
  CHECK(watch.total(1.0) == 0ns);
  const auto now = cycle_ticks();
  watch.start(now - 5000);
  CHECK(watch.running());
  CHECK(watch.total(1.0) >= 5000ns);
  watch.start(now);  // runs already
  watch.stop(now);
  CHECK_FALSE(watch.running());
  stopwatch other;
  other.start(now - 1000);
  other.stop(now);
  other.stop(now + 1000);  // stands already
  CHECK(other.total(1.0) == 1000ns);
  CHECK(other.total(2.0) == 2000ns);
  CHECK(other.total(1.9) == 2000ns);  // a better rate takes nothing back
  other.start(now + 500);
  other.stop(now + 750);
  CHECK(other.total(2.0) == 2500ns);
}

TEST_CASE("a stopwatch that starts a little in the future of another processor shows nothing") {
  stopwatch watch;
  watch.start(cycle_ticks() + 1'000'000'000'000);
  CHECK(watch.total(1.0) == 0ns);
}

TEST_CASE("readers of a stopwatch never see it go back, nor more than has passed") {
  stopwatch watch;
  std::atomic<bool> over{false};
  const auto begin = cycle_ticks();
  std::vector<std::thread> readers;
  std::atomic<int> wrong{0};
  std::atomic<int> readings{0};
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&, r] {
      auto last = 0ns;
      for (int i = 0; !over || i < 1000; ++i) {
        // The rate wavers, as one does that is measured over and over again.
        const auto total = watch.total(1.0 - 1e-6 * ((i + r) % 7));
        const auto most = static_cast<std::int64_t>(cycle_ticks() - begin);
        if (total < last || total.count() > most) ++wrong;
        last = total;
        ++readings;
      }
    });
  }
  for (int i = 0; i < 200'000 || readings < 2000; ++i) {
    watch.start();
    watch.stop();
  }
  over = true;
  for (auto& reader : readers) reader.join();
  CHECK(wrong == 0);
  CHECK(readings >= 2000);
}

TEST_CASE("an operator that has not returned yet is busy all the while") {
  pipeline p("long work");
  memory::sink<int> out;
  std::atomic<bool> inside{false};
  std::atomic<bool> go_on{false};
  p.source("in", memory::source<int>({1}))
      .map([&](int i) {
        inside = true;
        while (!go_on) std::this_thread::yield();
        return i;
      })
      .to("out", out);
  p.start();
  while (!inside) std::this_thread::yield();
  const auto first = p.status();
  // The operator stays inside until two readings have shown that its time grows.
  auto later = p.status();
  for (int i = 0; i < 100'000 && find(later, "map-1").busy < find(first, "map-1").busy + 5ms; ++i) {
    std::this_thread::sleep_for(1ms);
    later = p.status();
  }
  CHECK(find(later, "map-1").busy >= find(first, "map-1").busy + 5ms);
  CHECK(find(later, "map-1").records_out == 0);
  CHECK(find(later, "in").busy - find(first, "in").busy <
        find(later, "map-1").busy - find(first, "map-1").busy);
  go_on = true;
  p.wait();
  CHECK(find(p.status(), "map-1").busy >= find(later, "map-1").busy);
}

TEST_CASE("what a fused chain filters is counted, whatever its steps and batches are") {
  // 1300 records are more than two batches; the sink takes what is left.
  std::vector<int> numbers(1300);
  for (int i = 0; i < 1300; ++i) numbers[static_cast<std::size_t>(i)] = i;
  memory::sink<int> out;
  pipeline p("chains");
  auto all = p.source("in", memory::source<int>(numbers));
  all.map([](int i) { return i; }).filter([](int i) { return i % 3 == 0; }).to("thirds", out);
  all.flat_map([](int i) { return std::vector<int>(static_cast<std::size_t>(i % 3), i); })
      .filter([](int i) { return i % 2 == 0; })
      .to("twice", out);
  all.filter([](int) { return false; }).to("none", out);
  p.run();
  const auto s = p.status();
  for (const auto& o : s.operators) {
    INFO(o.name);
    if (o.name.starts_with("map.filter")) {
      CHECK(o.records_in == 1300);
      CHECK(o.records_out == 434);
      CHECK(o.filtered == 866);
    }
    if (o.name.starts_with("flat_map.filter")) {
      std::uint64_t made = 0;
      std::uint64_t dropped = 0;
      for (const int i : numbers) (i % 2 == 0 ? made : dropped) += static_cast<unsigned>(i % 3);
      CHECK(o.records_out == made);
      CHECK(o.filtered == dropped);
    }
    if (o.name.starts_with("filter")) {
      CHECK(o.records_out == 0);
      CHECK(o.filtered == 1300);
    }
  }
  CHECK(std::count_if(s.operators.begin(), s.operators.end(), [](const auto& o) {
          return o.name.find("filter") != std::string::npos;
        }) == 3);
}
