// SPDX-License-Identifier: Apache-2.0
/// \file
/// Numbers in the headers of a journal, and what a frame's header is checked with. Pure functions.
#pragma once

#include <millrace/base/crc32c.hpp>
#include <millrace/state/snapshot.hpp>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace millrace::detail {

inline constexpr std::string_view journal_magic = "MRJOURNL";
inline constexpr std::string_view frame_magic_text = "MRJf";
inline constexpr std::uint32_t frame_magic = 0x664a524d;  // the same as a number

template <class T>
T load_number(const char* at) noexcept {
  unsigned_of_size<sizeof(T)> bits;
  std::memcpy(&bits, at, sizeof bits);
  return std::bit_cast<T>(little_endian(bits));
}

template <class T>
void store_number(char* at, T value) noexcept {
  const auto bits = little_endian(std::bit_cast<unsigned_of_size<sizeof(T)>>(value));
  std::memcpy(at, &bits, sizeof bits);
}

/// Of the place and the header (48 bytes) behind its own checksum.
inline std::uint32_t frame_header_checksum(const char* header, std::uint64_t journal,
                                           std::uint64_t position) noexcept {
  char numbers[16];
  store_number(numbers, journal);
  store_number(numbers + 8, position);
  return crc32c({header + 8, 40}, crc32c({numbers, sizeof numbers}));
}

}  // namespace millrace::detail
