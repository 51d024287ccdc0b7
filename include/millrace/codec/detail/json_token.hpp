// SPDX-License-Identifier: Apache-2.0
/// \file
/// The tokens of JSON (RFC 8259): functions that read one at `p` and return where it ends, or null
/// when what stands there is no such token (or needs the slower reader). None reads at or behind
/// `end + 64`. Included by the codec's implementation only.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/utf8.hpp>

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
    while (at < end && json_eight_digits(json_load_little(at))) at += 8;
    while (at < end && json_digit(*at) <= 9) ++at;
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

/// The first byte at or behind `p` that is a quote, a backslash, below 0x20 or above 0x7f.
MILLRACE_ALWAYS_INLINE const char* json_special(const char* p, const char* end) noexcept {
#if defined(__SSE2__)
  for (; p < end; p += 16) {
    const __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i quote = _mm_cmpeq_epi8(text, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(text, _mm_set1_epi8('\\'));
    const __m128i odd = _mm_cmplt_epi8(text, _mm_set1_epi8(0x20));  // signed: above 0x7f, too
    const int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), odd));
    if (mask != 0) return p + std::countr_zero(static_cast<unsigned>(mask));
  }
  return p;
#else
  while (p < end && *p != '"' && *p != '\\' && static_cast<unsigned char>(*p - 0x20) < 0x60) ++p;
  return p;
#endif
}

inline int json_hex(const char* p, const char* end) noexcept {
  int value = 0;
  if (end - p < 4) return -1;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    const char low = static_cast<char>(c | 0x20);
    if (json_digit(c) <= 9) {
      value = value * 16 + (c - '0');
    } else if (low >= 'a' && low <= 'f') {
      value = value * 16 + (low - 'a' + 10);
    } else {
      return -1;
    }
  }
  return value;
}

inline void json_append_code_point(std::string& out, std::uint32_t code) {
  const auto byte = [](std::uint32_t bits) { return static_cast<char>(bits); };
  if (code < 0x80) {
    out.push_back(byte(code));
    return;
  }
  if (code < 0x800) {
    out.push_back(byte(0xC0 | code >> 6));
  } else {
    if (code < 0x10000) {
      out.push_back(byte(0xE0 | code >> 12));
    } else {
      out.push_back(byte(0xF0 | code >> 18));
      out.push_back(byte(0x80 | (code >> 12 & 0x3F)));
    }
    out.push_back(byte(0x80 | (code >> 6 & 0x3F)));
  }
  out.push_back(byte(0x80 | (code & 0x3F)));
}

/// The escape behind a backslash. Surrogates have to come in pairs.
inline const char* json_unescape(const char* p, const char* end, std::string& out) {
  switch (p < end ? *p : '\0') {
    case '"': out.push_back('"'); return p + 1;
    case '\\': out.push_back('\\'); return p + 1;
    case '/': out.push_back('/'); return p + 1;
    case 'b': out.push_back('\b'); return p + 1;
    case 'f': out.push_back('\f'); return p + 1;
    case 'n': out.push_back('\n'); return p + 1;
    case 'r': out.push_back('\r'); return p + 1;
    case 't': out.push_back('\t'); return p + 1;
    case 'u': break;
    default: return nullptr;
  }
  const int high = json_hex(p + 1, end);
  p += 5;
  if (high < 0 || (high >= 0xDC00 && high < 0xE000)) return nullptr;
  auto code = static_cast<std::uint32_t>(high);
  if (high >= 0xD800 && high < 0xDC00) {
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return nullptr;
    const int low = json_hex(p + 2, end);
    if (low < 0xDC00 || low >= 0xE000) return nullptr;
    code = 0x10000 + ((code - 0xD800) << 10) + static_cast<std::uint32_t>(low - 0xDC00);
    p += 6;
  }
  json_append_code_point(out, code);
  return p;
}

