// SPDX-License-Identifier: Apache-2.0
/// \file
/// Process functions with broadcast state: every worker keeps the same rules, changed by a stream
/// of updates, beside its state per key (Flink: KeyedBroadcastProcessFunction). Not thread safe:
/// one copy per worker.
#pragma once

#include <millrace/operators/broadcast.hpp>
#include <millrace/operators/join_buffers.hpp>
#include <millrace/operators/process.hpp>
#include <millrace/operators/signature.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace {

/// When an update of broadcast state applies.
enum class updates : std::uint8_t {
  on_arrival,     ///< at once: records see what has come to their worker before them (as in Flink);
                  ///< updates have no say in watermarks
  by_event_time,  ///< a record sees exactly the updates that are not newer than itself. Records and
                  ///< updates wait for the watermark of both; the same at any parallelism and in
                  ///< any replay
};

/// Calls a function of `(value, State&, const Rules&, ctx&)` with the rules that are current.
template <class F, class Rules>
struct with_rules {
  F f;
  std::shared_ptr<const Rules> rules;
  template <class T, class State, class Context>
  void operator()(const T& value, State& state, Context& context) {
    std::invoke(f, value, state, *rules, context);
  }
};

/// `on_record(const T&, State&, const Rules&, ctx&)`, `on_update(const B&, Rules&)`,
/// `on_timer(timestamp, State&, const Rules&, ctx&)`. Rules start default-constructed. By event
/// time, records, updates and timers run in order of time: at one time updates first, then
/// records, then timers; an update that comes behind the watermark applies at once, to what
/// follows; a record behind it goes to the late output. Memory: rules, states, and what is newer
/// than the watermark.
template <updates When, class K, class T, class B, class State, class Rules, class Out,
          class OnRecord, class OnUpdate, class OnTimer>
class broadcast_process_operator {
  static constexpr bool has_timers = !std::is_same_v<OnTimer, no_timer>;
  using timer_function = std::conditional_t<has_timers, with_rules<OnTimer, Rules>, no_timer>;
  using functions =
      process_operator<K, State, Out, with_rules<OnRecord, Rules>, no_timer, timer_function>;

 public:
  using output_type = Out;
  using context = operator_context<Out>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<K, T, B, State, Rules>(); }
  static constexpr bool right_is_auxiliary = When == updates::on_arrival;

  broadcast_process_operator(OnRecord on_record, OnUpdate on_update, OnTimer on_timer,
                             const std::shared_ptr<key_table<K>>& keys, side_output<T> late)
      : rules_(std::make_shared<Rules>()),
        on_update_(std::move(on_update)),
        functions_({std::move(on_record), rules_}, {}, with_timer(std::move(on_timer)), keys),
        keys_(keys),
        table_(keys),
        late_(std::move(late)) {}

  void open(context& c) { functions_.open(c); }

  void process_left(T&& value, context& c) {
    if constexpr (When == updates::on_arrival) {
      functions_.process(value, c);
    } else if (c.time() <= c.watermark()) {
      c.counters().late.add();
      c.emit_to(late_, value);
      table_->touch(c.slot());
    } else {
      keys_.hold(c.slot());
      records_.push(c.time(), {c.slot(), std::move(value)});
    }
  }

  void process_right(B&& update, context& c) {
    if (When == updates::on_arrival || c.time() <= c.watermark()) {
      std::invoke(on_update_, std::as_const(update), *rules_);
    } else {
      updates_.push(c.time(), std::move(update));
    }
  }

  progress on_watermark(timestamp watermark, context& c) {
    if constexpr (When == updates::by_event_time) {
      for (;;) {
        if (c.downstream_blocked()) return progress::suspended;
        const bool update = updates_.due(watermark) &&
                            (records_.empty() || updates_.next_time() <= records_.next_time());
        if (!update && !records_.due(watermark)) break;
        // Later than the least time there is: those before are late.
        const timestamp next = update ? updates_.next_time() : records_.next_time();
        if (functions_.on_watermark(next - one_tick, c) == progress::suspended) {
          return progress::suspended;
        }
        if (update) {
          updates_.pop(
              [&](timestamp, B& value) { std::invoke(on_update_, std::as_const(value), *rules_); });
          continue;
        }
        records_.pop([&](timestamp time, waiting& record) {
          c.set_current(time, record.slot);
          functions_.process(record.value, c);
          keys_.let_go(record.slot);
        });
      }
    }
    return functions_.on_watermark(watermark, c);
  }

  void on_resume(context& c) { functions_.on_resume(c); }
  void on_end(context& c) { functions_.on_end(c); }
  void cancel() noexcept { functions_.cancel(); }

  void save(snapshot_writer& to) const {
    save_value(to, *rules_);
    functions_.save(to);
    to.varint(records_.size());
    records_.for_each([&](timestamp time, const waiting& record) {
      keys_.save(to, record.slot);
      save_value(to, time);
      save_value(to, record.value);
    });
    to.varint(updates_.size());
    updates_.for_each([&](timestamp time, const B& update) {
      save_value(to, time);
      save_value(to, update);
    });
  }
  /// All instances have seen the same updates. Of several states that one counts in which most of
  /// them still wait: its instance stood at the least watermark.
  void restore(snapshot_reader& from) {
    Rules rules{};
    restore_value(from, rules);
    functions_.restore(from);
    const std::size_t records = from.count(1);
    for (std::size_t i = 0; i < records && !from.failed(); ++i) {
      waiting record{};
      timestamp time{};
      const auto slot = keys_.restore(from);
      restore_value(from, time);
      restore_value(from, record.value);
      if (!slot || from.failed()) continue;
      record.slot = *slot;
      keys_.hold(record.slot);
      records_.push(time, std::move(record));
    }
    time_queue<B> later;
    const std::size_t updates = from.count(1);
    for (std::size_t i = 0; i < updates && !from.failed(); ++i) {
      timestamp time{};
      B update{};
      restore_value(from, time);
      restore_value(from, update);
      later.push(time, std::move(update));
    }
    if (std::exchange(restored_, true) && later.size() <= updates_.size()) return;
    *rules_ = std::move(rules);
    updates_ = std::move(later);
  }

 private:
  struct waiting {
    slot_index slot = no_slot;
    T value{};
  };

  timer_function with_timer(OnTimer on_timer) {
    if constexpr (has_timers) {
      return {std::move(on_timer), rules_};
    } else {
      return {};
    }
  }

  std::shared_ptr<Rules> rules_;
  OnUpdate on_update_;
  functions functions_;
  held_keys<K> keys_;
  std::shared_ptr<key_table<K>> table_;
  time_queue<waiting> records_;
  time_queue<B> updates_;
  side_output<T> late_;
  bool restored_ = false;
};

}  // namespace millrace
