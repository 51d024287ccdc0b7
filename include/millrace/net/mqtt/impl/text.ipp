// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/mqtt/text.hpp>
#include <millrace/net/mqtt/types.hpp>

namespace millrace::mqtt {

namespace detail {

/// The length of the well-formed, non-ASCII sequence that starts at `at`; 0 if there is none
/// (Unicode 15, table 3-7).
inline std::size_t utf8_sequence(const unsigned char* at, std::size_t left) noexcept {
  const unsigned lead = at[0];
  const auto continues = [at](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return at[i] >= low && at[i] <= high;
  };
  if (lead >= 0xc2 && lead <= 0xdf) return left >= 2 && continues(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const unsigned low = lead == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : 0xbf;
    return left >= 3 && continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const unsigned low = lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xf4 ? 0x8f : 0xbf;
    return left >= 4 && continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

/// The first level of `path`, which is shortened by it and its separator; `more` says whether
/// another level follows.
inline std::string_view take_level(std::string_view& path, bool& more) noexcept {
  const std::size_t slash = path.find('/');
  more = slash != std::string_view::npos;
  const std::string_view level = path.substr(0, slash);
  path = more ? path.substr(slash + 1) : std::string_view{};
  return level;
}

inline constexpr std::string_view share_prefix = "$share/";

}  // namespace detail

MILLRACE_DECL bool is_valid_utf8(std::string_view text) noexcept {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    if (bytes[at] - 1u < 0x7f) {
      ++at;
      continue;
    }
    const std::size_t length = detail::utf8_sequence(bytes + at, text.size() - at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

MILLRACE_DECL bool is_valid_topic_name(std::string_view topic) noexcept {
  if (topic.empty() || topic.size() > maximum_field_length) return false;
  return topic.find_first_of("+#") == std::string_view::npos && is_valid_utf8(topic);
}

MILLRACE_DECL bool is_valid_topic_filter(std::string_view filter) noexcept {
  if (filter.empty() || filter.size() > maximum_field_length || !is_valid_utf8(filter))
    return false;
  if (filter.starts_with(detail::share_prefix)) {
    std::string_view rest = filter.substr(detail::share_prefix.size());
    bool more = false;
    const std::string_view group = detail::take_level(rest, more);
    if (group.empty() || group.find_first_of("+#") != std::string_view::npos) return false;
    if (!more || rest.empty()) return false;
    filter = rest;
  }
  bool more = true;
  while (more) {
    const std::string_view level = detail::take_level(filter, more);
    if (level.find_first_of("+#") == std::string_view::npos) continue;
    if (level.size() != 1 || (level[0] == '#' && more)) return false;
  }
  return true;
}

MILLRACE_DECL shared_filter split_shared(std::string_view filter) noexcept {
  if (!filter.starts_with(detail::share_prefix)) return {{}, filter};
  const std::string_view rest = filter.substr(detail::share_prefix.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return {{}, filter};
  return {rest.substr(0, slash), rest.substr(slash + 1)};
}

MILLRACE_DECL bool matches(std::string_view filter, std::string_view topic) noexcept {
  filter = split_shared(filter).filter;
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) return false;
  bool more_filter = true;
  bool more_topic = true;
  while (more_filter && more_topic) {
    const std::string_view wanted = detail::take_level(filter, more_filter);
    if (wanted == "#") return true;
    const std::string_view found = detail::take_level(topic, more_topic);
    if (wanted != "+" && wanted != found) return false;
  }
  if (!more_filter) return !more_topic;
  return filter == "#";  // "a/#" matches "a" as well
}

}  // namespace millrace::mqtt
