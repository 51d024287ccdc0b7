// SPDX-License-Identifier: Apache-2.0
/// \file
/// A text option of a sink: fixed, or derived from each record by a member or a function. Lets
/// options stay plain structs although the record's type is known only to the stream. Copies share
/// nothing; as thread safe as the function it holds.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/connectors/detail/type_tag.hpp>

#include <charconv>
#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace millrace {

namespace detail {

/// The parameter type of a callable with one parameter, or the class of a member pointer; void
/// when that cannot be said (overloads, generic lambdas).
template <class F>
struct record_type {
  using type = void;
};
template <class F>
  requires requires { &F::operator(); }
struct record_type<F> : record_type<decltype(&F::operator())> {};
template <class R, class A>
struct record_type<R (*)(A)> {
  using type = std::remove_cvref_t<A>;
};
template <class R, class A>
struct record_type<R (*)(A) noexcept> : record_type<R (*)(A)> {};
template <class R, class C, class A>
struct record_type<R (C::*)(A) const> : record_type<R (*)(A)> {};
template <class R, class C, class A>
struct record_type<R (C::*)(A) const noexcept> : record_type<R (*)(A)> {};
template <class R, class C, class A>
struct record_type<R (C::*)(A)> : record_type<R (*)(A)> {};
template <class R, class C>
struct record_type<R (C::*)() const> {
  using type = C;
};
template <class R, class C>
struct record_type<R (C::*)() const noexcept> {
  using type = C;
};
template <class M, class C>
  requires(!std::is_function_v<M>)
struct record_type<M C::*> {
  using type = C;
};

template <class R>
void append_text(const R& value, std::string& out) {
  if constexpr (std::convertible_to<const R&, std::string_view>) {
    out.append(std::string_view(value));
  } else {
    static_assert(std::integral<R>, "text of a record: return text or an integer");
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }
}

}  // namespace detail

/// Nothing, a fixed text, `&T::member`, or `f(const T&)` that returns text or an integer. The
/// parameter's type must be written down: `[](const reading& r) { ... }`.
class value_text {
 public:
  value_text() = default;
  value_text(std::string fixed) : fixed_(std::move(fixed)) {}  // NOLINT: reads as an option
  value_text(const char* fixed) : fixed_(fixed) {}             // NOLINT

  template <class F>
    requires(!std::convertible_to<F, std::string> && !std::same_as<F, value_text>)
  value_text(F function) {  // NOLINT
    using T = typename detail::record_type<F>::type;
    static_assert(!std::is_void_v<T>,
                  "text of a record: give &T::member, or a function with one parameter whose type "
                  "is written down, such as [](const reading& r) { return r.id; }");
    if constexpr (!std::is_void_v<T>) {
      tag_ = &detail::type_tag<T>;
      append_ = [f = std::move(function)](const void* value, std::string& out) {
        detail::append_text(std::invoke(f, *static_cast<const T*>(value)), out);
      };
    }
  }

  bool empty() const noexcept { return tag_ == nullptr && fixed_.empty(); }

  /// Whether it is derived from each record.
  bool varies() const noexcept { return tag_ != nullptr; }

  /// The fixed text; empty when there is none.
  const std::string& fixed() const noexcept { return fixed_; }

  /// Whether it can be asked for the text of a T.
  template <class T>
  bool takes() const noexcept {
    return tag_ == nullptr || tag_ == &detail::type_tag<T>;
  }

  /// Appends the text of `value`. \throws topology_error when `!takes<T>()`
  template <class T>
  void append(const T& value, std::string& out) const {
    if (tag_ == nullptr) {
      out.append(fixed_);
      return;
    }
    if (!takes<T>()) {
      throw topology_error("a function of the sink's options takes another type than the stream's");
    }
    append_(&value, out);
  }

 private:
  std::string fixed_;
  const char* tag_ = nullptr;
  std::function<void(const void*, std::string&)> append_;
};

}  // namespace millrace
