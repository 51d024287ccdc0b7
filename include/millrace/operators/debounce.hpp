// SPDX-License-Identifier: Apache-2.0
/// \file
/// Keeps of records that follow each other closely the last one. Functions and state for
/// `process_operator`. Not thread safe.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/state/keyed_state.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// Runs of records that are at most `quiet` apart, by time; usually there is one.
template <class T>
class debounce_runs {
 public:
  struct run {
    timestamp first{};
    timestamp last{};
    T value{};
  };
  std::vector<run> runs;

  void save(snapshot_writer& to) const {
    to.varint(runs.size());
    for (const run& r : runs) {
      save_value(to, r.first);
      save_value(to, r.last);
      save_value(to, r.value);
    }
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(1);
    runs.clear();
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      run& r = runs.emplace_back();
      restore_value(from, r.first);
      restore_value(from, r.last);
      restore_value(from, r.value);
    }
  }
};

/// Emits a record when none of its key has a later event time within `quiet` (inclusive), at the
/// end of that time; of equal times the last to come. Others are counted as filtered; one that
/// comes when its time is over is late, unless a run that lives takes it in.
template <class T>
struct debounce_function {
  duration quiet;
  side_output<T> late;

  template <class Context>
  void operator()(const T& value, debounce_runs<T>& state, Context& ctx) const {
    const timestamp time = ctx.time();
    auto& runs = state.runs;
    typename debounce_runs<T>::run merged{time, time, value};
    std::size_t kept = 0;
    bool joined = false;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      auto& r = runs[i];
      if (r.first > saturating_add(time, quiet) || saturating_add(r.last, quiet) < time) {
        if (kept != i) runs[kept] = std::move(r);
        ++kept;
        continue;
      }
      joined = true;
      ctx.delete_timer(saturating_add(r.last, quiet));
      ctx.counters().filtered.add();
      merged.first = std::min(merged.first, r.first);
      if (r.last > merged.last) {
        merged.last = r.last;
        merged.value = std::move(r.value);
      }
    }
    runs.resize(kept);
    if (!joined && is_late(time, ctx)) {
      ctx.counters().late.add();
      ctx.emit_to(late, value);
      if (runs.empty()) ctx.clear_state();
      return;
    }
    ctx.timer_at(saturating_add(merged.last, quiet));
    runs.insert(std::upper_bound(runs.begin(), runs.end(), merged.last,
                                 [](timestamp t, const auto& r) { return t < r.last; }),
                std::move(merged));
  }

 private:
  template <class Context>
  bool is_late(timestamp time, Context& ctx) const {
    return ctx.watermark() != min_timestamp && saturating_add(time, quiet) <= ctx.watermark();
  }
};

/// The time of a run is over.
template <class T>
struct debounce_timer {
  duration quiet;

  template <class Context>
  void operator()(timestamp time, debounce_runs<T>& state, Context& ctx) const {
    auto& runs = state.runs;
    const auto due = std::find_if(runs.begin(), runs.end(), [&](const auto& r) {
      return saturating_add(r.last, quiet) == time;
    });
    if (due != runs.end()) {
      ctx.emit(std::move(due->value));
      runs.erase(due);
    }
    if (runs.empty()) ctx.clear_state();
  }
};

}  // namespace millrace
