// SPDX-License-Identifier: Apache-2.0
// Windows of every kind, with every trigger and evictor, compared step by step with a naive oracle:
// one record at a time, in batches, saved and restored in between, with an output that is full.

#include <millrace/operators/window_operator.hpp>
#include <millrace/testing/operator_harness.hpp>
#include <millrace/windows/contents.hpp>
#include <millrace/windows/trigger_combinators.hpp>

#include "oracle/random_stream.hpp"
#include "oracle/windows_triggers_oracle.hpp"

#include "catch.hpp"

#include <boost/describe.hpp>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

using namespace millrace;
using oracle::at;
using oracle::evictor_kind;
using oracle::random_source;
using oracle::trigger_kind;
using oracle::window_kind;
using oracle::window_setup;
using oracle::window_step;

namespace {

struct event {
  int key = 0;
  int value = 0;
  int id = 0;
  friend bool operator==(const event&, const event&) = default;
};
BOOST_DESCRIBE_STRUCT(event, (), (key, value, id))

std::int64_t ticks(timestamp t) { return t.time_since_epoch().count(); }

/// A user's trigger: fires when a window has been quiet for a while, and starts anew.
struct debounce {
  using state = std::optional<timestamp>;
  duration quiet;

  trigger_result on_record(const event&, timestamp time, state& due, trigger_context& w) const {
    if (due) w.delete_event_timer(*due);
    due = timestamp{duration{saturating_add(ticks(time), quiet.count())}};
    w.set_event_timer(*due);
    return trigger_result::wait;
  }
  trigger_result on_event_time(timestamp time, state& due, trigger_context&) const {
    if (due != time) return trigger_result::wait;
    due.reset();
    return trigger_result::fire_and_purge;
  }
  void on_merge(state& into, const state& later, trigger_context& w) const {
    if (later && (!into || *later > *into)) into = later;
    if (into) w.set_event_timer(*into);
  }
};

double distance(const event& a, const event& b) { return std::abs(a.value - b.value); }

/// The library's triggers, one of them chosen at run time, so that one operator is compiled.
struct any_trigger {
  using delta = on_delta_trigger<event, double (*)(const event&, const event&)>;
  using early_count = any_of_trigger<at_window_end, on_count>;
  using early_clock = any_of_trigger<at_window_end, every_processing_time>;
  using state = std::tuple<no_trigger_state, on_count::state, every_event_time::state,
                           every_processing_time::state, early_count::state, early_clock::state,
                           delta::state, debounce::state>;

  trigger_kind kind;
  std::int64_t number;

  template <class F>
  auto with(state& s, F call) const {
    const duration d{number};
    const auto n = static_cast<std::uint64_t>(number);
    switch (kind) {
      case trigger_kind::count: return call(on_count{n}, std::get<1>(s));
      case trigger_kind::every_event: return call(every_event_time{d}, std::get<2>(s));
      case trigger_kind::every_clock: return call(every_processing_time{d}, std::get<3>(s));
      case trigger_kind::early_count: return call(early(on_count{n}), std::get<4>(s));
      case trigger_kind::early_clock: return call(early(every_processing_time{d}), std::get<5>(s));
      case trigger_kind::purging_end: return call(purging(at_window_end{}), std::get<0>(s));
      case trigger_kind::purging_count: return call(purging(on_count{n}), std::get<1>(s));
      case trigger_kind::purging_every_event:
        return call(purging(every_event_time{d}), std::get<2>(s));
      case trigger_kind::delta:
        return call(delta(static_cast<double>(number), &distance), std::get<6>(s));
      case trigger_kind::debounce: return call(debounce{d}, std::get<7>(s));
      default: return call(at_window_end{}, std::get<0>(s));
    }
  }

  trigger_result on_record(const event& e, timestamp t, state& s, trigger_context& w) const {
    return with(s, [&](const auto& f, auto& mine) { return f.on_record(e, t, mine, w); });
  }
  trigger_result on_event_time(timestamp t, state& s, trigger_context& w) const {
    return with(s, [&](const auto& f, auto& mine) { return call_on_event_time(f, t, mine, w); });
  }
  trigger_result on_processing_time(timestamp t, state& s, trigger_context& w) const {
    return with(s,
                [&](const auto& f, auto& mine) { return call_on_processing_time(f, t, mine, w); });
  }
  void on_merge(state& s, const state& later, trigger_context& w) const {
    state copy = later;
    with(copy, [&](const auto& f, auto& theirs) {
      with(s, [&](const auto&, auto& mine) {
        if constexpr (std::is_same_v<decltype(mine), decltype(theirs)>) {
          call_on_merge(f, mine, theirs, w);
        }
        return trigger_result::wait;
      });
      return trigger_result::wait;
    });
  }
};

/// The library's evictors, and one that evicts afterwards.
struct any_evictor {
  evictor_kind kind;
  std::int64_t number;

