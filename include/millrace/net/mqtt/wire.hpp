// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reading and appending the primitive types of MQTT (1.5): integers, variable byte integers,
/// length-prefixed fields. Shared by the codec's files; nothing here reads past `end`.
#pragma once

#include <millrace/net/mqtt/types.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::mqtt::detail {

/// A cursor over received bytes. A read that does not fit sets `failed` and yields zero or nothing;
/// check once at the end of a group of reads.
class wire_reader {
 public:
  explicit wire_reader(std::string_view bytes) noexcept
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool failed() const noexcept { return failed_; }
  bool at_end() const noexcept { return at_ == end_; }
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  const char* position() const noexcept { return at_; }

  std::uint8_t u8() noexcept {
    if (left() < 1) return static_cast<std::uint8_t>(fail());
    return static_cast<std::uint8_t>(*at_++);
  }

  std::uint16_t u16() noexcept {
    if (left() < 2) return static_cast<std::uint16_t>(fail());
    const unsigned value = (byte(0) << 8) | byte(1);
    at_ += 2;
    return static_cast<std::uint16_t>(value);
  }

  std::uint32_t u32() noexcept {
    if (left() < 4) return fail();
    const std::uint32_t value = (byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3);
    at_ += 4;
    return value;
  }

  /// 1.5.5: at most four bytes, and no more than needed.
  std::uint32_t variable() noexcept {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
      if (left() < 1) return fail();
      const std::uint32_t next = static_cast<std::uint8_t>(*at_++);
      value |= (next & 0x7f) << (7 * i);
      if (next < 0x80) return i > 0 && next == 0 ? fail() : value;
    }
    return fail();
  }

  std::string_view bytes(std::size_t size) noexcept {
    if (left() < size) {
      fail();
      return {};
    }
    const std::string_view field{at_, size};
    at_ += size;
    return field;
  }

  /// A string or binary field with its two bytes of length.
  std::string_view field() noexcept { return bytes(u16()); }

  std::string_view rest() noexcept { return bytes(left()); }

 private:
  std::uint32_t byte(std::size_t i) const noexcept { return static_cast<std::uint8_t>(at_[i]); }
  std::uint32_t fail() noexcept {
    failed_ = true;
    at_ = end_;
    return 0;
  }

  const char* at_;
  const char* end_;
  bool failed_ = false;
};

inline void append_u8(std::string& to, unsigned value) { to.push_back(static_cast<char>(value)); }

inline void append_u16(std::string& to, std::uint16_t value) {
  const char bytes[2] = {static_cast<char>(value >> 8), static_cast<char>(value)};
  to.append(bytes, 2);
}

inline void append_u32(std::string& to, std::uint32_t value) {
  append_u16(to, static_cast<std::uint16_t>(value >> 16));
  append_u16(to, static_cast<std::uint16_t>(value));
}

inline void append_variable(std::string& to, std::uint32_t value) {
  while (value >= 0x80) {
    append_u8(to, (value & 0x7f) | 0x80);
    value >>= 7;
  }
  append_u8(to, value);
}

inline void append_field(std::string& to, std::string_view field) {
  field = field.substr(0, std::min(field.size(), maximum_field_length));
  append_u16(to, static_cast<std::uint16_t>(field.size()));
  to.append(field);
}

constexpr std::size_t variable_size(std::size_t value) noexcept {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4;
}

}  // namespace millrace::mqtt::detail
