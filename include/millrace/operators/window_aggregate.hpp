// SPDX-License-Identifier: Apache-2.0
/// \file
/// Incremental aggregation in tumbling and sliding windows per key that fire at their end. The
/// engine is windows/slices.hpp; here are keys, late records, results, back-pressure and, for
/// windows of processing time, the clock. Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/clock_alarm.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/operators/window_results.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/state/key_table.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/slices.hpp>
#include <millrace/windows/window.hpp>

#include <memory>
#include <string>
#include <system_error>
#include <typeinfo>
#include <utility>

namespace millrace {

/// O(1) per record, one result per key and window that has a record. At the end of the input
/// windows of processing time fire, too.
template <class K, class T, class A, class Finish = to_window_result<K, aggregate_result_t<A>>>
class window_aggregate_operator {
 public:
  using output_type = typename Finish::output_type;
  using context = operator_context<output_type>;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<K, typename A::state>(); }

  window_aggregate_operator(sliding assigner, duration lateness, A aggregate,
                            std::shared_ptr<key_table<K>> keys, side_output<T> late,
                            Finish finish = {})
      : store_(assigner, assigner.clock == time_domain::event_time ? lateness : duration::zero(),
               std::move(aggregate)),
        clock_(assigner.clock),
        keys_(std::move(keys)),
        owner_(keys_->add_owner()),
        late_(std::move(late)),
        finish_(std::move(finish)) {}

  void open(context& c) {
    if (clock_ == time_domain::event_time) return;
    alarm_.open(c);
    alarm_.restore(store_.watermark());
    arm();
  }
  void cancel() noexcept { alarm_.cancel(); }

  void process_batch(const batch<T>& records, context& c) {
    if (clock_ == time_domain::processing_time) return process_now(records, c);
    constexpr std::size_t ahead = 12;
    constexpr slot_index worth_prefetching = 65536;
    const std::size_t n = records.size();
    const T* const values = records.values();
    const timestamp* const times = records.times();
    const slot_index* const slots = records.slots();
    const std::size_t prefetched = keys_->slots() > worth_prefetching && n > ahead ? n - ahead : 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (MILLRACE_UNLIKELY(i < prefetched)) store_.prefetch(slots[i + ahead]);
      const slice_add added = store_.add(slots[i], times[i], values[i]);
      if (MILLRACE_UNLIKELY(added != slice_add::accepted)) unusual(added, records, i, c);
    }
    update_keys();
  }

  /// For the concept; records arrive by batch.
  void process(const T&, context&) {}

  progress on_watermark(timestamp watermark, context& c) {
    return clock_ == time_domain::event_time ? fire(watermark, c) : progress::done;
  }

  void on_resume(context& c) {
    if (clock_ == time_domain::event_time || c.downstream_blocked() || store_.busy()) return;
    fire_ended(c);
    arm();
  }

  progress on_end(context& c) {
    if (clock_ == time_domain::event_time) return progress::done;
    alarm_.cancel();
    return fire(max_timestamp, c);
  }

  void save(snapshot_writer& to) const {
    if constexpr (serializable<state>) {
      store_.save(to,
                  [this](snapshot_writer& w, slot_index slot) { save_value(w, keys_->key(slot)); });
    } else {
      throw std::system_error(make_error_code(errc::not_serializable), typeid(state).name());
    }
  }
  void restore(snapshot_reader& from) {
    if constexpr (serializable<state>) {
      store_.restore(from, [this](snapshot_reader& r) { return restore_slot(r, *keys_); });
      store_.reopen();
      update_keys();
    } else {
      throw std::system_error(make_error_code(errc::not_serializable), typeid(state).name());
    }
  }

 private:
  using state = typename A::state;

  progress fire(timestamp watermark, context& c) {
    const auto emit = [&](slot_index slot, const window& w, const state& s) {
      emit_result(slot, w, s, c);
      return c.downstream_blocked() ? emission::stop : emission::more;
    };
    bool all = !store_.busy() || store_.resume(emit);
    if (all && !c.downstream_blocked()) {
      all = store_.advance(watermark, emit);
    } else if (all) {
      all = store_.watermark() >= watermark;
    }
    update_keys();
    return all ? progress::done : progress::suspended;
  }

  // Windows that the clock has passed, whether downstream is ready or not: they take no more
  // records, and a snapshot may come between.
  timestamp fire_ended(context& c) {
    const timestamp now = alarm_.tick();
    store_.advance(
        saturating_sub(now, one_tick),
        [&](slot_index slot, const window& w, const state& s) { emit_result(slot, w, s, c); });
    update_keys();
    return now;
  }

  // All records of a batch have the same processing time.
  void process_now(const batch<T>& records, context& c) {
    const timestamp now = fire_ended(c);
    for (std::size_t i = 0; i < records.size(); ++i) {
      const slice_add added = store_.add(records.slot(i), now, records.value(i));
      if (MILLRACE_UNLIKELY(added != slice_add::accepted)) unusual(added, records, i, c);
    }
    update_keys();
    arm();
  }

  void arm() {
    if (const auto next = store_.next_fire_time()) alarm_.set(*next);
  }

  void emit_result(slot_index slot, const window& w, const state& s, context& c) {
    c.set_current(w.max_timestamp(), slot);
    finish_(keys_->key(slot), w, store_.aggregate().result(s), c);
  }

  MILLRACE_NOINLINE void unusual(slice_add what, const batch<T>& records, std::size_t i,
                                 context& c) {
    const slot_index slot = records.slot(i);
    switch (what) {
      case slice_add::refire:
        store_.refire(slot, records.time(i), [&](slot_index k, const window& w, const state& s) {
          emit_result(k, w, s, c);
        });
        break;
      case slice_add::late:
        c.counters().late.add();
        c.set_current(records.time(i), slot);
        c.emit_to(late_, records.value(i));
        keys_->touch(slot);
        break;
      case slice_add::no_window:
        c.counters().filtered.add();
        keys_->touch(slot);
        break;
      case slice_add::accepted: break;
    }
  }

  void update_keys() {
    store_.take_changes([this](slot_index slot) { keys_->retain(slot, owner_); },
                        [this](slot_index slot) { keys_->release(slot, owner_); });
  }

  slice_store<A> store_;
  time_domain clock_;
  clock_alarm alarm_;
  std::shared_ptr<key_table<K>> keys_;
  owner_mask owner_;
  side_output<T> late_;
  [[no_unique_address]] Finish finish_;
};

}  // namespace millrace
