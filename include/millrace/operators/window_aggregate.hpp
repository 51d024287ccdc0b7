// SPDX-License-Identifier: Apache-2.0
/// \file
/// Incremental aggregation in event-time windows per key. The engine is windows/slices.hpp; here
/// are keys, late records, results and back-pressure. Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/state/key_table.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/slices.hpp>
#include <millrace/windows/window.hpp>

#include <memory>
#include <system_error>
#include <typeinfo>
#include <utility>

namespace millrace {

/// What a window comes to for one key. The record's time is the window's last tick.
template <class K, class R>
struct window_result {
  K key;
  millrace::window window;
  R value;

  friend bool operator==(const window_result&, const window_result&) = default;
};

/// O(1) per record, one result per key and window that has a record.
template <class K, class T, class A>
class window_aggregate_operator {
 public:
  using output_type = window_result<K, aggregate_result_t<A>>;
  using context = operator_context<output_type>;

  window_aggregate_operator(sliding assigner, duration lateness, A aggregate,
                            std::shared_ptr<key_table<K>> keys, side_output<T> late)
      : store_(assigner, lateness, std::move(aggregate)),
        keys_(std::move(keys)),
        owner_(keys_->add_owner()),
        late_(std::move(late)) {}

  void process_batch(const batch<T>& records, context& c) {
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
    const auto emit = [&](slot_index slot, const window& w, const state& s) {
      emit_result(slot, w, s, c);
      return c.downstream_blocked() ? emission::stop : emission::more;
    };
    const bool all = store_.busy() ? store_.resume(emit) : store_.advance(watermark, emit);
    update_keys();
    return all ? progress::done : progress::suspended;
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
      store_.restore(from, [this](snapshot_reader& r) {
        K key{};
        restore_value(r, key);
        return r.failed() ? no_slot : keys_->find_or_insert(key);
      });
      update_keys();
    } else {
      throw std::system_error(make_error_code(errc::not_serializable), typeid(state).name());
    }
  }

 private:
  using state = typename A::state;

  void emit_result(slot_index slot, const window& w, const state& s, context& c) {
    if constexpr (recycle_values<output_type>) {
      // Filled in place: the key's memory is used again.
      output_type& r = c.out().next(w.max_timestamp(), slot);
      r.key = keys_->key(slot);
      r.window = w;
      r.value = store_.aggregate().result(s);
      c.out().committed();
    } else {
      c.emit(output_type{keys_->key(slot), w, store_.aggregate().result(s)}, w.max_timestamp(),
             slot);
    }
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
  std::shared_ptr<key_table<K>> keys_;
  owner_mask owner_;
  side_output<T> late_;
};

}  // namespace millrace
