// SPDX-License-Identifier: Apache-2.0
/// \file
/// A callable that is moved, never copied, so that it may own what cannot be copied: completion
/// handlers, coroutines, replies. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace millrace {

template <class Signature>
class unique_function;

/// Holds callables of up to `inline_size` bytes that move without throwing in place, others in one
/// allocation. Calling an empty one is undefined.
template <class R, class... Args>
class unique_function<R(Args...)> {
 public:
  static constexpr std::size_t inline_size = 6 * sizeof(void*);

  unique_function() = default;
  unique_function(std::nullptr_t) noexcept {}

  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, unique_function> &&
             std::is_invocable_r_v<R, std::remove_cvref_t<F>&, Args...>)
  unique_function(F&& callable) {
    using callable_type = std::remove_cvref_t<F>;
    if constexpr (fits<callable_type>) {
      std::construct_at(reinterpret_cast<callable_type*>(storage_), std::forward<F>(callable));
      table_ = &table_of<callable_type, false>;
    } else {
      *reinterpret_cast<callable_type**>(storage_) = new callable_type(std::forward<F>(callable));
      table_ = &table_of<callable_type, true>;
    }
  }

  unique_function(unique_function&& other) noexcept : table_(std::exchange(other.table_, nullptr)) {
    if (table_ != nullptr) table_->relocate(other.storage_, storage_);
  }
  unique_function& operator=(unique_function&& other) noexcept {
    if (this == &other) return *this;
    reset();
    table_ = std::exchange(other.table_, nullptr);
    if (table_ != nullptr) table_->relocate(other.storage_, storage_);
    return *this;
  }
  unique_function(const unique_function&) = delete;
  unique_function& operator=(const unique_function&) = delete;
  ~unique_function() { reset(); }

  explicit operator bool() const noexcept { return table_ != nullptr; }

  R operator()(Args... args) {
    MILLRACE_ASSERT(table_ != nullptr);
    return table_->call(storage_, std::forward<Args>(args)...);
  }

  /// Destroys the callable, and what it owns.
  void reset() noexcept {
    if (const auto* table = std::exchange(table_, nullptr)) table->destroy(storage_);
  }

 private:
  struct operations {
    R (*call)(void*, Args&&...);
    void (*relocate)(void* from, void* to) noexcept;
    void (*destroy)(void*) noexcept;
  };

  template <class F>
  static constexpr bool fits = sizeof(F) <= inline_size && alignof(F) <= alignof(void*) &&
                               std::is_nothrow_move_constructible_v<F>;

  template <class F, bool Heap>
  static F& target(void* storage) noexcept {
    if constexpr (Heap) {
      return **reinterpret_cast<F**>(storage);
    } else {
      return *std::launder(reinterpret_cast<F*>(storage));
    }
  }

  template <class F, bool Heap>
  static constexpr operations table_of{
      [](void* storage, Args&&... args) -> R {
        return target<F, Heap>(storage)(std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept {
        if constexpr (Heap) {
          *reinterpret_cast<F**>(to) = *reinterpret_cast<F**>(from);
        } else {
          std::construct_at(reinterpret_cast<F*>(to), std::move(target<F, false>(from)));
          std::destroy_at(&target<F, false>(from));
        }
      },
      [](void* storage) noexcept {
        if constexpr (Heap) {
          delete &target<F, true>(storage);
        } else {
          std::destroy_at(&target<F, false>(storage));
        }
      }};

  alignas(void*) std::byte storage_[inline_size];
  const operations* table_ = nullptr;
};

}  // namespace millrace
