// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs one operator on a script of records, watermarks and waits (of the wall clock), in the ways
/// in which it must give the same result, and collects a side output, too. Single-threaded.
#pragma once

#include <millrace/testing/operator_harness.hpp>

#include "oracle/random_stream.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace oracle {

/// One step: a control element or record of input 0, or a wait.
struct timed_step {
  std::variant<millrace::control, event, std::int64_t> what;  ///< control, record, ticks to wait
};

/// A random script with a wait of up to `longest_wait` ticks after about every fourth element.
inline std::vector<timed_step> timed_script(random_source& random, const stream_shape& shape,
                                            std::int64_t longest_wait) {
  std::vector<timed_step> steps;
  for (const auto& s : random_script<1>(random, shape)) {
    if (const auto* c = std::get_if<0>(&s.what)) {
      steps.push_back({*c});
    } else {
      steps.push_back({std::get<1>(s.what).value});
    }
    const bool ended = std::holds_alternative<millrace::control>(steps.back().what) &&
                       std::get<0>(steps.back().what).kind == millrace::control_kind::end;
    if (longest_wait > 0 && !ended && random.one_in(4)) {
      steps.push_back({random.between(1, longest_wait)});
    }
  }
  return steps;
}

/// Whether no record lies behind its watermark, in every script of that shape.
inline bool in_time(const stream_shape& shape) { return shape.disorder <= shape.lag; }

struct run_mode {
  std::size_t batch = 1;
  bool restore = false;  ///< save and restore after every batch
  bool full = false;     ///< the output takes one batch at a time
};

/// Two of the ways to run; restoring only where watermarks given again change nothing.
inline std::vector<run_mode> random_modes(random_source& random, bool may_restore) {
  std::vector<run_mode> modes;
  modes.push_back({static_cast<std::size_t>(random.between(1, 40)), false, random.one_in(2)});
  modes.push_back({static_cast<std::size_t>(random.between(1, 12)), may_restore, random.one_in(2)});
  return modes;
}

/// `Op` has one input of `event`; keys are the events' own.
template <class Op, class Side = event>
class timed_driver {
 public:
  using out = typename Op::output_type;
  using harness = millrace::testing::operator_harness<Op, event>;
  using keys_type = millrace::key_table<int>;
  using make_function = std::function<std::unique_ptr<harness>(std::shared_ptr<keys_type>)>;

  timed_driver(make_function make, const void* tag) : make_(std::move(make)), side_tag_(tag) {}

  std::vector<millrace::testing::emitted<out>> results;
  std::vector<millrace::testing::emitted<Side>> side;
  std::uint64_t late = 0;
  std::uint64_t filtered = 0;
  std::size_t dead_letters = 0;
  std::size_t keys_left = 0;

  void run(const std::vector<timed_step>& script, const run_mode& mode) {
    results.clear();
    side.clear();
    late = filtered = dead_letters = 0;
    start(mode);
    millrace::timestamp watermark = millrace::min_timestamp;
    h_->open();
    for (std::size_t i = 0; i < script.size();) {
      if (const auto* ticks = std::get_if<std::int64_t>(&script[i].what)) {
        h_->advance(millrace::duration{*ticks});
        ++i;
      } else if (const auto* c = std::get_if<millrace::control>(&script[i].what)) {
        if (c->kind == millrace::control_kind::watermark) watermark = c->time;
        h_->send(*c);
        ++i;
      } else {
        i = feed(script, i, mode.batch);
      }
      if (mode.restore) restart(mode, watermark);
    }
    collect();
    keys_->sweep();
    keys_left = keys_->size();
  }

 private:
  struct side_receiver final : millrace::receiver<Side> {
    std::vector<millrace::testing::emitted<Side>>* to = nullptr;
    void read(const millrace::batch<Side>& b) override {
      for (std::size_t i = 0; i < b.size(); ++i) to->push_back({b.value(i), b.time(i)});
    }
    void take(millrace::batch<Side>& b) override { read(b); }
    void receive(const millrace::control&) override {}
  };

  void start(const run_mode& mode) {
    keys_ = std::make_shared<keys_type>();
    h_ = make_(keys_);
    h_->output_is_always_full(mode.full);
    receiver_.to = &side;
    if (side_tag_ == nullptr) return;
    h_->task().template add_side_output<Side>(side_tag_);
    static_cast<millrace::output<Side>*>(h_->task().output_port(1))->connect(&receiver_);
  }

  // Watermarks are not part of an operator's state: the sources give them again.
  void restart(const run_mode& mode, millrace::timestamp watermark) {
    const std::string bytes = h_->snapshot();
    collect();
    const auto wall = h_->env().wall;
    start(mode);
    h_->env().wall = wall;
    h_->restore(bytes);
    if (watermark != millrace::min_timestamp) h_->send(millrace::control::watermark(watermark));
    h_->open();
  }

  void collect() {
    results.insert(results.end(), h_->results().begin(), h_->results().end());
    h_->results().clear();
    late += h_->task().counters().late.value();
    filtered += h_->task().counters().filtered.value();
    dead_letters += h_->dead_letters.size();
  }

  std::size_t feed(const std::vector<timed_step>& script, std::size_t i, std::size_t batch) {
    std::vector<millrace::testing::emitted<event>> records;
    std::vector<millrace::slot_index> slots;
    for (; i < script.size() && records.size() < batch; ++i) {
      const auto* e = std::get_if<event>(&script[i].what);
      if (e == nullptr) break;
      records.push_back({*e, at(e->time)});
      slots.push_back(keys_->find_or_insert(e->key));
    }
    h_->push(std::move(records), std::move(slots));
    return i;
  }

  make_function make_;
  const void* side_tag_;
  std::shared_ptr<keys_type> keys_;
  std::unique_ptr<harness> h_;
  side_receiver receiver_;
};

/// Results as text, in an order that does not depend on the run.
template <class T, class Print>
std::vector<std::string> sorted_lines(const std::vector<millrace::testing::emitted<T>>& all,
                                      Print&& print) {
  std::vector<std::string> lines;
  for (const auto& e : all) {
    lines.push_back(print(e.value) + " @" + std::to_string(e.time.time_since_epoch().count()));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

/// Empty when equal, else the first line in which the two differ.
inline std::string first_difference(const std::vector<std::string>& found,
                                    const std::vector<std::string>& expected) {
  const auto [f, e] = std::mismatch(found.begin(), found.end(), expected.begin(), expected.end());
  if (f == found.end() && e == expected.end()) return {};
  return "found: " + (f == found.end() ? "nothing" : *f) +
         ", expected: " + (e == expected.end() ? "nothing" : *e);
}

}  // namespace oracle
