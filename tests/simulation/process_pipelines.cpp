// SPDX-License-Identifier: Apache-2.0
// Process functions with state that expires, and the ready-made ones, in random pipelines: the same
// results at any parallelism and in any order of scheduling.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/state/list_state.hpp>
#include <millrace/state/map_state.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "oracle/random_batches.hpp"

#include <algorithm>
#include <string>
#include <vector>

using namespace millrace;
using oracle::event;

namespace {

struct parameters {
  oracle::event_batches batches;
  duration lag{}, within{}, quiet{};
  std::uint32_t tokens = 1;
  std::uint64_t every = 1;
  double share = 1;
};

parameters random_parameters(oracle::random_source& random) {
  parameters p;
  p.batches = oracle::random_batches(random);
  p.lag = duration{random.below(60)};
  p.within = duration{random.between(1, 100)};
  p.quiet = duration{random.below(40)};
  p.tokens = static_cast<std::uint32_t>(random.between(1, 5));
  p.every = static_cast<std::uint64_t>(random.between(1, 4));
  p.share = static_cast<double>(random.below(11)) / 10;
  return p;
}

struct memory_of_key {
  list_state<int, state_options{.limit = 5, .ttl = duration{60}}> last;
  map_state<int, int, state_options{.limit = 100, .ttl = duration{90}}> counts;
};
BOOST_DESCRIBE_STRUCT(memory_of_key, (), (last, counts))

std::string time_text(timestamp t) { return std::to_string(t.time_since_epoch().count()); }

std::vector<std::string> run(const parameters& given, std::size_t workers, std::uint64_t seed) {
  testing::simulation sim({.workers = workers, .seed = seed});
  pipeline p("random");
  p.parallelism(workers).ring_batches(2 + seed % 3);
  memory::sink<std::string> out;
  const auto as_text = [](std::string name) {
    return [name](const event& e) { return name + " " + std::to_string(e.id); };
  };
  auto keyed =
      p.source("in", oracle::batch_source(given.batches))
          .event_time([](const event& e) { return oracle::at(e.time); }, bounded_lag{given.lag})
          .key_by([](const event& e) { return e.key; });
  side_output<event> duplicates("duplicates"), excess("excess"), late("late"), behind("behind");
  auto once = keyed.deduplicate("once", &event::value, {.within = given.within}, duplicates);
  once.map(as_text("once")).to("once out", out);
  once.side(duplicates).map(as_text("again")).to("duplicates out", out);
  auto limited = keyed.rate_limit("limit", {.records = given.tokens, .per = given.within}, excess);
  limited.map(as_text("limited")).to("limited out", out);
  limited.side(excess).map(as_text("excess")).to("excess out", out);
  keyed.sample("nth", every_nth{given.every}).map(as_text("nth")).to("nth out", out);
  keyed.sample("share", random_share{given.share, 5}).map(as_text("share")).to("share out", out);
  auto quiet = keyed.debounce("quiet", given.quiet, behind);
  quiet.map(as_text("quiet")).to("quiet out", out);
  quiet.side(behind).map(as_text("behind")).to("behind out", out);
  auto sorted = keyed.sort_by_time("sort", {}, late);
  sorted.side(late).map(as_text("late")).to("late out", out);
  sorted
      .process<std::string>(
          "memory",
          [](const event& e, memory_of_key& s, auto& ctx) {
            s.last.add(ctx, e.value);
            s.counts.update(ctx, e.value % 7, [](int& n) { ++n; });
            ctx.timer_at(e.time < 0 ? ctx.time() : oracle::at(e.time + 70));
          },
          [](timestamp time, memory_of_key& s, auto& ctx) {
            std::string line = "memory " + std::to_string(ctx.key()) + " " + time_text(time);
            s.last.for_each(ctx, [&](int v) { line += " " + std::to_string(v); });
            s.counts.for_each(ctx, [&](int k, int n) {
              line += " " + std::to_string(k) + ":" + std::to_string(n);
            });
            ctx.emit(line);
          })
      .to("memory out", out);
  p.start(sim);
  p.wait();
  auto all = out.values();
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("utilities and state that expires give the same results at any parallelism") {
  oracle::for_each_case(60, [](oracle::random_source& random) {
    const parameters given = random_parameters(random);
    const auto alone = run(given, 1, 1);
    std::size_t records = 0;
    for (const auto& b : given.batches) records += b.size();
    CHECK(oracle::with_prefix(alone, "once").size() + oracle::with_prefix(alone, "again").size() ==
          records);
    CHECK(oracle::with_prefix(alone, "limited").size() +
              oracle::with_prefix(alone, "excess").size() ==
          records);
    for (std::size_t workers = 2; workers <= 4; ++workers) {
      INFO(workers << " workers");
      const auto together = run(given, workers, random.bits() % 1000);
      const auto [a, b] =
          std::mismatch(together.begin(), together.end(), alone.begin(), alone.end());
      CHECK((a == together.end() ? std::string() : *a) == (b == alone.end() ? std::string() : *b));
    }
  });
}
