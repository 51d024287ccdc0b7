// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/url.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace millrace::net {

namespace detail::url_text {

struct scheme_port {
  std::string_view scheme;
  std::uint16_t port;
};

inline constexpr std::array<scheme_port, 6> known_schemes{
    {{"http", 80}, {"https", 443}, {"mqtt", 1883}, {"mqtts", 8883}, {"ws", 80}, {"wss", 443}}};

// The C library's classification depends on the locale; a URL's does not.
constexpr bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
constexpr bool is_unreserved(char c) noexcept {
  return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}
constexpr bool is_sub_delimiter(char c) noexcept {
  return std::string_view("!$&'()*+,;=").find(c) != std::string_view::npos;
}

inline std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), to_lower);
  return lower;
}

inline std::string percent_hex(char c) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  return {'%', digits[byte >> 4U], digits[byte & 15U]};
}

/// The text as it may stand in a message: without user info, printable, and cut to 100 bytes.
inline std::string url_for_message(std::string_view text) {
  constexpr std::size_t longest = 100;
  const auto separator = text.find("://");
  const auto begin = separator == std::string_view::npos ? 0 : separator + 3;
  // A password may hold an unescaped '/' by mistake: whatever stands before the last '@' is hidden.
  const auto at = text.rfind('@');
  std::string shown(text.substr(0, begin));
  if (at != std::string_view::npos && at >= begin) {
    shown += "***";
    text.remove_prefix(at);
  } else {
    text.remove_prefix(begin);
  }
  shown += text;
  if (shown.size() > longest) shown = shown.substr(0, longest) + "...";
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return "URL '" + shown + "'";
}

/// Checks that `text` holds only unreserved characters, sub-delimiters, "%hh" and `also`.
inline result<void> check_characters(std::string_view text, std::string_view also,
                                     std::string_view part) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_unreserved(c) || is_sub_delimiter(c) || also.find(c) != std::string_view::npos) continue;
    if (c != '%') {
      return {errc::malformed, "a character in the " + std::string(part) +
                                   " is not allowed there; write it as " + percent_hex(c)};
    }
    if (i + 2 >= text.size() || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) {
      return {errc::malformed, "a '%' in the " + std::string(part) +
                                   " is not followed by two hexadecimal digits; write '%' as %25"};
    }
    i += 2;
  }
  return {};
}

constexpr bool is_ipv4(std::string_view text) noexcept {
  int parts = 0;
  while (true) {
    std::size_t length = 0;
    int value = 0;
    while (length < text.size() && length < 3 && is_digit(text[length])) {
      value = value * 10 + (text[length++] - '0');
    }
    if (length == 0 || value > 255 || (length > 1 && text[0] == '0')) return false;
    text.remove_prefix(length);
    if (++parts == 4) return text.empty();
    if (text.empty() || text[0] != '.') return false;
    text.remove_prefix(1);
  }
}

/// RFC 4291, 2.2: groups of up to four hexadecimal digits, at most one "::", an IPv4 tail.
constexpr bool is_ipv6(std::string_view text) noexcept {
  int groups = 0;
  bool compressed = false;
  if (text.substr(0, 2) == "::") {
    compressed = true;
    text.remove_prefix(2);
    if (text.empty()) return true;
  }
  while (true) {
    std::size_t length = 0;
    while (length < text.size() && length <= 4 && hex_value(text[length]) >= 0) ++length;
    if (length < text.size() && text[length] == '.') {
      groups += 2;
      if (!is_ipv4(text)) return false;
      break;
    }
    if (length == 0 || length > 4) return false;
    ++groups;
    text.remove_prefix(length);
    if (text.empty()) break;
    if (text[0] != ':') return false;
    text.remove_prefix(1);
    if (text.empty()) return false;
    if (text[0] == ':') {
      if (compressed) return false;
      compressed = true;
      text.remove_prefix(1);
      if (text.empty()) break;
    }
  }
  return compressed ? groups < 8 : groups == 8;
}

inline result<void> parse_user_info(std::string_view text, url& out) {
  if (auto checked = check_characters(text, ":", "user info"); !checked) return checked;
  const auto colon = text.find(':');
  out.user = *percent_decode(text.substr(0, colon));
  if (colon != std::string_view::npos) out.password = *percent_decode(text.substr(colon + 1));
  return {};
}

inline result<void> parse_port(std::string_view text, url& out) {
  if (text.empty()) return {};
  unsigned value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return {errc::malformed, "the port is not a number"};
    value = value * 10 + static_cast<unsigned>(c - '0');
    if (value > 65535) return {errc::malformed, "the port is above 65535"};
  }
  if (value == 0) return {errc::malformed, "the port is 0; it must be 1 to 65535"};
  out.port = static_cast<std::uint16_t>(value);
  return {};
}

/// An IPv6 literal in brackets, with a zone written as "%25zone" (RFC 6874) if there is one.
inline result<void> parse_ip_literal(std::string_view literal, url& out) {
  const auto zone = literal.find('%');
  if (!is_ipv6(literal.substr(0, zone))) {
    return {errc::malformed, "'[...]' does not hold an IPv6 address"};
  }
  out.host = lower_case(literal.substr(0, zone));
  if (zone == std::string_view::npos) return {};
  const auto name = literal.substr(zone);
  if (name.substr(0, 3) != "%25" || name.size() == 3) {
    return {errc::malformed, "the zone of an IPv6 address is written as %25 and its name"};
  }
  if (auto checked = check_characters(name, "", "IPv6 zone"); !checked) return checked;
  out.host += '%';
  out.host += *percent_decode(name.substr(3));
  return {};
}

