// SPDX-License-Identifier: Apache-2.0
/// \file
/// Random pipelines with windows, a join, timers and a second exchange, for simulations.
#pragma once

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <boost/describe.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace random_pipelines {

using namespace millrace;

struct event {
  int key = 0;
  std::int64_t time = 0;
  int value = 0;
};
BOOST_DESCRIBE_STRUCT(event, (), (key, time, value))

inline timestamp at(std::int64_t t) { return timestamp{duration{t}}; }

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
    void save(snapshot_writer& to) const { to.varint(next); }
    void restore(snapshot_reader& from) { next = from.varint(); }
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

inline parameters random_parameters(std::mt19937& random) {
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
BOOST_DESCRIBE_STRUCT(totals, (), (sum))

/// What a database would hold: survives crashes, and takes each transaction once.
struct database {
  lines rows;
  std::map<std::string, std::uint64_t> last_transaction;  // by writer

  void commit(const std::string& writer, std::uint64_t id, const lines& what) {
    auto& last = last_transaction[writer];
    if (id <= last) return;
    last = id;
    rows.insert(rows.end(), what.begin(), what.end());
  }
};

/// Prepares at the barrier, commits when the checkpoint is durable, or when it is restored.
struct transactional_sink {
  std::shared_ptr<database> to;

  struct writer {
    sink_context* context;
    std::shared_ptr<database> to;
    lines open;
    std::map<std::uint64_t, lines> prepared;

    void write(const std::string& value, timestamp) { open.push_back(value); }
    void checkpoint(std::uint64_t id) {
      prepared[id] = std::exchange(open, {});
      context->checkpointed();
    }
    void checkpoint_complete(std::uint64_t id) {
      for (auto it = prepared.begin(); it != prepared.end() && it->first <= id;) {
        to->commit(context->name(), it->first, it->second);
        it = prepared.erase(it);
      }
    }
    void save(snapshot_writer& out) const { serialize(out, prepared); }
    void restore(snapshot_reader& from) {
      deserialize(from, prepared);
      if (!prepared.empty()) checkpoint_complete(prepared.rbegin()->first);
    }
    void end() {
      for (auto& [id, what] : prepared) to->commit(context->name(), id, what);
      to->rows.insert(to->rows.end(), open.begin(), open.end());
      context->done();
    }
  };
  writer open(sink_context& context) const { return {&context, to, {}, {}}; }
};

/// Everything that comes out goes to `out`, as text.
inline void assemble(pipeline& p, const parameters& given, const transactional_sink& out) {
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
}

/// Empty when equal, else the first line in which the two differ.
inline std::string difference(const lines& found, const lines& expected) {
  const auto [f, e] = std::mismatch(found.begin(), found.end(), expected.begin(), expected.end());
  if (f == found.end() && e == expected.end()) return {};
  return "found: " + (f == found.end() ? "nothing" : *f) +
         ", expected: " + (e == expected.end() ? "nothing" : *e);
}

}  // namespace random_pipelines
