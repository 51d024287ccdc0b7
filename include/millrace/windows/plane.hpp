// SPDX-License-Identifier: Apache-2.0
/// \file
/// A plane: the states of all keys in one slice. Pages of 64 slots with a presence bit each; a page
/// that holds few states is packed, one that holds many is addressed directly. Planes of one store
/// share a pool of pages. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/record/batch.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace millrace {

/// Slots per page.
inline constexpr std::size_t page_slots = 64;

/// Memory for pages with room for 4 to 64 states. Pages that are given back are used again; memory
/// goes back to the system by `release`, or with the pool. Remembers how full each page was, so
/// that the pages of the next slice start at the right size.
template <class T>
class plane_pool {
 public:
  /// Sizes of packed pages, and of direct ones. The class number must fit three bits.
  static constexpr std::array<std::uint8_t, 8> capacities = {4, 8, 12, 16, 20, 24, 28, page_slots};
  static constexpr unsigned classes = capacities.size();
  static constexpr std::size_t capacity(unsigned c) noexcept { return capacities[c]; }

  /// The smallest class for so many states. A page with more than 28 becomes direct: half of its
  /// memory may be gaps, but it is used without counting bits.
  static constexpr unsigned class_for(std::size_t states) noexcept {
    if (states > capacities[classes - 2]) return classes - 1;
    unsigned c = 0;
    while (capacities[c] < states) ++c;
    return c;
  }

  plane_pool() = default;
  plane_pool(const plane_pool&) = delete;
  plane_pool& operator=(const plane_pool&) = delete;
  ~plane_pool() { release(); }

  /// Gives all memory back to the system. \pre no page is in use
  void release() noexcept {
    for (void* arena : arenas_) ::operator delete(arena, std::align_val_t{alignment});
    arenas_ = {};
    hints_ = {};
    free_.fill(nullptr);
    reserved_ = 0;
  }

  /// Bytes in front of the states of a packed page: its presence bits.
  static constexpr std::size_t header_bytes(unsigned c) noexcept {
    return c == classes - 1 ? 0 : std::max(sizeof(std::uint64_t), alignof(T));
  }

  void* allocate(unsigned c) {
    if (free_[c] == nullptr) refill(c);
    node* block = std::exchange(free_[c], free_[c]->next);
    in_use_ += block_bytes(c);
    return block;
  }
  void deallocate(void* page, unsigned c) noexcept {
    free_[c] = ::new (page) node{free_[c]};
    in_use_ -= block_bytes(c);
  }

  /// Class at which page `i` of a new plane should start.
  unsigned hint(std::size_t i) const noexcept { return i < hints_.size() ? hints_[i] : 0; }
  void set_hint(std::size_t i, unsigned c) {
    if (i >= hints_.size()) hints_.resize(i + 1, 0);
    hints_[i] = static_cast<std::uint8_t>(c);
  }

  void learn(std::size_t i, unsigned c) noexcept {
    if (i < hints_.size()) hints_[i] = static_cast<std::uint8_t>(c);
  }

  /// Bytes of pages in use, and bytes held.
  std::size_t bytes_in_use() const noexcept { return in_use_; }
  std::size_t bytes_reserved() const noexcept { return reserved_; }

 private:
  struct node {
    node* next;
  };
  static constexpr std::size_t alignment = std::max<std::size_t>(64, alignof(T));
  static constexpr std::size_t arena_bytes = 32768;

  static constexpr std::size_t block_bytes(unsigned c) noexcept {
    const std::size_t bytes = header_bytes(c) + capacity(c) * sizeof(T);
    const std::size_t unit =
        c == classes - 1 ? alignment : std::max<std::size_t>(alignof(T), sizeof(node));
    return (bytes + unit - 1) / unit * unit;
  }

  MILLRACE_NOINLINE void refill(unsigned c) {
    const std::size_t size = block_bytes(c);
    const std::size_t n = std::max<std::size_t>(1, arena_bytes / size);
    arenas_.reserve(arenas_.size() + 1);
    auto* arena = static_cast<std::byte*>(::operator new(n* size, std::align_val_t{alignment}));
    arenas_.push_back(arena);
    reserved_ += n * size;
    for (std::size_t i = n; i-- > 0;) {
      free_[c] = ::new (static_cast<void*>(arena + i * size)) node{free_[c]};
    }
  }

