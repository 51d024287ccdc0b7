// SPDX-License-Identifier: Apache-2.0
/// \file
/// The codec that leaves bytes as they are: for streams of strings, and of messages that are
/// written as they arrived. Stateless; thread safe.
#pragma once

#include <millrace/base/result.hpp>
#include <millrace/codec/codec.hpp>

#include <concepts>
#include <string>
#include <string_view>

namespace millrace {

/// Decodes into what takes a `std::string_view` by assignment of its characters (`std::string`);
/// encodes strings, and records with a `payload` (`message`).
struct text_codec {
  static constexpr std::string_view name = "text";

  template <class T>
  struct decoder {
    result<void> decode(payload_view bytes, T& out) const {
      out.assign(bytes.bytes.data(), bytes.bytes.size());
      return {};
    }
  };

  template <class T>
  struct encoder {
    void encode(const T& value, std::string& out) const {
      if constexpr (std::convertible_to<const T&, std::string_view>) {
        out.append(std::string_view(value));
      } else {
        out.append(std::string_view(value.payload));
      }
    }
  };

  template <class T>
    requires requires(T& out, const char* data) { out.assign(data, std::size_t{}); }
  decoder<T> make_decoder() const {
    return {};
  }

  template <class T>
    requires std::convertible_to<const T&, std::string_view> ||
             requires(const T& v) { std::string_view(v.payload); }
  encoder<T> make_encoder() const {
    return {};
  }
};

inline constexpr text_codec plain_text{};

}  // namespace millrace
