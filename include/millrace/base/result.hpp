// SPDX-License-Identifier: Apache-2.0
/// \file
/// `result<T>`: a value or an `error`, for what may fail as part of normal work (parsing, options).
/// A small subset of C++23's `std::expected<T, error>`. As thread safe as `T`.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/error.hpp>

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace millrace {

/// A value of type `T`, or the error that prevented it.
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;

  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(millrace::error e) : state_(std::in_place_index<1>, std::move(e)) {}
  result(errc code, std::string message = {})
      : state_(std::in_place_index<1>, millrace::error{code, std::move(message)}) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// \pre `has_value()`
  T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }

  /// The value. \throws std::system_error with the error, when there is none.
  T& value() & { return has_value() ? **this : throw_error(); }
  T value() && { return has_value() ? std::move(**this) : std::move(throw_error()); }

  /// \pre `!has_value()`
  const millrace::error& error() const noexcept { return *std::get_if<1>(&state_); }

 private:
  [[noreturn]] T& throw_error() const { throw std::system_error(error().code, error().message); }

  std::variant<T, millrace::error> state_;
};

/// Success, or an error.
template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;

  result() = default;
  result(millrace::error e) : error_(std::move(e)) {}
  result(errc code, std::string message = {}) : error_(millrace::error{code, std::move(message)}) {}

  bool has_value() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return !error_; }
  void value() const {
    if (error_) throw std::system_error(error_->code, error_->message);
  }

  /// \pre `!has_value()`
  const millrace::error& error() const noexcept { return *error_; }

 private:
  std::optional<millrace::error> error_;  // success costs the making of a flag
};

}  // namespace millrace
