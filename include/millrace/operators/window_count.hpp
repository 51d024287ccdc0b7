// SPDX-License-Identifier: Apache-2.0
/// \file
/// Incremental aggregation over the last records of each key. Not thread safe: one copy per worker.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/operators/window_results.hpp>
#include <millrace/state/keyed_state.hpp>
#include <millrace/windows/aggregate.hpp>
#include <millrace/windows/assigners.hpp>
#include <millrace/windows/daba_lite.hpp>
#include <millrace/windows/two_stacks.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace millrace {

/// Records are folded into slices that are cut where windows start and end; a window is what a
/// `two_stacks` of slices comes to, or of more than 65,536 slices a `daba_lite`, which costs more
/// and never pauses. O(1) merges per record, at most `2 size / slide + 3` states per key. A key
/// leaves when no record of it can count again, which for windows that overlap is never. A result
/// has the time of the record that completes it.
///
/// Records of windows that are not complete when the input ends count as filtered.
template <class K, class T, class A, class Finish>
class count_window_operator {
 public:
  using output_type = typename Finish::output_type;
  using context = operator_context<output_type>;
  static constexpr bool rescalable = true;
  static std::string state_type() { return describe_state<K, typename A::state>(); }

  /// \throws topology_error from `spec.validate()`
  count_window_operator(count_window spec, A aggregate, Finish finish,
                        std::shared_ptr<key_table<K>> keys)
      : spec_((spec.validate(), spec)),
        rest_(spec.size % spec.step()),
        gap_(spec.step() > spec.size ? spec.step() - spec.size : 0),
        kept_(kept_slices(spec)),
        aggregate_(std::move(aggregate)),
        finish_(std::move(finish)),
        counts_(std::move(keys)) {}

  void process(const T& value, context& c) {
    key_count& k = counts_.obtain(c.slot());
    if (k.position++ < gap_) {
      c.counters().filtered.add();
      return;
    }
    fold_record(aggregate_, k.open, value, c.time());
    const bool complete = k.position == spec_.step();
    const bool starts = rest_ != 0 && k.position == spec_.step() - rest_;
    if (MILLRACE_LIKELY(!complete && !starts)) return;
    if (kept_ == 0 && k.slices.empty()) {  // windows of one slice
      if (complete) emit(k.open, c);
    } else {
      if (kept_ <= most_in_two_stacks) {
        add_slice(k.slices, k.open, complete, c);
      } else {
        if (!k.long_slices) k.long_slices = std::make_unique<daba_lite<A>>();
        add_slice(*k.long_slices, k.open, complete, c);
      }
    }
    k.open = typename A::state{};
    if (!complete) return;
    k.position = 0;
    if (k.slices.empty() && !k.long_slices) counts_.reset(c.slot());
  }

  void on_end(context& c) {
    counts_.for_each([&](slot_index, const key_count& k) {
      if (k.position > gap_) c.counters().filtered.add(static_cast<std::size_t>(k.position - gap_));
    });
  }

  void save(snapshot_writer& to) const {
    save_value(to, spec_.size);
    save_value(to, spec_.slide);
    counts_.save(to);
  }
  /// Fails with `errc::incompatible` if the windows were others.
  void restore(snapshot_reader& from) {
    count_window saved{};
    restore_value(from, saved.size);
    restore_value(from, saved.slide);
    if (!from.failed() && (saved.size != spec_.size || saved.step() != spec_.step())) {
      from.fail("count windows of " + words(saved) + " were saved, of " + words(spec_) +
                    " are to be restored",
                errc::incompatible);
    }
    counts_.restore(from);
  }

 private:
  static constexpr std::size_t most_in_two_stacks = 65'536;

  struct key_count {
    std::int64_t position = 0;  // records since the last window has ended
    typename A::state open{};
    two_stacks<A> slices;
    std::unique_ptr<daba_lite<A>> long_slices;

    void save(snapshot_writer& to) const {
      save_value(to, position);
      save_value(to, open);
      slices.save(to);
      to.number(long_slices != nullptr);
      if (long_slices) long_slices->save(to);
    }
    void restore(snapshot_reader& from) {
      restore_value(from, position);
      restore_value(from, open);
      slices.restore(from);
      long_slices = from.number<bool>() ? std::make_unique<daba_lite<A>>() : nullptr;
      if (long_slices) long_slices->restore(from);
    }
  };

  // Slices that the next window shares with the one that has just ended.
  static std::size_t kept_slices(const count_window& spec) noexcept {
    const std::int64_t per_step = spec.size % spec.step() == 0 ? 1 : 2;
    const std::int64_t per_window = per_step * (spec.size / spec.step()) + per_step - 1;
    return per_window > per_step ? static_cast<std::size_t>(per_window - per_step) : 0;
  }

  template <class Queue>
  void add_slice(Queue& slices, typename A::state& slice, bool complete, context& c) {
    slices.push(aggregate_, std::move(slice));
    if (!complete) return;
    emit(slices.query(aggregate_), c);
    while (slices.size() > kept_) slices.pop(aggregate_);
  }

  static std::string words(const count_window& w) {
    return std::to_string(w.size) + " by " + std::to_string(w.step());
  }

  void emit(const typename A::state& fold, context& c) {
    finish_(counts_.key(c.slot()), all_time, aggregate_.result(fold), c);
  }

  count_window spec_;
  std::int64_t rest_;
  std::int64_t gap_;
  std::size_t kept_;
  [[no_unique_address]] A aggregate_;
  [[no_unique_address]] Finish finish_;
  keyed_state<K, key_count> counts_;
};

}  // namespace millrace