  void before(window_records<event>& r, const window& w) const {
    const auto difference = [](const event& a, const event& b) {
      return static_cast<double>(a.value - b.value);
    };
    if (kind == evictor_kind::count) {
      count_evictor{static_cast<std::size_t>(number)}.before(r, w);
    } else if (kind == evictor_kind::time) {
      time_evictor{duration{number}}.before(r, w);
    } else if (kind == evictor_kind::delta) {
      delta_evictor(static_cast<double>(number), difference).before(r, w);
    }
  }
  void after(window_records<event>& r, const window&) const {
    if (kind != evictor_kind::after_count) return;
    const auto n = static_cast<std::size_t>(number);
    if (r.size() > n) r.erase_front(r.size() - n);
  }
};

/// Folds to the numbers of the records, in order: associative, not commutative.
struct numbers {
  using state = std::vector<int>;
  void add(state& s, const event& e) const { s.push_back(e.id); }
  void merge(state& s, const state& later) const { s.insert(s.end(), later.begin(), later.end()); }
  std::string result(const state& s) const {
    std::string line;
    for (const int id : s) line += " " + std::to_string(id);
    return line;
  }
};

std::string text(int key, const window& w, const operator_context<std::string>& c) {
  return std::to_string(key) + " [" + std::to_string(ticks(w.start)) + " " +
         std::to_string(ticks(w.end)) + ") at " + std::to_string(ticks(c.time())) + ":";
}
struct of_fold {
  void operator()(int key, const window& w, const std::string& ids,
                  operator_context<std::string>& c) const {
    c.emit(text(key, w, c) + ids);
  }
};
struct of_records {
  void operator()(int key, const window& w, std::span<const window_record<event>> records,
                  operator_context<std::string>& c) const {
    std::string line = text(key, w, c);
    for (const auto& r : records) line += " " + std::to_string(r.value.id);
    c.emit(line);
  }
};

using folded = window_operator<int, event, folded_content<numbers>, any_trigger,
                               to_function<std::string, of_fold>>;
using recorded = window_operator<int, event, recorded_content<event, any_evictor>, any_trigger,
                                 to_function<std::string, of_records>>;
using evicted = window_operator<int, event, evicted_content<event, any_evictor, numbers>,
                                any_trigger, to_function<std::string, of_fold>>;

struct late_port final : receiver<event> {
  void read(const batch<event>& b) override {
    for (std::size_t i = 0; i < b.size(); ++i) ids.push_back(b.value(i).id);
  }
  void take(batch<event>& b) override { read(b); }
  void receive(const control&) override {}
  std::vector<int> ids;
};

/// What happens: a record, a control element, or time passing.
struct step {
  std::variant<testing::emitted<event>, control, std::int64_t> what;
};

/// The operator in one of its lives, and what it says.
template <class Op>
class life {
 public:
  using harness = testing::operator_harness<Op, event>;
  static constexpr std::int64_t start = 1'000'003;

  life(const window_setup& s, bool full) : setup_(s), full_(full) { make({}, start); }

  void restart(const std::vector<step>& script, std::size_t done) {
    const std::string bytes = h_->snapshot();
    const std::int64_t now = ticks(h_->env().wall);
    collect();
    make(bytes, now);
    for (std::size_t i = done; i-- > 0;) {
      const auto* c = std::get_if<control>(&script[i].what);
      if (c == nullptr || c->kind != control_kind::watermark) continue;
      h_->template send<0>(*c);
      break;
    }
  }

  std::size_t feed(const std::vector<step>& script, std::size_t i, std::size_t batch_size) {
    if (const auto* c = std::get_if<control>(&script[i].what)) {
      h_->template send<0>(*c);
      return i + 1;
    }
    if (const auto* passed = std::get_if<std::int64_t>(&script[i].what)) {
      h_->advance(duration{*passed});
      return i + 1;
    }
    std::vector<testing::emitted<event>> records;
    std::vector<slot_index> slots;
    for (; i < script.size() && records.size() < batch_size && script[i].what.index() == 0; ++i) {
      records.push_back(std::get<0>(script[i].what));
      slots.push_back(keys_->find_or_insert(records.back().value.key));
    }
    h_->push(std::move(records), std::move(slots));
    return i;
  }

