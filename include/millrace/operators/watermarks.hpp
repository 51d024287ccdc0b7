// SPDX-License-Identifier: Apache-2.0
/// \file
/// Combines the watermarks of several inputs: the minimum over those that are active. Not thread
/// safe.
#pragma once

#include <millrace/record/watermark.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace millrace {

/// What changed for the operator behind the inputs.
struct watermark_change {
  bool advanced = false;   ///< `watermark()` has grown
  bool went_idle = false;  ///< all inputs are silent
  bool woke_up = false;    ///< the first one is back
  bool ended = false;      ///< all inputs have ended
};

/// The minimum rule of semantics.md. An input that was idle rejoins when its watermark has reached
/// what was last emitted. O(number of inputs) per control element.
class watermark_merger {
 public:
  explicit watermark_merger(std::size_t inputs = 1) : inputs_(inputs) {}

  timestamp watermark() const noexcept { return current_; }
  timestamp watermark_of(std::size_t input) const noexcept { return inputs_[input].time; }
  bool idle() const noexcept { return idle_; }
  std::size_t inputs() const noexcept { return inputs_.size(); }

  /// Applies a control element (not a barrier or latency marker) of one input.
  watermark_change apply(std::size_t input, const control& element) {
    auto& in = inputs_[input];
    switch (element.kind) {
      case control_kind::watermark:
        in.time = std::max(in.time, element.time);
        in.aligned = in.aligned || in.time >= current_;
        break;
      case control_kind::idle: in.idle = true; break;
      case control_kind::active:
        if (in.idle) in.aligned = in.time >= current_;
        in.idle = false;
        break;
      case control_kind::end: in.ended = true; break;
      case control_kind::barrier:
      case control_kind::latency: break;
    }
    return evaluate();
  }

  /// For restoring.
  void set(timestamp current) noexcept { current_ = current; }

 private:
  struct input_state {
    timestamp time = min_timestamp;
    bool idle = false;
    bool ended = false;
    bool aligned = true;  // takes part in the minimum when active
  };

  watermark_change evaluate() {
    watermark_change change;
    bool all_ended = true;
    bool all_silent = true;
    timestamp least = max_timestamp;
    timestamp greatest = min_timestamp;
    for (const auto& in : inputs_) {
      all_ended = all_ended && in.ended;
      greatest = std::max(greatest, in.time);
      if (in.ended) continue;
      if (in.idle) continue;
      all_silent = false;
      least = std::min(least, in.aligned ? in.time : current_);
    }
    // With nobody left to wait for, the furthest input decides (Flink's StatusWatermarkValve).
    if (all_silent) least = greatest;
    const bool now_idle = all_silent && !all_ended;
    change.went_idle = now_idle && !idle_;
    change.woke_up = idle_ && !now_idle && !all_ended;
    idle_ = now_idle;
    if (least > current_) {
      current_ = least;
      change.advanced = true;
    }
    change.ended = all_ended && !ended_;
    ended_ = all_ended;
    return change;
  }

  std::vector<input_state> inputs_;
  timestamp current_ = min_timestamp;
  bool idle_ = false;
  bool ended_ = false;
};

}  // namespace millrace
