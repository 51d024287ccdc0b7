// SPDX-License-Identifier: Apache-2.0
/// \file
/// The table behind a `key_by`: key -> dense slot. All operators of a key domain on one worker
/// share it, so that a record's key is looked up once and state is an array access. Not thread
/// safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/record/key.hpp>

#include <concepts>
#include <cstdint>
#include <utility>
#include <vector>

namespace millrace {

/// Marks which operator keeps state for a slot; 32 operators per key domain.
using owner_mask = std::uint32_t;

/// What operators need of a table without knowing the key's type.
class key_table_base {
 public:
  /// A bit of its own for an operator that keeps state by slot; operators that share one bit
  /// (beyond the 32nd) keep each other's keys alive.
  owner_mask add_owner() noexcept {
    const owner_mask bit = owner_mask{1} << (owners_ < 31 ? owners_ : 31);
    ++owners_;
    return bit;
  }

  /// The operator has state for this slot; the key stays. Idempotent, O(1).
  void retain(slot_index slot, owner_mask owner) noexcept { used_[slot] |= owner; }

  /// The operator has no state for this slot any more. Idempotent, O(1).
  void release(slot_index slot, owner_mask owner) noexcept {
    if (owners_ > 32 && owner == owner_mask{1} << 31U) return;
    used_[slot] &= ~owner;
    if (used_[slot] == 0) idle_.push_back(slot);
  }

  /// Slots handed out so far, free ones included; slots are < this.
  slot_index slots() const noexcept { return static_cast<slot_index>(used_.size()); }

 protected:
  ~key_table_base() = default;

  std::vector<owner_mask> used_;
  std::vector<slot_index> idle_;  // candidates for `sweep`, may hold duplicates
  std::uint32_t owners_ = 0;
};

/// Open addressing with linear probing over 8-byte entries (tag + slot), keys in a dense array.
/// Look-up O(1), about one cache line; `prefetch` over a batch hides memory latency.
template <key_type K>
class key_table final : public key_table_base {
 public:
  key_table() : index_(initial_size), mask_(initial_size - 1) {}

  static std::uint64_t hash(const K& key) noexcept { return key_hash<K>{}(key); }

  void prefetch(std::uint64_t hash) const noexcept { MILLRACE_PREFETCH(&index_[hash & mask_]); }

  /// Whether looking ahead is worth it: the index is larger than a second-level cache's better
  /// half.
  bool worth_prefetching() const noexcept {
    return index_.size() * sizeof(entry) > std::size_t{512} << 10U;
  }

  /// The slot of a key, made on first sight. `hash` must be `hash(key)`.
  slot_index find_or_insert(const K& key, std::uint64_t hash) {
    const std::uint32_t tag = tag_of(hash);
    const entry* const index = index_.data();
    const std::uint64_t mask = mask_;
    for (std::uint64_t i = hash & mask;; i = (i + 1) & mask) {
      const entry e = index[i];
      if (MILLRACE_LIKELY(e.tag == tag)) {
        if (MILLRACE_LIKELY(same_key(keys_[e.slot], key))) return e.slot;
      } else if (e.tag == 0) {
        return insert(key, hash);
      }
    }
  }
  slot_index find_or_insert(const K& key) { return find_or_insert(key, hash(key)); }

  /// The slot of a key, or `no_slot`.
  slot_index find(const K& key) const {
    const std::uint64_t h = hash(key);
    const std::uint32_t tag = tag_of(h);
    for (std::uint64_t i = h & mask_;; i = (i + 1) & mask_) {
      const entry& e = index_[i];
      if (e.tag == 0) return no_slot;
      if (e.tag == tag && same_key(keys_[e.slot], key)) return e.slot;
    }
  }

  /// \pre `slot` is in use
  const K& key(slot_index slot) const noexcept { return keys_[slot]; }
  std::uint64_t hash_of(slot_index slot) const noexcept { return hashes_[slot]; }

  /// Keys in the table.
  std::size_t size() const noexcept { return size_; }

  /// Frees the keys that no operator holds. To be called when no keyed record is on its way (the
  /// worker does, between batches). O(released since the last call).
  void sweep() {
    for (const slot_index slot : idle_) {
      if (used_[slot] == 0 && live_[slot]) erase(slot);
    }
    idle_.clear();
  }

  /// Makes a slot that nobody has retained a candidate for the next sweep.
  void touch(slot_index slot) {
    if (used_[slot] == 0) idle_.push_back(slot);
  }

 private:
  static constexpr std::size_t initial_size = 64;

  struct entry {
    std::uint32_t tag = 0;  // 0: empty
    slot_index slot = no_slot;
  };

  static std::uint32_t tag_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32U) | 1U;
  }

  MILLRACE_NOINLINE slot_index insert(const K& key, std::uint64_t hash) {
    if ((size_ + 1) * 2 > index_.size()) grow();
    slot_index slot = 0;
    if (free_.empty()) {
      slot = static_cast<slot_index>(keys_.size());
      keys_.push_back(key);
      hashes_.push_back(hash);
      used_.push_back(0);
      live_.push_back(true);
    } else {
      slot = free_.back();
      free_.pop_back();
      keys_[slot] = key;
      hashes_[slot] = hash;
      used_[slot] = 0;
      live_[slot] = true;
    }
    place(hash, slot);
    ++size_;
    idle_.push_back(slot);
    return slot;
  }

  void place(std::uint64_t hash, slot_index slot) noexcept {
    std::uint64_t i = hash & mask_;
    while (index_[i].slot != no_slot) i = (i + 1) & mask_;
    index_[i] = {tag_of(hash), slot};
  }

  void grow() {
    index_.assign(index_.size() * 2, entry{});
    mask_ = index_.size() - 1;
    for (slot_index slot = 0; slot < keys_.size(); ++slot) {
      if (live_[slot]) place(hashes_[slot], slot);
    }
  }

  // Backward-shift deletion: no tombstones, look-ups stay short.
  void erase(slot_index slot) {
    std::uint64_t hole = hashes_[slot] & mask_;
    while (index_[hole].slot != slot) hole = (hole + 1) & mask_;
    for (std::uint64_t i = (hole + 1) & mask_; index_[i].slot != no_slot; i = (i + 1) & mask_) {
      const std::uint64_t home = hashes_[index_[i].slot] & mask_;
      if (((i - home) & mask_) >= ((i - hole) & mask_)) {
        index_[hole] = index_[i];
        hole = i;
      }
    }
    index_[hole] = entry{};
    live_[slot] = false;
    if constexpr (std::default_initializable<K>) keys_[slot] = K{};
    free_.push_back(slot);
    --size_;
  }

  std::vector<entry> index_;
  std::uint64_t mask_;
  std::vector<K> keys_;
  std::vector<std::uint64_t> hashes_;
  std::vector<bool> live_;
  std::vector<slot_index> free_;
  std::size_t size_ = 0;
};

}  // namespace millrace
