// SPDX-License-Identifier: Apache-2.0
/// \file
/// Combines the watermarks of several inputs: the minimum over those that are active. Not thread
/// safe.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/operators/watermark_status.hpp>
#include <millrace/record/watermark.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace millrace {

/// What changed for the operator behind the inputs.
struct watermark_change {
  bool advanced = false;   ///< `watermark()` has grown
  bool went_idle = false;  ///< all inputs are silent
  bool woke_up = false;    ///< the first one is back
  bool ended = false;      ///< all inputs have ended
};

/// How an input stands towards the minimum.
enum class input_standing : std::uint8_t {
  counts,  ///< takes part in the minimum
  idle,    ///< silent
  behind,  ///< back from silence, has not reached yet what was handed on
  ended,
};

/// The minimum rule of semantics.md (Flink: StatusWatermarkValve). An input that was idle counts
/// again when its watermark has reached what was last emitted; until then it holds nobody back, and
/// what it sends is late. When nobody counts, all being silent, the furthest of them decides. An
/// input that has ended, or is about to (its watermark is the end of time), counts no more: unlike
/// in Flink it does not drag silent ones to the end of time. When all have, the furthest decides.
/// O(number of inputs) per control element. `standing`, `watermark_of` and `since` of several
/// inputs may be asked from any thread.
class watermark_merger {
 public:
  explicit watermark_merger(std::size_t inputs = 1) : inputs_(inputs) {}

  timestamp watermark() const noexcept { return current_; }
  bool idle() const noexcept { return idle_; }
  std::size_t inputs() const noexcept { return inputs_.size(); }

  timestamp watermark_of(std::size_t input) const noexcept {
    return inputs_[input].progress.watermark();
  }
  std::optional<std::chrono::nanoseconds> since(std::size_t input) const noexcept {
    return inputs_[input].progress.since();
  }
  input_standing standing(std::size_t input) const noexcept {
    return static_cast<input_standing>(inputs_[input].standing.value());
  }

  /// Applies a control element (not a barrier or latency marker) of one input. `clock` is asked for
  /// the time when somebody may want to know later: there are several inputs.
  watermark_change apply(std::size_t input, const control& element, const environment& clock) {
    auto& in = inputs_[input];
    switch (element.kind) {
      case control_kind::watermark:
        if (element.time > in.progress.watermark()) {
          const auto now =
              inputs_.size() > 1 ? clock.monotonic() : std::chrono::nanoseconds::zero();
          in.progress.moved(element.time, now);
        }
        if (standing(input) == input_standing::behind) rejoin(in);
        break;
      case control_kind::idle:
        if (standing(input) != input_standing::ended) stand(in, input_standing::idle);
        break;
      case control_kind::active:
        if (standing(input) == input_standing::idle) rejoin(in);
        break;
      case control_kind::end: stand(in, input_standing::ended); break;
      case control_kind::barrier:
      case control_kind::latency: break;
    }
    return evaluate();
  }

  /// For restoring.
  void set(timestamp current) noexcept { current_ = current; }

 private:
  struct input_state {
    watermark_progress progress;
    gauge standing{static_cast<std::int64_t>(input_standing::counts)};
  };

  static void stand(input_state& in, input_standing standing) noexcept {
    in.standing.set(static_cast<std::int64_t>(standing));
  }
  void rejoin(input_state& in) noexcept {
    stand(in,
          in.progress.watermark() >= current_ ? input_standing::counts : input_standing::behind);
  }

  watermark_change evaluate() {
    watermark_change change;
    std::size_t ended = 0;
    std::size_t done = 0;
    std::size_t silent = 0;
    std::size_t counting = 0;
    timestamp least = max_timestamp;
    timestamp furthest = min_timestamp;
    timestamp furthest_done = min_timestamp;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const timestamp time = inputs_[i].progress.watermark();
      const auto how = standing(i);
      if (how == input_standing::ended) ++ended;
      if (how == input_standing::ended || time == max_timestamp) {
        ++done;
        furthest_done = std::max(furthest_done, time);
        continue;
      }
      furthest = std::max(furthest, time);
      if (how == input_standing::idle) ++silent;
      if (how != input_standing::counts) continue;
      ++counting;
      least = std::min(least, time);
    }
    const bool all_done = done == inputs_.size();
    const bool now_idle = !all_done && silent + done == inputs_.size();
    if (all_done) {
      least = furthest_done;
    } else if (now_idle) {
      least = furthest;
    } else if (counting == 0) {
      least = current_;
    }
    change.went_idle = now_idle && !idle_;
    change.woke_up = idle_ && !now_idle && !all_done;
    idle_ = now_idle;
    if (least > current_) {
      current_ = least;
      change.advanced = true;
    }
    const bool all_ended = ended == inputs_.size();
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
