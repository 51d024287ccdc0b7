// SPDX-License-Identifier: Apache-2.0
// Random pipelines give the same results at any parallelism and in any order of scheduling, and
// where a plain loop can say what they must be, those.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace millrace;

namespace {

struct event {
  int key = 0;
  std::int64_t time = 0;
  int value = 0;
};

timestamp at(std::int64_t t) { return timestamp{duration{t}}; }

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
  duration lag{};
  sliding windows{};
  duration lateness{};
  int modulus = 1;
  join_mode join = join_mode::by_event_time;
  unmatched without_partner = unmatched::hold;
  bool rekey = false;
};

parameters random_parameters(std::mt19937& random) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  parameters p;
  const int keys = 1 + pick(12);
  const int disorder = pick(60);
  std::int64_t now = pick(3) == 0 ? -500 : 0;
  const int batches = 1 + pick(25);
  for (int b = 0; b < batches; ++b) {
    std::vector<event> batch;
    const int n = pick(40);
    for (int i = 0; i < n; ++i) {
      now += pick(8);
      batch.push_back({pick(keys), now - pick(disorder + 1), pick(1000)});
    }
    p.batches.push_back(std::move(batch));
  }
  p.lag = duration{pick(60)};
  const int slide = 1 + pick(40);
  p.windows = {
      .size = duration{1 + pick(200)}, .slide = duration{slide}, .offset = duration{pick(slide)}};
  p.lateness = duration{pick(3) == 0 ? pick(80) : 0};
  p.modulus = 1 + pick(5);
  p.join = pick(3) == 0 ? join_mode::by_arrival : join_mode::by_event_time;
  p.without_partner = pick(2) == 0 ? unmatched::drop : unmatched::hold;
  p.rekey = pick(3) == 0;
  return p;
}

/// Printed results, sorted: a multiset that compares with a readable difference.
using lines = std::vector<std::string>;

struct totals {
  std::int64_t sum = 0;
};

lines run(const parameters& given, std::size_t workers, std::uint64_t seed) {
  testing::simulation sim({.workers = workers, .seed = seed});
  pipeline p("random");
  p.parallelism(workers).ring_batches(2 + seed % 3);
  memory::sink<std::string> out;
  auto in =
      p.source("in",
               scripted_source{std::make_shared<std::vector<std::vector<event>>>(given.batches)})
          .filter([m = given.modulus](const event& e) { return e.value % m == 0; })
          .event_time([](const event& e) { return at(e.time); }, bounded_lag{given.lag});
  auto keyed = in.key_by([](const event& e) { return e.key; });
  side_output<event> late("late");
  auto stats = keyed.window(given.windows)
                   .allowed_lateness(given.lateness)
                   .late_to(late)
                   .aggregate("stats", compose(count{}, sum(&event::value)));
  using result = typename decltype(stats)::value_type;
  stats
      .map([](const result& r) {
        return "window " + std::to_string(r.key) + " " +
               std::to_string(r.window.start.time_since_epoch().count()) + ": " +
               std::to_string(std::get<0>(r.value)) + " " + std::to_string(std::get<1>(r.value));
      })
      .to("windows", out);
  stats.side(late)
      .map([](const event& e) {
        return "late " + std::to_string(e.time) + " " + std::to_string(e.value);
      })
      .to("late", out);
  side_output<event> behind("behind");
  auto enriched = keyed.join_latest(
      "join", stats, {.mode = given.join, .without_partner = given.without_partner}, behind);
  enriched
      .map([](const joined<event, result>& j) {
        return "join " + std::to_string(j.left.value) + " " + std::to_string(j.left.time) +
               " with " + std::to_string(j.right.window.start.time_since_epoch().count());
      })
      .to("joined", out);
  keyed
      .process<std::string>(
          "totals",
          [](const event& e, totals& t, auto& ctx) {
            t.sum += e.value;
            ctx.timer_at(at(e.time + 50));
          },
          [](timestamp time, totals& t, auto& ctx) {
            ctx.emit("timer " + std::to_string(ctx.key()) + " " +
                     std::to_string(time.time_since_epoch().count()) + " " + std::to_string(t.sum));
          })
      .to("timers", out);
  if (given.rekey) {
    // A second exchange: what arrives there depends on the schedule, its sums do not.
    in.map([](const event& e) {
        return event{e.value % 3, e.time, e.value};
      })
        .key_by([](const event& e) { return e.key; })
        .process<std::string>(
            "second",
            [](const event& e, totals& t, auto& ctx) {
              if (t.sum == 0) ctx.timer_at(max_timestamp);
              t.sum += 1 + e.value;
            },
            [](timestamp, totals& t, auto& ctx) { ctx.emit("second " + std::to_string(t.sum)); })
        .to("seconds", out);
  }
  p.start(sim);
  p.wait();
  auto all = out.values();
  std::sort(all.begin(), all.end());
  return all;
}

struct fold {
  std::uint64_t count = 0;
  std::int64_t sum = 0;
};

/// What windows must say when nothing is late: straight from the records.
lines expected_windows(const parameters& given) {
  std::map<std::pair<int, std::int64_t>, fold> folds;
  for (const auto& batch : given.batches) {
    for (const auto& e : batch) {
      if (e.value % given.modulus != 0) continue;
      const std::int64_t size = given.windows.size.count();
      const std::int64_t slide = given.windows.slide.count();
      for (std::int64_t start = e.time - size + 1; start <= e.time; ++start) {
        if (((start - given.windows.offset.count()) % slide + slide) % slide != 0) continue;
        auto& f = folds[{e.key, start}];
        ++f.count;
        f.sum += e.value;
      }
    }
  }
  lines all;
  for (const auto& [at, f] : folds) {
    all.push_back("window " + std::to_string(at.first) + " " + std::to_string(at.second) + ": " +
                  std::to_string(f.count) + " " + std::to_string(f.sum));
  }
  std::sort(all.begin(), all.end());
  return all;
}

/// Whether every record comes before the watermark reaches it.
bool in_time(const parameters& given) {
  std::int64_t greatest = INT64_MIN / 2;
  std::int64_t watermark = INT64_MIN / 2;
  for (const auto& batch : given.batches) {
    for (const auto& e : batch) {
      if (e.value % given.modulus != 0) continue;
      if (e.time <= watermark) return false;
      greatest = std::max(greatest, e.time);
    }
    watermark = std::max(watermark, greatest - given.lag.count() - 1);
  }
  return true;
}

/// Empty when equal, else the first line in which the two differ.
std::string difference(const lines& found, const lines& expected) {
  const auto [f, e] = std::mismatch(found.begin(), found.end(), expected.begin(), expected.end());
  if (f == found.end() && e == expected.end()) return {};
  return "found: " + (f == found.end() ? "nothing" : *f) +
         ", expected: " + (e == expected.end() ? "nothing" : *e);
}

lines with_prefix(const lines& all, const std::string& prefix) {
  lines some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some),
               [&](const std::string& l) { return l.starts_with(prefix); });
  return some;
}

}  // namespace

TEST_CASE("random pipelines give the same results at any parallelism") {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int compared = 0;
  for (int round = 0; round < 150; ++round) {
    const parameters given = random_parameters(random);
    const lines alone = run(given, 1, 1);
    for (std::size_t workers = 2; workers <= 4; ++workers) {
      INFO("round " << round << ", " << workers << " workers");
      REQUIRE(difference(run(given, workers, random()), alone) == "");
    }
    if (in_time(given)) {
      ++compared;
      INFO("round " << round);
      REQUIRE(difference(with_prefix(alone, "window"), expected_windows(given)) == "");
    }
  }
  CHECK(compared > 20);
}
