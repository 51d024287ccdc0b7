// SPDX-License-Identifier: Apache-2.0
// Process functions, asynchronous calls, broadcast values and operators of the application go on
// from a checkpoint that was taken at another parallelism, again and again, and give what they give
// without crashes, each result once.

#include <millrace/millrace.hpp>
#include <millrace/state/list_state.hpp>
#include <millrace/state/map_state.hpp>
#include <millrace/state/value_state.hpp>

#include "catch.hpp"
#include "simulation/operator_cases.hpp"

#include <optional>
#include <string>

using namespace random_pipelines;
using namespace std::chrono_literals;

namespace {

struct memory_of_key {
  value_state<int, state_options{.ttl = duration{70}}> last;
  list_state<int, state_options{.limit = 5, .ttl = duration{60}}> some;
  map_state<int, int, state_options{.limit = 100, .ttl = duration{90}}> by_value;
  reducing_state<int, std::plus<>> all;
};
BOOST_DESCRIBE_STRUCT(memory_of_key, (), (last, some, by_value, all))

struct rule {
  int factor = 1;
};
BOOST_DESCRIBE_STRUCT(rule, (), (factor))

/// Passes what it is given and counts the records of each worker; what it counts moves on whole.
struct counting {
  using output_type = event;
  static constexpr bool rescalable = true;
  std::int64_t seen = 0;

  void process(const event& e, operator_context<event>& c) {
    ++seen;
    c.emit(e);
  }
  void on_watermark(timestamp watermark, operator_context<event>& c) {
    if (watermark != max_timestamp || seen == 0) return;
    c.emit(event{-1, 0, static_cast<int>(seen)});
    seen = 0;
  }
  void save(snapshot_writer& to) const { to.number(seen); }
  void restore(snapshot_reader& from) {
    const auto saved = from.number<std::int64_t>();
    if (from.scope() == nullptr || from.scope()->heir) seen += saved;
  }
};

/// One writer per worker; each commits what those before it have prepared and it inherits.
struct parallel_sink {
  using base = transactional_sink;
  static constexpr bool parallel = true;
  std::shared_ptr<database> to;

  struct writer : base::writer {
    static constexpr bool rescalable = true;
    void write(const std::string& line, timestamp) { open.push_back(line); }
    // By its own name: another writer may commit what this one has prepared.
    void checkpoint(std::uint64_t id) {
      auto& mine = prepared[id];
      mine = std::exchange(open, {});
      for (auto& line : mine) line = std::to_string(id) + ":" + line;
      context->checkpointed();
    }
    void checkpoint_complete(std::uint64_t id) {
      for (auto it = prepared.begin(); it != prepared.end() && it->first <= id;) {
        commit(it->second);
        it = prepared.erase(it);
      }
    }
    void restore(snapshot_reader& from) {
      std::map<std::uint64_t, lines> inherited;
      deserialize(from, inherited);
      for (const auto& [id, what] : inherited) commit(what);
    }
    void end() {
      for (const auto& [id, what] : prepared) commit(what);
      to->rows.insert(to->rows.end(), open.begin(), open.end());
      context->done();
    }
    void commit(const lines& what) {
      for (const auto& line : what) {
        if (!to->last_transaction.emplace(line, 1).second) continue;
        to->rows.push_back(line.substr(line.find(':') + 1));
      }
    }
  };
  writer open(sink_context& context) const { return {{&context, to, {}, {}}}; }
};

auto answer_later(std::shared_ptr<std::mt19937> random) {
  return [random](const int& key, async_reply<std::optional<std::string>> reply) {
    auto handle = std::make_shared<decltype(reply)>(std::move(reply));
    handle->env().call_after(std::chrono::microseconds{(*random)() % 3000}, [handle, key] {
      (*handle)(key % 3 == 0 ? std::nullopt : std::optional("row " + std::to_string(key)));
    });
  };
}

}  // namespace

