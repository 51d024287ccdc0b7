// SPDX-License-Identifier: Apache-2.0
/// \file
/// Aligns the barriers of several inputs (Chandy-Lamport as Flink does it): an input whose barrier
/// has come is held until those of all others have, or they have ended. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace {

/// One checkpoint at a time. O(number of inputs) per barrier.
class barrier_alignment {
 public:
  explicit barrier_alignment(std::size_t inputs) : arrived_(inputs, 0), ended_(inputs, 0) {}

  /// The barrier of an input. True when it was the last one missing; `finish` must follow.
  bool arrive(std::size_t input, std::uint64_t id) {
    MILLRACE_ASSERT(id_ == 0 || id_ == id);
    id_ = id;
    arrived_[input] = 1;
    return complete();
  }

  /// Nothing more comes from an input. True when a pending alignment is complete by that.
  bool end(std::size_t input) {
    ended_[input] = 1;
    return id_ != 0 && complete();
  }

  /// What comes from this input belongs behind the barrier.
  bool holds(std::size_t input) const noexcept { return id_ != 0 && arrived_[input] != 0; }

  bool pending() const noexcept { return id_ != 0; }
  std::uint64_t id() const noexcept { return id_; }

  void finish() {
    id_ = 0;
    arrived_.assign(arrived_.size(), 0);
  }

 private:
  bool complete() const noexcept {
    for (std::size_t i = 0; i < arrived_.size(); ++i) {
      if (arrived_[i] == 0 && ended_[i] == 0) return false;
    }
    return true;
  }

  std::vector<char> arrived_;
  std::vector<char> ended_;
  std::uint64_t id_ = 0;  // 0: none
};

}  // namespace millrace
