// SPDX-License-Identifier: Apache-2.0
/// \file
/// Traces of records that an operator keeps in its state. Each goes on with the first record of the
/// same key that the operator emits later: a window's first result, a joined pair, what a timer
/// gives. Belongs to one operator instance; empty and untouched without tracing.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/operators/activity.hpp>
#include <millrace/operators/tracer.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/state/snapshot.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

namespace millrace {

/// Whether an operator has state that a record may go into, and does not follow traces by itself.
template <class Op>
inline constexpr bool keeps_traces = requires(const Op& op, snapshot_writer& to) { op.save(to); } &&
                                     !requires { requires Op::follows_traces; };

class kept_traces {
 public:
  explicit kept_traces(const activity& owner) noexcept : owner_(owner) {}
  kept_traces(const kept_traces&) = delete;
  kept_traces& operator=(const kept_traces&) = delete;

  /// More than these are forgotten, the oldest first.
  static constexpr std::size_t most = 256;

  bool empty() const noexcept { return kept_.empty(); }

  /// The trace being followed.
  void add(slot_index slot, tracer& t) {
    if (kept_.size() == most) kept_.pop_front();
    kept_.push_back({slot, t.hand_over()});
  }

  /// Hands a batch on in parts, so that what continues a trace travels alone. O(records x kept)
  template <class T, class Output>
  MILLRACE_NOINLINE void split(batch<T>& records, Output& to) {
    tracer* const t = owner_.tracer();
    std::size_t from = 0;
    for (std::size_t i = 0; i < records.size() && !empty(); ++i) {
      if (!keeps(records.slot(i))) continue;
      if (t->following()) {  // what is being worked on goes ahead of what was kept
        join_all(*t, records.slot(i));
        continue;
      }
      hand_on(records, from, i, to);
      from = i + 1;
      trace_handle first = take(records.slot(i));
      t->resume(owner_.name, std::move(first));
      const trace_scope scope(t);
      join_all(*t, records.slot(i));
      hand_on(records, i, from, to);
    }
    if (from == 0) return to.hand_on(records);
    hand_on(records, from, records.size(), to);
  }

 private:
  struct entry {
    slot_index slot;
    trace_handle link;
  };

  bool keeps(slot_index slot) const noexcept {
    return std::any_of(kept_.begin(), kept_.end(), [&](const auto& e) { return e.slot == slot; });
  }

  trace_handle take(slot_index slot) {
    const auto found =
        std::find_if(kept_.begin(), kept_.end(), [&](const auto& e) { return e.slot == slot; });
    if (found == kept_.end()) return nullptr;
    trace_handle link = std::move(found->link);
    kept_.erase(found);
    return link;
  }

  void join_all(tracer& t, slot_index slot) {
    while (auto link = take(slot)) t.join(std::move(link));
  }

  template <class T, class Output>
  static void hand_on(batch<T>& records, std::size_t from, std::size_t to, Output& out) {
    if (from == to) return;
    batch<T> part(to - from);
    for (std::size_t i = from; i < to; ++i) {
      part.push(std::move(records.value(i)), records.time(i), records.slot(i));
    }
    out.hand_on(part);
  }

  const activity& owner_;
  std::deque<entry> kept_;
};

/// Whether nothing has come of a record, neither output nor loss: then it was kept.
class fate_of_record {
 public:
  template <class Counters>
  explicit fate_of_record(const Counters& c) noexcept : before_(sum(c)) {}
  template <class Counters>
  bool kept(const Counters& c) const noexcept {
    return sum(c) == before_;
  }

 private:
  template <class Counters>
  static std::uint64_t sum(const Counters& c) noexcept {
    return c.records_out.value() + c.filtered.value() + c.late.value() + c.dead_letters.value();
  }
  std::uint64_t before_;
};

}  // namespace millrace
