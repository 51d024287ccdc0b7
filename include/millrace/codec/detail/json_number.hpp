// SPDX-License-Identifier: Apache-2.0
/// \file
/// Numbers and literals of JSON (RFC 8259), and how bytes of a document are looked at; see
/// json_token.hpp. Included by the codec's implementation only.
#pragma once

#include <millrace/base/config.hpp>

#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millrace::detail {

/// Bytes that may be read behind every text that is scanned.
inline constexpr std::size_t json_padding = 64;

template <class N>
MILLRACE_ALWAYS_INLINE N json_load(const void* p) noexcept {
  N value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// Eight characters, the first of which is the lowest byte.
MILLRACE_ALWAYS_INLINE std::uint64_t json_load_little(const char* p) noexcept {
  const auto text = json_load<std::uint64_t>(p);
  return std::endian::native == std::endian::little ? text : __builtin_bswap64(text);
}

inline bool json_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

inline const char* json_skip_space(const char* p, const char* end) noexcept {
  while (p < end && json_space(*p)) ++p;
  return p;
}

MILLRACE_ALWAYS_INLINE unsigned json_digit(char c) noexcept {
  return static_cast<unsigned>(static_cast<unsigned char>(c)) - '0';
}

/// Whether 32 bytes are the same, but for those that have a bit in `except`. \pre `text` is aligned
MILLRACE_ALWAYS_INLINE bool json_same_32(const char* p, const char* text,
                                         std::uint32_t except) noexcept {
#if defined(__AVX2__)
  const __m256i same = _mm256_cmpeq_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
                                         _mm256_load_si256(reinterpret_cast<const __m256i*>(text)));
  return (static_cast<std::uint32_t>(_mm256_movemask_epi8(same)) | except) == ~std::uint32_t{0};
#elif defined(__SSE2__)
  const auto half = [&](std::size_t i) {
    const __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i)),
                                        _mm_load_si128(reinterpret_cast<const __m128i*>(text + i)));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(same));
  };
  return (half(0) | half(16) << 16 | except) == ~std::uint32_t{0};
#else
  for (int i = 0; i < 32; ++i) {
    if (p[i] != text[i] && (except >> i & 1) == 0) return false;
  }
  return true;
#endif
}

/// Whether eight characters are digits; the first is the lowest byte.
MILLRACE_ALWAYS_INLINE bool json_eight_digits(std::uint64_t text) noexcept {
  return ((text & 0xF0F0F0F0F0F0F0F0) |
          (((text + 0x0606060606060606) & 0xF0F0F0F0F0F0F0F0) >> 4)) == 0x3333333333333333;
}

/// How many of eight characters are digits, up to the first that is none.
MILLRACE_ALWAYS_INLINE unsigned json_leading_digits(std::uint64_t text) noexcept {
  const std::uint64_t digits = text ^ 0x3030303030303030;
  const std::uint64_t others =
      (((digits & 0x7F7F7F7F7F7F7F7F) + 0x7676767676767676) | digits) & 0x8080808080808080;
  return static_cast<unsigned>(std::countr_zero(others)) / 8;
}

/// The number they are: neighbours are joined to pairs, pairs to fours, and fours to all eight.
MILLRACE_ALWAYS_INLINE std::uint64_t json_eight_digits_value(std::uint64_t text) noexcept {
  text -= 0x3030303030303030;
  text = text * 10 + (text >> 8);
  return ((text & 0x000000FF000000FF) * 0x000F424000000064 +
          ((text >> 16) & 0x000000FF000000FF) * 0x0000271000000001) >>
         32;
}

/// A literal of four characters: true, null.
MILLRACE_ALWAYS_INLINE bool json_four(const char* p, const char (&word)[5]) noexcept {
  return json_load<std::uint32_t>(p) == json_load<std::uint32_t>(word);
}

MILLRACE_ALWAYS_INLINE const char* json_boolean(const char* p, bool& out) noexcept {
  if (json_four(p, "true")) {
    out = true;
    return p + 4;
  }
  out = false;
  return *p == 'f' && json_four(p + 1, "alse") ? p + 5 : nullptr;
}

/// Digits without sign or superfluous zeros; at most 19 are taken.
MILLRACE_ALWAYS_INLINE const char* json_digits(const char* p, std::uint64_t& out) noexcept {
  std::uint64_t value = json_digit(*p);
  if (value > 9) return nullptr;
  unsigned digit = json_digit(*++p);
  if (digit > 9) {
    out = value;
    return p;
  }
  if (value == 0) return nullptr;
  const char* const last = p + 18;
  value = value * 10 + digit;
  digit = json_digit(*++p);
  if (digit <= 9) {
    // Long numbers are times, mostly: ten digits or more.
    if (const auto eight = json_load_little(p); json_eight_digits(eight)) {
      value = value * 100'000'000 + json_eight_digits_value(eight);
      p += 8;
      digit = json_digit(*p);
    }
    while (digit <= 9 && p < last) {
      value = value * 10 + digit;
      digit = json_digit(*++p);
    }
  }
  out = value;
  return p;
}

