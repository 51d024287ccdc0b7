// SPDX-License-Identifier: Apache-2.0
/// \file
/// Keyed tumbling and sliding windows of event time. A record is folded once, into the state of its
/// key in its slice; windows are combined from slices when the watermark passes them. What a record
/// costs does not depend on size and slide. Not thread safe.
///
/// Rules: a window fires when `watermark >= max_timestamp()`, for every key with a record in it, in
/// order of windows, then of slots. It lives until `watermark >= max_timestamp() + lateness`; a
/// record in a window that has fired and lives makes it fire again at once. A record in no window
/// that lives is late. (Apache Flink's WindowOperator with an EventTimeTrigger.)
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/state/serialize.hpp>
#include <millrace/windows/aggregate.hpp>
#include <millrace/windows/fold_plan.hpp>
#include <millrace/windows/page_fold.hpp>
#include <millrace/windows/slice_column.hpp>
#include <millrace/windows/slice_grid.hpp>
#include <millrace/windows/slice_table.hpp>
#include <millrace/windows/window.hpp>
#include <millrace/windows/window_folds.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace millrace {

/// What became of a record.
enum class slice_add : std::uint8_t {
  accepted,   ///< it counts in windows that have not fired yet
  refire,     ///< accepted, and windows that have fired contain it: call `refire`
  late,       ///< all windows that contain it are gone
  no_window,  ///< no window contains it: between windows with `slide > size`
};

/// What `emit` may answer: `stop` ends the call after this result; a later one goes on.
enum class emission : std::uint8_t { more, stop };

/// Windows of all keys of one operator instance. Memory: a state per key and slice with a record,
/// a few more per key for long windows, 16 bytes per 64 slots and slice; given back when two
/// watermarks running find no record.
template <class Aggregate>
class slice_store {
 public:
  using state = typename Aggregate::state;
  using index = slice_grid::index;

  /// \throws topology_error from `spec.validate()`, or for a negative lateness
  slice_store(const sliding& spec, duration lateness, Aggregate aggregate);
  slice_store(const slice_store&) = delete;
  slice_store& operator=(const slice_store&) = delete;

  /// Folds a record in. O(1). \pre `!busy()`
  template <class In>
  slice_add add(slot_index slot, timestamp time, const In& value) {
    const std::size_t i = slot / page_slots;
    if (MILLRACE_LIKELY(in_open(time) && i < open_page_count_)) {
      const auto& page = open_pages_[i];
      if (MILLRACE_LIKELY((page.direct() >> slot % page_slots & 1) != 0)) {
        fold_record(aggregate_, page.direct_states()[slot % page_slots], value, time);
        return slice_add::accepted;
      }
    }
    slice_add what = slice_add::accepted;
    if (state* s = locate(slot, time, what); s != nullptr) fold_record(aggregate_, *s, value, time);
    return what;
  }

  /// Asks the processor to load what `add` will need for this slot. Worth it above some 100,000
  /// keys, a dozen records ahead.
  void prefetch(slot_index slot) const noexcept {
    const std::size_t i = slot / page_slots;
    if (i < open_page_count_) {
      MILLRACE_PREFETCH(open_pages_[i].direct_states() + slot % page_slots);
    }
  }

  /// Fires the windows that a record has changed after they had fired; for `slice_add::refire`.
  /// \see advance for `emit` and the result
  template <class Emit>
  bool refire(slot_index slot, timestamp time, Emit&& emit);

  /// Fires all windows with `max_timestamp() <= watermark`: `emit(slot, window, const state&)`,
  /// which may return an `emission`. Returns false if it was stopped; then call `resume`. Windows
  /// without a record cost nothing. Watermarks that go back are ignored. \pre `!busy()`
  template <class Emit>
  bool advance(timestamp watermark, Emit&& emit) {
    watermark_ = std::max(watermark_, grid_.effective(watermark));
    return resume(emit);
  }

  /// Goes on after a stop. True when all is done.
  template <class Emit>
  bool resume(Emit&& emit);

  /// Whether results are outstanding. Until they are out, nothing may be added or saved.
  bool busy() const noexcept { return firing_ || refire_slot_ != no_slot; }

  timestamp watermark() const noexcept { return watermark_; }

  /// For an input that goes on behind its end: a watermark of `max_timestamp` is forgotten.
  void reopen() noexcept {
    if (watermark_ != max_timestamp) return;
    watermark_ = min_timestamp;
    update_fired();
  }

  /// The watermark at which the next window with a record fires, as far as is known now.
  std::optional<timestamp> next_fire_time() const noexcept {
    const std::optional<index> next = next_window();
    if (!next) return std::nullopt;
    return grid_.window_at(*next).max_timestamp();
  }

  /// Whether there is a state for the slot.
  bool holds(slot_index slot) const noexcept {
    return slot < states_of_.size() && states_of_[slot] != 0;
  }

