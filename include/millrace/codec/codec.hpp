// SPDX-License-Identifier: Apache-2.0
/// \file
/// The door for codecs: bytes to values and back. A codec is a copyable description; decoders and
/// encoders made from it keep scratch memory and belong to one worker.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/base/result.hpp>

#include <concepts>
#include <string>
#include <string_view>

namespace millrace {

/// Bytes to decode; `readable` (>= size) of them may be read, so that SIMD code can overrun the end
/// without a copy.
struct payload_view {
  std::string_view bytes;
  std::size_t readable = 0;
};

/// A codec with `decoder<T>`: `decode(payload_view, T& out)` fills `out`, which may be a recycled
/// value, completely, or says what is wrong. Must not allocate on success when `out` has the
/// memory.
template <class C, class T>
concept decoder_for =
    std::copy_constructible<C> && requires(const C& codec, payload_view bytes, T& out) {
      { codec.template make_decoder<T>().decode(bytes, out) } -> std::same_as<result<void>>;
    };

/// A codec with `encoder<T>`: `encode(const T&, std::string& out)` appends the value to `out`.
template <class C, class T>
concept encoder_for =
    std::copy_constructible<C> && requires(const C& codec, const T& value, std::string& out) {
      codec.template make_encoder<T>().encode(value, out);
    };

}  // namespace millrace
