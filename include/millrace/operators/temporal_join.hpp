// SPDX-License-Identifier: Apache-2.0
/// \file
/// Enrichment against a table that changes: each record with the version of its key's row that was
/// valid at the record's time (semantics.md, Joins). Not thread safe: one copy per worker.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/operators/join_buffers.hpp>
#include <millrace/operators/join_types.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/window.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace millrace {

struct temporal_options {
  /// A version is no longer valid this long after it was written, and its row is freed. By default
  /// rows stay until they are deleted: memory is that of the table.
  std::optional<duration> valid_for{};

  /// \throws topology_error: `0 < valid_for <= sliding::max_size`.
  void validate() const {
    if (!valid_for || (*valid_for > duration::zero() && *valid_for <= sliding::max_size)) return;
    throw topology_error("temporal join: valid_for (" + std::to_string(valid_for->count()) +
                         " us) must be positive and at most 2^60 us");
  }
};

/// Right records are changes of the table: a row, or an empty optional to delete it. A version is
/// valid from its time until that of the next; of changes with the same time the last to come
/// counts. Left records wait for the watermark and keep their time; inner joins drop those without
/// a row, counted as filtered. Late: left records not newer than the watermark; changes that the
/// watermark has passed when a newer one has been passed, too (others still count from then on).
/// Memory: the rows, the versions newer than the watermark, and the records newer than it.
/// O(log of versions) per record in order.
template <class K, class L, class R, join_kind Kind>
class temporal_join_operator {
  static_assert(!keeps_right(Kind), "a temporal join is inner or left");

 public:
  using output_type = joined_by<Kind, L, R>;
  using change = std::optional<R>;
  using context = operator_context<output_type>;
  static constexpr bool keeps_records = true;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<K, L, std::optional<R>>(); }

  /// \pre `options.validate()` does not throw
  temporal_join_operator(temporal_options options, std::shared_ptr<key_table<K>> keys,
                         side_output<L> late_left, side_output<change> late_right)
      : options_(options),
        states_(std::move(keys)),
        late_left_(std::move(late_left)),
        late_right_(std::move(late_right)) {}

  void process_left(L&& value, context& c) {
    if (MILLRACE_UNLIKELY(c.time() <= c.watermark())) {
      c.counters().late.add();
      c.emit_to(late_left_, value);
      return states_.table().touch(c.slot());
    }
    ++states_.obtain(c.slot()).waiting;
    waiting_.push(c.time(), {c.slot(), std::move(value)});
  }

  void process_right(change&& row, context& c) {
    auto& state = states_.obtain(c.slot());
    forget_passed(state, c.watermark());
    if (MILLRACE_UNLIKELY(c.time() <= c.watermark() && too_late(state, row, c))) {
      c.counters().late.add();
      c.emit_to(late_right_, row);
    } else {
      state.versions.insert(c.time(), std::move(row));
      forget_passed(state, c.watermark());
    }
    keep_or_free(c.slot(), state);
  }
  /// A table without deletions.
  void process_right(R&& row, context& c) { process_right(change(std::move(row)), c); }

  progress on_watermark(timestamp watermark, context& c) {
    while (waiting_.due(watermark)) {
      if (c.downstream_blocked()) return progress::suspended;
      waiting_.pop([&](timestamp time, left_record& next) { resolve(time, next, c); });
    }
    alarms_.advance(watermark, states_, [&](slot_index slot) {
      auto& state = *states_.find(slot);
      forget_passed(state, watermark);
      keep_or_free(slot, state);
      return true;
    });
    return progress::done;
  }

  void save(snapshot_writer& to) const {
    states_.save(to);
    save_waiting(to, waiting_, states_);
  }
  void restore(snapshot_reader& from) {
    states_.restore(from);
    states_.for_each([this](slot_index slot, key_state& state) { keep_or_free(slot, state); });
    restore_waiting(from, waiting_, states_);
  }

 private:
  using left_record = waiting_record<L>;
  struct key_state {
    time_sorted<change> versions;
    std::uint32_t waiting = 0;
    key_alarm alarm;

    void save(snapshot_writer& to) const {
      versions.save(to);
      save_value(to, waiting);
    }
    void restore(snapshot_reader& from) {
      versions.restore(from);
      restore_value(from, waiting);
    }
  };

  void resolve(timestamp time, left_record& record, context& c) {
    auto& state = *states_.find(record.slot);
    --state.waiting;
    const std::size_t after = state.versions.first_after(time);
    const R* row = nullptr;
    if (after > 0) {
      const auto& version = state.versions[after - 1];
      if (version.value && valid(version.time, time)) row = &*version.value;
    }
    if (row != nullptr || keeps_left(Kind)) {
      emit_joined(c, &record.value, row, time, record.slot);
    } else {
      c.counters().filtered.add();
    }
    forget_passed(state, time);
    keep_or_free(record.slot, state);
  }

  /// Of a change that the watermark has passed: whether it makes no difference any more.
  bool too_late(const key_state& state, const change& row, const context& c) const {
    const auto& versions = state.versions;
    const bool replaced = !versions.empty() && versions.front().time <= c.watermark() &&
                          versions.front().time > c.time();
    return replaced || (row && !valid(c.time(), c.watermark()));
  }

  bool valid(timestamp from, timestamp at) const noexcept {
    return !options_.valid_for || at < saturating_add(from, *options_.valid_for);
  }

  /// Versions that a newer one replaces for all times from `now` on, and a row that is gone by
  /// then. \pre what waits is not older than `now`
  void forget_passed(key_state& state, timestamp now) const {
    auto& versions = state.versions;
    if (versions.empty()) return;
    const std::size_t after = versions.first_after(now);
    if (after == 0) return;
    const auto& current = versions[after - 1];
    const bool gone = !current.value || !valid(current.time, now);
    versions.pop_front(gone ? after : after - 1);
  }

  /// The key's alarm is at the next change, so that the version before it is freed, or when its
  /// row ceases to be valid.
  void keep_or_free(slot_index slot, key_state& state) {
    const auto& versions = state.versions;
    if (versions.empty()) {
      if (state.waiting == 0) states_.reset(slot);
    } else if (versions.size() > 1) {
      alarms_.set(slot, state.alarm, versions[1].time);
    } else if (!versions.front().value) {
      alarms_.set(slot, state.alarm, versions.front().time);
    } else if (options_.valid_for) {
      alarms_.set(slot, state.alarm, saturating_add(versions.front().time, *options_.valid_for));
    }
  }

  temporal_options options_;
  keyed_state<K, key_state> states_;
  time_queue<left_record> waiting_;
  key_alarms alarms_;
  side_output<L> late_left_;
  side_output<change> late_right_;
};

}  // namespace millrace
