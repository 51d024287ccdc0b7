// SPDX-License-Identifier: Apache-2.0
/// \file
/// Well-formedness of UTF-8 (The Unicode Standard, table 3-7). Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace {

/// How the next sequence of a text ended: its bytes, and whether it is a character.
struct utf8_sequence {
  std::uint8_t length;  ///< at least 1; of an ill-formed sequence, its maximal subpart
  bool valid;
};

/// Looks at the first sequence of `text`. \pre `!text.empty()`
constexpr utf8_sequence next_utf8(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const std::uint8_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte has a narrower range behind four leads: overlong forms, surrogates, the end.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (text.size() < 2 || byte(1) < low || byte(1) > high) return {1, false};
  for (std::uint8_t i = 2; i < length; ++i) {
    if (text.size() <= i || (byte(i) & 0xC0) != 0x80) return {i, false};
  }
  return {length, true};
}

/// Whether the whole text is well-formed. O(n).
constexpr bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const utf8_sequence sequence = next_utf8(text);
    if (!sequence.valid) return false;
    text.remove_prefix(sequence.length);
  }
  return true;
}

}  // namespace millrace
