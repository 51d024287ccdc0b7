// SPDX-License-Identifier: Apache-2.0
// Pipelines that fail and start again by a policy, from inside the process.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "simulation/random_pipeline.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

/// Fails at the given records, once each.
struct failing {
  std::shared_ptr<std::atomic<int>> failures;
  int most;
  int operator()(int value) const {
    if (value % 100 == 99 && failures->fetch_add(1) < most) throw std::runtime_error("broken pipe");
    return value;
  }
};

std::vector<int> numbers(int n) {
  std::vector<int> all;
  for (int i = 0; i < n; ++i) all.push_back(i);
  return all;
}

/// Emits one batch a poll, waits in between, and fails now and then, at most `most` times.
struct unreliable_source {
  using value_type = random_pipelines::event;
  struct shared_type {
    std::mt19937 random;
    int failures = 0;
    int most = 0;
    std::vector<std::vector<random_pipelines::event>> batches;
  };
  std::shared_ptr<shared_type> shared;

  struct reader {
    source_context* context;
    std::shared_ptr<shared_type> shared;
    std::size_t next = 0;

    poll_status poll(source_output<random_pipelines::event>& out) {
      auto& s = *shared;
      if (s.failures < s.most && s.random() % 12 == 0) {
        ++s.failures;
        throw std::runtime_error("the connection was lost");
      }
      if (next == s.batches.size()) return poll_status::end;
      for (const auto& e : s.batches[next]) out.emit(e, timestamp{});
      ++next;
      context->env().call_after(1ms, [c = context] { c->wake(); });
      return poll_status::wait;
    }
    void save(snapshot_writer& to) const { to.varint(next); }
    void restore(snapshot_reader& from) { next = from.varint(); }
  };
  reader open(source_context& context) const { return {&context, shared, 0}; }
};

struct only_movable {
  using output_type = int;
  std::unique_ptr<int> state = std::make_unique<int>(1);
  void process(int value, operator_context<int>& c) { c.emit(value + *state); }
};

}  // namespace

TEST_CASE("a fixed delay is granted so many times") {
  restart_decision decision(fixed_delay_restart{.attempts = 2, .delay = 3s});
  CHECK(decision.after_failure(0s, 1s, 0) == std::optional<std::chrono::nanoseconds>(3s));
  CHECK(decision.after_failure(9h, 9h, 0) == std::optional<std::chrono::nanoseconds>(3s));
  CHECK_FALSE(decision.after_failure(10h, 1h, 0));
}

TEST_CASE("exponential delays grow up to a limit, and start anew after a long run") {
  restart_decision decision(exponential_restart{.first_delay = 1s,
                                                .longest_delay = 5s,
                                                .multiplier = 2,
                                                .jitter = 0.5,
                                                .reset_after = 1h,
                                                .attempts = 4});
  using ns = std::chrono::nanoseconds;
  CHECK(decision.after_failure(0s, 1s, 0) == std::optional<ns>(1s));
  CHECK(decision.after_failure(0s, 1s, 512) == std::optional<ns>(1500ms));
  CHECK(decision.after_failure(0s, 1s, 0) == std::optional<ns>(4s));
  CHECK(decision.after_failure(0s, 1s, 0) == std::optional<ns>(5s));
  CHECK_FALSE(decision.after_failure(0s, 1s, 0));
  CHECK(decision.after_failure(0s, 1h, 0) == std::optional<ns>(1s));
}

TEST_CASE("a failure rate gives up at too many failures in its time") {
  restart_decision decision(failure_rate_restart{.failures = 2, .within = 10s, .delay = 1s});
  CHECK(decision.after_failure(0s, 1s, 0));
  CHECK(decision.after_failure(9s, 1s, 0));
  CHECK(decision.after_failure(11s, 1s, 0));  // the first one no longer counts
  CHECK_FALSE(decision.after_failure(18s, 1s, 0));
}

TEST_CASE("policies that make no sense are refused") {
  pipeline p("p");
  CHECK_THROWS_AS(p.restart(fixed_delay_restart{.delay = -1s}), topology_error);
  CHECK_THROWS_AS(p.restart(exponential_restart{.first_delay = 2min}), topology_error);
  CHECK_THROWS_AS(p.restart(exponential_restart{.multiplier = 0.5}), topology_error);
  CHECK_THROWS_AS(p.restart(failure_rate_restart{.within = 0s}), topology_error);
}