  std::array<node*, classes> free_{};
  std::vector<void*> arenas_;
  std::vector<std::uint8_t> hints_;
  std::size_t in_use_ = 0;
  std::size_t reserved_ = 0;
};

/// slot -> state. Addresses change when states are inserted. Give it the same pool always, and
/// call `clear` before it is destroyed.
template <class T>
class plane {
 public:
  using pool = plane_pool<T>;

  /// Whether direct pages hold an empty state for slots without one: then they can be combined
  /// without looking at presence bits.
  static constexpr bool fills_gaps =
      std::is_trivially_copyable_v<T> && std::is_nothrow_default_constructible_v<T>;

  /// The states of 64 slots. A direct page has room for all of them, a packed one holds them by
  /// ascending slot, with the presence bits in front. 16 bytes.
  class page {
   public:
    /// Presence bits.
    std::uint64_t present() const noexcept {
      return MILLRACE_LIKELY(packed() == 0) ? direct_ : packed_present();
    }
    bool allocated() const noexcept { return address_ != 0; }
    bool is_direct() const noexcept { return packed() == 0; }
    /// Bit `b` of it says that the state is at `direct_states() + b`.
    std::uint64_t direct() const noexcept { return direct_; }
    T* direct_states() const noexcept { return reinterpret_cast<T*>(address_); }

    /// \pre bit `b` of `present()` is set
    T& at(unsigned b) const noexcept {
      if (MILLRACE_LIKELY(is_direct())) return direct_states()[b];
      const std::uint64_t before = packed_present() & ((std::uint64_t{1} << b) - 1);
      return states()[std::popcount(before)];
    }

    /// Calls `visit(b, state)` for all states in order of slots.
    template <class F>
    void for_each(F&& visit) const {
      T* next = states();
      std::uint64_t bits = present();
      if (bits == ~std::uint64_t{0}) {
        for (unsigned b = 0; b < page_slots; ++b) visit(b, next[b]);
      } else if (is_direct()) {
        for (; bits != 0; bits &= bits - 1) {
          const auto b = static_cast<unsigned>(std::countr_zero(bits));
          visit(b, next[b]);
        }
      } else {
        for (; bits != 0; bits &= bits - 1) {
          visit(static_cast<unsigned>(std::countr_zero(bits)), *next++);
        }
      }
    }

   private:
    friend class plane;

    std::uintptr_t packed() const noexcept { return address_ & 7; }
    std::uint64_t& packed_present() const noexcept {
      return *reinterpret_cast<std::uint64_t*>(address_ & ~std::uintptr_t{7});
    }
    unsigned size_class() const noexcept {
      return is_direct() ? pool::classes - 1 : static_cast<unsigned>(packed()) - 1;
    }
    T* states() const noexcept {
      return reinterpret_cast<T*>((address_ & ~std::uintptr_t{7}) +
                                  (is_direct() ? 0 : pool::header_bytes(0)));
    }

    std::uint64_t direct_ = 0;    // presence bits of a direct page
    std::uintptr_t address_ = 0;  // low bits: 0 for a direct page, else class + 1
  };

  std::size_t pages() const noexcept { return pages_.size(); }

  /// Page `i`, an empty one if there is none.
  page page_at(std::size_t i) const noexcept { return i < pages_.size() ? pages_[i] : page{}; }

  const page* page_data() const noexcept { return pages_.data(); }

  /// The state of a slot, or nullptr. O(1).
  T* find(slot_index slot) const noexcept {
    const std::size_t i = slot / page_slots;
    if (MILLRACE_UNLIKELY(i >= pages_.size())) return nullptr;
    const page& p = pages_[i];
    const unsigned b = slot % page_slots;
    return (p.present() >> b & 1) == 0 ? nullptr : &p.at(b);
  }

  /// Adds a state for a slot that has none if that is a matter of a few instructions: its page is a
  /// direct one. Otherwise nullptr. O(1).
  T* try_insert(slot_index slot) noexcept(std::is_nothrow_default_constructible_v<T>) {
    const std::size_t i = slot / page_slots;
    if (i >= pages_.size() || !pages_[i].allocated() || !pages_[i].is_direct()) return nullptr;
    T* place = pages_[i].direct_states() + slot % page_slots;
    if constexpr (!fills_gaps) std::construct_at(place);
    pages_[i].direct_ |= std::uint64_t{1} << slot % page_slots;
    return place;
  }

