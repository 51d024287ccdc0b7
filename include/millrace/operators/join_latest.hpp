// SPDX-License-Identifier: Apache-2.0
/// \file
/// Latest-value join: each left record with the last right value of its key (semantics.md, Joins).
/// Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/state/keyed_state.hpp>

#include <algorithm>
#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

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

/// A left record and its partner; `Right` is `std::optional` in a left join.
template <class Left, class Right>
struct joined {
  Left left;
  Right right;

  friend bool operator==(const joined&, const joined&) = default;
};

/// Keeps per key the right values that may still be asked for: those newer than the watermark, and
/// the last one before. Left join: emits records without partner instead of dropping or holding.
/// A result has the left record's time; that of a held record the later of both.
/// O(log of the records waiting) per left record.
template <class K, class L, class R, bool LeftJoin>
class join_latest_operator {
 public:
  using right_type = std::conditional_t<LeftJoin, std::optional<R>, R>;
  using output_type = joined<L, right_type>;
  using context = operator_context<output_type>;
  static constexpr bool keeps_records = true;

  join_latest_operator(join_latest_options options, std::shared_ptr<key_table<K>> keys,
                       side_output<L> late)
      : options_(options), states_(std::move(keys)), late_(std::move(late)) {}

  void process_left(L&& value, context& c) {
    if (options_.mode == join_mode::by_arrival) {
      auto& state = states_.obtain(c.slot());
      if (!state.rights.empty())
        return emit(std::move(value), state.rights.back().value, c, c.time(), c.slot());
      return without_partner(std::move(value), c.time(), c.slot(), state, c);
    }
    if (c.time() <= c.watermark()) {
      c.counters().late.add();
      c.emit_to(late_, std::move(value));
      return;
    }
    ++states_.obtain(c.slot()).waiting;
    waiting_.push_back({c.time(), next_++, c.slot(), std::move(value)});
    std::push_heap(waiting_.begin(), waiting_.end(), later{});
  }

  void process_right(R&& value, context& c) {
    auto& state = states_.obtain(c.slot());
    if (options_.mode == join_mode::by_arrival) state.rights.clear();
    if (state.rights.empty() || state.rights.back().time <= c.time()) {
      state.rights.push_back({c.time(), std::move(value)});
    } else {
      state.rights.insert(first_after(state, c.time()), timed_right{c.time(), std::move(value)});
    }
    if (!state.held.empty()) {
      if (options_.mode == join_mode::by_arrival) return release(c.slot(), c);
      schedule_release(c.slot(), state);
    }
    // What still waits is newer than the watermark.
    prune(state, c.watermark());
  }

