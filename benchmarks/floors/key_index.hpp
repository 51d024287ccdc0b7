// SPDX-License-Identifier: Apache-2.0
/// \file
/// The hash table of the floors: key -> dense number, linear probing. Not thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace floors {

class key_index {
 public:
  /// \pre never more than `most` keys
  explicit key_index(std::size_t most) {
    std::size_t size = 64;
    while (size < 2 * most) size *= 2;
    entries_.resize(size);
    mask_ = size - 1;
  }

  std::uint32_t operator()(std::uint64_t key) {
    for (std::size_t i = key * 0x9e3779b97f4a7c15ULL >> 32U & mask_;; i = (i + 1) & mask_) {
      const entry& e = entries_[i];
      if (e.key == key) return e.number;
      if (e.key == none) return insert(i, key);
    }
  }

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(keys_.size()); }
  std::uint64_t key(std::uint32_t number) const noexcept { return keys_[number]; }

 private:
  __attribute__((noinline)) std::uint32_t insert(std::size_t i, std::uint64_t key) {
    entries_[i] = {key, size()};
    keys_.push_back(key);
    return entries_[i].number;
  }

  static constexpr std::uint64_t none = ~std::uint64_t{0};
  struct entry {
    std::uint64_t key = none;
    std::uint32_t number = 0;
  };
  std::vector<entry> entries_;
  std::vector<std::uint64_t> keys_;
  std::size_t mask_ = 0;
};

}  // namespace floors
