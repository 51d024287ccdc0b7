// SPDX-License-Identifier: Apache-2.0
/// \file
/// What leaves a window operator: the result with key and window, or what a function of the user's
/// makes of them. Not thread safe.
#pragma once

#include <millrace/operators/context.hpp>
#include <millrace/record/batch.hpp>
#include <millrace/windows/window.hpp>

#include <boost/describe/class.hpp>

#include <type_traits>
#include <utility>

namespace millrace {

/// What a window comes to for one key. The record's time is the window's last tick; that of global
/// and count windows the time of the record or timer that made them fire.
template <class K, class R>
struct window_result {
  K key;
  millrace::window window;
  R value;

  friend bool operator==(const window_result&, const window_result&) = default;
  BOOST_DESCRIBE_CLASS(window_result, (), (key, window, value), (), ())
};

/// Emits a `window_result`.
template <class K, class R>
struct to_window_result {
  using output_type = window_result<K, R>;

  template <class Result>
  void operator()(const K& key, const window& w, Result&& result,
                  operator_context<output_type>& c) const {
    if constexpr (recycle_values<output_type>) {
      // Filled in place: the key's memory is used again.
      output_type& r = c.out().next(c.time(), c.slot());
      r.key = key;
      r.window = w;
      r.value = std::forward<Result>(result);
      c.out().committed();
    } else {
      c.emit(output_type{key, w, std::forward<Result>(result)});
    }
  }
};

/// Emits what `f(key, window, result)` returns; or `f(key, window, result, ctx)` emits `Out` any
/// number of times through `ctx`, an `operator_context<Out>`.
template <class Out, class F>
struct to_function {
  using output_type = Out;

  template <class K, class Result>
  void operator()(const K& key, const window& w, const Result& result,
                  operator_context<Out>& c) const {
    if constexpr (std::is_invocable_v<const F&, const K&, const window&, const Result&,
                                      operator_context<Out>&>) {
      f(key, w, result, c);
    } else {
      c.emit(f(key, w, result));
    }
  }

  F f;
};

/// The function's result type, or `Out` where that is given.
template <class Out, class F, class... Args>
struct window_function_result {
  using type = Out;
};
template <class F, class... Args>
struct window_function_result<void, F, Args...> {
  using type = std::decay_t<std::invoke_result_t<const F&, Args...>>;
};

/// Whether `f` can follow a window: with a context it needs `Out`, without one it returns a value.
template <class Out, class F, class... Args>
consteval bool window_function_for() {
  if constexpr (std::is_void_v<Out>) {
    if constexpr (std::is_invocable_v<const F&, Args...>) {
      return !std::is_void_v<std::invoke_result_t<const F&, Args...>>;
    } else {
      return false;
    }
  } else if constexpr (std::is_invocable_v<const F&, Args..., operator_context<Out>&>) {
    return true;
  } else {
    return std::is_invocable_r_v<Out, const F&, Args...>;
  }
}

}  // namespace millrace