  progress on_watermark(timestamp watermark, context& c) {
    for (;;) {
      if (c.downstream_blocked()) return progress::suspended;
      if (!releases_.empty() && releases_.front().time <= watermark) {
        std::pop_heap(releases_.begin(), releases_.end(), std::greater<>{});
        const slot_index slot = releases_.back().slot;
        releases_.pop_back();
        release(slot, c);
      } else if (!waiting_.empty() && waiting_.front().time <= watermark) {
        std::pop_heap(waiting_.begin(), waiting_.end(), later{});
        left_record next = std::move(waiting_.back());
        waiting_.pop_back();
        resolve(std::move(next), c);
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
    to.varint(waiting_.size());
    for (const auto& w : waiting_) {
      states_.save_key(to, w.slot);
      save_value(to, w.time);
      save_value(to, w.order);
      save_value(to, w.value);
    }
    save_value(to, next_);
  }
  void restore(snapshot_reader& from) {
    states_.restore(from);
    states_.for_each([this](slot_index slot, key_state& s) {
      held_ += s.held.size();
      if (!s.held.empty() && !s.rights.empty()) schedule_release(slot, s);
    });
    const std::size_t n = from.count(1);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      left_record w{};
      w.slot = states_.restore_key(from);
      restore_value(from, w.time);
      restore_value(from, w.order);
      restore_value(from, w.value);
      if (w.slot != no_slot) waiting_.push_back(std::move(w));
    }
    restore_value(from, next_);
    std::make_heap(waiting_.begin(), waiting_.end(), later{});
  }

 private:
  struct timed_right {
    timestamp time;
    R value;
  };
  struct held_left {
    timestamp time;
    L value;
  };
  struct key_state {
    std::vector<timed_right> rights;  // by time; equal times in order of arrival
    std::deque<held_left> held;
    std::uint32_t waiting = 0;

    void save(snapshot_writer& to) const {
      to.varint(rights.size());
      for (const auto& r : rights) {
        save_value(to, r.time);
        save_value(to, r.value);
      }
      to.varint(held.size());
      for (const auto& h : held) {
        save_value(to, h.time);
        save_value(to, h.value);
      }
      save_value(to, waiting);
    }
    void restore(snapshot_reader& from) {
      const std::size_t rights_count = from.count(1);
      for (std::size_t i = 0; i < rights_count && !from.failed(); ++i) {
        timed_right r{};
        restore_value(from, r.time);
        restore_value(from, r.value);
        rights.push_back(std::move(r));
      }
      const std::size_t held_count = from.count(1);
      for (std::size_t i = 0; i < held_count && !from.failed(); ++i) {
        held_left h{};
        restore_value(from, h.time);
        restore_value(from, h.value);
        held.push_back(std::move(h));
      }
      restore_value(from, waiting);
    }
  };
  struct left_record {
    timestamp time;
    std::uint64_t order;
    slot_index slot;
    L value;
  };
  struct due_release {
    timestamp time;
    slot_index slot;
    auto operator<=>(const due_release&) const = default;
  };
  struct later {
    bool operator()(const left_record& a, const left_record& b) const noexcept {
      return a.time != b.time ? a.time > b.time : a.order > b.order;
    }
  };

  void resolve(left_record&& record, context& c) {
    auto& state = *states_.find(record.slot);
    --state.waiting;
    const auto after = first_after(state, record.time);
    if (after == state.rights.begin()) {
      return without_partner(std::move(record.value), record.time, record.slot, state, c);
    }
    emit(std::move(record.value), std::prev(after)->value, c, record.time, record.slot);
    // Records are resolved in order of time: older right values are not asked for again.
    prune(state, record.time);
  }

  static auto first_after(key_state& state, timestamp time) {
    return std::upper_bound(state.rights.begin(), state.rights.end(), time,
                            [](timestamp t, const timed_right& r) { return t < r.time; });
  }

  void prune(key_state& state, timestamp oldest) {
    if (state.rights.size() < 2 || !state.held.empty()) return;
    auto keep = first_after(state, oldest);
    if (keep != state.rights.begin()) --keep;
    state.rights.erase(state.rights.begin(), keep);
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
    releases_.push_back({state.rights.front().time, slot});
    std::push_heap(releases_.begin(), releases_.end(), std::greater<>{});
  }

  void release(slot_index slot, context& c) {
    key_state* state = states_.find(slot);
    if (state == nullptr || state->held.empty()) return;
    const timed_right& partner = state->rights.front();
    for (auto& h : state->held) {
      emit(std::move(h.value), partner.value, c, std::max(h.time, partner.time), slot);
    }
    held_ -= state->held.size();
    state->held.clear();
  }

  void emit(L&& left, const R& right, context& c, timestamp time, slot_index slot) {
    c.emit(output_type{std::move(left), right_type(right)}, time, slot);
  }

  void forget_if_empty(slot_index slot, const key_state& state) {
    if (state.rights.empty() && state.held.empty() && state.waiting == 0) states_.reset(slot);
  }

  join_latest_options options_;
  keyed_state<K, key_state> states_;
  side_output<L> late_;
  std::vector<left_record> waiting_;   // a heap by time, then arrival
  std::vector<due_release> releases_;  // a heap by time
  std::uint64_t next_ = 0;
  std::size_t held_ = 0;
};

}  // namespace millrace
