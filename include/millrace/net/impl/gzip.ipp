// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/gzip.hpp>

#include <boost/beast/zlib/deflate_stream.hpp>
#include <boost/beast/zlib/inflate_stream.hpp>

#include <algorithm>
#include <array>
#include <cstring>

namespace millrace::net {

namespace detail {

using crc_tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr crc_tables make_crc_tables() {
  crc_tables tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1U) ^ ((c & 1U) != 0 ? 0xEDB88320U : 0U);
    tables[0][i] = c;
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    for (std::size_t t = 1; t < 8; ++t) {
      const std::uint32_t before = tables[t - 1][i];
      tables[t][i] = (before >> 8U) ^ tables[0][before & 0xFFU];
    }
  }
  return tables;
}

inline constexpr crc_tables crc_table = make_crc_tables();

inline std::uint32_t little_endian_32(const unsigned char* p) noexcept {
  return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8U |
         static_cast<std::uint32_t>(p[2]) << 16U | static_cast<std::uint32_t>(p[3]) << 24U;
}

inline void append_little_endian_32(std::string& out, std::uint32_t v) {
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>((v >> shift) & 0xFFU);
}

inline std::uint32_t adler32(std::string_view bytes, std::uint32_t previous) noexcept {
  std::uint32_t a = previous & 0xFFFFU;
  std::uint32_t b = previous >> 16U;
  while (!bytes.empty()) {
    // 5552 is the longest run that cannot overflow 32 bits (RFC 1950, 9).
    const auto run = bytes.substr(0, 5552);
    for (const char c : run) {
      a += static_cast<unsigned char>(c);
      b += a;
    }
    a %= 65521;
    b %= 65521;
    bytes.remove_prefix(run.size());
  }
  return b << 16U | a;
}

}  // namespace detail

MILLRACE_DECL std::uint32_t crc32(std::string_view bytes, std::uint32_t previous) noexcept {
  const auto& t = detail::crc_table;
  std::uint32_t c = ~previous;
  const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t n = bytes.size();
  for (; n >= 8; n -= 8, p += 8) {
    const std::uint32_t low = c ^ detail::little_endian_32(p);
    const std::uint32_t high = detail::little_endian_32(p + 4);
    c = t[7][low & 0xFFU] ^ t[6][(low >> 8U) & 0xFFU] ^ t[5][(low >> 16U) & 0xFFU] ^
        t[4][low >> 24U] ^ t[3][high & 0xFFU] ^ t[2][(high >> 8U) & 0xFFU] ^
        t[1][(high >> 16U) & 0xFFU] ^ t[0][high >> 24U];
  }
  for (; n > 0; --n, ++p) c = (c >> 8U) ^ t[0][(c ^ *p) & 0xFFU];
  return ~c;
}

/// A state machine over the frame; `hold_` collects the few bytes of a header or trailer that may
/// arrive in pieces.
class inflater::implementation {
 public:
  void reset(content_coding coding) {
    coding_ = coding;
    stage_ = coding == content_coding::gzip ? stage::gzip_header : stage::zlib_header;
    hold_.clear();
    members_ = 0;
    start_member();
  }

  result<void> write(std::string_view input, std::string& out, std::size_t limit) {
    while (!input.empty()) {
      result<void> step;
      switch (stage_) {
        case stage::gzip_header: step = gzip_header(input); break;
        case stage::zlib_header: step = zlib_header(input, out, limit); break;
        case stage::body: step = body(input, out, limit); break;
        case stage::trailer: step = trailer(input); break;
        case stage::complete: step = after_end(input); break;
      }
      if (!step) return step;
    }
    return {};
  }

  result<void> finish() {
    if (stage_ == stage::body && raw_ && raw_ends_here()) stage_ = stage::complete;
    const bool between_members = stage_ == stage::gzip_header && hold_.empty() && members_ > 0;
    const bool nothing_at_all = members_ == 0 && hold_.empty() &&
                                (stage_ == stage::gzip_header || stage_ == stage::zlib_header);
    if (stage_ == stage::complete || between_members || nothing_at_all) return {};
    return {errc::malformed, "compressed body is cut off"};
  }

 private:
  enum class stage : std::uint8_t { gzip_header, zlib_header, body, trailer, complete };

  static constexpr std::size_t longest_header = 64 * 1024;

  void start_member() {
    stream_.reset();
    check_ = coding_ == content_coding::gzip ? 0U : 1U;
    raw_ = false;
    size_ = 0;
    recent_.clear();
  }

