// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/crc32c.hpp>
#include <millrace/state/detail/journal_bytes.hpp>
#include <millrace/state/journal_format.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace millrace {

namespace detail {

inline bool all_zero(std::string_view bytes) noexcept {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

/// A LEB128 number from the front of `bytes`; false when there is none of at most 64 bits.
inline bool take_varint(std::string_view& bytes, std::uint64_t& value) noexcept {
  value = 0;
  for (std::size_t i = 0; i < bytes.size() && i < 10; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (i == 9 && byte > 1) return false;
    value |= std::uint64_t{byte & 0x7fU} << (7 * i);
    if (byte < 0x80) {
      bytes.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

inline void append_varint(std::string& to, std::uint64_t value) {
  char bytes[10];
  std::size_t n = 0;
  for (; value >= 0x80; value >>= 7) bytes[n++] = static_cast<char>(value | 0x80);
  bytes[n++] = static_cast<char>(value);
  to.append(bytes, n);
}

}  // namespace detail

MILLRACE_DECL std::string encode(const journal_segment_header& header) {
  std::string out(journal_segment_header::bytes, '\0');
  detail::journal_magic.copy(out.data(), 8);
  detail::store_number(out.data() + 8, journal_format_version);
  detail::store_number(out.data() + 16, header.journal);
  detail::store_number(out.data() + 24, header.first_offset);
  detail::store_number(out.data() + 32, std::int64_t{header.created.time_since_epoch().count()});
  detail::store_number(out.data() + 44, crc32c({out.data(), 44}));
  return out;
}

MILLRACE_DECL result<journal_segment_header> decode_segment_header(std::string_view bytes) {
  if (bytes.size() < journal_segment_header::bytes) {
    return error{errc::corrupt, "the header of the segment is cut off"};
  }
  if (bytes.substr(0, 8) != detail::journal_magic) {
    return error{errc::corrupt, "this is no segment of a journal"};
  }
  const auto version = detail::load_number<std::uint32_t>(bytes.data() + 8);
  // The checksum's place may move in later versions, the version's does not.
  if (version > journal_format_version) {
    return error{errc::incompatible, "the segment has format version " + std::to_string(version) +
                                         ", this program knows versions up to " +
                                         std::to_string(journal_format_version)};
  }
  if (detail::load_number<std::uint32_t>(bytes.data() + 44) != crc32c(bytes.substr(0, 44))) {
    return error{errc::corrupt, "the checksum of the segment's header is wrong"};
  }
  return journal_segment_header{
      detail::load_number<std::uint64_t>(bytes.data() + 16),
      detail::load_number<std::uint64_t>(bytes.data() + 24),
      timestamp{duration{detail::load_number<std::int64_t>(bytes.data() + 32)}}};
}

MILLRACE_DECL std::string journal_segment_name(std::uint64_t first_offset) {
  auto number = std::to_string(first_offset);
  return std::string(20 - number.size(), '0') + number + ".journal";
}

MILLRACE_DECL std::optional<std::uint64_t> first_offset_of_name(std::string_view name) noexcept {
  if (name.size() != 28 || name.substr(20) != ".journal") return std::nullopt;
  std::uint64_t offset = 0;
  for (const char c : name.substr(0, 20)) {
    if (c < '0' || c > '9') return std::nullopt;
    if (__builtin_mul_overflow(offset, std::uint64_t{10}, &offset)) return std::nullopt;
    if (__builtin_add_overflow(offset, static_cast<std::uint64_t>(c - '0'), &offset)) {
      return std::nullopt;
    }
  }
  return offset;
}

MILLRACE_DECL frame_reading read_frame(std::string_view bytes,
                                       const journal_place& place) noexcept {
  using detail::load_number;
  frame_reading reading;
  const auto head = bytes.substr(0, journal_frame::header_bytes);
  if (detail::all_zero(head)) return reading;
  reading.status = frame_status::damaged;
  const char* at = head.data();
  if (head.size() < journal_frame::header_bytes) return reading;
  if (load_number<std::uint32_t>(at) != detail::frame_magic) return reading;
  if (load_number<std::uint32_t>(at + 4) !=
      detail::frame_header_checksum(at, place.journal, place.position)) {
    return reading;
  }
  const auto length = load_number<std::uint32_t>(at + 12);
  auto& frame = reading.frame;
  frame.count = load_number<std::uint32_t>(at + 16);
  frame.spread = load_number<std::uint32_t>(at + 20);
  frame.first_offset = load_number<std::uint64_t>(at + 24);
  frame.time = timestamp{duration{load_number<std::int64_t>(at + 32)}};
  frame.durable = load_number<std::uint64_t>(at + 40);
  // A record takes two bytes at least.
  if (length > journal_frame::most_payload || frame.count > length / 2) return reading;
  if (frame.end_offset() < frame.first_offset || frame.durable > frame.first_offset) {
    return reading;
  }
  reading.header_is_good = true;
  reading.size = journal_frame::header_bytes + ((std::size_t{length} + 7) & ~std::size_t{7});
  frame.payload = bytes.substr(journal_frame::header_bytes, length);
  if (bytes.size() < reading.size) {
    reading.status = frame_status::incomplete;
    return reading;
  }
  const auto padded =
      bytes.substr(journal_frame::header_bytes, reading.size - journal_frame::header_bytes);
  if (load_number<std::uint32_t>(at + 8) != crc32c(padded)) return reading;
  reading.status = frame_status::good;
  return reading;
}

MILLRACE_DECL bool journal_frame_records::next(journal_record& record) noexcept {
  if (left_ == 0) {
    broken_ = broken_ || !rest_.empty();
    return false;
  }
  std::uint64_t later = 0;
  std::uint64_t length = 0;
  if (!detail::take_varint(rest_, later) || !detail::take_varint(rest_, length) ||
      length > rest_.size() || later > std::numeric_limits<std::uint32_t>::max()) {
    broken_ = true;
    left_ = 0;
    return false;
  }
  time_ = saturating_add(time_, duration{static_cast<std::int64_t>(later)});
  record.offset = offset_++;
  record.time = time_;
  record.bytes = rest_.substr(0, static_cast<std::size_t>(length));
  rest_.remove_prefix(static_cast<std::size_t>(length));
  --left_;
  return true;
}

MILLRACE_DECL void journal_frames::open(std::uint64_t offset, timestamp time) {
  frames_.push_back({bytes_.size(), offset, 0, time, time});
  bytes_.append(journal_frame::header_bytes, '\0');
  open_ = true;
}

/// Pads the last frame; the next one begins at a multiple of 8.
MILLRACE_DECL void journal_frames::close() {
  if (!std::exchange(open_, false)) return;
  const auto& last = frames_.back();
  const auto payload = bytes_.size() - last.at - journal_frame::header_bytes;
  // The length is kept in the header: padding must not look like payload.
  detail::store_number(bytes_.data() + last.at + 12, static_cast<std::uint32_t>(payload));
  bytes_.append((8 - payload % 8) % 8, '\0');
}

MILLRACE_DECL void journal_frames::add(const journal_record& record) {
  const bool fits = open_ && frames_.back().count > 0 &&
                    bytes_.size() - frames_.back().at < frame_bytes_ &&
                    record.time - frames_.back().first <= duration{UINT32_MAX};
  if (!fits) {
    close();
    open(record.offset, record.time);
  }
  auto& frame = frames_.back();
  detail::append_varint(bytes_, static_cast<std::uint64_t>((record.time - frame.last).count()));
  detail::append_varint(bytes_, record.bytes.size());
  bytes_.append(record.bytes);
  frame.last = record.time;
  ++frame.count;
  ++records_;
}

MILLRACE_DECL void journal_frames::add_mark(std::uint64_t offset, timestamp time) {
  close();
  open(offset, time);
}

MILLRACE_DECL void journal_frames::clear() noexcept {
  bytes_.clear();
  frames_.clear();
  records_ = 0;
  open_ = false;
}

MILLRACE_DECL std::string_view journal_frames::finish(const journal_place& place,
                                                      std::uint64_t durable) {
  using detail::store_number;
  close();
  for (std::size_t i = 0; i < frames_.size(); ++i) {
    const auto& frame = frames_[i];
    const auto end = i + 1 < frames_.size() ? frames_[i + 1].at : bytes_.size();
    char* at = bytes_.data() + frame.at;
    store_number(at, detail::frame_magic);
    store_number(at + 8, crc32c({at + journal_frame::header_bytes,
                                 end - frame.at - journal_frame::header_bytes}));
    store_number(at + 16, frame.count);
    store_number(at + 20, static_cast<std::uint32_t>((frame.last - frame.first).count()));
    store_number(at + 24, frame.first_offset);
    store_number(at + 32, std::int64_t{frame.first.time_since_epoch().count()});
    store_number(at + 40, std::min(durable, frame.first_offset));
    store_number(at + 4,
                 detail::frame_header_checksum(at, place.journal, place.position + frame.at));
  }
  return bytes_;
}

}  // namespace millrace
