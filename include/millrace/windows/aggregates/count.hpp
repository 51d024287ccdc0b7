// SPDX-License-Identifier: Apache-2.0
/// \file
/// Number of records. A pure value.
#pragma once

#include <cstdint>

namespace millrace {

/// How many records there are. State: 8 bytes.
struct count {
  using state = std::uint64_t;
  static constexpr bool commutative = true;

  template <class In>
  void add(state& s, const In&) const noexcept {
    ++s;
  }
  void merge(state& s, state later) const noexcept { s += later; }
  void subtract(state& s, state part) const noexcept { s -= part; }
  std::uint64_t result(state s) const noexcept { return s; }
};

}  // namespace millrace
