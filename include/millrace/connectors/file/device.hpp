// SPDX-License-Identifier: Apache-2.0
/// \file
/// The few file operations a file sink needs, as a seam: the real ones, or ones that fail on
/// purpose in a test. Used by one thread.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace millrace::file {

/// What to do with a file that exists already.
enum class open_mode : std::uint8_t {
  append,    ///< go on behind its last line
  truncate,  ///< start afresh
};

/// One file that is written to its end. Errors are those of the system (`std::system_category`).
class device {
 public:
  device() = default;
  device(const device&) = delete;
  device& operator=(const device&) = delete;
  virtual ~device() = default;

  virtual std::error_code open(const std::string& path, open_mode mode) = 0;

  /// Bytes in the file. \pre it is open, as for all that follow but `rename` and below
  virtual result<std::uint64_t> size() = 0;

  /// The last byte; -1 when the file is empty.
  virtual int last_byte() = 0;

  /// Writes at the end; may write less than asked, but not nothing. Returns how much.
  virtual result<std::size_t> write(std::string_view bytes) = 0;

  /// Cuts off what stands behind the first `size` bytes.
  virtual std::error_code truncate(std::uint64_t size) = 0;

  /// Returns when the bytes are on the medium.
  virtual std::error_code sync() = 0;

  virtual std::error_code close() noexcept = 0;

  virtual std::error_code rename(const std::string& from, const std::string& to) = 0;
  virtual std::error_code remove(const std::string& path) = 0;

  /// The greatest N for which `path` + "." + N (digits only) exists; 0 when there is none.
  virtual std::uint64_t last_number(const std::string& path) = 0;
};

/// A device on the file system (POSIX). `sync` makes the bytes durable, and for a new file its
/// name.
MILLRACE_DECL std::unique_ptr<device> make_posix_device();

}  // namespace millrace::file

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/file_device.ipp>
#endif
