// SPDX-License-Identifier: Apache-2.0
/// \file
/// Windows kept one by one, with any assigner, trigger and content: what does not go through slices
/// (window_aggregate.hpp). The rules are those of Apache Flink's WindowOperator. Not thread safe:
/// one copy per worker.
#pragma once

#include <millrace/operators/clock_alarm.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/operators/window_results.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/assigners.hpp>
#include <millrace/windows/triggers.hpp>
#include <millrace/windows/window_list.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace millrace {

/// `Content`: see windows/contents.hpp. `Finish(key, window, result, context)` emits.
///
/// O(windows of the record) per record, O(log windows) per timer. Memory: the contents and some 130
/// bytes per key and window, freed when the window is gone, the key with its last window. A global
/// window is dropped when it is empty, its trigger's state is a fresh one and no timer is set.
///
/// At the end of the input every timer of processing time that is set fires once, so that windows
/// of processing time lose nothing.
template <class K, class T, class Content, class Trigger, class Finish>
class window_operator {
 public:
  using output_type = typename Finish::output_type;
  using context = operator_context<output_type>;
  static constexpr bool rescalable = true;
  static std::string state_type() {
    return describe_state<K, typename Content::state, trigger_state_t<Trigger>>();
  }

  window_operator(window_assigner assigner, duration lateness, Content content, Trigger trigger,
                  Finish finish, std::shared_ptr<key_table<K>> keys, side_output<T> late)
      : assigner_(std::move(assigner)),
        lateness_(lateness),
        content_(std::move(content)),
        trigger_(std::move(trigger)),
        finish_(std::move(finish)),
        windows_(std::move(keys)),
        late_(std::move(late)) {
    if (lateness < duration::zero()) {
      throw topology_error("window: the allowed lateness must not be negative");
    }
  }

  void open(context& c) {
    alarm_.open(c);
    arm();
  }
  void cancel() noexcept { alarm_.cancel(); }

  void process_batch(const batch<T>& records, context& c) {
    const bool by_event = in_event_time();
    const timestamp now = alarm_.tick();
    // A window that the clock has passed takes no more records, also when its alarm is late.
    while (const auto e = processing_.pop(saturating_sub(now, one_tick))) on_clock(*e, c);
    for (std::size_t i = 0; i < records.size(); ++i) {
      c.set_current(records.time(i), records.slot(i));
      add(records.value(i), by_event ? records.time(i) : now, c);
    }
    arm();
  }

  /// For the concept; records arrive by batch.
  void process(const T&, context&) {}

  progress on_watermark(timestamp watermark, context& c) {
    if (!firing_) {
      // After a restart the watermark comes again; timers behind it wait for the next one.
      const timestamp next = assigner_.effective(watermark);
      if (next <= watermark_) return progress::done;
      watermark_ = next;
      firing_ = true;
    }
    while (!c.downstream_blocked()) {
      const auto e = events_.pop(watermark_);
      if (!e) {
        firing_ = false;
        arm();
        return progress::done;
      }
      on_time(*e, c);
    }
    return progress::suspended;
  }

  void on_resume(context& c) {
    const timestamp now = alarm_.tick();
    while (!c.downstream_blocked()) {
      const auto e = processing_.pop(saturating_sub(now, one_tick));
      if (!e) return arm();
      on_clock(*e, c);
    }
  }

  progress on_end(context& c) {
    alarm_.cancel();
    alarm_.restore(max_timestamp);
    ending_ = true;
    while (!c.downstream_blocked()) {
      const auto e = processing_.pop(max_timestamp);
      if (!e) return progress::done;
      on_clock(*e, c);
    }
    return progress::suspended;
  }

  void save(snapshot_writer& to) const {
    to.text(assigner_.description());
    save_value(to, watermark_);
    save_value(to, alarm_.now());
    windows_.save(to);
  }
  /// Fails with `errc::incompatible` if the windows were others. Several snapshots may be restored;
  /// the earliest watermark counts.
  void restore(snapshot_reader& from) {
    const std::string saved(from.text());
    if (!from.failed() && saved != assigner_.description()) {
      from.fail(saved + " were saved, " + assigner_.description() + " are to be restored",
                errc::incompatible);
    }
    timestamp watermark{};
    timestamp now{};
    restore_value(from, watermark);
    restore_value(from, now);
    windows_.restore(from);
    if (from.failed()) return;
    // Saved behind the end of an input that was stopped: it may go on.
    if (watermark == max_timestamp) watermark = min_timestamp;
    if (now == max_timestamp) now = min_timestamp;
    watermark_ = std::exchange(restored_, true) ? std::min(watermark_, watermark) : watermark;
    alarm_.restore(now);
    requeue_all();
  }