  /// Calls `gained(slot)` for slots that have a state since the last call and `lost(slot)` for
  /// those that have none any more, for whoever owns the slots. O(changes).
  template <class Gained, class Lost>
  void take_changes(Gained&& gained, Lost&& lost) {
    for (const slot_index slot : changed_) {
      if (holds(slot)) {
        gained(slot);
      } else {
        lost(slot);
      }
    }
    changed_.clear();
  }

  /// Slices with a record, and bytes held (without what states own themselves).
  std::size_t slices() const noexcept { return table_.size(); }
  std::size_t memory_bytes() const noexcept {
    return table_.pool().bytes_reserved() + table_.directory_bytes() + folds_.directory_bytes() +
           states_of_.capacity() * sizeof(states_of_[0]);
  }

  const Aggregate& aggregate() const noexcept { return aggregate_; }
  const sliding& spec() const noexcept { return spec_; }

  /// Appends the watermark and all states; `write_key(writer, slot)` stores what finds the slot
  /// again. \pre `!busy()`
  template <class WriteKey>
  void save(snapshot_writer& writer, WriteKey&& write_key) const
    requires serializable<state>;

  /// Adds what `save` wrote; `read_key(reader)` returns the slot, or `no_slot` for a key that lives
  /// elsewhere now. Several snapshots may be restored into one store; the earliest watermark
  /// counts. Fails with `errc::incompatible` if the windows were others. \pre nothing was added
  template <class ReadKey>
  void restore(snapshot_reader& reader, ReadKey&& read_key)
    requires serializable<state>;

 private:
  using states = plane<state>;
  static constexpr index never = INT64_MAX;

  bool in_open(timestamp time) const noexcept {
    return ticks(time) - ticks(open_start_) < open_width_;
  }
  static std::uint64_t ticks(timestamp t) noexcept {
    return static_cast<std::uint64_t>(t.time_since_epoch().count());
  }

  state& obtain(states& slice, slot_index slot) {
    if (state* s = slice.find(slot); s != nullptr) return *s;
    return insert(slice, slot);
  }
  state& insert(states& slice, slot_index slot) {
    state* made = slice.try_insert(slot);
    if (made == nullptr) made = &insert_slowly(slice, slot);
    if (MILLRACE_UNLIKELY(slot >= states_of_.size())) states_of_.resize(slot + 1, 0);
    if (states_of_[slot]++ == 0) changed_.push_back(slot);
    return *made;
  }
  MILLRACE_NOINLINE state& insert_slowly(states& slice, slot_index slot) {
    state& made = slice.insert(slot, table_.pool());
    if (&slice == open_) {  // its directory may have moved
      open_pages_ = slice.page_data();
      open_page_count_ = slice.pages();
    }
    return made;
  }

  state* locate(slot_index slot, timestamp time, slice_add& what);
  void open(index slice, states& of) noexcept;
  void update_fired() noexcept;
  std::optional<index> next_window() const noexcept;
  void prepare(index k);
  template <class Emit>
  bool fire(Emit& emit);
  template <class Emit>
  bool fire_page(std::size_t page, std::uint64_t present, const state* by_slot, Emit& emit);
  std::uint64_t direct_pages(std::size_t page);
  template <class Emit>
  bool fire_direct(std::size_t page, std::uint64_t present, Emit& emit);
  template <class Emit>
  bool refire_rest(Emit& emit);
  void expire();
  void put(slot_index slot, index slice, state value);

  template <class Emit>
  static bool stopped(Emit& emit, slot_index slot, const window& w, const state& s) {
    if constexpr (std::is_void_v<decltype(emit(slot, w, s))>) {
      emit(slot, w, s);
      return false;
    } else {
      return emit(slot, w, s) == emission::stop;
    }
  }

  sliding spec_;
  slice_grid grid_;
  duration lateness_;
  fold_plan plan_;
  [[no_unique_address]] Aggregate aggregate_;

  // The slice that records go to without a search: one that no window that has fired contains.
  timestamp open_start_{};
  std::uint64_t open_width_ = 0;
  const typename states::page* open_pages_ = nullptr;
  std::size_t open_page_count_ = 0;
  states* open_ = nullptr;
  index missed_ = 0;  // the last slice before it that a record went to

  slice_table<state> table_;
  window_folds<Aggregate, slice_table<state>> folds_;
  page_fold<Aggregate> scratch_;
  std::vector<std::uint32_t> states_of_;  // per slot: slices with a state
  std::vector<slot_index> changed_;

  bool restored_ = false;
  bool quiet_ = false;  // no slice held a record after the watermark before
  timestamp watermark_ = min_timestamp;
  index next_ = 0;       // first window that has not fired
  index open_from_ = 0;  // first slice that is in no window that has fired
  index live_ = 0;       // first window that is not gone

  bool firing_ = false;
  index firing_window_ = 0;
  slot_index firing_from_ = 0;  // slots before it are out
  std::vector<const states*> parts_;
  std::vector<const state*> direct_;

  slot_index refire_slot_ = no_slot;
  index refire_window_ = 0;
  index refire_end_ = 0;
  slice_column<Aggregate> column_;
};

}  // namespace millrace

#include <millrace/windows/slices_impl.hpp>
#include <millrace/windows/slices_snapshot.hpp>
