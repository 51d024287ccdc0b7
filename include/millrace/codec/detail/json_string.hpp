// SPDX-License-Identifier: Apache-2.0
/// \file
/// Strings of JSON (RFC 8259, section 7); see json_token.hpp. Included by the codec's
/// implementation only.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/utf8.hpp>
#include <millrace/codec/detail/json_number.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::detail {

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

}  // namespace millrace::detail