  /// Windows alive, for tests.
  std::size_t windows() const noexcept { return count_; }

 private:
  using content_state = typename Content::state;
  using trigger_state = trigger_state_t<Trigger>;
  using list = window_list<content_state, trigger_state>;
  using instance = typename list::instance;
  using entry = window_queue::entry;

  bool in_event_time() const noexcept { return assigner_.clock() == time_domain::event_time; }
  bool gone(const window& w) const noexcept {
    return in_event_time() && !assigner_.is_global() &&
           assigner_.cleanup_time(w, lateness_) <= watermark_;
  }
  trigger_context view(instance& i) const noexcept {
    return {i.window, assigner_.clock(), watermark_, alarm_.now(), i.timers};
  }

  void add(const T& value, timestamp time, context& c) {
    bool accepted = false;
    const bool any = assigner_.assign(time, [&](const window& w) {
      if (assigner_.merges()) {
        accepted = add_to_session(w, value, time, c);
        return;
      }
      if (gone(w)) return;
      accepted = true;
      list& all = windows_.obtain(c.slot());
      auto it = all.place(w);
      if (it == all.end() || it->window != w) it = insert(all, it, w);
      put(all, it, value, time, c);
    });
    if (MILLRACE_LIKELY(accepted)) return;
    if (any) {
      c.counters().late.add();
      c.emit_to(late_, value);
    } else {
      c.counters().filtered.add();
    }
    windows_.table().touch(c.slot());
  }

  bool add_to_session(const window& w, const T& value, timestamp time, context& c) {
    list* all = windows_.find(c.slot());
    auto [first, last] = all == nullptr
                             ? std::pair<typename list::iterator, typename list::iterator>{}
                             : all->touching(w);
    if (first == last) {
      if (gone(w)) return false;
      if (all == nullptr) all = &windows_.obtain(c.slot());
      put(*all, insert(*all, all->place(w), w), value, time, c);
      return true;
    }
    const window whole{std::min(w.start, first->window.start),
                       std::max(w.end, std::prev(last)->window.end)};
    if (whole != first->window) grow(*all, first, last, whole);
    put(*all, first, value, time, c);
    return true;
  }

  // The sessions from `first` to `last` become the first one, which lasts from now on for `whole`.
  void grow(list& all, typename list::iterator first, typename list::iterator last,
            const window& whole) {
    first->window = whole;
    first->timers.event.clear();
    first->timers.processing.clear();
    trigger_context w = view(*first);
    if (std::next(first) == last) call_on_merge(trigger_, first->trigger, trigger_state{}, w);
    for (auto it = std::next(first); it != last; ++it) {
      content_.merge(first->content, std::move(it->content));
      call_on_merge(trigger_, first->trigger, it->trigger, w);
      --count_;
    }
    all.erase(std::next(first), last);
  }

  typename list::iterator insert(list& all, typename list::iterator where, const window& w) {
    ++count_;
    return all.insert(where, w, next_serial_++);
  }

  void put(list& all, typename list::iterator it, const T& value, timestamp time, context& c) {
    content_.add(it->content, value, time);
    trigger_context w = view(*it);
    answer(*it, trigger_.on_record(value, time, it->trigger, w), c);
    settle(all, it, c.slot());
  }

  void answer(instance& i, trigger_result what, context& c) {
    if (fires(what) && !content_.empty(i.content)) {
      const timestamp current = c.time();
      const slot_index slot = c.slot();
      if (!assigner_.is_global()) c.set_current(i.window.max_timestamp(), slot);
      content_.fire(i.content, i.window, [&](auto&& result) {
        finish_(windows_.key(slot), i.window, std::forward<decltype(result)>(result), c);
      });
      c.set_current(current, slot);
    }
    if (purges(what)) content_.clear(i.content);
  }

  // After something has happened to a window: when it is to be looked at again, or that it goes.
  void settle(list& all, typename list::iterator it, slot_index slot) {
    if (assigner_.is_global() && idle(*it)) return drop(all, it, slot);
    auto event = it->timers.event.next();
    auto processing = it->timers.processing.next();
    if (!assigner_.is_global()) {
      const timestamp cleanup = assigner_.cleanup_time(it->window, lateness_);
      auto& own = in_event_time() ? event : processing;
      own = own ? std::min(*own, cleanup) : cleanup;
    }
    enqueue(events_, it->queued_event, event, it->serial, slot, &instance::queued_event);
    if (ending_) return;
    enqueue(processing_, it->queued_processing, processing, it->serial, slot,
            &instance::queued_processing);
  }

