// SPDX-License-Identifier: Apache-2.0
/// \file
/// Records in order of event time. Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/operators/held_keys.hpp>
#include <millrace/state/keyed_state.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

struct sort_options {
  std::size_t most_held = 1 << 20;  ///< records per worker; beyond them records are dead letters
};

/// Holds records until the watermark has reached their time, and emits them in order of time, those
/// with equal times in order of arrival. A record behind its watermark is late. O(log held).
template <class T, class Keys = no_held_keys>
class sort_operator {
 public:
  using output_type = T;
  using context = operator_context<T>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<T>(); }

  explicit sort_operator(sort_options options = {}, side_output<T> late = side_output<T>("late"),
                         Keys keys = {})
      : options_(options), late_(std::move(late)), keys_(std::move(keys)) {}

  void process(T&& value, context& c) {
    if (c.time() <= c.watermark() && c.watermark() != min_timestamp) {
      c.counters().late.add();
      c.emit_to(late_, std::move(value));
      return;
    }
    if (held_.size() >= options_.most_held) {
      c.dead_letter("the limit of records that wait to be sorted (" +
                    std::to_string(options_.most_held) + ") is reached");
      return;
    }
    keys_.hold(c.slot());
    held_.push_back({c.time(), next_++, c.slot(), std::move(value)});
    std::push_heap(held_.begin(), held_.end(), later{});
  }

  progress on_watermark(timestamp watermark, context& c) {
    while (!held_.empty() && held_.front().time <= watermark) {
      if (c.downstream_blocked()) return progress::suspended;
      std::pop_heap(held_.begin(), held_.end(), later{});
      held_record& first = held_.back();
      c.emit(std::move(first.value), first.time, first.slot);
      keys_.let_go(first.slot);
      held_.pop_back();
    }
    return progress::done;
  }

  void save(snapshot_writer& to) const {
    to.varint(held_.size());
    for (const auto& h : held_) {
      keys_.save(to, h.slot);
      save_value(to, h.time);
      save_value(to, h.order);
      save_value(to, h.value);
    }
    save_value(to, next_);
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(1);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      held_record h{};
      const auto slot = keys_.restore(from);
      restore_value(from, h.time);
      restore_value(from, h.order);
      restore_value(from, h.value);
      if (from.failed()) return;
      if (!slot) continue;
      h.slot = *slot;
      keys_.hold(h.slot);
      held_.push_back(std::move(h));
    }
    std::uint64_t next = 0;
    restore_value(from, next);
    next_ = std::max(next_, next);
    std::make_heap(held_.begin(), held_.end(), later{});
  }

 private:
  struct held_record {
    timestamp time{};
    std::uint64_t order = 0;
    slot_index slot = no_slot;
    T value{};
  };
  struct later {
    bool operator()(const held_record& a, const held_record& b) const noexcept {
      return a.time != b.time ? a.time > b.time : a.order > b.order;
    }
  };

  sort_options options_;
  side_output<T> late_;
  Keys keys_;
  std::vector<held_record> held_;  // a heap by time, then arrival
  std::uint64_t next_ = 0;
};

}  // namespace millrace
