// SPDX-License-Identifier: Apache-2.0
/// \file
/// What becomes of a record when the process dies: the words for it, and what a source or sink
/// says of itself. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

/// Of every record, in the end: the worse one of source and sink counts.
enum class guarantee : std::uint8_t {
  at_most_once,   ///< some may be lost in a crash
  at_least_once,  ///< none is lost, some may have an effect twice
  exactly_once,   ///< each has its effect once
};

constexpr std::string_view to_string(guarantee g) noexcept {
  switch (g) {
    case guarantee::at_most_once: return "at most once";
    case guarantee::at_least_once: return "at least once";
    case guarantee::exactly_once: break;
  }
  return "exactly once";
}

/// What a source or sink keeps under checkpoints, as it is set up. Descriptions may have a member
/// `delivery delivered() const`.
struct delivery {
  guarantee keeps = guarantee::at_most_once;
  std::string why{};    ///< "replayable from its position", "idempotent by document id", ...
  std::string raise{};  ///< what to set for more; empty when that cannot be
};

}  // namespace millrace