  window_step take() {
    collect();
    window_step all = std::exchange(said_, {});
    std::sort(all.results.begin(), all.results.end());
    std::sort(all.late.begin(), all.late.end());
    return all;
  }
  std::size_t keys() {
    keys_->sweep();
    return keys_->size();
  }

 private:
  void make(const std::string& bytes, std::int64_t now) {
    late_before_ = 0;
    filtered_before_ = 0;
    keys_ = std::make_shared<key_table<int>>();
    h_ = std::make_unique<harness>([&] { return op(); });
    h_->output_is_always_full(full_);
    h_->task().template add_side_output<event>(late_.identity());
    static_cast<output<event>*>(h_->task().output_port(1))->connect(&port_);
    h_->env().wall = at(now);
    if (!bytes.empty()) h_->restore(bytes);
    h_->open();
  }

  Op op() const {
    const auto clock = setup_.by_clock ? time_domain::processing_time : time_domain::event_time;
    window_assigner assigner = global{};
    if (setup_.kind == window_kind::session) assigner = session{duration{setup_.size}, clock};
    if (setup_.kind == window_kind::sliding) {
      assigner =
          sliding{duration{setup_.size}, duration{setup_.slide}, duration{setup_.offset}, clock};
    }
    const any_evictor evictor{setup_.evictor, setup_.evictor_number};
    const auto content = [&] {
      if constexpr (std::is_same_v<Op, folded>) return folded_content<numbers>(numbers{});
      if constexpr (std::is_same_v<Op, recorded>)
        return recorded_content<event, any_evictor>(evictor);
      if constexpr (std::is_same_v<Op, evicted>)
        return evicted_content<event, any_evictor, numbers>(evictor, numbers{});
    };
    return Op(assigner, duration{setup_.lateness}, content(),
              any_trigger{setup_.trigger, setup_.trigger_number}, {}, keys_, late_);
  }

  void collect() {
    for (const auto& r : h_->results()) {
      CHECK((r.time == at(0) || !r.value.empty()));
      said_.results.push_back(r.value);
    }
    h_->results().clear();
    said_.late.insert(said_.late.end(), port_.ids.begin(), port_.ids.end());
    const auto& counters = h_->task().counters();
    CHECK(counters.late.value() == port_.ids.size() + late_before_);
    late_before_ = counters.late.value();
    port_.ids.clear();
    said_.filtered += static_cast<int>(counters.filtered.value() - filtered_before_);
    filtered_before_ = counters.filtered.value();
  }