  bool idle(const instance& i) const {
    if constexpr (std::equality_comparable<trigger_state>) {
      return content_.empty(i.content) && i.timers.event.empty() && i.timers.processing.empty() &&
             i.trigger == trigger_state{};
    } else {
      return false;
    }
  }

  using queued = typename instance::queued_entry;

  void enqueue(window_queue& queue, queued& mine, const std::optional<timestamp>& next,
               std::uint64_t serial, slot_index slot, queued instance::*which) {
    if (!next || (mine.valid && mine.time <= *next)) return;
    mine = {*next, true};
    queue.push({*next, serial, slot});
    queue.compact(count_, [&](const entry& e) {
      list* all = windows_.find(e.slot);
      if (all == nullptr) return false;
      const auto it = all->find(e.window);
      return it != all->end() && ((*it).*which).valid && ((*it).*which).time == e.time;
    });
  }

  void drop(list& all, typename list::iterator it, slot_index slot) {
    --count_;
    all.erase(it);
    if (all.empty()) windows_.reset(slot);
  }

  // The window that an entry of a queue speaks of, if it is the entry that counts.
  instance* claim(const entry& e, queued instance::*which, list*& all,
                  typename list::iterator& it) {
    all = windows_.find(e.slot);
    if (all == nullptr) return nullptr;
    it = all->find(e.window);
    if (it == all->end()) return nullptr;
    queued& mine = (*it).*which;
    if (!mine.valid || mine.time != e.time) return nullptr;
    mine.valid = false;
    return &*it;
  }

  void on_time(const entry& e, context& c) {
    list* all = nullptr;
    typename list::iterator it;
    instance* i = claim(e, &instance::queued_event, all, it);
    if (i == nullptr) return;
    if (i->timers.event.erase(e.time)) {
      c.set_current(e.time, e.slot);
      trigger_context w = view(*i);
      answer(*i, call_on_event_time(trigger_, e.time, i->trigger, w), c);
    }
    finish_timer(*all, it, e, in_event_time());
  }

  void on_clock(const entry& e, context& c) {
    list* all = nullptr;
    typename list::iterator it;
    instance* i = claim(e, &instance::queued_processing, all, it);
    if (i == nullptr) return;
    // At the end all timers that are set fire; those that are set meanwhile do not.
    timer_set due;
    if (ending_) std::swap(due, i->timers.processing);
    if (!ending_ && i->timers.processing.erase(e.time)) due.set(e.time);
    for (auto time = due.next(); time; time = due.next()) {
      due.erase(*time);
      c.set_current(*time, e.slot);
      trigger_context w = view(*i);
      answer(*i, call_on_processing_time(trigger_, *time, i->trigger, w), c);
    }
    finish_timer(*all, it, e, !in_event_time());
  }

  void finish_timer(list& all, typename list::iterator it, const entry& e, bool own_clock) {
    const bool over = own_clock && !assigner_.is_global() &&
                      (ending_ || assigner_.cleanup_time(it->window, lateness_) <= e.time);
    if (over) {
      drop(all, it, e.slot);
    } else {
      settle(all, it, e.slot);
    }
  }

  void arm() {
    if (const auto next = processing_.next_time()) alarm_.set(*next);
  }

  void requeue_all() {
    events_ = {};
    processing_ = {};
    count_ = 0;
    windows_.for_each([this](slot_index, list& all) { count_ += all.size(); });
    windows_.for_each([this](slot_index slot, list& all) {
      for (auto it = all.begin(); it != all.end(); ++it) {
        it->serial = next_serial_++;
        it->queued_event.valid = false;
        it->queued_processing.valid = false;
      }
      // An idle global window was not saved, so nothing is dropped here.
      for (auto it = all.begin(); it != all.end(); ++it) settle(all, it, slot);
    });
  }

  window_assigner assigner_;
  duration lateness_;
  [[no_unique_address]] Content content_;
  [[no_unique_address]] Trigger trigger_;
  [[no_unique_address]] Finish finish_;
  keyed_state<K, list> windows_;
  side_output<T> late_;

  timestamp watermark_ = min_timestamp;
  clock_alarm alarm_;
  window_queue events_;
  window_queue processing_;
  std::uint64_t next_serial_ = 0;
  std::size_t count_ = 0;
  bool firing_ = false;  // stopped while timers fire
  bool ending_ = false;
  bool restored_ = false;
};

}  // namespace millrace
