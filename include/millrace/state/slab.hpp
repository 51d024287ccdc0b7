// SPDX-License-Identifier: Apache-2.0
/// \file
/// Per-key state of one operator: a chunked array indexed by slot, with a bit for every slot that
/// is in use. Addresses are stable until `reset`. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/record/batch.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace millrace {

/// One `T` per slot in use. Access is O(1): two dependent loads. Chunks of about 32 KiB are
/// allocated on first use and freed when their last value is reset (one is kept in reserve).
template <class T>
class slab {
 public:
  /// Slots per chunk, a power of two.
  static constexpr std::size_t chunk_slots =
      std::clamp<std::size_t>(std::bit_floor(32768 / sizeof(T) | 1), 64, 1024);

  slab() = default;
  slab(slab&& other) noexcept
      : chunks_(std::move(other.chunks_)),
        spare_(std::move(other.spare_)),
        size_(std::exchange(other.size_, 0)),
        allocated_(std::exchange(other.allocated_, 0)) {
    other.chunks_.clear();
  }
  slab& operator=(slab&& other) noexcept {
    std::swap(chunks_, other.chunks_);
    std::swap(spare_, other.spare_);
    std::swap(size_, other.size_);
    std::swap(allocated_, other.allocated_);
    return *this;
  }
  ~slab() { clear(); }

  /// The value of a slot, or nullptr.
  T* find(slot_index slot) noexcept {
    const std::size_t i = slot / chunk_slots;
    if (i >= chunks_.size() || chunks_[i] == nullptr) return nullptr;
    const std::size_t offset = slot % chunk_slots;
    return chunks_[i]->has(offset) ? chunks_[i]->at(offset) : nullptr;
  }
  const T* find(slot_index slot) const noexcept { return const_cast<slab*>(this)->find(slot); }

  bool contains(slot_index slot) const noexcept { return find(slot) != nullptr; }

  /// The value of a slot, made from `arguments` if there is none. Strong exception guarantee.
  template <class... Args>
  T& obtain(slot_index slot, Args&&... arguments) {
    if (T* present = find(slot); MILLRACE_LIKELY(present != nullptr)) return *present;
    return insert(slot, std::forward<Args>(arguments)...);
  }
  T& operator[](slot_index slot) { return obtain(slot); }

  /// Destroys the value of a slot. False if there was none.
  bool reset(slot_index slot) noexcept {
    T* value = find(slot);
    if (value == nullptr) return false;
    std::unique_ptr<chunk>& c = chunks_[slot / chunk_slots];
    std::destroy_at(value);
    c->words[slot % chunk_slots / 64] &= ~(std::uint64_t{1} << (slot % 64));
    --size_;
    if (--c->used == 0) {
      if (spare_ == nullptr) {
        spare_ = std::move(c);
      } else {
        c.reset();
        --allocated_;
      }
    }
    return true;
  }

  /// Calls `visit(slot, value)` in order of slots. `visit` may reset the slot it is called with.
  template <class F>
  void for_each(F&& visit) {
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
      for (std::size_t w = 0; w < chunk_slots / 64; ++w) {
        if (chunks_[i] == nullptr) break;
        for (std::uint64_t bits = chunks_[i]->words[w]; bits != 0; bits &= bits - 1) {
          const std::size_t offset = w * 64 + static_cast<std::size_t>(std::countr_zero(bits));
          visit(static_cast<slot_index>(i * chunk_slots + offset), *chunks_[i]->at(offset));
        }
      }
    }
  }
  template <class F>
  void for_each(F&& visit) const {
    const_cast<slab*>(this)->for_each(
        [&visit](slot_index slot, T& value) { visit(slot, std::as_const(value)); });
  }

  /// Asks the processor to load the value of a slot.
  void prefetch(slot_index slot) const noexcept {
    const std::size_t i = slot / chunk_slots;
    if (i < chunks_.size() && chunks_[i] != nullptr) {
      MILLRACE_PREFETCH(chunks_[i]->at(slot % chunk_slots));
    }
  }

  /// Values in use.
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// Bytes held, without what the values themselves own.
  std::size_t memory_bytes() const noexcept {
    return allocated_ * sizeof(chunk) + chunks_.capacity() * sizeof(chunks_[0]);
  }

  /// Destroys all values and frees the memory.
  void clear() noexcept {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      for_each([](slot_index, T& value) { std::destroy_at(&value); });
    }
    chunks_.clear();
    spare_.reset();
    size_ = 0;
    allocated_ = 0;
  }

 private:
  struct chunk {
    std::uint64_t words[chunk_slots / 64] = {};
    std::size_t used = 0;
    alignas(T) std::byte bytes[chunk_slots * sizeof(T)];

    bool has(std::size_t offset) const noexcept {
      return (words[offset / 64] >> (offset % 64) & 1) != 0;
    }
    T* at(std::size_t offset) noexcept { return reinterpret_cast<T*>(bytes) + offset; }
  };

  template <class... Args>
  MILLRACE_NOINLINE T& insert(slot_index slot, Args&&... arguments) {
    const std::size_t i = slot / chunk_slots;
    if (i >= chunks_.size()) chunks_.resize(i + 1);
    if (chunks_[i] == nullptr) {
      if (spare_ == nullptr) {
        spare_.reset(new chunk);
        ++allocated_;
      }
      chunks_[i] = std::move(spare_);
    }
    chunk& c = *chunks_[i];
    const std::size_t offset = slot % chunk_slots;
    T* value = std::construct_at(c.at(offset), std::forward<Args>(arguments)...);
    c.words[offset / 64] |= std::uint64_t{1} << (offset % 64);
    ++c.used;
    ++size_;
    return *value;
  }

  std::vector<std::unique_ptr<chunk>> chunks_;
  std::unique_ptr<chunk> spare_;
  std::size_t size_ = 0;
  std::size_t allocated_ = 0;
};

}  // namespace millrace
