// SPDX-License-Identifier: Apache-2.0
/// \file
/// UTF-8 as MQTT wants it (1.5.4), and topic names and filters: validation and matching (4.7).
/// Pure functions, thread safe; none of them allocates or reads outside its arguments.
#pragma once

#include <millrace/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace millrace::mqtt {

/// Whether `text` is well-formed UTF-8 without U+0000 and without surrogates. O(n).
MILLRACE_DECL bool is_valid_utf8(std::string_view text) noexcept;

/// Whether `topic` may be published to: 1 to 65,535 bytes of valid UTF-8 without `+` and `#`. O(n).
MILLRACE_DECL bool is_valid_topic_name(std::string_view topic) noexcept;

/// Whether `filter` may be subscribed to: wildcards stand alone in their level, `#` comes last, and
/// a shared subscription has the form `$share/name/filter` with a name without wildcards (4.8.2).
MILLRACE_DECL bool is_valid_topic_filter(std::string_view filter) noexcept;

/// A filter split into the group of a shared subscription (empty if it is none) and the filter that
/// topics are matched with. \pre `is_valid_topic_filter(filter)`
struct shared_filter {
  std::string_view group;
  std::string_view filter;
};
MILLRACE_DECL shared_filter split_shared(std::string_view filter) noexcept;

/// Whether a message published to `topic` goes to a subscriber of `filter`, which may be shared.
/// Wildcards in the first level do not match topics that begin with `$` (4.7.2). O(n).
/// \pre both are valid
MILLRACE_DECL bool matches(std::string_view filter, std::string_view topic) noexcept;

namespace detail {

using byte_block = signed char __attribute__((vector_size(16)));

/// Whether a received topic is plain: ASCII without NUL, `+` and `#`. False means "look closer". It
/// inspects 16 bytes a step and may read up to `readable >= topic.size()` bytes.
MILLRACE_ALWAYS_INLINE bool is_plain_topic(const char* topic, std::size_t size,
                                           std::size_t readable) noexcept {
  constexpr byte_block positions = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  byte_block bad = {};
  std::size_t at = 0;
  const auto check = [&bad](byte_block block) {
    bad |= (block <= 0) | ((block & ~8) == '#');  // <= 0: NUL, or not ASCII; '+' is '#' + 8
  };
  for (; at + 16 <= size; at += 16) {
    byte_block block;
    std::memcpy(&block, topic + at, 16);
    check(block);
  }
  if (at < size && size >= 16) {
    byte_block block;
    std::memcpy(&block, topic + size - 16, 16);
    check(block);
  } else if (at < size) {
    byte_block block;
    const std::size_t rest = size - at;
    if (MILLRACE_LIKELY(at + 16 <= readable)) {
      std::memcpy(&block, topic + at, 16);
    } else {
      block = byte_block{};
      std::memcpy(&block, topic + at, rest);
    }
    const byte_block inside = positions < static_cast<signed char>(rest);
    check((block & inside) | (~inside & static_cast<signed char>('/')));
  }
  std::uint64_t halves[2];
  std::memcpy(halves, &bad, sizeof halves);
  return (halves[0] | halves[1]) == 0;
}

}  // namespace detail
}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/mqtt/impl/text.ipp>
#endif
