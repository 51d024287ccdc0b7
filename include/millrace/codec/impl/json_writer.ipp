// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/utf8.hpp>
#include <millrace/codec/json_writer.hpp>

#include <charconv>
#include <cmath>

namespace millrace {

namespace detail {

/// Whether a byte can stand in a JSON string as it is, as far as one can tell from it alone.
inline bool plain_in_json(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

inline void append_json_escape(std::string& out, char c) {
  switch (c) {
    case '"': out.append("\\\""); return;
    case '\\': out.append("\\\\"); return;
    case '\b': out.append("\\b"); return;
    case '\f': out.append("\\f"); return;
    case '\n': out.append("\\n"); return;
    case '\r': out.append("\\r"); return;
    case '\t': out.append("\\t"); return;
    default: break;
  }
  constexpr char hex[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  const char escape[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
  out.append(escape, sizeof escape);
}

template <class N>
void append_json_chars(std::string& out, N value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, static_cast<std::size_t>(end - text));
}

template <class N>
void append_json_floating(std::string& out, N value) {
  if (!std::isfinite(value)) {
    out.append("null");
  } else if (std::fabs(value) < static_cast<N>(1e18)) {
    append_json_chars(out, value);
  } else {
    // With all their digits they would look like integers that many a reader cannot hold.
    char text[32];
    const auto end =
        std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
    out.append(text, static_cast<std::size_t>(end - text));
  }
}

}  // namespace detail

MILLRACE_DECL void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  std::size_t i = 0;
  while (i < text.size()) {
    std::size_t plain = i;
    while (plain < text.size() && detail::plain_in_json(text[plain])) ++plain;
    out.append(text, i, plain - i);
    i = plain;
    if (i == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      detail::append_json_escape(out, text[i]);
      ++i;
      continue;
    }
    const utf8_sequence sequence = next_utf8(text.substr(i));
    if (sequence.valid) {
      out.append(text, i, sequence.length);
    } else {
      out.append("\xEF\xBF\xBD");
    }
    i += sequence.length;
  }
  out.push_back('"');
}

MILLRACE_DECL void append_json_number(std::string& out, double value) {
  detail::append_json_floating(out, value);
}

MILLRACE_DECL void append_json_number(std::string& out, float value) {
  detail::append_json_floating(out, value);
}

MILLRACE_DECL void append_json_number(std::string& out, std::int64_t value) {
  detail::append_json_chars(out, value);
}

MILLRACE_DECL void append_json_number(std::string& out, std::uint64_t value) {
  detail::append_json_chars(out, value);
}

}  // namespace millrace