/// An integer of at most 19 digits that fits. What follows (a point, a digit) is not looked at.
MILLRACE_ALWAYS_INLINE const char* json_integer(const char* p, std::int64_t& out) noexcept {
  std::uint64_t magnitude = 0;
  if (MILLRACE_LIKELY(*p != '-')) {
    p = json_digits(p, magnitude);
    out = static_cast<std::int64_t>(magnitude);
    return out >= 0 ? p : nullptr;
  }
  p = json_digits(p + 1, magnitude);
  out = static_cast<std::int64_t>(0 - magnitude);
  return magnitude <= std::uint64_t{1} << 63 ? p : nullptr;
}

/// Any number; `whole` tells whether it has neither fraction nor exponent.
inline const char* json_number_end(const char* p, const char* end, bool& whole) noexcept {
  const auto digits = [end](const char* at) {
    for (unsigned found = 8; found == 8 && at < end; at += found) {
      found = json_leading_digits(json_load_little(at));
    }
    return at < end ? at : end;
  };
  whole = true;
  if (p < end && *p == '-') ++p;
  const char* from = p;
  p = digits(p);
  if (p == from || (*from == '0' && p - from > 1)) return nullptr;
  if (p < end && *p == '.') {
    whole = false;
    from = ++p;
    p = digits(p);
    if (p == from) return nullptr;
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    whole = false;
    ++p;
    if (p < end && (*p == '+' || *p == '-')) ++p;
    from = p;
    p = digits(p);
    if (p == from) return nullptr;
  }
  return p;
}

/// The end of a number without sign and exponent, in front of a comma or brace; null for what may
/// be something else.
MILLRACE_ALWAYS_INLINE const char* json_plain_number_end(const char* p) noexcept {
#if defined(__SSE2__)
  const __m128i digits =
      _mm_sub_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), _mm_set1_epi8('0'));
  const __m128i are = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
  std::uint32_t others = ~static_cast<std::uint32_t>(_mm_movemask_epi8(are));
  unsigned size = static_cast<unsigned>(std::countr_zero(others));  // at most 16
  if (size == 0 || (*p == '0' && size > 1)) return nullptr;
  if (p[size] == '.' && size < 16) {
    const unsigned point = size;
    others &= others - 1;
    size = static_cast<unsigned>(std::countr_zero(others));
    if (size == point + 1) return nullptr;
  }
#else
  unsigned size = json_leading_digits(json_load_little(p));
  if (size == 0 || (*p == '0' && size > 1)) return nullptr;
  if (p[size] == '.') {
    const unsigned places = json_leading_digits(json_load_little(p + size + 1));
    if (places == 0) return nullptr;
    size += 1 + places;
  }
#endif
  return p[size] == ',' || p[size] == '}' ? p + size : nullptr;
}

inline const char* json_double_slow(const char* p, const char* end, double& out) noexcept {
  bool whole = false;
  const char* after = json_number_end(p, end, whole);
  if (after == nullptr) return nullptr;
  const auto parsed = std::from_chars(p, after, out);
  return parsed.ec == std::errc{} && parsed.ptr == after ? after : nullptr;
}

/// A number, correctly rounded. Up to 2^53 and with at most 22 digits behind the point one division
/// of exact doubles is exact enough (Clinger, "How to read floating point numbers accurately").
inline const char* json_double(const char* p, const char* end, double& out) noexcept {
  static constexpr double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const char* const start = p;
  const bool minus = *p == '-';
  std::uint64_t mantissa = 0;
  p = json_digits(p + minus, mantissa);
  if (p == nullptr) return nullptr;
  std::ptrdiff_t places = 0;
  if (*p == '.') {
    const char* const point = p++;
    const char* const last = start + 20;  // 19 digits at most, so the mantissa cannot overflow
    unsigned digit = 0;
    while ((digit = json_digit(*p)) <= 9 && p < last) {
      mantissa = mantissa * 10 + digit;
      ++p;
    }
    places = p - point - 1;
    if (places == 0) return nullptr;
  }
  if (mantissa > std::uint64_t{1} << 53 || json_digit(*p) <= 9 || (*p | 0x20) == 'e') {
    return json_double_slow(start, end, out);
  }
  const double magnitude = static_cast<double>(mantissa) / powers[places];
  out = minus ? -magnitude : magnitude;
  return p;
}

}  // namespace millrace::detail
