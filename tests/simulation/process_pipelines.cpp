// SPDX-License-Identifier: Apache-2.0
// Process functions with state that expires, and the ready-made ones, in random pipelines: the same
// results at any parallelism and in any order of scheduling. New aggregates in windows, too.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/state/list_state.hpp>
#include <millrace/state/map_state.hpp>
#include <millrace/testing/simulation.hpp>
#include <millrace/windows/aggregates/distinct.hpp>
#include <millrace/windows/aggregates/quantiles.hpp>

#include "catch.hpp"
#include "oracle/random_stream.hpp"

#include <algorithm>
#include <string>
#include <vector>

using namespace millrace;
using oracle::event;

namespace {

/// Emits the given batches, one per poll: where watermarks fall does not depend on the run.
struct scripted_source {
  using value_type = event;
  std::shared_ptr<const std::vector<std::vector<event>>> batches;

  struct reader {
    std::shared_ptr<const std::vector<std::vector<event>>> batches;
    std::size_t next = 0;
    poll_status poll(source_output<event>& out) {
      if (next == batches->size()) return poll_status::end;
      for (const auto& e : (*batches)[next]) out.emit(e, timestamp{});
      ++next;
      return poll_status::more;
    }
  };
  reader open(source_context&) const { return {batches, 0}; }
};

struct parameters {
  std::vector<std::vector<event>> batches;
  duration lag{}, within{}, quiet{}, window{};
  std::uint32_t tokens = 1;
  std::uint64_t every = 1;
  double share = 1;
};

parameters random_parameters(oracle::random_source& random) {
  parameters p;
  const std::int64_t keys = random.between(1, 12);
  const std::int64_t disorder = random.between(0, 60);
  std::int64_t now = random.one_in(3) ? -500 : 0;
  int id = 0;
  for (std::int64_t b = random.between(1, 20); b > 0; --b) {
    auto& batch = p.batches.emplace_back();
    for (std::int64_t i = random.below(40); i > 0; --i) {
      now += random.below(8);
      batch.push_back({static_cast<int>(random.below(keys)), now - random.between(0, disorder),
                       static_cast<int>(random.below(50)), id++});
    }
  }
  p.lag = duration{random.below(60)};
  p.within = duration{random.between(1, 100)};
  p.quiet = duration{random.below(40)};
  p.window = duration{random.between(1, 150)};
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
      p.source("in",
               scripted_source{std::make_shared<std::vector<std::vector<event>>>(given.batches)})
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
  const auto value = [](const event& e) { return e.value; };
  auto stats =
      keyed.window(tumbling{given.window})
          .aggregate("stats", compose(quantile(0.9, value), count_distinct(value), skewness{value},
                                      latest(&event::id), top_k(2, value, &event::id)));
  using result = typename decltype(stats)::value_type;
  const auto stats_text = [](const result& r) {
    const auto& [high, different, skew, last, best] = r.value;
    return std::to_string(r.key) + " " + time_text(r.window.start) + ": " + std::to_string(high) +
           " " + std::to_string(different) + " " + std::to_string(skew) + " " +
           std::to_string(last) + " " + std::to_string(best[0].value);
  };
  stats.map([=](const result& r) { return "stats " + stats_text(r); }).to("stats out", out);
  stats.top_of_windows("top", [](const result& r) { return std::get<1>(r.value); }, {.n = 3})
      .map([=](const ranked<result>& r) {
        return "top " + std::to_string(r.rank) + " " + stats_text(r.value);
      })
      .to("top out", out);
  p.start(sim);
  p.wait();
  auto all = out.values();
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<std::string> with_prefix(const std::vector<std::string>& all, const std::string& p) {
  std::vector<std::string> some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some),
               [&](const std::string& l) { return l.starts_with(p); });
  return some;
}

}  // namespace

TEST_CASE("utilities and state that expires give the same results at any parallelism") {
  oracle::for_each_case(60, [](oracle::random_source& random) {
    const parameters given = random_parameters(random);
    const auto alone = run(given, 1, 1);
    std::size_t records = 0;
    for (const auto& b : given.batches) records += b.size();
    CHECK(with_prefix(alone, "once").size() + with_prefix(alone, "again").size() == records);
    CHECK(with_prefix(alone, "limited").size() + with_prefix(alone, "excess").size() == records);
    for (std::size_t workers = 2; workers <= 4; ++workers) {
      INFO(workers << " workers");
      const auto together = run(given, workers, random.bits() % 1000);
      const auto [a, b] =
          std::mismatch(together.begin(), together.end(), alone.begin(), alone.end());
      CHECK((a == together.end() ? std::string() : *a) == (b == alone.end() ? std::string() : *b));
    }
  });
}

TEST_CASE("the best of each window are those of a sort over all keys") {
  oracle::for_each_case(100, [](oracle::random_source& random) {
    parameters given = random_parameters(random);
    given.lag = duration{100};  // nothing is late
    const auto all = run(given, 1, 1);
    // "stats <key> <start>: <quantile> <different> ..." with the score in the fifth place
    struct line {
      int key, different;
      long start;
      std::string text;
    };
    std::vector<line> results;
    for (const auto& text : with_prefix(all, "stats ")) {
      line l{0, 0, 0, text.substr(6)};
      double quantile = 0;
      REQUIRE(std::sscanf(text.c_str(), "stats %d %ld: %lf %d", &l.key, &l.start, &quantile,
                          &l.different) == 4);
      results.push_back(std::move(l));
    }
    std::sort(results.begin(), results.end(), [](const line& a, const line& b) {
      if (a.start != b.start) return a.start < b.start;
      return a.different != b.different ? a.different > b.different : a.key < b.key;
    });
    std::vector<std::string> expected;
    int rank = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
      rank = i > 0 && results[i].start == results[i - 1].start ? rank + 1 : 1;
      if (rank <= 3) expected.push_back("top " + std::to_string(rank) + " " + results[i].text);
    }
    std::sort(expected.begin(), expected.end());
    CHECK(with_prefix(all, "top ") == expected);
  });
}
