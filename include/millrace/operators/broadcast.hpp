// SPDX-License-Identifier: Apache-2.0
/// \file
/// Pairs every record with the current value of a broadcast stream (rules, a model list). Not
/// thread safe: one copy per worker.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/operators/held_keys.hpp>
#include <millrace/state/keyed_state.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// What becomes of records that come before the first broadcast value.
enum class before_first : std::uint8_t {
  hold,  ///< they wait; beyond `most_held` the stream feels back-pressure
  drop,  ///< counted as filtered
  pass,  ///< they go on with a default-constructed value
};

struct with_options {
  before_first no_value = before_first::hold;
  std::size_t most_held = 8192;
};

/// A record and the broadcast value that was current when it was processed; the value is shared.
template <class T, class B>
struct with_broadcast {
  T value;
  std::shared_ptr<const B> shared;
};

/// Left: records; right: broadcast values, each replaces the one before. O(1) per record.
template <class T, class B, class Keys = no_held_keys>
class with_operator {
 public:
  using output_type = with_broadcast<T, B>;
  using context = operator_context<output_type>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<T, B>(); }
  static constexpr bool right_is_auxiliary = true;

  explicit with_operator(with_options options, Keys keys = {})
      : options_(options), keys_(std::move(keys)) {
    if constexpr (std::default_initializable<B>) {
      if (options.no_value == before_first::pass) current_ = std::make_shared<const B>();
    }
  }

  void process_left(T&& value, context& c) {
    if (current_) return c.emit(output_type{std::move(value), current_});
    if (options_.no_value == before_first::drop) return c.counters().filtered.add();
    keys_.hold(c.slot());
    held_.push_back({std::move(value), c.time(), c.slot()});
    if (held_.size() >= options_.most_held) c.block_input(0);
  }

  void process_right(B&& value, context& c) {
    current_ = std::make_shared<const B>(std::move(value));
    c.request_resume();
  }

  void on_resume(context& c) {
    if (!current_) return;
    while (!held_.empty() && !c.downstream_blocked()) {
      auto& h = held_.front();
      c.emit(output_type{std::move(h.value), current_}, h.time, h.slot);
      keys_.let_go(h.slot);
      held_.pop_front();
    }
    if (held_.empty()) c.unblock_input(0);
    while (held_.empty() && !watermarks_.empty()) {
      c.forward_watermark(watermarks_.back());
      watermarks_.clear();
    }
  }

  /// Held records must not be overtaken by their watermark.
  void queue_watermark(timestamp time, context& c) {
    if (held_.empty()) return c.forward_watermark(time);
    watermarks_.assign(1, time);
  }

  /// Nothing will come that held records could wait for.
  void on_right_end(context& c) {
    right_ended_ = true;
    c.request_resume();
  }

  progress on_end(context& c) {
    if (!current_ && right_ended_) give_up(c);
    return held_.empty() ? progress::done : progress::suspended;
  }

  void save(snapshot_writer& to) const {
    save_value(to, current_ != nullptr);
    if (current_) save_value(to, *current_);
    to.varint(held_.size());
    for (const auto& h : held_) {
      keys_.save(to, h.slot);
      save_value(to, h.value);
      save_value(to, h.time);
    }
  }
  void restore(snapshot_reader& from) {
    bool present = false;
    restore_value(from, present);
    if (present) {
      B value{};
      restore_value(from, value);
      current_ = std::make_shared<const B>(std::move(value));
    }
    const std::size_t n = from.count(1);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      held_record h{};
      const auto slot = keys_.restore(from);
      restore_value(from, h.value);
      restore_value(from, h.time);
      if (!slot || from.failed()) continue;
      h.slot = *slot;
      keys_.hold(h.slot);
      held_.push_back(std::move(h));
    }
  }

 private:
  struct held_record {
    T value;
    timestamp time;
    slot_index slot = no_slot;
  };

  void give_up(context& c) {
    for (const auto& h : held_) {
      c.set_current(h.time, h.slot);
      c.dead_letter("the broadcast stream has ended without a value");
      keys_.let_go(h.slot);
    }
    held_.clear();
    if (!watermarks_.empty()) c.forward_watermark(watermarks_.back());
    watermarks_.clear();
  }

  with_options options_;
  Keys keys_;
  bool right_ended_ = false;
  std::shared_ptr<const B> current_;
  std::deque<held_record> held_;
  std::vector<timestamp> watermarks_;
};

}  // namespace millrace
