// SPDX-License-Identifier: Apache-2.0
// Windows that are folded over slices of time, and windows by count, compared step by step with
// naive oracles.

#include <millrace/operators/window_aggregate.hpp>
#include <millrace/operators/window_count.hpp>
#include <millrace/operators/window_operator.hpp>
#include <millrace/windows/contents.hpp>

#include "oracle/random_stream.hpp"
#include "oracle/windows_run.hpp"
#include "oracle/windows_triggers_oracle.hpp"

#include "catch.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace millrace;
using oracle::numbers;
using oracle::of_fold;
using oracle::of_records;
using oracle::random_source;
using oracle::ticks;
using oracle::window_setup;
using event = oracle::window_event;

namespace {

/// The numbers of the records by size: slices are folded in order of time, not of arrival.
struct sorted_numbers : numbers {
  std::string result(state s) const {
    std::sort(s.begin(), s.end());
    return numbers::result(s);
  }
};

struct of_sorted_records {
  void operator()(int key, const window& w, std::span<const window_record<event>> records,
                  operator_context<std::string>& c) const {
    numbers::state ids;
    for (const auto& r : records) ids.push_back(r.value.id);
    of_fold{}(key, w, sorted_numbers{}.result(ids), c);
  }
};

template <class A>
using sliced = window_aggregate_operator<int, event, A, to_function<std::string, of_fold>>;
using counted = count_window_operator<int, event, numbers, to_function<std::string, of_fold>>;
using count_recorded = window_operator<int, event, recorded_content<event, count_window_evictor>,
                                       on_count, to_function<std::string, of_records>>;

window_setup random_setup(random_source& random, bool extreme) {
  window_setup s;
  s.size = random.one_in(4) ? random.between(60, 400) : random.between(1, 60);
  s.slide = random.one_in(3) ? s.size : random.between(s.size / 40 + 1, s.size + 10);
  // 64 bits cannot number all windows with short slides.
  if (extreme) s.slide = std::max<std::int64_t>(s.slide, 8);
  s.offset = random.between(-s.slide + 1, s.slide - 1);
  s.by_clock = random.one_in(3);
  s.lateness = random.one_in(2) ? 0 : random.between(0, 120);
  s.sorted = true;
  return s;
}

/// What count windows must say: each key's records in a list, looked at from the end.
oracle::expectation count_expectation(random_source& random, const count_window& spec) {
  oracle::expectation e{oracle::random_steps(random, oracle::random_shape(random)), {}, {}};
  std::map<int, std::vector<int>> all;
  for (const auto& step : e.script) {
    oracle::window_step said;
    if (const auto* r = std::get_if<0>(&step.what)) {
      auto& mine = all[r->value.key];
      mine.push_back(r->value.id);
      const auto n = static_cast<std::int64_t>(mine.size());
      const bool between = (n - 1) % spec.step() < spec.step() - spec.size;
      if (between) ++said.filtered;
      if (n % spec.step() == 0) {
        std::string line = std::to_string(r->value.key) + " [" + std::to_string(INT64_MIN) + " " +
                           std::to_string(INT64_MAX) + ") at " + std::to_string(ticks(r->time)) +
                           ":";
        for (auto i = std::max<std::int64_t>(0, n - spec.size); i < n; ++i) {
          line += " " + std::to_string(mine[static_cast<std::size_t>(i)]);
        }
        said.results.push_back(line);
      }
    } else if (const auto* c = std::get_if<control>(&step.what)) {
      if (c->kind == control_kind::end) {
        for (const auto& [key, mine] : all) {
          const auto left = static_cast<std::int64_t>(mine.size()) % spec.step();
          said.filtered += static_cast<int>(
              std::max<std::int64_t>(0, left - std::max<std::int64_t>(0, spec.step() - spec.size)));
        }
      }
    }
    e.steps.push_back(std::move(said));
  }
  return e;
}

count_window random_counts(random_source& random) {
  const std::int64_t size = random.between(1, random.one_in(3) ? 30 : 8);
  return {size, random.one_in(3) ? 0 : random.between(1, size + 4)};
}

}  // namespace

TEST_CASE("tumbling and sliding windows over slices do what the oracle does, by both clocks") {
  oracle::for_each_case(1'500, [](random_source& random) {
    const auto shape = oracle::random_shape(random);
    const window_setup s = random_setup(random, extreme(shape));
    using op = sliced<sorted_numbers>;
    oracle::check_windows<op>(random, s, shape, [&](oracle::key_names keys, oracle::late_tag late) {
      return op(oracle::sliding_of(s), duration{s.lateness}, {}, std::move(keys), std::move(late));
    });
  });
}

TEST_CASE("tumbling and sliding windows keep records once and hand over all of them") {
  oracle::for_each_case(500, [](random_source& random) {
    const auto shape = oracle::random_shape(random);
    const window_setup s = random_setup(random, extreme(shape));
    using op = window_aggregate_operator<int, event, gathering<event>,
                                         to_function<std::string, of_sorted_records>>;
    oracle::check_windows<op>(random, s, shape, [&](oracle::key_names keys, oracle::late_tag late) {
      return op(oracle::sliding_of(s), duration{s.lateness}, {}, std::move(keys), std::move(late));
    });
  });
}

TEST_CASE("count windows do what the oracle does, in order of arrival") {
  oracle::for_each_case(1'000, [](random_source& random) {
    const count_window spec = random_counts(random);
    INFO("windows of " << spec.size << " by " << spec.slide);
    oracle::check_ways<counted>(
        random,
        [&](oracle::key_names keys, const oracle::late_tag&) {
          return counted(spec, {}, {}, std::move(keys));
        },
        count_expectation(random, spec));
  });
}

TEST_CASE("count windows that keep their records hand over the same ones") {
  oracle::for_each_case(500, [](random_source& random) {
    const count_window spec = random_counts(random);
    INFO("windows of " << spec.size << " by " << spec.slide);
    auto expected = count_expectation(random, spec);
    for (auto& step : expected.steps) step.filtered = 0;  // records between windows are dropped
    using content = recorded_content<event, count_window_evictor>;
    oracle::check_ways<count_recorded>(
        random,
        [&](oracle::key_names keys, oracle::late_tag late) {
          return count_recorded(global{}, {}, content(count_window_evictor{spec}),
                                on_count{static_cast<std::uint64_t>(spec.step())}, {},
                                std::move(keys), std::move(late));
        },
        expected);
  });
}
