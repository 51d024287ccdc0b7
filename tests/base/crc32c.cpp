// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/crc32c.hpp>

#include "catch.hpp"

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

using millrace::crc32c;
using millrace::crc32c_by_tables;

namespace {

/// Bit by bit, as the polynomial says.
std::uint32_t by_bits(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78U : crc >> 1;
  }
  return ~crc;
}

}  // namespace

TEST_CASE("the checksum of the standard's examples is the standard's") {
  CHECK(crc32c("123456789") == 0xE3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);  // RFC 3720, B.4
  CHECK(crc32c(std::string(32, '\xff')) == 0x62A8AB43);
  CHECK(crc32c("") == 0);
}

TEST_CASE("instruction, tables and definition give the same checksum, in one piece or in two") {
  std::mt19937 random(3);
  for (std::size_t size = 0; size < 300; ++size) {
    std::string bytes(size, '\0');
    for (auto& c : bytes) c = static_cast<char>(random());
    const auto expected = by_bits(bytes);
    CHECK(crc32c(bytes) == expected);
    CHECK(crc32c_by_tables(bytes) == expected);
    const auto cut = random() % (size + 1);
    const std::string_view view = bytes;
    CHECK(crc32c(view.substr(cut), crc32c(view.substr(0, cut))) == expected);
    CHECK(crc32c_by_tables(view.substr(cut), crc32c(view.substr(0, cut))) == expected);
  }
}
