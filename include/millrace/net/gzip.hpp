// SPDX-License-Identifier: Apache-2.0
/// \file
/// gzip and deflate content codings (RFC 1950, 1951, 1952) for bodies that arrive in pieces and
/// whose decompressed size is bounded. Light: the codec stays in the `.ipp`. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace millrace::net {

/// The content codings that are understood (RFC 9110, 8.4.1).
enum class content_coding : std::uint8_t {
  identity,  ///< as it is
  gzip,      ///< RFC 1952, members may be concatenated
  deflate,   ///< RFC 1950; raw RFC 1951 as some servers send it is recognized, too
};

/// Decompresses one body. May be reset and used again, which keeps its memory (about 40 KiB).
class inflater {
 public:
  MILLRACE_DECL inflater();
  MILLRACE_DECL ~inflater();
  MILLRACE_DECL inflater(inflater&&) noexcept;
  MILLRACE_DECL inflater& operator=(inflater&&) noexcept;

  /// Starts a body. \pre `coding` is not `identity`
  MILLRACE_DECL void reset(content_coding coding);

  /// Decompresses `input` and appends the result to `out`, which is never made longer than `limit`
  /// bytes. `errc::too_large` above that, `errc::malformed` for bytes that follow no format or have
  /// a wrong checksum. After an error only `reset` makes sense.
  MILLRACE_DECL result<void> write(std::string_view input, std::string& out, std::size_t limit);

  /// To be called after the last `write`: `errc::malformed` when the body is cut off.
  MILLRACE_DECL result<void> finish();

 private:
  class implementation;
  std::unique_ptr<implementation> self_;
};

/// `text` as one gzip member; `level` 0 (stored) to 9 (smallest). Allocates about 300 KiB of
/// working memory for the call.
MILLRACE_DECL std::string gzip_compress(std::string_view text, int level = 6);

/// All of `text` at once. Errors as those of `inflater`.
MILLRACE_DECL result<std::string> decompress(content_coding coding, std::string_view text,
                                             std::size_t limit);

/// CRC-32 as in RFC 1952, continued from `previous`. O(length), about 1.5 GB/s.
MILLRACE_DECL std::uint32_t crc32(std::string_view bytes, std::uint32_t previous = 0) noexcept;

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/gzip.ipp>
#endif
