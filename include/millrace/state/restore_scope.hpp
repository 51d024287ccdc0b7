// SPDX-License-Identifier: Apache-2.0
/// \file
/// Which part of saved state an instance takes when the parallelism is another than at the save.
/// Plain values.
#pragma once

#include <millrace/record/key.hpp>

#include <cstdint>

namespace millrace {

/// Key groups [first, end).
struct key_group_range {
  std::uint32_t first = 0;
  std::uint32_t end = default_max_parallelism;

  constexpr bool contains(std::uint32_t group) const noexcept {
    return group >= first && group < end;
  }
  constexpr bool overlaps(const key_group_range& other) const noexcept {
    return first < other.end && other.first < end;
  }
  friend constexpr bool operator==(const key_group_range&, const key_group_range&) = default;
};

/// The groups that `worker_of` gives to a worker. \pre `worker < workers <= groups`
constexpr key_group_range groups_of_worker(
    std::uint32_t worker, std::uint32_t workers,
    std::uint32_t groups = default_max_parallelism) noexcept {
  const auto first_of = [&](std::uint64_t w) {
    return static_cast<std::uint32_t>((w * groups + workers - 1) / workers);
  };
  return {first_of(worker), first_of(std::uint64_t{worker} + 1)};
}

/// What `snapshot_reader::scope` tells an operator. It is given the states of all old instances
/// that had keys of its, one after the other, and takes what `owns` says; what belongs to no key
/// (requests in flight, say) goes to the one instance for which `heir` is true.
struct restore_scope {
  key_group_range mine{};
  bool heir = true;  ///< owns the first key group of the instance whose state is being read

  constexpr bool owns(std::uint64_t key_hash) const noexcept {
    return mine.contains(key_group(key_hash));
  }
};

}  // namespace millrace
