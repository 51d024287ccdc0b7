// SPDX-License-Identifier: Apache-2.0
// The jobs that are compared with Flink's, see src/main/java/peer for the other side.

#include <millrace/connectors/memory.hpp>
#include <millrace/dsl/broadcast_process.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "peer.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>

namespace peer {

using namespace millrace;

const std::vector<std::string> jobs{"tumbling", "sliding",   "session",
                                    "timers",   "broadcast", "interval_join"};

namespace {

timestamp at(std::int64_t t) { return timestamp{duration{t}}; }

/// The streams of a script, each item by itself and in order, so that both sides see the same.
class player {
 public:
  explicit player(const script& s) : script_(s) {
    for (std::size_t i = 0; i < queues_.size(); ++i) {
      streams_.push_back(pipeline_.source("in-" + std::to_string(i), queues_[i])
                             .event_time([](const item& e) { return at(e.time); },
                                         punctuated([](const item& e, timestamp t) {
                                           return e.mark ? std::optional(t) : std::nullopt;
                                         }))
                             .filter([](const item& e) { return !e.mark; }));
    }
  }

  auto keyed(std::size_t input) const {
    return streams_[input].key_by([](const item& e) { return e.key; });
  }
  const stream<item>& plain(std::size_t input) const { return streams_[input]; }

  void play() {
    pipeline_.start(simulation_);
    simulation_.run_until_idle();
    for (const auto& e : script_.items) {
      queues_[static_cast<std::size_t>(e.input)].push(e);
      simulation_.run_until_idle();
    }
    for (auto& q : queues_) q.close();
    simulation_.run_to_end();
  }

