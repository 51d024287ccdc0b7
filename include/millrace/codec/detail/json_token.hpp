// SPDX-License-Identifier: Apache-2.0
/// \file
/// The tokens of JSON (RFC 8259): functions that read one at `p` and return where it ends, or null
/// when what stands there is no such token (or needs the slower reader). None reads at or behind
/// `end + 64`. Included by the codec's implementation only.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/codec/detail/json_number.hpp>
#include <millrace/codec/detail/json_string.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace::detail {

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
  if (const char* after = json_plain_number_end(p); after != nullptr) return after;
  if (*p == '"') {
    std::string_view text;
    return json_string(p + 1, end, scratch, text);
  }
  return json_skip_other(p, end, depth, scratch);
}

}  // namespace millrace::detail