  /// Adds a state for a slot that has none. O(1), or O(page) for packed pages.
  MILLRACE_NOINLINE T& insert(slot_index slot, pool& from, T state = T{}) {
    const std::size_t i = slot / page_slots;
    if (i >= pages_.size()) pages_.resize(i + 1);
    page& p = pages_[i];
    const unsigned b = slot % page_slots;
    const auto used = static_cast<std::size_t>(std::popcount(p.present()));
    if (!p.allocated()) {
      allocate(p, from, from.hint(i));
    } else if (!p.is_direct() && used == pool::capacity(p.size_class())) {
      grow(p, from);
    }
    const std::uint64_t bit = std::uint64_t{1} << b;
    if (p.is_direct()) {
      T* place = std::construct_at(p.states() + b, std::move(state));
      p.direct_ |= bit;
      return *place;
    }
    T* place = p.states() + std::popcount(p.packed_present() & (bit - 1));
    for (T* last = p.states() + used; last != place; --last) {
      std::construct_at(last, std::move(last[-1]));
      std::destroy_at(last - 1);
    }
    std::construct_at(place, std::move(state));
    p.packed_present() |= bit;
    return *place;
  }

  /// Sets the state of a slot. O(1), or O(page) for packed pages.
  void set(slot_index slot, pool& from, const T& state) {
    if (T* old = find(slot); old != nullptr) {
      *old = state;
    } else {
      insert(slot, from, state);
    }
  }

  /// Replaces page `i` by the states `source[b]` for the bits of `mask`.
  void assign_page(std::size_t i, pool& from, std::uint64_t mask, const T* source) {
    if (i >= pages_.size()) pages_.resize(i + 1);
    page& p = pages_[i];
    release(p, from);
    if (mask == 0) return;
    allocate(p, from, pool::class_for(static_cast<std::size_t>(std::popcount(mask))));
    T* next = p.states();
    const bool direct = p.is_direct();
    for (std::uint64_t bits = mask; bits != 0; bits &= bits - 1) {
      const auto b = static_cast<unsigned>(std::countr_zero(bits));
      std::construct_at(direct ? next + b : next++, source[b]);
    }
    (direct ? p.direct_ : p.packed_present()) = mask;
  }

  /// Tells the pool how full the pages of this plane are.
  void teach(pool& to) const {
    for (std::size_t i = 0; i < pages_.size(); ++i) {
      to.set_hint(i, pool::class_for(static_cast<std::size_t>(std::popcount(pages_[i].present()))));
    }
  }

  /// Destroys all states and gives the pages back.
  void clear(pool& to) noexcept {
    for (page& each : pages_) release(each, to);
    pages_.clear();
  }

  std::size_t directory_bytes() const noexcept { return pages_.capacity() * sizeof(page); }

 private:
  static void allocate(page& p, pool& from, unsigned c) {
    void* block = from.allocate(c);
    p.direct_ = 0;
    p.address_ = reinterpret_cast<std::uintptr_t>(block);
    if (c == pool::classes - 1) {
      if constexpr (fills_gaps) {
        std::uninitialized_value_construct_n(static_cast<T*>(block), page_slots);
      }
      return;
    }
    ::new (block) std::uint64_t{0};
    p.address_ |= c + 1;
  }

  static void release(page& p, pool& to) noexcept {
    if (!p.allocated()) return;
    if constexpr (!std::is_trivially_destructible_v<T>) {
      p.for_each([](unsigned, T& state) { std::destroy_at(&state); });
    }
    give_back(p, to);
    p = page{};
  }

  static void give_back(const page& p, pool& to) noexcept {
    to.deallocate(reinterpret_cast<void*>(p.address_ & ~std::uintptr_t{7}), p.size_class());
  }

  static void grow(page& p, pool& from) {
    const page old = p;
    allocate(p, from, old.size_class() + 1);
    T* next = p.states();
    const bool direct = p.is_direct();
    old.for_each([&](unsigned b, T& state) {
      std::construct_at(direct ? next + b : next++, std::move(state));
      std::destroy_at(&state);
    });
    (direct ? p.direct_ : p.packed_present()) = old.present();
    give_back(old, from);
  }

  std::vector<page> pages_;
};

}  // namespace millrace