 private:
  const script& script_;
  testing::simulation simulation_;
  pipeline pipeline_{"peer"};
  std::array<memory::queue<item>, 2> queues_;
  std::vector<stream<item>> streams_;
};

std::string text(int key, const window& w, std::int64_t count, std::int64_t sum) {
  return "window " + std::to_string(key) + " " +
         std::to_string(w.start.time_since_epoch().count()) + " " +
         std::to_string(w.end.time_since_epoch().count()) + " " + std::to_string(count) + " " +
         std::to_string(sum);
}

std::string text_of(int key, const window& w, std::span<const window_record<item>> records) {
  std::int64_t sum = 0;
  for (const auto& r : records) sum += r.value.value;
  return text(key, w, static_cast<std::int64_t>(records.size()), sum);
}

struct totals {
  struct state {
    std::int64_t count = 0;
    std::int64_t sum = 0;
  };
  void add(state& s, const item& e) const {
    ++s.count;
    s.sum += e.value;
  }
  void merge(state& s, const state& later) const {
    s.count += later.count;
    s.sum += later.sum;
  }
  state result(const state& s) const { return s; }
};

/// All records kept, or folded: both must give what Flink gives.
template <class Assigner>
std::vector<std::string> run_windows(const script& s, const Assigner& assigner, bool folded) {
  player in(s);
  memory::sink<std::string> out;
  const side_output<item> late("late");
  auto windows =
      in.keyed(0).window(assigner).allowed_lateness(duration{s.get("lateness")}).late_to(late);
  const auto finish = [&](const auto& results) {
    results.to("results", out);
    results.side(late)
        .map([](const item& e) { return "late " + std::to_string(e.id); })
        .to("late", out);
  };
  if (folded) {
    finish(windows.aggregate("windows", totals{},
                             [](int key, const window& w, const totals::state& t) {
                               return text(key, w, t.count, t.sum);
                             }));
  } else {
    finish(windows.apply("windows", text_of));
  }
  in.play();
  return out.values();
}

/// Two ways to the same results; where they differ, lines that Flink cannot have.
std::vector<std::string> without_doubles(std::vector<std::string> one,
                                         const std::vector<std::string>& other) {
  std::multiset<std::string> rest(one.begin(), one.end());
  for (const auto& line : other) {
    const auto found = rest.find(line);
    if (found == rest.end()) {
      one.push_back("only the second way: " + line);
    } else {
      rest.erase(found);
    }
  }
  for (const auto& line : rest) one.push_back("only the first way: " + line);
  return one;
}

template <class Assigner>
std::vector<std::string> run_both(const script& s, const Assigner& assigner) {
  return without_doubles(run_windows(s, assigner, false), run_windows(s, assigner, true));
}

struct timer_state {
  std::int64_t count = 0;
  std::int64_t sum = 0;
  std::optional<timestamp> last;
  int fired = 0;
};

std::vector<std::string> run_timers(const script& s) {
  player in(s);
  memory::sink<std::string> out;
  const duration ahead{s.get("ahead")};
  const duration behind{s.get("behind")};
  const duration again{s.get("again")};
  in.keyed(0)
      .process<std::string>(
          "timers",
          [=](const item& e, timer_state& state, auto& ctx) {
            ++state.count;
            state.sum += e.value;
            if (e.value % 5 == 0 && state.last) {
              ctx.delete_timer(*state.last);
              state.last.reset();
            }
            if (e.value % 3 == 0) {
              state.last = at(e.time) + ahead;
              ctx.timer_at(*state.last);
            }
            if (e.value % 7 == 0) ctx.timer_at(at(e.time) - behind);
            ctx.emit("record " + std::to_string(e.key) + " " + std::to_string(e.id) + " " +
                     std::to_string(state.count) + " " + std::to_string(state.sum));
          },
          [=](timestamp time, timer_state& state, auto& ctx) {
            ++state.fired;
            ctx.emit("timer " + std::to_string(ctx.key()) + " " +
                     std::to_string(time.time_since_epoch().count()) + " " +
                     std::to_string(state.count) + " " + std::to_string(state.sum));
            if (state.count % 4 == 0 && state.fired < 20) ctx.timer_at(time + again);
            if (state.count % 6 == 1) ctx.clear_state();
          })
      .to("results", out);
  in.play();
  return out.values();
}

using rule_map = std::map<int, int>;

/// Keeps all rules and gives the whole map after each change.
struct rule_book {
  using output_type = rule_map;
  void process(const item& e, operator_context<rule_map>& out) {
    if (e.value < 0) {
      rules.erase(e.key);
    } else {
      rules[e.key] = e.value;
    }
    out.emit(rules);
  }
  rule_map rules;
};

std::vector<std::string> run_broadcast(const script& s) {
  player in(s);
  memory::sink<std::string> out;
  in.keyed(0)
      .with(in.plain(1).apply("rules", rule_book{}).broadcast(), {.no_value = before_first::pass})
      .pairs()
      .map([](const auto& pair) {
        int sum = 0;
        int count = 0;
        for (const auto& [number, value] : *pair.shared) {
          if (number % 2 != pair.value.key % 2) continue;
          sum += value;
          ++count;
        }
        return "rules " + std::to_string(pair.value.id) + " " + std::to_string(count) + " " +
               std::to_string(sum);
      })
      .to("results", out);
  in.play();
  return out.values();
}

struct nothing {};

/// The same with rules as state of a function, as Flink has it.
std::vector<std::string> run_rules(const script& s) {
  player in(s);
  memory::sink<std::string> out;
  in.keyed(0)
      .connect(in.plain(1).broadcast())
      .process<std::string>(
          "function",
          [](const item& e, nothing&, const rule_map& rules, auto& ctx) {
            int sum = 0;
            int count = 0;
            for (const auto& [number, value] : rules) {
              if (number % 2 != e.key % 2) continue;
              sum += value;
              ++count;
            }
            ctx.emit("rules " + std::to_string(e.id) + " " + std::to_string(count) + " " +
                     std::to_string(sum));
          },
          [](const item& e, rule_map& rules) {
            if (e.value < 0) {
              rules.erase(e.key);
            } else {
              rules[e.key] = e.value;
            }
          })
      .to("results", out);
  in.play();
  return out.values();
}

std::vector<std::string> run_interval_join(const script& s) {
  player in(s);
  memory::sink<std::string> out;
  const late_outputs<item, item> late{side_output<item>("left"), side_output<item>("right")};
  const auto edge = [&](const char* name) {
    return s.get(name) != 0 ? bound::exclusive : bound::inclusive;
  };
  const auto pairs = in.keyed(0).interval_join("join", in.keyed(1),
                                               {.lower = duration{s.get("lower")},
                                                .upper = duration{s.get("upper")},
                                                .at_lower = edge("lower_exclusive"),
                                                .at_upper = edge("upper_exclusive")},
                                               late);
  pairs
      .map([](const auto& pair) {
        return "pair " + std::to_string(pair.left.id) + " " + std::to_string(pair.right.id) + " " +
               std::to_string(std::max(pair.left.time, pair.right.time));
      })
      .to("results", out);
  const auto line = [](const item& e) { return "late " + std::to_string(e.id); };
  pairs.side(late.left).map(line).to("late left", out);
  pairs.side(late.right).map(line).to("late right", out);
  in.play();
  return out.values();
}

}  // namespace

std::optional<std::vector<std::string>> run_one(const script& s) {
  const duration size{s.get("size")};
  const duration offset{s.get("offset")};
  if (s.job == "tumbling") return run_both(s, sliding(tumbling{.size = size, .offset = offset}));
  if (s.job == "sliding") {
    return run_both(s, sliding{.size = size, .slide = duration{s.get("slide")}, .offset = offset});
  }
  if (s.job == "session") return run_both(s, session{duration{s.get("gap")}});
  if (s.job == "timers") return run_timers(s);
  if (s.job == "broadcast") return without_doubles(run_broadcast(s), run_rules(s));
  if (s.job == "interval_join") return run_interval_join(s);
  return std::nullopt;
}

}  // namespace peer