inline result<void> parse_host(std::string_view text, url& out) {
  if (text.empty()) return {errc::malformed, "the host is empty"};
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return c > 0; });
  if (!ascii) {
    return {errc::malformed, "the host has letters outside ASCII; write it in its 'xn--' form"};
  }
  if (text.find(':') != std::string_view::npos) {
    return {errc::malformed, "the host holds several ':'; write an IPv6 address in brackets"};
  }
  if (auto checked = check_characters(text, "", "host"); !checked) return checked;
  out.host = lower_case(*percent_decode(text));
  const bool written_plainly = std::all_of(out.host.begin(), out.host.end(), [](char c) {
    return is_unreserved(c) || is_sub_delimiter(c);
  });
  if (!written_plainly)
    return {errc::malformed, "the host holds a character that no host name has"};
  return {};
}

inline result<void> parse_authority(std::string_view text, url& out) {
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    if (text.rfind('@') != at) {
      return {errc::malformed, "several '@'; write those of user and password as %40"};
    }
    if (auto parsed = parse_user_info(text.substr(0, at), out); !parsed) return parsed;
    text.remove_prefix(at + 1);
  }
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return {errc::malformed, "a '[' without ']'"};
    if (auto parsed = parse_ip_literal(text.substr(1, end - 1), out); !parsed) return parsed;
    text.remove_prefix(end + 1);
    if (text.empty()) return {};
    if (text.front() != ':') return {errc::malformed, "after ']' only ':' and a port may follow"};
    port = text.substr(1);
  } else {
    const auto colon = text.rfind(':');
    if (auto parsed = parse_host(text.substr(0, colon), out); !parsed) return parsed;
    if (colon != std::string_view::npos) port = text.substr(colon + 1);
  }
  return parse_port(port, out);
}

inline result<void> parse_url_parts(std::string_view text, url& out) {
  const auto separator = text.find("://");
  if (separator == std::string_view::npos) {
    return {errc::malformed, "no scheme; write it like mqtt://host or https://host/path"};
  }
  out.scheme = lower_case(text.substr(0, separator));
  out.port = default_port(out.scheme);
  if (out.port == 0) {
    return {errc::not_supported, "the scheme is none of http, https, mqtt, mqtts, ws, wss"};
  }
  text.remove_prefix(separator + 3);
  if (const auto hash = text.find('#'); hash != std::string_view::npos) {
    out.fragment = text.substr(hash + 1);
    text = text.substr(0, hash);
  }
  if (const auto mark = text.find('?'); mark != std::string_view::npos) {
    out.query = text.substr(mark + 1);
    text = text.substr(0, mark);
  }
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    out.path = text.substr(slash);
    text = text.substr(0, slash);
  }
  if (auto parsed = parse_authority(text, out); !parsed) return parsed;
  if (auto checked = check_characters(out.path, ":@/", "path"); !checked) return checked;
  if (auto checked = check_characters(out.query, ":@/?", "query"); !checked) return checked;
  return check_characters(out.fragment, ":@/?", "fragment");
}

}  // namespace detail::url_text

MILLRACE_DECL std::uint16_t default_port(std::string_view scheme) noexcept {
  for (const auto& known : detail::url_text::known_schemes) {
    if (known.scheme == scheme) return known.port;
  }
  return 0;
}

MILLRACE_DECL result<url> parse_url(std::string_view text) {
  if (text.size() > max_url_length) {
    return {errc::too_large, detail::url_text::url_for_message(text) + ": longer than " +
                                 std::to_string(max_url_length) + " bytes"};
  }
  url out;
  if (auto parsed = detail::url_text::parse_url_parts(text, out); !parsed) {
    return millrace::error{parsed.error().code,
                           detail::url_text::url_for_message(text) + ": " + parsed.error().message};
  }
  return out;
}

MILLRACE_DECL result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 1 < text.size() ? detail::url_text::hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? detail::url_text::hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return {errc::malformed, "the '%' at offset " + std::to_string(i) +
                                   " is not followed by two hexadecimal digits"};
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

MILLRACE_DECL std::string percent_encode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (detail::url_text::is_unreserved(c)) {
      out += c;
    } else {
      out += detail::url_text::percent_hex(c);
    }
  }
  return out;
}

MILLRACE_DECL std::string url::target() const {
  std::string out = path.empty() ? "/" : path;
  if (!query.empty()) out += "?" + query;
  return out;
}

MILLRACE_DECL std::string url::authority() const {
  const bool literal = host.find(':') != std::string::npos;
  std::string out = host;
  if (literal) {
    out.assign(1, '[').append(host, 0, host.find('%')).push_back(']');
  }
  if (port != default_port(scheme)) out += ":" + std::to_string(port);
  return out;
}

MILLRACE_DECL std::string url::to_string() const {
  std::string out = scheme + "://";
  if (user) out += percent_encode(*user) + "@";
  out += authority() + path;
  if (!query.empty()) out += "?" + query;
  return out;
}

}  // namespace millrace::net