  /// Moves bytes from `input` to `hold_` until it has `wanted`; false when there are too few.
  bool gather(std::string_view& input, std::size_t wanted) {
    if (hold_.size() < wanted) {
      const std::size_t n = std::min(wanted - hold_.size(), input.size());
      hold_.append(input.substr(0, n));
      input.remove_prefix(n);
    }
    return hold_.size() >= wanted;
  }

  unsigned held(std::size_t i) const { return static_cast<unsigned char>(hold_[i]); }

  /// Extends `hold_` over a text that ends with a zero byte and begins at `from`.
  result<bool> gather_text(std::string_view& input, std::size_t from, std::size_t& end) {
    for (;;) {
      const auto zero = hold_.find('\0', from);
      if (zero != std::string::npos) {
        end = zero + 1;
        return true;
      }
      if (hold_.size() > longest_header) return {errc::too_large, "gzip header"};
      if (!gather(input, hold_.size() + 1)) return false;
    }
  }

  result<void> gzip_header(std::string_view& input) {
    constexpr unsigned header_crc = 2, extra = 4, name = 8, comment = 16;
    if (!gather(input, 10)) return {};
    if (held(0) != 0x1F || held(1) != 0x8B || held(2) != 8 || (held(3) & 0xE0U) != 0) {
      return {errc::malformed, "no gzip header"};
    }
    const unsigned flags = held(3);
    std::size_t end = 10;
    if ((flags & extra) != 0) {
      if (!gather(input, 12)) return {};
      end = 12 + (held(10) | held(11) << 8U);
      if (!gather(input, end)) return {};
    }
    for (const unsigned text : {name, comment}) {
      if ((flags & text) == 0) continue;
      const auto found = gather_text(input, end, end);
      if (!found) return found.error();
      if (!*found) return {};
    }
    if ((flags & header_crc) != 0) {
      if (!gather(input, end + 2)) return {};
      const unsigned expected = held(end) | held(end + 1) << 8U;
      if ((crc32({hold_.data(), end}) & 0xFFFFU) != expected) {
        return {errc::malformed, "gzip header has a wrong checksum"};
      }
    }
    hold_.clear();
    stage_ = stage::body;
    return {};
  }

  result<void> zlib_header(std::string_view& input, std::string& out, std::size_t limit) {
    if (!gather(input, 2)) return {};
    const unsigned first = held(0);
    if ((first & 0x0FU) == 8 && (first << 8U | held(1)) % 31 == 0) {
      if ((held(1) & 0x20U) != 0) return {errc::not_supported, "deflate with a dictionary"};
      hold_.clear();
      stage_ = stage::body;
      return {};
    }
    raw_ = true;
    stage_ = stage::body;
    const std::string start = std::exchange(hold_, {});
    std::string_view rest = start;
    while (!rest.empty()) {
      auto step = stage_ == stage::body ? body(rest, out, limit) : after_end(rest);
      if (!step) return step;
    }
    return {};
  }

  result<void> body(std::string_view& input, std::string& out, std::size_t limit) {
    namespace zlib = boost::beast::zlib;
    zlib::z_params z;
    z.next_in = input.data();
    z.avail_in = input.size();
    bool ended = false;
    // Output may remain inside the stream when the input is used up: go on while it fills the room.
    for (bool more = true; more && !ended;) {
      std::array<char, 16 * 1024> room;
      z.next_out = room.data();
      z.avail_out = room.size();
      boost::beast::error_code ec;
      const auto* before = static_cast<const char*>(z.next_in);
      stream_.write(z, zlib::Flush::sync, ec);
      remember({before, static_cast<std::size_t>(static_cast<const char*>(z.next_in) - before)});
      if (ec == zlib::error::end_of_stream) {
        ended = true;
      } else if (ec && ec != zlib::error::need_buffers) {
        return {errc::malformed, "compressed body: " + ec.message()};
      }
      const std::string_view piece{room.data(), room.size() - z.avail_out};
      if (piece.size() > limit - std::min(limit, out.size())) {
        return {errc::too_large,
                "decompressed body is longer than " + std::to_string(limit) + " bytes"};
      }
      check_ =
          coding_ == content_coding::gzip ? crc32(piece, check_) : detail::adler32(piece, check_);
      size_ += static_cast<std::uint32_t>(piece.size());
      out.append(piece);
      more = z.avail_in > 0 ? !piece.empty() || !ec : z.avail_out == 0;
    }
    if (!ended && z.avail_in > 0) return {errc::malformed, "compressed body"};
    input.remove_prefix(input.size() - z.avail_in);
    if (!ended) return {};
    ++members_;
    stage_ = raw_ ? stage::complete : stage::trailer;
    // The stream does not give back whole bytes that it has taken beyond its end; it only tells how
    // many bits it holds. Some may have come with an earlier piece.
    hold_ = recent_.substr(recent_.size() - unused_bytes(z));
    if (raw_ && !hold_.empty()) return {errc::malformed, "bytes behind the compressed body"};
    return {};
  }

