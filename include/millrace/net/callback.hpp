// SPDX-License-Identifier: Apache-2.0
/// \file
/// A move-only function object for completions of I/O: what captures up to six pointers is stored
/// in place, so that reading and writing allocate nothing. As thread safe as the function it holds.
#pragma once

#include <millrace/base/config.hpp>

#include <concepts>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace millrace::net {

template <class Signature>
class callback;

/// Holds a function of the given signature, or none. (`std::function` would have to allocate for a
/// captured `std::shared_ptr`; `std::move_only_function` came with C++23.)
template <class R, class... Args>
class callback<R(Args...)> {
 public:
  callback() noexcept = default;

  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, callback> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  callback(F&& function) {  // NOLINT: implicit, as for std::function
    using stored = std::decay_t<F>;
    if constexpr (fits<stored>) {
      ::new (static_cast<void*>(storage_)) stored(std::forward<F>(function));
      operations_ = &in_place<stored>;
    } else {
      ::new (static_cast<void*>(storage_)) stored*(new stored(std::forward<F>(function)));
      operations_ = &on_heap<stored>;
    }
  }

  callback(callback&& other) noexcept { take(other); }
  callback& operator=(callback&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  callback(const callback&) = delete;
  callback& operator=(const callback&) = delete;
  ~callback() { reset(); }

  explicit operator bool() const noexcept { return operations_ != nullptr; }

  /// \pre holds a function
  R operator()(Args... args) {
    MILLRACE_ASSERT(operations_ != nullptr);
    return operations_->call(storage_, std::forward<Args>(args)...);
  }

  void reset() noexcept {
    if (operations_ == nullptr) return;
    std::exchange(operations_, nullptr)->destroy(storage_);
  }

 private:
  static constexpr std::size_t capacity = 6 * sizeof(void*);

  template <class F>
  static constexpr bool fits = sizeof(F) <= capacity && alignof(F) <= alignof(void*) &&
                               std::is_nothrow_move_constructible_v<F>;

  struct operations {
    R (*call)(void*, Args&&...);
    void (*move)(void* from, void* to) noexcept;
    void (*destroy)(void*) noexcept;
  };

  template <class F>
  static constexpr operations in_place{[](void* f, Args&&... args) -> R {
                                         return (*static_cast<F*>(f))(std::forward<Args>(args)...);
                                       },
                                       [](void* from, void* to) noexcept {
                                         ::new (to) F(std::move(*static_cast<F*>(from)));
                                         static_cast<F*>(from)->~F();
                                       },
                                       [](void* f) noexcept { static_cast<F*>(f)->~F(); }};

  template <class F>
  static constexpr operations on_heap{
      [](void* f, Args&&... args) -> R {
        return (**static_cast<F**>(f))(std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept { ::new (to) F*(*static_cast<F**>(from)); },
      [](void* f) noexcept { delete *static_cast<F**>(f); }};

  void take(callback& other) noexcept {
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_ != nullptr) operations_->move(other.storage_, storage_);
  }

  const operations* operations_ = nullptr;
  alignas(void*) std::byte storage_[capacity];
};

}  // namespace millrace::net
