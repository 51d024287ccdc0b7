// SPDX-License-Identifier: Apache-2.0
/// \file
/// How a sink turns a record into bytes when it learns the record's type only with the first
/// `write`: by a codec's encoder, or by a function of the application. Not thread safe.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/codec/codec.hpp>
#include <millrace/connectors/detail/type_tag.hpp>

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace millrace::detail {

template <class F, class T>
concept appending_format = std::invocable<const F&, const T&, std::string&>;

template <class F, class T>
concept timed_format = requires(const F& f, const T& value, timestamp time) {
  { f(value, time) } -> std::convertible_to<std::string_view>;
};

template <class F, class T>
concept plain_format = requires(const F& f, const T& value) {
  { f(value) } -> std::convertible_to<std::string_view>;
};

/// Holds a codec or a format function, and the encoder of the type seen last: one comparison per
/// record, one allocation per change of type (that is: one).
template <class Format>
class record_printer {
 public:
  explicit record_printer(Format format) : format_(std::move(format)) {}

  /// Appends `value` to `out`.
  template <class T>
  void print(const T& value, timestamp time, std::string& out) {
    if constexpr (encoder_for<Format, T>) {
      encoder_of<T>().encode(value, out);
    } else if constexpr (appending_format<Format, T>) {
      format_(value, out);
    } else if constexpr (timed_format<Format, T>) {
      out.append(std::string_view(format_(value, time)));
    } else {
      static_assert(plain_format<Format, T>,
                    "sink: the second argument must be a codec that encodes the stream's type, or "
                    "callable as f(const T&) and return text");
      out.append(std::string_view(format_(value)));
    }
  }

 private:
  template <class T>
  auto& encoder_of() {
    using encoder = std::remove_cvref_t<decltype(format_.template make_encoder<T>())>;
    if (type_ != &type_tag<T>) {
      encoder_ = std::make_shared<encoder>(format_.template make_encoder<T>());
      type_ = &type_tag<T>;
    }
    return *static_cast<encoder*>(encoder_.get());
  }

  Format format_;
  std::shared_ptr<void> encoder_;
  const char* type_ = nullptr;
};

}  // namespace millrace::detail
