// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/trace_context.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace millrace {

namespace detail {

/// Lower-case hexadecimal digits only, at most 16; nothing else may stand there.
inline std::optional<std::uint64_t> lower_hex(std::string_view digits) noexcept {
  std::uint64_t value = 0;
  for (const char c : digits) {
    const bool decimal = c >= '0' && c <= '9';
    if (!decimal && (c < 'a' || c > 'f')) return std::nullopt;
    value = value * 16 + static_cast<std::uint64_t>(decimal ? c - '0' : c - 'a' + 10);
  }
  return value;
}

inline void append_hex(std::string& to, std::uint64_t bits) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) to.push_back(digits[(bits >> shift) & 15]);
}

inline bool is_lower_alpha(char c) noexcept { return c >= 'a' && c <= 'z'; }
inline bool is_lower_or_digit(char c) noexcept {
  return is_lower_alpha(c) || (c >= '0' && c <= '9');
}

inline bool are_key_characters(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_lower_or_digit(c) || c == '_' || c == '-' || c == '*' || c == '/';
  });
}

/// Section 3.3.1.3.1: a simple key, or tenant@system.
inline bool is_tracestate_key(std::string_view key) noexcept {
  const auto at = key.find('@');
  if (at == std::string_view::npos) {
    return !key.empty() && key.size() <= 256 && is_lower_alpha(key[0]) && are_key_characters(key);
  }
  const auto tenant = key.substr(0, at);
  const auto system = key.substr(at + 1);
  return !tenant.empty() && tenant.size() <= 241 && is_lower_or_digit(tenant[0]) &&
         are_key_characters(tenant) && !system.empty() && system.size() <= 14 &&
         is_lower_alpha(system[0]) && are_key_characters(system);
}

/// Section 3.3.1.3.2: printable ASCII but comma and equals sign; no blank at the end.
inline bool is_tracestate_value(std::string_view value) noexcept {
  return !value.empty() && value.size() <= 256 && value.back() != ' ' &&
         std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; });
}

inline std::string_view without_blanks(std::string_view text) noexcept {
  const auto from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

/// Whole members go until the list is short enough.
inline void shorten_tracestate(std::vector<std::string_view>& members) {
  constexpr std::size_t longest_list = 512;
  constexpr std::size_t long_member = 128;
  const auto length = [&] {
    std::size_t n = members.empty() ? 0 : members.size() - 1;
    for (const auto member : members) n += member.size();
    return n;
  };
  for (auto at = members.size(); at-- > 0 && length() > longest_list;) {
    if (members[at].size() > long_member) {
      members.erase(members.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  while (length() > longest_list) members.pop_back();
}

}  // namespace detail

MILLRACE_DECL std::optional<trace_context> parse_traceparent(std::string_view text) noexcept {
  constexpr std::size_t size = 55;
  if (text.size() < size || text[2] != '-' || text[35] != '-' || text[52] != '-') {
    return std::nullopt;
  }
  const auto version = detail::lower_hex(text.substr(0, 2));
  const auto high = detail::lower_hex(text.substr(3, 16));
  const auto low = detail::lower_hex(text.substr(19, 16));
  const auto span = detail::lower_hex(text.substr(36, 16));
  const auto flags = detail::lower_hex(text.substr(53, 2));
  if (!version || !high || !low || !span || !flags || *version == 0xff) return std::nullopt;
  if (text.size() > size && (*version == 0 || text[size] != '-')) return std::nullopt;
  if ((*high == 0 && *low == 0) || *span == 0) return std::nullopt;
  return trace_context{*high, *low, *span, (*flags & 1) != 0, {}};
}

MILLRACE_DECL std::string trace_id_text(const trace_context& context) {
  std::string text;
  detail::append_hex(text, context.trace_high);
  detail::append_hex(text, context.trace_low);
  return text;
}

MILLRACE_DECL std::string span_id_text(std::uint64_t span) {
  std::string text;
  detail::append_hex(text, span);
  return text;
}

MILLRACE_DECL std::string to_traceparent(const trace_context& context) {
  return "00-" + trace_id_text(context) + "-" + span_id_text(context.span) +
         (context.sampled ? "-01" : "-00");
}

MILLRACE_DECL std::optional<std::string> checked_tracestate(std::string_view text) {
  constexpr std::size_t most_members = 32;
  std::vector<std::string_view> members;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    const auto member = detail::without_blanks(text.substr(at, comma - at));
    at = comma + 1;
    if (member.empty()) continue;
    const auto equals = member.find('=');
    if (equals == std::string_view::npos || members.size() == most_members ||
        !detail::is_tracestate_key(member.substr(0, equals)) ||
        !detail::is_tracestate_value(member.substr(equals + 1))) {
      return std::nullopt;
    }
    members.push_back(member);
  }
  detail::shorten_tracestate(members);
  std::string joined;
  for (const auto member : members) {
    if (!joined.empty()) joined.push_back(',');
    joined.append(member);
  }
  return joined;
}

MILLRACE_DECL std::optional<trace_context> to_context(const incoming_trace& from) {
  if (from.parents != 1) return std::nullopt;
  auto context = parse_traceparent(from.parent);
  if (context && !from.state.empty()) {
    context->state = checked_tracestate(from.state).value_or(std::string{});
  }
  return context;
}

}  // namespace millrace
