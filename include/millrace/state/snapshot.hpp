// SPDX-License-Identifier: Apache-2.0
/// \file
/// The byte level of saved state: a writer that appends to a growing buffer, and a reader that
/// trusts nothing. Numbers are little endian with fixed width, lengths are LEB128 varints. Distinct
/// objects may be used from distinct threads.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/result.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace millrace {

/// Numbers that are stored with a fixed width. `long double` differs between machines and is out.
template <class T>
concept fixed_width_number = std::is_arithmetic_v<T> && !std::is_same_v<T, long double>;

namespace detail {

/// The unsigned integer of `Size` bytes.
template <std::size_t Size>
using unsigned_of_size = std::conditional_t<
    Size == 1, std::uint8_t,
    std::conditional_t<Size == 2, std::uint16_t,
                       std::conditional_t<Size == 4, std::uint32_t, std::uint64_t>>>;

template <class U>
constexpr U little_endian(U bits) noexcept {
  if constexpr (std::endian::native == std::endian::little || sizeof(U) == 1) {
    return bits;
  } else {
    U reversed = 0;
    for (std::size_t i = 0; i < sizeof(U); ++i) {
      reversed = static_cast<U>((reversed << 8) | ((bits >> (8 * i)) & 0xff));
    }
    return reversed;
  }
}

}  // namespace detail

struct restore_scope;
class saved_types;

/// Appends to a buffer of its own. Every function is amortized O(bytes) and throws only
/// `std::bad_alloc`.
class snapshot_writer {
 public:
  /// A number, little endian, in `sizeof(T)` bytes.
  template <fixed_width_number T>
  void number(T value) {
    const auto bits =
        detail::little_endian(std::bit_cast<detail::unsigned_of_size<sizeof(T)>>(value));
    std::memcpy(grow(sizeof bits), &bits, sizeof bits);
  }

  /// An unsigned LEB128 integer: 7 bits a byte, at most 10 bytes.
  void varint(std::uint64_t value) {
    char bytes[10];
    std::size_t n = 0;
    while (value >= 0x80) {
      bytes[n++] = static_cast<char>(value | 0x80);
      value >>= 7;
    }
    bytes[n++] = static_cast<char>(value);
    std::memcpy(grow(n), bytes, n);
  }

  /// Bytes without a length.
  void raw(const void* data, std::size_t size) {
    if (size != 0) std::memcpy(grow(size), data, size);
  }

  /// A length and so many bytes.
  void text(std::string_view bytes) {
    varint(bytes.size());
    raw(bytes.data(), bytes.size());
  }

  /// Overwrites a number that was written at `position`. \pre it lies inside what was written
  template <fixed_width_number T>
  void patch(std::size_t position, T value) noexcept {
    MILLRACE_ASSERT(position + sizeof(T) <= size_);
    const auto bits =
        detail::little_endian(std::bit_cast<detail::unsigned_of_size<sizeof(T)>>(value));
    std::memcpy(buffer_.data() + position, &bits, sizeof bits);
  }

  std::size_t size() const noexcept { return size_; }
  std::string_view view() const noexcept { return {buffer_.data(), size_}; }

  /// Forgets the content and keeps the memory.
  void clear() noexcept { size_ = 0; }

  /// Forgets what was written behind the first `size` bytes. \pre `size <= this->size()`
  void truncate(std::size_t size) noexcept { size_ = size; }

  /// The content; the writer is empty afterwards.
  std::string take() {
    buffer_.resize(size_);
    size_ = 0;
    return std::exchange(buffer_, {});
  }

 private:
  char* grow(std::size_t n) {
    if (MILLRACE_UNLIKELY(buffer_.size() - size_ < n)) {
      buffer_.resize(std::max<std::size_t>(256, 2 * buffer_.size()) + n);
    }
    return buffer_.data() + std::exchange(size_, size_ + n);
  }

  std::string buffer_;  // its size is the capacity: resize() per write would cost a call each
  std::size_t size_ = 0;
};