/// The rest of a string with escapes or characters beyond ASCII; `at` is the first of those.
MILLRACE_NOINLINE inline const char* json_string_slow(const char* begin, const char* at,
                                                      const char* end, std::string& scratch,
                                                      std::string_view& out) {
  bool escaped = false;
  const char* copied = begin;  // up to here the text stands in `scratch`, once it is in use
  while (at < end) {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte == '"') {
      if (!escaped) {
        out = {begin, static_cast<std::size_t>(at - begin)};
      } else {
        scratch.append(copied, at);
        out = scratch;
      }
      return at + 1;
    }
    if (byte == '\\') {
      if (!escaped) scratch.clear();
      escaped = true;
      scratch.append(copied, at);
      at = json_unescape(at + 1, end, scratch);
      if (at == nullptr) return nullptr;
      copied = at;
    } else if (byte >= 0x80) {
      const utf8_sequence next = next_utf8({at, static_cast<std::size_t>(end - at)});
      if (!next.valid) return nullptr;
      at += next.length;
    } else if (byte < 0x20) {
      return nullptr;
    }
    at = json_special(at, end);
  }
  return nullptr;
}

/// A string whose opening quote stands before `p`. The text lies in the document, or in `scratch`
/// when it has escapes.
MILLRACE_ALWAYS_INLINE const char* json_string(const char* p, const char* end, std::string& scratch,
                                               std::string_view& out) {
  const char* at = json_special(p, end);
  if (MILLRACE_UNLIKELY(at >= end || *at != '"')) {
    return json_string_slow(p, at, end, scratch, out);
  }
  out = {p, static_cast<std::size_t>(at - p)};
  return at + 1;
}

/// Any value, checked and dropped. `depth` is what may still be nested.
inline const char* json_skip(const char* p, const char* end, std::size_t depth,
                             std::string& scratch);

inline const char* json_skip_nested(const char* p, const char* end, std::size_t depth,
                                    std::string& scratch) {
  const bool object = *p == '{';
  const char close = object ? '}' : ']';
  if (depth == 0) return nullptr;
  p = json_skip_space(p + 1, end);
  if (p < end && *p == close) return p + 1;
  for (;;) {
    if (object) {
      std::string_view key;
      if (p >= end || *p != '"') return nullptr;
      p = json_string(p + 1, end, scratch, key);
      if (p == nullptr) return nullptr;
      p = json_skip_space(p, end);
      if (p >= end || *p != ':') return nullptr;
      p = json_skip_space(p + 1, end);
    }
    p = json_skip(p, end, depth - 1, scratch);
    if (p == nullptr) return nullptr;
    p = json_skip_space(p, end);
    if (p >= end) return nullptr;
    if (*p == close) return p + 1;
    if (*p != ',') return nullptr;
    p = json_skip_space(p + 1, end);
  }
}

MILLRACE_NOINLINE inline const char* json_skip_other(const char* p, const char* end,
                                                     std::size_t depth, std::string& scratch) {
  switch (*p) {
    case '{':
    case '[': return json_skip_nested(p, end, depth, scratch);
    case 't':
    case 'f': {
      bool value = false;
      return json_boolean(p, value);
    }
    case 'n': return json_four(p, "null") ? p + 4 : nullptr;
    default: {
      bool whole = false;
      return json_number_end(p, end, whole);
    }
  }
}

inline const char* json_skip(const char* p, const char* end, std::size_t depth,
                             std::string& scratch) {
  if (p >= end) return nullptr;
  // A small number between commas, most likely, or a text.
  if (json_digit(*p) <= 9) {
    const char* at = p + 1;
    if (*p != '0') {
      for (int i = 0; i < 4 && json_digit(*at) <= 9; ++i) ++at;
    }
    if (*at == ',' || *at == '}') return at;
  } else if (*p == '"') {
    std::string_view text;
    return json_string(p + 1, end, scratch, text);
  }
  return json_skip_other(p, end, depth, scratch);
}

}  // namespace millrace::detail
