// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reads types off the signatures of user functions: the state of a process function, the result of
/// an asynchronous one. Compile time only.
#pragma once

#include <millrace/operators/async.hpp>

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace millrace {

namespace detail {

template <class F>
struct signature;
template <class C, class R, class... A>
struct signature<R (C::*)(A...)> {
  template <std::size_t I>
  using argument = std::tuple_element_t<I, std::tuple<A...>>;
  static constexpr std::size_t arity = sizeof...(A);
};
template <class C, class R, class... A>
struct signature<R (C::*)(A...) const> : signature<R (C::*)(A...)> {};
template <class C, class R, class... A>
struct signature<R (C::*)(A...) noexcept> : signature<R (C::*)(A...)> {};
template <class C, class R, class... A>
struct signature<R (C::*)(A...) const noexcept> : signature<R (C::*)(A...)> {};

/// The call operator, with `Context` for a trailing `auto&`.
template <class F, class Context>
consteval auto call_operator() {
  if constexpr (requires { &F::operator(); }) {
    return &F::operator();
  } else if constexpr (requires { &F::template operator()<Context>; }) {
    return &F::template operator()<Context>;
  } else {
    return nullptr;
  }
}

template <class R>
struct reply_of;
template <class R>
struct reply_of<async_reply<R>> {
  using type = R;
};

}  // namespace detail

/// State of a process function `f(const T&, State&, ctx&)`, or void when it cannot be seen.
template <class F, class Context>
consteval auto process_state_of() {
  constexpr auto call = detail::call_operator<F, Context>();
  if constexpr (!std::is_same_v<decltype(call), const std::nullptr_t>) {
    using sig = detail::signature<std::remove_const_t<decltype(call)>>;
    if constexpr (sig::arity == 3) {
      return std::type_identity<std::remove_cvref_t<typename sig::template argument<1>>>{};
    } else {
      return std::type_identity<void>{};
    }
  } else {
    return std::type_identity<void>{};
  }
}
template <class F, class Context>
using process_state_t = typename decltype(process_state_of<F, Context>())::type;

/// How other kinds of asynchronous functions (coroutines) become callback functions; specialized
/// for `boost::asio::awaitable<R>` in operators/awaitable.hpp. Members: `result_type`, `static void
/// start(F&, const T&, async_reply<result_type>)`.
template <class Returned>
struct async_adapter {
  static constexpr bool known = false;
};

/// The result of an asynchronous function: what it returns as a coroutine, its `result_type`, or R
/// of its `async_reply<R>` parameter; void when it cannot be seen.
template <class F, class T>
consteval auto async_result_of() {
  if constexpr (std::is_invocable_v<F&, const T&>) {
    using returned = std::invoke_result_t<F&, const T&>;
    if constexpr (async_adapter<returned>::known) {
      return std::type_identity<typename async_adapter<returned>::result_type>{};
    } else {
      return std::type_identity<void>{};
    }
  } else if constexpr (requires { typename F::result_type; }) {
    return std::type_identity<typename F::result_type>{};
  } else if constexpr (requires { &F::operator(); }) {
    using sig = detail::signature<decltype(&F::operator())>;
    using last = std::remove_cvref_t<typename sig::template argument<sig::arity - 1>>;
    if constexpr (requires { typename detail::reply_of<last>::type; }) {
      return std::type_identity<typename detail::reply_of<last>::type>{};
    } else {
      return std::type_identity<void>{};
    }
  } else {
    return std::type_identity<void>{};
  }
}
template <class F, class T>
using async_result_t = typename decltype(async_result_of<F, T>())::type;

namespace detail {

template <class R, class F, class T>
struct async_result_or {
  using type = R;
};
template <class F, class T>
struct async_result_or<void, F, T> {
  using type = async_result_t<F, T>;
};

}  // namespace detail

/// Calls an asynchronous function of either kind.
template <class F>
struct any_async {
  F f;
  template <class T, class R>
  void operator()(const T& value, async_reply<R> reply) {
    if constexpr (std::is_invocable_v<F&, const T&>) {
      async_adapter<std::invoke_result_t<F&, const T&>>::start(f, value, std::move(reply));
    } else {
      std::invoke(f, value, std::move(reply));
    }
  }
};

}  // namespace millrace
