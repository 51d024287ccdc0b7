// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs a window operator through a random script in every way (one by one, in batches, saved and
/// restored, with an output that is full) and compares each step with the oracle.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/state/key_table.hpp>
#include <millrace/testing/operator_harness.hpp>
#include <millrace/windows/evictors.hpp>
#include <millrace/windows/window.hpp>

#include "oracle/random_stream.hpp"
#include "oracle/windows_triggers_oracle.hpp"

#include "catch.hpp"

#include <boost/describe.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace oracle {

struct window_event {
  int key = 0;
  int value = 0;
  int id = 0;
  friend bool operator==(const window_event&, const window_event&) = default;
};
BOOST_DESCRIBE_STRUCT(window_event, (), (key, value, id))

inline std::int64_t ticks(millrace::timestamp t) { return t.time_since_epoch().count(); }

/// Folds to the numbers of the records, in order: associative, not commutative.
struct numbers {
  using state = std::vector<int>;
  void add(state& s, const window_event& e) const { s.push_back(e.id); }
  void merge(state& s, const state& later) const { s.insert(s.end(), later.begin(), later.end()); }
  std::string result(const state& s) const {
    std::string line;
    for (const int id : s) line += " " + std::to_string(id);
    return line;
  }
};

inline std::string text(int key, const millrace::window& w,
                        const millrace::operator_context<std::string>& c) {
  return std::to_string(key) + " [" + std::to_string(ticks(w.start)) + " " +
         std::to_string(ticks(w.end)) + ") at " + std::to_string(ticks(c.time())) + ":";
}
struct of_fold {
  void operator()(int key, const millrace::window& w, const std::string& ids,
                  millrace::operator_context<std::string>& c) const {
    c.emit(text(key, w, c) + ids);
  }
};
struct of_records {
  void operator()(int key, const millrace::window& w,
                  std::span<const millrace::window_record<window_event>> records,
                  millrace::operator_context<std::string>& c) const {
    std::string line = text(key, w, c);
    for (const auto& r : records) line += " " + std::to_string(r.value.id);
    c.emit(line);
  }
};

/// Takes the numbers of late records.
struct late_port final : millrace::receiver<window_event> {
  void read(const millrace::batch<window_event>& b) override {
    for (std::size_t i = 0; i < b.size(); ++i) ids.push_back(b.value(i).id);
  }
  void take(millrace::batch<window_event>& b) override { read(b); }
  void receive(const millrace::control&) override {}
  std::vector<int> ids;
};

/// What happens: a record, a control element, or time passing.
struct step {
  std::variant<millrace::testing::emitted<window_event>, millrace::control, std::int64_t> what;
};

using key_names = std::shared_ptr<millrace::key_table<int>>;
using late_tag = millrace::side_output<window_event>;

/// Makes the operator under test.
template <class Op>
using maker = std::function<Op(key_names, late_tag)>;

/// The operator in one of its lives, and what it says.
template <class Op>
class life {
 public:
  using harness = millrace::testing::operator_harness<Op, window_event>;
  static constexpr std::int64_t start = 1'000'003;

  life(const maker<Op>& m, bool full) : make_(m), full_(full) { make({}, start); }

  void restart(const std::vector<step>& script, std::size_t done) {
    const std::string bytes = h_->snapshot();
    const std::int64_t now = ticks(h_->env().wall);
    collect();
    make(bytes, now);
    for (std::size_t i = done; i-- > 0;) {
      const auto* c = std::get_if<millrace::control>(&script[i].what);
      if (c == nullptr || c->kind != millrace::control_kind::watermark) continue;
      h_->template send<0>(*c);
      break;
    }
  }

  std::size_t feed(const std::vector<step>& script, std::size_t i, std::size_t batch_size) {
    if (const auto* c = std::get_if<millrace::control>(&script[i].what)) {
      h_->template send<0>(*c);
      return i + 1;
    }
    if (const auto* passed = std::get_if<std::int64_t>(&script[i].what)) {
      h_->advance(millrace::duration{*passed});
      return i + 1;
    }
    std::vector<millrace::testing::emitted<window_event>> records;
    std::vector<millrace::slot_index> slots;
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
    keys_ = std::make_shared<millrace::key_table<int>>();
    h_ = std::make_unique<harness>([&] { return make_(keys_, late_); });
    h_->output_is_always_full(full_);
    h_->task().template add_side_output<window_event>(late_.identity());
    static_cast<millrace::output<window_event>*>(h_->task().output_port(1))->connect(&port_);
    h_->env().wall = at(now);
    if (!bytes.empty()) h_->restore(bytes);
    h_->open();
  }

