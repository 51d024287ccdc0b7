// SPDX-License-Identifier: Apache-2.0
/// \file
/// Latest-value join: each left record with the last right value of its key (semantics.md, Joins).
/// Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/join_buffers.hpp>
#include <millrace/operators/join_types.hpp>
#include <millrace/state/keyed_state.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

enum class join_mode : std::uint8_t {
  by_arrival,     ///< what has come when the record is processed: lowest latency, depends on order
  by_event_time,  ///< the right value with the greatest time <= the record's; the record waits for
                  ///< the watermark. The same at any parallelism and in any replay.
};

/// What becomes of a left record whose key has no right value yet.
enum class unmatched : std::uint8_t {
  drop,  ///< counted as filtered
  hold,  ///< until one comes; at most `most_held`, beyond them records are dead letters
};

struct join_latest_options {
  join_mode mode = join_mode::by_event_time;
  unmatched without_partner = unmatched::hold;
  std::size_t most_held = 65536;  ///< records without partner, per worker
};

/// Keeps per key the right values that may still be asked for: those newer than the watermark, and
/// the last one before. A right value that comes behind its watermark counts as long as none that
/// is newer has been passed; otherwise it is counted as late. Left join: emits records without
/// partner instead of dropping or holding. A result has the left record's time; that of a held
/// record the later of both. O(1) per left record that comes in order, else O(log of those that do
/// not); right values O(1) in order.
template <class K, class L, class R, bool LeftJoin>
class join_latest_operator {
 public:
  using right_type = std::conditional_t<LeftJoin, std::optional<R>, R>;
  using output_type = joined<L, right_type>;
  using context = operator_context<output_type>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<K, L, R>(); }

  join_latest_operator(join_latest_options options, std::shared_ptr<key_table<K>> keys,
                       side_output<L> late)
      : options_(options), states_(std::move(keys)), late_(std::move(late)) {}

  void process_left(L&& value, context& c) {
    const slot_index slot = c.slot();
    if (options_.mode == join_mode::by_arrival) {
      auto& state = states_.obtain(slot);
      if (!state.rights.empty()) return emit(value, state.rights.back().value, c, c.time(), slot);
      return without_partner(std::move(value), c.time(), slot, state, c);
    }
    if (MILLRACE_UNLIKELY(c.time() <= c.watermark())) {
      c.counters().late.add();
      c.emit_to(late_, std::move(value));
      return states_.table().touch(slot);
    }
    ++states_.obtain(slot).waiting;
    waiting_.push(c.time(), {slot, std::move(value)});
  }

  void process_right(R&& value, context& c) {
    auto& state = states_.obtain(c.slot());
    auto& rights = state.rights;
    const bool by_arrival = options_.mode == join_mode::by_arrival;
    if (by_arrival) {
      rights.pop_front(rights.size());
    } else {
      prune(state, c.watermark());  // what still waits is newer than the watermark
      if (MILLRACE_UNLIKELY(c.time() <= c.watermark())) {
        const std::size_t passed = rights.first_after(c.watermark());
        // Replaced before it came: nobody will ask for it.
        if (passed > 0 && rights[passed - 1].time > c.time()) return c.counters().late.add();
      }
    }
    rights.insert(c.time(), std::move(value));
    if (MILLRACE_UNLIKELY(!state.held.empty())) {
      if (by_arrival) return release(c.slot(), state, c);
      schedule_release(c.slot(), state);
    }
  }

  progress on_watermark(timestamp watermark, context& c) {
    for (;;) {
      if (c.downstream_blocked()) return progress::suspended;
      if (MILLRACE_UNLIKELY(releases_.due(watermark))) {
        const slot_index slot = releases_.pop().value;
        if (key_state* state = states_.find(slot)) release(slot, *state, c);
      } else if (waiting_.due(watermark)) {
        waiting_.pop([&](timestamp time, left_record& next) { resolve(time, next, c); });
      } else {
        return progress::done;
      }
    }
  }

  /// Records that still wait for a partner have none: as `drop`.
  void on_end(context& c) {
    if (held_ != 0) c.counters().filtered.add(held_);
  }

  void save(snapshot_writer& to) const {
    states_.save(to);
    save_waiting(to, waiting_, states_);
  }
  void restore(snapshot_reader& from) {
    states_.restore(from);
    held_ = 0;
    releases_ = {};
    states_.for_each([this](slot_index slot, key_state& s) {
      held_ += s.held.size();
      if (!s.held.empty() && !s.rights.empty()) schedule_release(slot, s);
    });
    restore_waiting(from, waiting_, states_);
  }

 private:
  using left_record = waiting_record<L>;
  struct key_state {
    time_sorted<R> rights;
    line<timed_value<L>> held;  // without a partner, in the order in which that was found
    std::uint32_t waiting = 0;

    void save(snapshot_writer& to) const {
      rights.save(to);
      save_timed(to, held);
      save_value(to, waiting);
    }
    void restore(snapshot_reader& from) {
      rights.restore(from);
      restore_timed(from, held);
      restore_value(from, waiting);
    }
  };

  void resolve(timestamp time, left_record& record, context& c) {
    auto& state = *states_.find(record.slot);
    --state.waiting;
    const std::size_t after = state.rights.first_after(time);
    if (MILLRACE_UNLIKELY(after == 0)) {
      return without_partner(std::move(record.value), time, record.slot, state, c);
    }
    emit(record.value, state.rights[after - 1].value, c, time, record.slot);
    // Records are resolved in order of time: older right values are not asked for again.
    if (after > 1 && state.held.empty()) state.rights.pop_front(after - 1);
  }

  void prune(key_state& state, timestamp oldest) {
    if (state.rights.size() < 2 || !state.held.empty()) return;
    const std::size_t after = state.rights.first_after(oldest);
    if (after > 1) state.rights.pop_front(after - 1);
  }

  void without_partner(L&& value, timestamp time, slot_index slot, key_state& state, context& c) {
    if constexpr (LeftJoin) {
      c.emit(output_type{std::move(value), std::nullopt}, time, slot);
    } else if (options_.without_partner == unmatched::drop) {
      c.counters().filtered.add();
    } else if (held_ >= options_.most_held) {
      c.set_current(time, slot);
      c.dead_letter("no partner, and the limit of held records (" +
                    std::to_string(options_.most_held) + ") is reached");
    } else {
      state.held.push_back({time, std::move(value)});
      ++held_;
      if (!state.rights.empty()) schedule_release(slot, state);
    }
    forget_if_empty(slot, state);
  }

  /// Held records get the first right value after them, once no earlier one can come.
  void schedule_release(slot_index slot, const key_state& state) {
    releases_.push(state.rights.front().time, slot_index{slot});
  }

  void release(slot_index slot, key_state& state, context& c) {
    if (state.held.empty()) return;
    const auto& partner = state.rights.front();
    for (auto& h : state.held) {
      emit(h.value, partner.value, c, std::max(h.time, partner.time), slot);
    }
    held_ -= state.held.size();
    state.held.pop_front(state.held.size());
  }

  void emit(const L& left, const R& right, context& c, timestamp time, slot_index slot) {
    emit_joined(c, &left, &right, time, slot);
  }

  void forget_if_empty(slot_index slot, const key_state& state) {
    if (state.rights.empty() && state.held.empty() && state.waiting == 0) states_.reset(slot);
  }

  join_latest_options options_;
  keyed_state<K, key_state> states_;
  side_output<L> late_;
  time_queue<left_record> waiting_;
  time_queue<slot_index> releases_;
  std::size_t held_ = 0;
};

}  // namespace millrace