TEST_CASE("process functions go on at another parallelism") {
  run({
      {"all kinds of state, timers",
       [](const setting& s) {
         s.keyed()
             .process<std::string>(
                 "op",
                 [](const event& e, memory_of_key& m, auto& ctx) {
                   const int before = m.last.value_or(ctx, -1);
                   m.last.set(ctx, e.value);
                   m.some.add(ctx, e.value);
                   m.by_value.update(ctx, e.value % 5, [](int& n) { ++n; });
                   m.all.add(ctx, e.value);
                   if (e.value % 2 == 0) ctx.timer_at(at(e.time + 30));
                   if (e.value % 5 == 0) ctx.delete_timer(at(e.time + 31));
                   ctx.emit(text(e) + " after " + text(before));
                 },
                 [](timestamp time, memory_of_key& m, auto& ctx) {
                   int n = 0;
                   m.by_value.for_each(ctx, [&](int k, int c) { n += (k + 1) * c; });
                   const int* all = m.all.get(ctx);
                   ctx.emit("timer " + text(ctx.key()) + " " +
                            std::to_string(time.time_since_epoch().count()) + " " +
                            std::to_string(m.some.size(ctx)) + " " + text(n) + " " +
                            text(all == nullptr ? -1 : *all));
                 })
             .to("out", s.out);
       }},
      {"two inputs",
       [](const setting& s) {
         auto [l, r] = s.both();
         l.connect(r)
             .process<std::string>(
                 "op",
                 [](const event& e, totals& t, auto& ctx) {
                   t.sum += e.value;
                   ctx.timer_at(at(e.time + 40));
                 },
                 [](const event& e, totals& t, auto&) { t.sum -= e.value; },
                 [](timestamp time, totals& t, auto& ctx) {
                   if (time != max_timestamp) return ctx.timer_at(max_timestamp);
                   ctx.emit(text(ctx.key()) + " " + std::to_string(t.sum));
                 })
             .to("out", s.out);
       }},
      {"rules by event time",
       [](const setting& s) {
         auto changes = s.timed()
                            .filter([](const event& e) { return e.value % 7 == 0; })
                            .map([](const event& e) { return rule{e.value}; })
                            .broadcast();
         auto records =
             s.source("records")
                 .event_time([](const event& e) { return at(e.time); }, bounded_lag{duration{60}})
                 .key_by([](const event& e) { return e.key; });
         records.connect<updates::by_event_time>(changes)
             .process<std::string>(
                 "op",
                 [](const event& e, totals& t, const rule&, auto& ctx) {
                   t.sum += e.value;
                   ctx.timer_at(at(e.time + 20));
                 },
                 [](const rule& update, rule& rules) { rules.factor += update.factor; },
                 [](timestamp time, totals& t, const rule&, auto& ctx) {
                   ctx.emit(text(ctx.key()) + " " +
                            std::to_string(time.time_since_epoch().count()) + " " +
                            std::to_string(t.sum));
                 })
             .to("out", s.out);
       }},
      {"deduplicate, sample",
       [](const setting& s) {
         auto keyed = s.keyed();
         keyed
             .deduplicate("op", [](const event& e) { return e.value % 9; },
                          {.within = duration{50}})
             .map([](const event& e) { return "once " + text(e); })
             .to("out", s.out);
         keyed.deduplicate("key", {.within = duration{20}})
             .map([](const event& e) { return "key " + text(e); })
             .to("keys", s.out);
         keyed.sample("nth", every_nth{3})
             .map([](const event& e) { return "third " + text(e); })
             .to("thirds", s.out);
         keyed.sample("share", random_share{0.4, 5})
             .map([](const event& e) { return "share " + text(e); })
             .to("shares", s.out);
       }},
      {"rate limit, debounce, sort",
       [](const setting& s) {
         auto keyed = s.keyed();
         keyed.rate_limit("limit", {.records = 2, .per = duration{40}})
             .map([](const event& e) { return "limited " + text(e); })
             .to("out", s.out);
         keyed.debounce("quiet", duration{15})
             .map([](const event& e) { return "quiet " + text(e); })
             .to("quiets", s.out);
         keyed.sort_by_time("sorted")
             .process<std::string>(
                 "order",
                 [](const event& e, totals& t, auto& ctx) {
                   t.sum = t.sum * 31 % 1'000'003 + e.time;
                   ctx.emit("sorted " + text(e.key) + " " + std::to_string(t.sum));
                 })
             .to("sorts", s.out);
       }},
  });
}

TEST_CASE("what has no keys goes on at another parallelism") {
  run({
      {"records that wait for a broadcast value",
       [](const setting& s) {
         auto batches = std::make_shared<std::vector<std::vector<event>>>(15);
         batches->push_back({{0, 0, 3}});
         auto rules = s.p.source("rules", scripted_source{batches})
                          .map([](const event& e) { return rule{e.value}; })
                          .broadcast();
         s.source("in")
             .key_by([](const event& e) { return e.key; })
             .with(rules, {.no_value = before_first::hold})
             .map([](const event& e, const rule& r) { return text(e) + " " + text(r.factor); })
             .to("out", s.out);
       }},
      {"look-ups in flight",
       [](const setting& s) {
         auto random = std::make_shared<std::mt19937>(1);
         s.keyed()
             .then([&](const auto& keyed) {
               return lookup_join(keyed, "op", [](const event& e) { return e.key; },
                                  answer_later(random), {.cache = {.ttl = 5ms}});
             })
             .map([](const auto& j) { return text(j.left) + " " + j.right.value_or("none"); })
             .to("out", s.out);
       }},
      {"calls in flight, in order, before windows",
       [](const setting& s) {
         auto random = std::make_shared<std::mt19937>(1);
         // Without late records: which are late behind a second exchange depends on the schedule.
         auto in = s.source("in")
                       .event_time([](const event& e) { return at(e.time); }, no_late)
                       .key_by([](const event& e) { return e.key; });
         auto answered = in.template async_map<event>(
             "op",
             [random](const event& e, async_reply<event> reply) {
               auto handle = std::make_shared<async_reply<event>>(std::move(reply));
               handle->env().call_after(std::chrono::microseconds{(*random)() % 3000},
                                        [handle, e] { (*handle)(e); });
             },
             {.in_flight = 4, .order = async_order::ordered});
         s.counts(answered.key_by([](const event& e) { return e.key; })
                      .window(tumbling{duration{40}})
                      .aggregate("windows", sums()));
       }},
      {"watermarks made behind a key",
       [](const setting& s) {
         auto again = s.keyed().unkeyed().event_time([](const event& e) { return at(e.time); },
                                                     bounded_lag{duration{60}});
         s.counts(again.key_by([](const event& e) { return e.value % 4; })
                      .window(tumbling{duration{30}})
                      .aggregate("windows", sums()));
       }},
      {"an operator of the application's",
       [](const setting& s) {
         s.keyed()
             .apply("op", counting{})
             .key_by([](const event&) { return 0; })
             .template process<std::string>(
                 "total",
                 [](const event& e, totals& t, auto& ctx) {
                   t.sum += e.key == -1 ? -e.value : 1;
                   ctx.timer_at(max_timestamp);
                   if (e.key != -1) ctx.emit(text(e));
                 },
                 [](timestamp, totals& t, auto& ctx) { ctx.emit("left " + std::to_string(t.sum)); })
             .to("out", s.out);
       }},
      {"a sink with a writer per worker",
       [](const setting& s) {
         s.keyed().map([](const event& e) { return text(e); }).to("out", parallel_sink{s.out.to});
       }},
  });
}