  void collect() {
    for (const auto& r : h_->results()) {
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

  const maker<Op>& make_;
  bool full_;
  millrace::side_output<window_event> late_{"late"};
  late_port port_;
  std::shared_ptr<millrace::key_table<int>> keys_;
  std::unique_ptr<harness> h_;
  window_step said_;
  std::uint64_t late_before_ = 0;
  std::uint64_t filtered_before_ = 0;
};

inline std::vector<step> random_steps(random_source& random, const oracle::stream_shape& shape) {
  std::vector<step> all;
  for (const auto& given : oracle::random_script<1>(random, shape)) {
    if (random.one_in(4)) all.push_back({random.between(0, 30)});
    if (const auto* c = std::get_if<millrace::control>(&given.what)) {
      all.push_back({*c});
    } else {
      const auto& e = std::get<1>(given.what);
      all.push_back({millrace::testing::emitted<window_event>{
          {e.value.key, e.value.value, e.value.id}, e.time}});
    }
  }
  return all;
}

/// What each step must say.
inline std::vector<window_step> expected_steps(const window_setup& s,
                                               const std::vector<step>& script,
                                               std::vector<std::size_t>& keys) {
  std::int64_t now = 1'000'003;
  oracle::triggered_windows windows(s, now);
  std::vector<window_step> all;
  for (const step& what : script) {
    window_step said;
    if (const auto* passed = std::get_if<std::int64_t>(&what.what)) {
      said = windows.clock(now += *passed);
    } else if (const auto* c = std::get_if<millrace::control>(&what.what)) {
      if (c->kind == millrace::control_kind::watermark) said = windows.watermark(ticks(c->time));
      if (c->kind == millrace::control_kind::end) said = windows.end();
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

inline void append(window_step& all, const window_step& more) {
  all.results.insert(all.results.end(), more.results.begin(), more.results.end());
  all.late.insert(all.late.end(), more.late.begin(), more.late.end());
  all.filtered += more.filtered;
}

inline void check_same(const window_step& found, const window_step& expected) {
  if (found.results == expected.results && found.late == expected.late &&
      found.filtered == expected.filtered) {
    return;
  }
  CHECK(found.results == expected.results);
  CHECK(found.late == expected.late);
  REQUIRE(found.filtered == expected.filtered);
  REQUIRE((found.results == expected.results && found.late == expected.late));
}

/// What a script must give: by step, and how many keys are left then.
struct expectation {
  std::vector<step> script;
  std::vector<window_step> steps;
  std::vector<std::size_t> keys;  ///< empty: not checked
};

/// Batches of up to `batch_size`; what each says is compared with the oracle's steps.
template <class Op>
void check(const maker<Op>& make, const expectation& expected, std::size_t batch_size, bool restart,
           bool full) {
  INFO("batches of " << batch_size << (restart ? ", restored" : "") << (full ? ", full" : ""));
  life<Op> op(make, full);
  for (std::size_t i = 0; i < expected.script.size();) {
    const std::size_t from = i;
    i = op.feed(expected.script, i, batch_size);
    if (restart) op.restart(expected.script, i);
    window_step wanted;
    for (std::size_t j = from; j < i; ++j) append(wanted, expected.steps[j]);
    std::sort(wanted.results.begin(), wanted.results.end());
    std::sort(wanted.late.begin(), wanted.late.end());
    INFO("step " << from);
    check_same(op.take(), wanted);
    if (expected.keys.empty()) continue;
    if (op.keys() != expected.keys[i - 1]) REQUIRE(op.keys() == expected.keys[i - 1]);
  }
}

template <class Op>
void check_ways(random_source& random, const maker<Op>& make, const expectation& expected) {
  check<Op>(make, expected, 1, false, false);
  check<Op>(make, expected, 7, false, true);
  check<Op>(make, expected, 1000, false, false);
  check<Op>(make, expected, 3, true, random.one_in(2));
}

/// The operator that `make` makes against `triggered_windows`.
template <class Op>
void check_windows(random_source& random, const window_setup& s, const stream_shape& shape,
                   const maker<Op>& make) {
  INFO("kind " << static_cast<int>(s.kind) << " size " << s.size << " slide " << s.slide
               << " offset " << s.offset << " lateness " << s.lateness << " clock " << s.by_clock
               << " trigger " << static_cast<int>(s.trigger) << " " << s.trigger_number
               << " evictor " << static_cast<int>(s.evictor) << " " << s.evictor_number);
  expectation expected{random_steps(random, shape), {}, {}};
  expected.steps = expected_steps(s, expected.script, expected.keys);
  // Global windows may be gone although the oracle still has an empty one.
  if (s.kind == window_kind::global) expected.keys.clear();
  check_ways(random, make, expected);
}

/// Whether a script of this shape comes near the ends of time.
inline bool extreme(const stream_shape& shape) { return shape.start < -1000 || shape.start > 2000; }

inline millrace::sliding sliding_of(const window_setup& s) {
  using millrace::time_domain;
  return {millrace::duration{s.size}, millrace::duration{s.slide}, millrace::duration{s.offset},
          s.by_clock ? time_domain::processing_time : time_domain::event_time};
}

}  // namespace oracle
