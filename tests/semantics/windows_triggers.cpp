// SPDX-License-Identifier: Apache-2.0
// Windows of every kind, with every trigger and evictor, compared step by step with a naive oracle:
// one record at a time, in batches, saved and restored in between, with an output that is full.

#include <millrace/operators/window_operator.hpp>
#include <millrace/testing/operator_harness.hpp>
#include <millrace/windows/contents.hpp>
#include <millrace/windows/trigger_combinators.hpp>

#include "oracle/random_stream.hpp"
#include "oracle/windows_run.hpp"
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
using oracle::numbers;
using oracle::of_fold;
using oracle::of_records;
using oracle::ticks;
using event = oracle::window_event;
using oracle::random_source;
using oracle::trigger_kind;
using oracle::window_kind;
using oracle::window_setup;
using oracle::window_step;

namespace {

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

using folded = window_operator<int, event, folded_content<numbers>, any_trigger,
                               to_function<std::string, of_fold>>;
using recorded = window_operator<int, event, recorded_content<event, any_evictor>, any_trigger,
                                 to_function<std::string, of_records>>;
using evicted = window_operator<int, event, evicted_content<event, any_evictor, numbers>,
                                any_trigger, to_function<std::string, of_fold>>;

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

window_assigner assigner_of(const window_setup& s) {
  const auto clock = s.by_clock ? time_domain::processing_time : time_domain::event_time;
  if (s.kind == window_kind::session) return session{duration{s.size}, clock};
  if (s.kind == window_kind::sliding) return oracle::sliding_of(s);
  return global{};
}

template <class Op, class Content>
void check_all(random_source& random, const window_setup& s, const oracle::stream_shape& shape,
               const Content& content) {
  oracle::check_windows<Op>(random, s, shape, [&](oracle::key_names keys, oracle::late_tag late) {
    return Op(assigner_of(s), duration{s.lateness}, content,
              any_trigger{s.trigger, s.trigger_number}, {}, std::move(keys), std::move(late));
  });
}

}  // namespace

TEST_CASE("folded windows of every kind with every trigger do what the oracle does") {
  oracle::for_each_case(1'500, [](random_source& random) {
    const auto shape = oracle::random_shape(random);
    check_all<folded>(random, random_setup(random, extreme(shape)), shape,
                      folded_content<numbers>(numbers{}));
  });
}

TEST_CASE("windows that keep their records do what the oracle does, with every evictor") {
  oracle::for_each_case(1'000, [](random_source& random) {
    const auto shape = oracle::random_shape(random);
    window_setup s = random_setup(random, extreme(shape));
    s.evictor = static_cast<evictor_kind>(random.below(static_cast<int>(evictor_kind::kinds)));
    s.evictor_number = random.between(0, 20);
    const any_evictor evictor{s.evictor, s.evictor_number};
    if (random.one_in(3)) {
      check_all<evicted>(random, s, shape,
                         evicted_content<event, any_evictor, numbers>(evictor, numbers{}));
    } else {
      check_all<recorded>(random, s, shape, recorded_content<event, any_evictor>(evictor));
    }
  });
}
