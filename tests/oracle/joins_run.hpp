// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs a join operator over a script in every way in which it must give the same result, and
/// brings what comes out into the oracle's form. Late outputs are listened to.
#pragma once

#include <millrace/operators/join_types.hpp>
#include <millrace/testing/operator_harness.hpp>

#include "oracle/joins_oracle.hpp"

#include <boost/describe.hpp>

#include <memory>
#include <string>
#include <vector>

namespace oracle {

/// Takes what goes to a side output.
template <class T>
struct side_listener final : millrace::receiver<T> {
  std::vector<T> seen;
  void read(const millrace::batch<T>& b) override {
    for (std::size_t i = 0; i < b.size(); ++i) seen.push_back(b.value(i));
  }
  void take(millrace::batch<T>& b) override { read(b); }
  void receive(const millrace::control&) override {}
};

inline int id_of(const event& e) { return e.id; }
template <class T>
int id_of(const std::optional<T>& e) {
  return e ? id_of(*e) : -1;
}

/// One way of running: how many records at a time, with a restore after each step or not, with an
/// output that is always full or not.
struct way {
  std::size_t batch = 1;
  bool restore = false;
  bool full = false;
};
inline const std::vector<way>& ways() {
  static const std::vector<way> all{
      {1, false, false}, {7, false, true}, {1000, false, false}, {3, true, true}};
  return all;
}

/// What an operator may keep when its input has ended.
enum class keys_left { none, rows };

/// `make(keys, late_left, late_right)` returns the operator.
template <class Op, class Left, class Right, class Make, class Convert>
outcome run_join(const script<2>& steps, const way& how, const Make& make, const Convert& convert,
                 keys_left left_behind = keys_left::none) {
  namespace m = millrace;
  using harness = m::testing::operator_harness<Op, Left, Right>;
  outcome out;
  std::uint64_t late = 0;
  std::vector<Left> late_left;
  std::vector<Right> late_right;
  std::shared_ptr<m::key_table<int>> keys;
  std::unique_ptr<harness> h;
  std::unique_ptr<side_listener<Left>> on_left;
  std::unique_ptr<side_listener<Right>> on_right;
  const auto start = [&](const std::string* saved, std::size_t done) {
    keys = std::make_shared<m::key_table<int>>();
    const m::side_output<Left> left("left");
    const m::side_output<Right> right("right");
    h = std::make_unique<harness>([&] { return make(keys, left, right); });
    on_left = std::make_unique<side_listener<Left>>();
    on_right = std::make_unique<side_listener<Right>>();
    h->task().template add_side_output<Left>(left.identity());
    h->task().template add_side_output<Right>(right.identity());
    h->task().template side_output_of<Left>(left.identity())->connect(on_left.get());
    h->task().template side_output_of<Right>(right.identity())->connect(on_right.get());
    h->output_is_always_full(how.full);
    if (saved != nullptr) {
      h->restore(*saved);
      // Sources give watermarks and silences again.
      for (std::size_t i = 0; i < done; ++i) {
        if (const auto* c = std::get_if<0>(&steps[i].what)) {
          steps[i].input == 0 ? h->template send<0>(*c) : h->template send<1>(*c);
        }
      }
    }
    h->open();
  };
  const auto collect = [&] {
    for (const auto& e : h->results()) {
      out.results.emplace_back(id_of(e.value.left), id_of(e.value.right),
                               e.time.time_since_epoch().count());
    }
    h->results().clear();
    late += h->task().counters().late.value();
    out.filtered += h->task().counters().filtered.value();
    late_left.insert(late_left.end(), on_left->seen.begin(), on_left->seen.end());
    late_right.insert(late_right.end(), on_right->seen.begin(), on_right->seen.end());
  };
  start(nullptr, 0);
  for (std::size_t i = 0; i < steps.size();) {
    if (const auto* c = std::get_if<0>(&steps[i].what)) {
      steps[i].input == 0 ? h->template send<0>(*c) : h->template send<1>(*c);
      ++i;
    } else {
      const std::size_t input = steps[i].input;
      std::vector<m::testing::emitted<Left>> lefts;
      std::vector<m::testing::emitted<Right>> rights;
      std::vector<m::slot_index> slots;
      for (; i < steps.size() && steps[i].input == input && steps[i].what.index() == input + 1 &&
             slots.size() < how.batch;
           ++i) {
        const auto& e = input == 0 ? std::get<1>(steps[i].what) : std::get<2>(steps[i].what);
        slots.push_back(keys->find_or_insert(e.value.key));
        if (input == 0) lefts.push_back({e.value, e.time});
        if (input == 1) rights.push_back({convert(e.value), e.time});
      }
      if (input == 0) h->template push<0>(std::move(lefts), std::move(slots));
      if (input == 1) h->template push<1>(std::move(rights), std::move(slots));
    }
    keys->sweep();
    if (!how.restore || i == steps.size()) continue;
    const std::string bytes = h->snapshot();
    collect();
    start(&bytes, i);
  }
  collect();
  out.late_unseen = late - late_left.size() - late_right.size();
  for (const auto& l : late_left) out.late[0].push_back(id_of(l));
  for (const auto& r : late_right) out.late[1].push_back(id_of(r));
  out.sort();
  keys->sweep();
  if (left_behind == keys_left::none) CHECK(keys->size() == 0);
  return out;
}

template <class Op, class Make>
outcome run_join(const script<2>& steps, const way& how, const Make& make,
                 keys_left left_behind = keys_left::none) {
  return run_join<Op, event, event>(
      steps, how, make, [](const event& e) { return e; }, left_behind);
}

inline std::string printed(const outcome& o) {
  std::string text;
  for (const auto& [l, r, t] : o.results) {
    text += "(" + std::to_string(l) + "," + std::to_string(r) + ")@" + std::to_string(t) + " ";
  }
  for (const auto& side : o.late) {
    text += "late ";
    for (const int id : side) text += std::to_string(id) + " ";
  }
  return text + "filtered " + std::to_string(o.filtered) + " unseen " +
         std::to_string(o.late_unseen);
}

inline std::string printed(const script<2>& steps) {
  std::string text;
  for (const auto& s : steps) {
    text += std::to_string(s.input) + ":";
    if (const auto* c = std::get_if<0>(&s.what)) {
      text += "c" + std::to_string(static_cast<int>(c->kind)) + "@" +
              std::to_string(c->time.time_since_epoch().count()) + " ";
    } else {
      const auto& e = s.what.index() == 1 ? std::get<1>(s.what).value : std::get<2>(s.what).value;
      text += "#" + std::to_string(e.id) + "k" + std::to_string(e.key) + "@" +
              std::to_string(e.time) + " ";
    }
  }
  return text;
}

/// All ways give what is expected; those with a restore only where that makes no difference.
template <class Run>
void check_join(const script<2>& steps, const outcome& expected, const Run& run,
                bool with_restore = true) {
  for (const way& how : ways()) {
    if (how.restore && !with_restore) continue;
    const outcome found = run(steps, how);
    if (found == expected) {
      SUCCEED();
      continue;
    }
    INFO("input " << printed(steps));
    INFO("batch " << how.batch << (how.restore ? " restored" : "") << (how.full ? " full" : ""));
    REQUIRE(printed(found) == printed(expected));
    FAIL("outcomes differ");
  }
}

}  // namespace oracle
