// SPDX-License-Identifier: Apache-2.0
/// \file
/// Control elements: what travels between batches, in order with them. Plain values.
#pragma once

#include <millrace/base/time.hpp>

#include <cstdint>

namespace millrace {

enum class control_kind : std::uint8_t {
  watermark,  ///< no record with a time <= `time` follows, except late ones
  idle,       ///< this input is silent: leave it out of the minimum
  active,     ///< it is back
  barrier,    ///< the cut of checkpoint `id`
  latency,    ///< left its source at the monotonic time `id` (ns); only measured, never waited for
  end,        ///< nothing follows; preceded by `watermark(max_timestamp)` when the input drained
};

struct control {
  control_kind kind;
  timestamp time{};      ///< of a watermark
  std::uint64_t id = 0;  ///< of a barrier; monotonic nanoseconds of a latency marker

  static constexpr control watermark(timestamp t) noexcept {
    return {control_kind::watermark, t, 0};
  }
  static constexpr control idle() noexcept { return {control_kind::idle, {}, 0}; }
  static constexpr control active() noexcept { return {control_kind::active, {}, 0}; }
  static constexpr control barrier(std::uint64_t id) noexcept {
    return {control_kind::barrier, {}, id};
  }
  static constexpr control latency(std::uint64_t monotonic_ns) noexcept {
    return {control_kind::latency, {}, monotonic_ns};
  }
  static constexpr control end() noexcept { return {control_kind::end, {}, 0}; }
};

}  // namespace millrace
