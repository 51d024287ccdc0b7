// SPDX-License-Identifier: Apache-2.0
/// \file
/// UTF-8, against a decoder that computes code points.
#include <millrace/base/utf8.hpp>

#include "catch.hpp"

#include <cstdint>
#include <string>

namespace {

/// Decodes the bytes of one character and looks at the code point: no table of leads.
bool is_character(const std::string& bytes) {
  const auto lead = static_cast<unsigned char>(bytes[0]);
  const std::size_t length = lead < 0x80       ? 1
                             : lead >> 5 == 6  ? 2
                             : lead >> 4 == 14 ? 3
                             : lead >> 3 == 30 ? 4
                                               : 0;
  if (length != bytes.size()) return false;
  std::uint32_t code = length == 1 ? lead : lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte >> 6 != 2) return false;
    code = code << 6 | (byte & 0x3F);
  }
  const std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  return code >= least[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

}  // namespace

TEST_CASE("every sequence of up to three bytes, and the edges of four, are judged rightly") {
  std::size_t wrong = 0;
  for (std::uint32_t bits = 0; bits < 1u << 24; bits += bits < 1u << 16 ? 1 : 7) {
    for (std::size_t length = bits < 1u << 8 ? 1 : bits < 1u << 16 ? 2 : 3; length <= 3; ++length) {
      std::string text;
      for (std::size_t i = length; i-- > 0;) text.push_back(static_cast<char>(bits >> (8 * i)));
      const auto next = millrace::next_utf8(text);
      bool valid = false;
      for (std::size_t n = 1; n <= length && !valid; ++n) valid = is_character(text.substr(0, n));
      wrong += next.valid != valid || next.length > length;
    }
  }
  for (const unsigned lead : {0xEFu, 0xF0u, 0xF1u, 0xF3u, 0xF4u, 0xF5u}) {
    for (unsigned second = 0; second < 256; ++second) {
      for (const unsigned third : {0x7Fu, 0x80u, 0xBFu, 0xC0u}) {
        for (const unsigned fourth : {0x7Fu, 0x80u, 0xBFu, 0xC0u}) {
          const std::string text = {static_cast<char>(lead), static_cast<char>(second),
                                    static_cast<char>(third), static_cast<char>(fourth)};
          const auto next = millrace::next_utf8(text);
          wrong += (next.valid && next.length == 4) != is_character(text);
        }
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("an ill-formed sequence ends where the next character may begin") {
  // The Unicode Standard, section 3.9, table 3-8: 41 F0 80 80 41, and a truncated sequence.
  CHECK(millrace::next_utf8("\xF0\x80\x80"
                            "A")
            .length == 1);
  CHECK(millrace::next_utf8("\xE2\x82"
                            "A")
            .length == 2);
  CHECK(millrace::next_utf8("\xF0\x9F\x98").length == 3);
  CHECK_FALSE(millrace::next_utf8("\xF0\x9F\x98").valid);
  CHECK(millrace::is_utf8(""));
  CHECK(millrace::is_utf8("gr\xC3\xBC\xC3\x9F dich"));
  CHECK_FALSE(millrace::is_utf8("gr\xFC\xDF dich"));
}