TEST_CASE("run starts again after failures, and says so in status and log") {
  const auto failures = std::make_shared<std::atomic<int>>(0);
  memory::sink<int> out;
  std::mutex mutex;
  std::string log;
  pipeline p("p");
  p.parallelism(2).restart(fixed_delay_restart{.attempts = 5, .delay = 1ms});
  p.log_to([&](const log_record& r) {
    const std::lock_guard lock(mutex);
    log += std::string(r.message) + "\n";
  });
  p.source("in", memory::source<int>(numbers(1000)))
      .key_by([](int i) { return i % 7; })
      .map(failing{failures, 3})
      .to("out", out);
  p.run();
  CHECK(p.ended());
  CHECK(p.status().restarts >= 1);
  CHECK(p.status().restarts <= 3);  // two workers may fail in the same life
  CHECK_THAT(p.status().last_restart, Contains("broken pipe"));
  CHECK(p.status().failure.empty());
  CHECK_THAT(log, Contains("starts again in 1 ms") && Contains("broken pipe"));
  auto values = out.values();
  CHECK(std::count(values.begin(), values.end(), 998) >= 1);
}

TEST_CASE("run throws the last error when the policy gives up") {
  const auto failures = std::make_shared<std::atomic<int>>(0);
  memory::sink<int> out;
  pipeline p("p");
  p.restart(fixed_delay_restart{.attempts = 2, .delay = 0s});
  p.source("in", memory::source<int>(numbers(100))).map(failing{failures, 100}).to("out", out);
  CHECK_THROWS_WITH(p.run(), Contains("broken pipe"));
  CHECK(p.ended());
  CHECK(p.status().restarts == 2);
  CHECK(*failures == 3);
}

TEST_CASE("stop ends the wait for a restart") {
  const auto failures = std::make_shared<std::atomic<int>>(0);
  memory::sink<int> out;
  pipeline p("p");
  p.restart(fixed_delay_restart{.attempts = 2, .delay = 24h});
  p.source("in", memory::source<int>(numbers(100))).map(failing{failures, 100}).to("out", out);
  p.start();
  std::thread stopper([&] {
    while (p.status().restarts == 0) std::this_thread::sleep_for(1ms);
    CHECK_FALSE(p.ended());
    p.stop();
  });
  CHECK_THROWS_WITH(p.wait(), Contains("broken pipe"));
  stopper.join();
  CHECK(*failures == 1);
}

TEST_CASE("a pipeline with a part that cannot be copied cannot be started again") {
  memory::sink<int> out;
  pipeline p("p");
  p.restart(fixed_delay_restart{});
  p.source("in", memory::source<int>(numbers(3))).apply("only one", only_movable{}).to("out", out);
  CHECK_THROWS_WITH(p.run(), Contains("only one") && Contains("cannot be copied"));
}

TEST_CASE("random pipelines that fail and start again give each result once") {
  using namespace random_pipelines;
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  std::mt19937 random(seed);
  std::uint64_t restarts = 0;
  for (int round = 0; round < 60; ++round) {
    INFO("round " << round << ", seed " << seed);
    const parameters given = random_parameters(random);
    const auto run = [&](int failures, std::size_t workers) {
      const auto source = std::make_shared<unreliable_source::shared_type>();
      source->random.seed(random());
      source->most = failures;
      source->batches = given.batches;
      const auto rows = std::make_shared<database>();
      testing::simulation sim({.workers = workers, .seed = random()});
      pipeline p("random");
      p.parallelism(workers).checkpoint_to(std::make_shared<memory_checkpoints>(), {.every = 2ms});
      p.restart(failure_rate_restart{.failures = 100, .within = 1h, .delay = 10s});
      auto in = p.source("in", unreliable_source{source})
                    .event_time([](const event& e) { return at(e.time); }, bounded_lag{given.lag});
      in.key_by([](const event& e) { return e.key; })
          .window(given.windows)
          .aggregate("stats", compose(count{}, sum(&event::value)))
          .map([](const auto& r) {
            return std::to_string(r.key) + " " +
                   std::to_string(r.window.start.time_since_epoch().count()) + " " +
                   std::to_string(std::get<1>(r.value));
          })
          .to("out", transactional_sink{rows});
      p.start(sim);
      p.wait();
      CHECK(p.status().restarts == static_cast<std::uint64_t>(source->failures));
      restarts += p.status().restarts;
      std::sort(rows->rows.begin(), rows->rows.end());
      return rows->rows;
    };
    const auto without = run(0, 1);
    REQUIRE(difference(run(6, 1 + random() % 3), without) == "");
  }
  CHECK(restarts > 60);
}