  static std::size_t unused_bytes(const boost::beast::zlib::z_params& z) noexcept {
    return static_cast<std::size_t>(z.data_type & 63) / 8;
  }

  void remember(std::string_view taken) {
    constexpr std::size_t most = 4;
    if (taken.size() >= most) {
      recent_ = taken.substr(taken.size() - most);
    } else {
      recent_.append(taken);
      if (recent_.size() > most) recent_.erase(0, recent_.size() - most);
    }
  }

  /// The stream looks ahead further than a raw body without trailer reaches. Zero bytes let it see
  /// its end; if they were needed for anything else, the body was cut off.
  bool raw_ends_here() {
    const std::array<char, 4> zeros{};
    std::array<char, 512> room;
    boost::beast::zlib::z_params z;
    z.next_in = zeros.data();
    z.avail_in = zeros.size();
    z.next_out = room.data();
    z.avail_out = room.size();
    boost::beast::error_code ec;
    stream_.write(z, boost::beast::zlib::Flush::sync, ec);
    return ec == boost::beast::zlib::error::end_of_stream && z.avail_out == room.size() &&
           unused_bytes(z) >= zeros.size() - z.avail_in;
  }

  result<void> trailer(std::string_view& input) {
    const bool gzip = coding_ == content_coding::gzip;
    if (!gather(input, gzip ? 8 : 4)) return {};
    const auto* bytes = reinterpret_cast<const unsigned char*>(hold_.data());
    std::uint32_t expected = detail::little_endian_32(bytes);
    if (!gzip) expected = __builtin_bswap32(expected);
    if (expected != check_ || (gzip && detail::little_endian_32(bytes + 4) != size_)) {
      return {errc::malformed, "compressed body has a wrong checksum"};
    }
    hold_.clear();
    if (gzip) {
      stage_ = stage::gzip_header;
      start_member();
    } else {
      stage_ = stage::complete;
    }
    return {};
  }

  static result<void> after_end(std::string_view&) {
    return {errc::malformed, "bytes behind the compressed body"};
  }

  boost::beast::zlib::inflate_stream stream_;
  std::string hold_;    // of a header or trailer
  std::string recent_;  // the last bytes that the stream has taken, 4 at most
  content_coding coding_ = content_coding::gzip;
  stage stage_ = stage::gzip_header;
  bool raw_ = false;
  std::uint32_t check_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t members_ = 0;
};

MILLRACE_DECL inflater::inflater() : self_(std::make_unique<implementation>()) {}
MILLRACE_DECL inflater::~inflater() = default;
MILLRACE_DECL inflater::inflater(inflater&&) noexcept = default;
MILLRACE_DECL inflater& inflater::operator=(inflater&&) noexcept = default;
MILLRACE_DECL void inflater::reset(content_coding coding) { self_->reset(coding); }
MILLRACE_DECL result<void> inflater::write(std::string_view input, std::string& out,
                                           std::size_t limit) {
  return self_->write(input, out, limit);
}
MILLRACE_DECL result<void> inflater::finish() { return self_->finish(); }

MILLRACE_DECL std::string gzip_compress(std::string_view text, int level) {
  namespace zlib = boost::beast::zlib;
  std::string out("\x1F\x8B\x08\0\0\0\0\0\0\xFF", 10);
  zlib::deflate_stream stream;
  stream.reset(std::clamp(level, 0, 9), 15, 8, zlib::Strategy::normal);
  zlib::z_params z;
  z.next_in = text.data();
  z.avail_in = text.size();
  boost::beast::error_code ec;
  while (ec != zlib::error::end_of_stream) {
    std::array<char, 16 * 1024> room;
    z.next_out = room.data();
    z.avail_out = room.size();
    ec = {};
    stream.write(z, zlib::Flush::finish, ec);
    out.append(room.data(), room.size() - z.avail_out);
  }
  detail::append_little_endian_32(out, crc32(text));
  detail::append_little_endian_32(out, static_cast<std::uint32_t>(text.size()));
  return out;
}

MILLRACE_DECL result<std::string> decompress(content_coding coding, std::string_view text,
                                             std::size_t limit) {
  std::string out;
  if (coding == content_coding::identity) {
    if (text.size() > limit) return {errc::too_large, "body"};
    return out.assign(text);
  }
  inflater stream;
  stream.reset(coding);
  if (auto done = stream.write(text, out, limit); !done) return done.error();
  if (auto done = stream.finish(); !done) return done.error();
  return out;
}

}  // namespace millrace::net
