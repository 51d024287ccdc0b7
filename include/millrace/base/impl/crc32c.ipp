// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/crc32c.hpp>

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace millrace {

namespace detail {

using crc32c_tables_type = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr crc32c_tables_type make_crc32c_tables() noexcept {
  crc32c_tables_type tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
    tables[0][byte] = crc;
  }
  for (std::size_t row = 1; row < 8; ++row) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t above = tables[row - 1][byte];
      tables[row][byte] = (above >> 8) ^ tables[0][above & 0xff];
    }
  }
  return tables;
}

inline constexpr crc32c_tables_type crc32c_tables = make_crc32c_tables();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) inline std::uint32_t crc32c_by_instruction(
    const char* at, std::size_t size, std::uint32_t before) noexcept {
  std::uint64_t crc = before ^ 0xffffffffU;
  for (; size >= 8; at += 8, size -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto rest = static_cast<std::uint32_t>(crc);
  for (; size > 0; ++at, --size) rest = _mm_crc32_u8(rest, static_cast<unsigned char>(*at));
  return rest ^ 0xffffffffU;
}
#elif defined(__ARM_FEATURE_CRC32)
inline std::uint32_t crc32c_by_instruction(const char* at, std::size_t size,
                                           std::uint32_t before) noexcept {
  std::uint32_t crc = before ^ 0xffffffffU;
  for (; size >= 8; at += 8, size -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    crc = __crc32cd(crc, word);
  }
  for (; size > 0; ++at, --size) crc = __crc32cb(crc, static_cast<unsigned char>(*at));
  return crc ^ 0xffffffffU;
}
#endif

}  // namespace detail

MILLRACE_DECL std::uint32_t crc32c_by_tables(std::string_view bytes,
                                             std::uint32_t before) noexcept {
  const auto& tables = detail::crc32c_tables;
  const char* at = bytes.data();
  std::size_t size = bytes.size();
  std::uint32_t crc = before ^ 0xffffffffU;
  if constexpr (std::endian::native == std::endian::little) {
    // "Slicing by 8" (Kounavis, Berry 2005): eight bytes a step.
    for (; size >= 8; at += 8, size -= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, at, 8);
      word ^= crc;
      crc = 0;
      for (std::size_t i = 0; i < 8; ++i) crc ^= tables[7 - i][(word >> (8 * i)) & 0xff];
    }
  }
  for (; size > 0; ++at, --size) {
    crc = (crc >> 8) ^ tables[0][(crc ^ static_cast<unsigned char>(*at)) & 0xff];
  }
  return crc ^ 0xffffffffU;
}

MILLRACE_DECL std::uint32_t crc32c(std::string_view bytes, std::uint32_t before) noexcept {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return detail::crc32c_by_instruction(bytes.data(), bytes.size(), before);
  return crc32c_by_tables(bytes, before);
#elif defined(__ARM_FEATURE_CRC32)
  return detail::crc32c_by_instruction(bytes.data(), bytes.size(), before);
#else
  return crc32c_by_tables(bytes, before);
#endif
}

}  // namespace millrace