  window_setup setup_;
  bool full_;
  side_output<event> late_{"late"};
  late_port port_;
  std::shared_ptr<key_table<int>> keys_;
  std::unique_ptr<harness> h_;
  window_step said_;
  std::uint64_t late_before_ = 0;
  std::uint64_t filtered_before_ = 0;
};

window_setup random_setup(random_source& random, bool extreme) {
  window_setup s;
  s.kind = static_cast<window_kind>(random.below(3));
  s.size = random.between(1, 60);
  s.slide = random.one_in(2) ? s.size : random.between(s.size / 8 + 1, s.size + 10);
  // 64 bits cannot number all windows with short slides.
  if (extreme) s.slide = std::max<std::int64_t>(s.slide, 8);
  s.offset = random.between(-s.slide + 1, s.slide - 1);
  s.by_clock = s.kind != window_kind::global && random.one_in(3);
  s.lateness = random.one_in(2) ? 0 : random.between(0, 80);
  s.trigger = static_cast<trigger_kind>(random.below(static_cast<int>(trigger_kind::kinds)));
  s.trigger_number = random.between(1, random.one_in(2) ? 4 : 40);
  return s;
}

std::vector<step> random_steps(random_source& random, const oracle::stream_shape& shape) {
  std::vector<step> all;
  for (const auto& given : oracle::random_script<1>(random, shape)) {
    if (random.one_in(4)) all.push_back({random.between(0, 30)});
    if (const auto* c = std::get_if<control>(&given.what)) {
      all.push_back({*c});
    } else {
      const auto& e = std::get<1>(given.what);
      all.push_back({testing::emitted<event>{{e.value.key, e.value.value, e.value.id}, e.time}});
    }
  }
  return all;
}

/// What each step must say.
std::vector<window_step> expected_steps(const window_setup& s, const std::vector<step>& script,
                                        std::vector<std::size_t>& keys) {
  std::int64_t now = 1'000'003;
  oracle::triggered_windows windows(s, now);
  std::vector<window_step> all;
  for (const step& what : script) {
    window_step said;
    if (const auto* passed = std::get_if<std::int64_t>(&what.what)) {
      said = windows.clock(now += *passed);
    } else if (const auto* c = std::get_if<control>(&what.what)) {
      if (c->kind == control_kind::watermark) said = windows.watermark(ticks(c->time));
      if (c->kind == control_kind::end) said = windows.end();
    } else {
      const auto& r = std::get<0>(what.what);
      said = windows.record({r.value.key, ticks(r.time), r.value.value, r.value.id});
    }
    std::sort(said.results.begin(), said.results.end());
    keys.push_back(windows.keys().size());
    all.push_back(std::move(said));
  }
  return all;
}

void append(window_step& all, const window_step& more) {
  all.results.insert(all.results.end(), more.results.begin(), more.results.end());
  all.late.insert(all.late.end(), more.late.begin(), more.late.end());
  all.filtered += more.filtered;
}

void check_same(const window_step& found, const window_step& expected) {
  if (found.results == expected.results && found.late == expected.late &&
      found.filtered == expected.filtered) {
    return;
  }
  CHECK(found.results == expected.results);
  CHECK(found.late == expected.late);
  REQUIRE(found.filtered == expected.filtered);
  REQUIRE((found.results == expected.results && found.late == expected.late));
}

/// Batches of up to `batch_size`; what each says is compared with the oracle's steps.
template <class Op>
void check(const window_setup& s, const std::vector<step>& script,
           const std::vector<window_step>& expected, const std::vector<std::size_t>& keys,
           std::size_t batch_size, bool restart, bool full) {
  INFO("batches of " << batch_size << (restart ? ", restored" : "") << (full ? ", full" : ""));
  life<Op> op(s, full);
  for (std::size_t i = 0; i < script.size();) {
    const std::size_t from = i;
    i = op.feed(script, i, batch_size);
    if (restart) op.restart(script, i);
    window_step wanted;
    for (std::size_t j = from; j < i; ++j) append(wanted, expected[j]);
    std::sort(wanted.results.begin(), wanted.results.end());
    std::sort(wanted.late.begin(), wanted.late.end());
    INFO("step " << from);
    check_same(op.take(), wanted);
    // Global windows may be gone although the oracle still has an empty one.
    if (s.kind == window_kind::global) continue;
    if (op.keys() != keys[i - 1]) REQUIRE(op.keys() == keys[i - 1]);
  }
}

template <class Op>
void check_all(random_source& random, const window_setup& s, const oracle::stream_shape& shape) {
  const std::vector<step> script = random_steps(random, shape);
  INFO("kind " << static_cast<int>(s.kind) << " size " << s.size << " slide " << s.slide
               << " offset " << s.offset << " lateness " << s.lateness << " clock " << s.by_clock
               << " trigger " << static_cast<int>(s.trigger) << " " << s.trigger_number
               << " evictor " << static_cast<int>(s.evictor) << " " << s.evictor_number);
  std::vector<std::size_t> keys;
  const auto expected = expected_steps(s, script, keys);
  check<Op>(s, script, expected, keys, 1, false, false);
  check<Op>(s, script, expected, keys, 7, false, true);
  check<Op>(s, script, expected, keys, 1000, false, false);
  check<Op>(s, script, expected, keys, 3, true, random.one_in(2));
}

}  // namespace

TEST_CASE("folded windows of every kind with every trigger do what the oracle does") {
  oracle::for_each_case(1'500, [](random_source& random) {
    const auto shape = oracle::random_shape(random);
    check_all<folded>(random, random_setup(random, shape.start < -1000 || shape.start > 2000),
                      shape);
  });
}

TEST_CASE(
    "windows that keep their records, with every trigger and evictor, do what the oracle does") {
  oracle::for_each_case(1'000, [](random_source& random) {
    const auto shape = oracle::random_shape(random);
    window_setup s = random_setup(random, shape.start < -1000 || shape.start > 2000);
    s.evictor = static_cast<evictor_kind>(random.below(static_cast<int>(evictor_kind::kinds)));
    s.evictor_number = random.between(0, 20);
    if (random.one_in(3)) {
      check_all<evicted>(random, s, shape);
    } else {
      check_all<recorded>(random, s, shape);
    }
  });
}
