// SPDX-License-Identifier: Apache-2.0
/// \file
/// A batch: a run of values with their event times and, behind a `key_by`, the slots of their keys.
/// Columns have a fixed capacity and are recycled, so that the steady state allocates nothing. Not
/// thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>
#include <millrace/record/buffer.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace millrace {

/// Dense index of a key in its key table; state of operators is addressed by it.
using slot_index = std::uint32_t;

inline constexpr slot_index no_slot = ~slot_index{0};

/// Default records per batch: larger brings less than 10 % and costs cache and latency.
inline constexpr std::size_t default_batch_capacity = 512;

/// Whether values stay constructed when a batch is cleared, so that the memory they own (strings,
/// vectors) is used again. Specialize to false for types that hold scarce things.
template <class T>
inline constexpr bool recycle_values =
    std::is_default_constructible_v<T> && std::is_move_assignable_v<T> &&
    !std::is_trivially_destructible_v<T> && !requires(const T& v) {
      { v.owner } -> std::convertible_to<const shared_buffer&>;
    };

template <class T>
class batch {
 public:
  using value_type = T;

  explicit batch(std::size_t capacity = default_batch_capacity)
      : capacity_(capacity),
        values_(std::allocator<T>{}.allocate(capacity)),
        times_(new timestamp[capacity]),
        slots_(new slot_index[capacity]) {}

  batch(batch&& other) noexcept
      : capacity_(std::exchange(other.capacity_, 0)),
        size_(std::exchange(other.size_, 0)),
        constructed_(std::exchange(other.constructed_, 0)),
        values_(std::exchange(other.values_, nullptr)),
        times_(std::move(other.times_)),
        slots_(std::move(other.slots_)) {}
  batch& operator=(batch&& other) noexcept {
    batch moved(std::move(other));
    swap(moved);
    return *this;
  }
  batch(const batch&) = delete;
  batch& operator=(const batch&) = delete;
  ~batch() {
    if (values_ == nullptr) return;
    std::destroy_n(values_, constructed_);
    std::allocator<T>{}.deallocate(values_, capacity_);
  }

  void swap(batch& other) noexcept {
    std::swap(capacity_, other.capacity_);
    std::swap(size_, other.size_);
    std::swap(constructed_, other.constructed_);
    std::swap(values_, other.values_);
    times_.swap(other.times_);
    slots_.swap(other.slots_);
  }

  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  bool empty() const noexcept { return size_ == 0; }
  bool full() const noexcept { return size_ == capacity_; }

  T* values() noexcept { return values_; }
  const T* values() const noexcept { return values_; }
  T& value(std::size_t i) noexcept { return values_[i]; }
  const T& value(std::size_t i) const noexcept { return values_[i]; }
  timestamp time(std::size_t i) const noexcept { return times_[i]; }
  timestamp* times() noexcept { return times_.get(); }
  const timestamp* times() const noexcept { return times_.get(); }
  slot_index slot(std::size_t i) const noexcept { return slots_[i]; }
  slot_index* slots() noexcept { return slots_.get(); }
  const slot_index* slots() const noexcept { return slots_.get(); }

  /// Appends. \pre `!full()`. Amortized O(1), no allocation by the batch itself.
  template <class U>
  void push(U&& value, timestamp time, slot_index slot = no_slot) {
    MILLRACE_ASSERT(size_ < capacity_);
    if constexpr (recycle_values<T> && std::is_assignable_v<T&, U&&>) {
      if (size_ < constructed_) {
        values_[size_] = std::forward<U>(value);
      } else {
        std::construct_at(values_ + size_, std::forward<U>(value));
        ++constructed_;
      }
    } else {
      std::construct_at(values_ + size_, std::forward<U>(value));
      if constexpr (tracked) constructed_ = size_ + 1;
    }
    times_[size_] = time;
    slots_[size_] = slot;
    ++size_;
  }

  /// Appends a value to be filled in place: an old one when values are recycled, so its members
  /// may hold anything and keep their memory. \pre `!full()`
  T& push_recycled(timestamp time, slot_index slot = no_slot)
    requires std::default_initializable<T>
  {
    MILLRACE_ASSERT(size_ < capacity_);
    if (!recycle_values<T> || size_ >= constructed_) {
      std::construct_at(values_ + size_);
      if constexpr (tracked) constructed_ = size_ + 1;
    }
    times_[size_] = time;
    slots_[size_] = slot;
    return values_[size_++];
  }

  /// Takes back the last value. \pre `!empty()`
  void pop() noexcept {
    --size_;
    if constexpr (tracked && !recycle_values<T>) {
      std::destroy_at(values_ + size_);
      constructed_ = size_;
    }
  }

  /// Forgets all records; memory stays.
  void clear() noexcept {
    if constexpr (tracked && !recycle_values<T>) {
      std::destroy_n(values_, constructed_);
      constructed_ = 0;
    }
    size_ = 0;
  }

  /// Appends a run of values: the position stays in a register and is written back by `commit`.
  /// Until then the batch must not be used otherwise.
  class appender {
   public:
    explicit appender(batch& to) noexcept
        : batch_(&to),
          values_(to.values_),
          times_(to.times_.get()),
          slots_(to.slots_.get()),
          size_(to.size_),
          capacity_(to.capacity_) {}

    std::size_t room() const noexcept {
      return tracked ? batch_->capacity_ - batch_->size_ : capacity_ - size_;
    }

    /// \pre `room() > 0`
    template <class U>
    MILLRACE_ALWAYS_INLINE void push(U&& value, timestamp time, slot_index slot = no_slot) {
      if constexpr (tracked) {
        batch_->push(std::forward<U>(value), time, slot);
      } else {
        MILLRACE_ASSERT(size_ < capacity_);
        std::construct_at(values_ + size_, std::forward<U>(value));
        times_[size_] = time;
        slots_[size_] = slot;
        ++size_;
      }
    }

    /// Appends a value to be filled in place, as `push_recycled` does. \pre `room() > 0`
    MILLRACE_ALWAYS_INLINE T& push_recycled(timestamp time, slot_index slot = no_slot)
      requires std::default_initializable<T>
    {
      if constexpr (tracked) {
        return batch_->push_recycled(time, slot);
      } else {
        push(T{}, time, slot);
        return values_[size_ - 1];
      }
    }

    /// Takes back the last value.
    void pop() noexcept {
      if constexpr (tracked) {
        batch_->pop();
      } else {
        --size_;
      }
    }

    void commit() noexcept {
      if constexpr (!tracked) batch_->size_ = size_;
    }

   private:
    batch* batch_;
    T* values_;
    timestamp* times_;
    slot_index* slots_;
    std::size_t size_;
    std::size_t capacity_;
  };

 private:
  // Values that need no destruction are not counted.
  static constexpr bool tracked = !std::is_trivially_destructible_v<T>;

  std::size_t capacity_;
  std::size_t size_ = 0;
  std::size_t constructed_ = 0;  // if `tracked`: values_[0, constructed_) are alive; >= size_
  T* values_;
  std::unique_ptr<timestamp[]> times_;
  std::unique_ptr<slot_index[]> slots_;
};

}  // namespace millrace