/// Reads what a `snapshot_writer` wrote. It never reads out of bounds; the first failure sticks,
/// and from then on every function returns zero or nothing, so that a caller may check once at the
/// end. Before memory is allocated for a length, check it with `count`. The bytes must outlive the
/// reader and every view it returned.
class snapshot_reader {
 public:
  /// Nested described values and custom types deeper than this are refused.
  static constexpr int max_depth = 256;

  explicit snapshot_reader(std::string_view bytes) noexcept : bytes_(bytes) {}

  template <fixed_width_number T>
  T number() {
    if (MILLRACE_UNLIKELY(remaining() < sizeof(T))) {
      fail_short(sizeof(T));
      return T{};
    }
    detail::unsigned_of_size<sizeof(T)> bits;
    std::memcpy(&bits, bytes_.data() + position_, sizeof bits);
    position_ += sizeof bits;
    if constexpr (std::is_same_v<T, bool>) {
      if (bits > 1) fail("a boolean that is neither 0 nor 1");
      return bits == 1;
    } else {
      return std::bit_cast<T>(detail::little_endian(bits));
    }
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = number<std::uint8_t>();
      const std::uint64_t part = byte & 0x7f;
      if (shift == 63 && part > 1) break;
      value |= part << shift;
      if (byte < 0x80) return value;
    }
    fail("a length of more than 64 bits");
    return 0;
  }

  /// A varint that counts items of at least `bytes_each` bytes that follow. More of them than can
  /// be left is a failure and yields 0. \pre `bytes_each > 0`
  std::size_t count(std::size_t bytes_each = 1) {
    const std::uint64_t n = varint();
    if (MILLRACE_UNLIKELY(n > remaining() / bytes_each)) {
      if (!failed()) fail_short(n, bytes_each);
      return 0;
    }
    return static_cast<std::size_t>(n);
  }

  /// `size` bytes as a view into the input; empty after a failure.
  std::string_view raw(std::size_t size) {
    if (MILLRACE_UNLIKELY(remaining() < size)) {
      fail_short(size);
      return {};
    }
    return bytes_.substr(std::exchange(position_, position_ + size), size);
  }

  /// What `snapshot_writer::text` wrote.
  std::string_view text() { return raw(count()); }

  /// Null when an instance gets back exactly what it has saved; otherwise what it is to take of the
  /// state of another one. See restore_scope.hpp.
  const restore_scope* scope() const noexcept { return scope_; }
  void set_scope(const restore_scope* scope) noexcept { scope_ = scope; }

  /// Null when the state was saved with the same types; otherwise what described structs were then.
  const saved_types* types() const noexcept { return types_; }
  void set_types(const saved_types* types) noexcept { types_ = types; }

  std::size_t position() const noexcept { return position_; }
  std::size_t remaining() const noexcept { return bytes_.size() - position_; }
  bool failed() const noexcept { return failed_; }

  /// Marks the input as unusable; the first failure wins. Everything that is left is skipped.
  void fail(std::string_view what, errc code = errc::corrupt) {
    if (failed_) return;
    failed_ = true;
    error_ = {code, "saved state, byte " + std::to_string(position_) + ": " + std::string(what)};
    position_ = bytes_.size();
  }

  /// Success so far, or the first failure.
  result<void> status() const {
    if (failed_) return error_;
    return {};
  }

  /// Fails unless all bytes have been read.
  void expect_end() {
    if (remaining() != 0) fail(std::to_string(remaining()) + " bytes more than expected");
  }

  /// Counts nesting; false, and a failure, when it is too deep. Pair with `leave`.
  bool enter() {
    if (++depth_ <= max_depth) return true;
    fail("values are nested too deep");
    return false;
  }
  void leave() noexcept { --depth_; }

 private:
  MILLRACE_NOINLINE void fail_short(std::uint64_t n, std::size_t bytes_each = 1) {
    fail(std::to_string(n) + (bytes_each == 1 ? " bytes" : " items") + " expected, " +
         std::to_string(remaining()) + " bytes left");
  }

  std::string_view bytes_;
  std::size_t position_ = 0;
  int depth_ = 0;
  bool failed_ = false;
  const restore_scope* scope_ = nullptr;
  const saved_types* types_ = nullptr;
  error error_;
};

}  // namespace millrace
