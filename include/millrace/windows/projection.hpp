// SPDX-License-Identifier: Apache-2.0
/// \file
/// Which part of a record an aggregate looks at: a pointer to a member, a function, or the whole
/// record. Pure functions.
#pragma once

#include <concepts>
#include <functional>
#include <type_traits>

namespace millrace {

/// The part of `in` that `projection` names. Like `std::invoke`, without its header's weight on
/// the hot path.
template <class Projection, class In>
  requires requires(const Projection& p, const In& in) { p(in); }
constexpr decltype(auto) project(const Projection& projection, const In& in) {
  return projection(in);
}
template <class Member, class In>
  requires requires(Member p, const In& in) { in.*p; } && std::is_member_object_pointer_v<Member>
constexpr const auto& project(Member member, const In& in) {
  return in.*member;
}
template <class Function, class In>
  requires requires(Function p, const In& in) { (in.*p)(); }
constexpr decltype(auto) project(Function function, const In& in) {
  return (in.*function)();
}

namespace detail {

template <class F>
struct call_result {
  using type = void;
};
template <class R, class C, class... A>
struct call_result<R (C::*)(A...) const> {
  using type = R;
};
template <class R, class C, class... A>
struct call_result<R (C::*)(A...)> {
  using type = R;
};
template <class R, class C, class... A>
struct call_result<R (C::*)(A...) const noexcept> {
  using type = R;
};
template <class R, class C>
  requires(!std::is_function_v<R>)
struct call_result<R C::*> {
  using type = R;
};
template <class R, class... A>
struct call_result<R (*)(A...)> {
  using type = R;
};
template <class F>
  requires requires { &F::operator(); }
struct call_result<F> : call_result<decltype(&F::operator())> {};

template <class F>
struct call_argument {
  using type = void;
};
template <class R, class C, class A>
struct call_argument<R (C::*)(A) const> {
  using type = A;
};
template <class R, class C, class A>
struct call_argument<R (C::*)(A)> {
  using type = A;
};
template <class R, class C, class A>
struct call_argument<R (C::*)(A) const noexcept> {
  using type = A;
};

/// The record of a projection.
template <class F>
struct projection_source {
  using type = void;
};
template <class R, class C>
struct projection_source<R C::*> {
  using type = C;
};
template <class R, class A>
struct projection_source<R (*)(A)> {
  using type = std::remove_cvref_t<A>;
};
template <class F>
  requires requires { &F::operator(); }
struct projection_source<F> {
  using type = std::remove_cvref_t<typename call_argument<decltype(&F::operator())>::type>;
};

}  // namespace detail

/// The record that a projection takes; void for one that takes several types.
template <class Projection>
using projected_from_t = typename detail::projection_source<Projection>::type;

/// The type that a projection yields; `double` for one whose type depends on the record (a generic
/// lambda, `std::identity`). Aggregates take it as first template argument otherwise.
template <class Projection>
using projected_t =
    std::conditional_t<std::is_void_v<typename detail::call_result<Projection>::type>, double,
                       std::remove_cvref_t<typename detail::call_result<Projection>::type>>;

/// A projection that can be applied to `In` and yields something to compute with.
template <class Projection, class In>
concept numeric_projection =
    requires(const Projection& p, const In& in) { static_cast<double>(project(p, in)); };

}  // namespace millrace
