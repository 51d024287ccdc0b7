// SPDX-License-Identifier: Apache-2.0
/// \file
/// The roles that functions play in a pipeline, as concepts.
#pragma once

#include <concepts>
#include <functional>
#include <iterator>
#include <type_traits>

namespace millrace {

/// `f(const T&)` returns a value.
template <class F, class T>
concept mapper =
    std::is_invocable_v<F&, const T&> && !std::is_void_v<std::invoke_result_t<F&, const T&>>;

/// `f(const T&)` returns something that converts to bool.
template <class F, class T>
concept filterer = std::is_invocable_r_v<bool, F&, const T&>;

/// `f(const T&)` can be called; what it returns is ignored.
template <class F, class T>
concept inspector = std::is_invocable_v<F&, const T&>;

/// `f(const T&)` returns a range.
template <class F, class T>
concept flat_mapper = mapper<F, T> && requires(std::invoke_result_t<F&, const T&>& range) {
  std::begin(range);
  std::end(range);
};

/// `f(const T&)` returns something that converts to `timestamp`.
template <class F, class T>
concept time_extractor =
    mapper<F, T> && requires(std::invoke_result_t<F&, const T&> time) { time.time_since_epoch(); };

/// For static_asserts that must fail only when instantiated.
template <class...>
inline constexpr bool wrong = false;

}  // namespace millrace
