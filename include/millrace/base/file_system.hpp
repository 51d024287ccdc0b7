// SPDX-License-Identifier: Apache-2.0
/// \file
/// The seam to the disk: what journals and checkpoints do with files, as an interface, so that a
/// test can make every single operation fail. `posix_file_system()` is the real one. A file system
/// may be used from any thread; a file by one thread at a time.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// How a file is opened.
enum class file_access : std::uint8_t {
  read,    ///< it must be there; nothing can be written
  write,   ///< reading and writing; made when it is missing
  create,  ///< reading and writing; it must not be there
};

/// An open file; the destructor closes it. Errors are those of the system, and name the path.
class open_file {
 public:
  open_file() = default;
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  virtual ~open_file() = default;

  /// Reads up to `size` bytes. Fewer only at the end of the file; 0 behind it.
  virtual result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t size) = 0;

  /// Writes a beginning of `bytes` and returns its length: less than asked when the disk is full,
  /// but never nothing. A gap between the old end and `offset` reads as zeros.
  virtual result<std::size_t> write_at(std::uint64_t offset, std::string_view bytes) = 0;

  /// The same at the end of the file. For files with one writer.
  virtual result<std::size_t> append(std::string_view bytes) = 0;

  virtual result<std::uint64_t> size() = 0;

  /// Cuts off what stands behind the first `size` bytes, or adds zeros up to there.
  virtual result<void> truncate(std::uint64_t size) = 0;

  /// Makes sure that there is room for the first `size` bytes, and grows the file with zeros to
  /// that size. Success without room where the file system has no such call.
  virtual result<void> allocate(std::uint64_t size) = 0;

  /// fsync: returns when content and attributes are on the medium. After a failure nothing that was
  /// written since the last success may be trusted, not even when a later call succeeds.
  virtual result<void> sync() = 0;

  /// fdatasync: the same without attributes that are not needed for reading.
  virtual result<void> sync_data() = 0;
};

/// A lock on a path, held by one process and one object; given back by the destructor, and by the
/// end of the process.
class file_lock {
 public:
  file_lock() = default;
  file_lock(const file_lock&) = delete;
  file_lock& operator=(const file_lock&) = delete;
  virtual ~file_lock() = default;
};

class file_system {
 public:
  file_system() = default;
  file_system(const file_system&) = delete;
  file_system& operator=(const file_system&) = delete;
  virtual ~file_system() = default;

  virtual result<std::unique_ptr<open_file>> open(const std::string& path, file_access access) = 0;

  /// Gives a file another name, at once for every observer; a file of that name is replaced. It
  /// lasts after `sync_directory`.
  virtual result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual result<void> remove(const std::string& path) = 0;
  virtual result<bool> exists(const std::string& path) = 0;

  /// The names in a directory, files and directories, sorted; without "." and "..".
  virtual result<std::vector<std::string>> list(const std::string& directory) = 0;

  /// Makes a directory and those above it, as far as they are missing, and makes them last.
  virtual result<void> create_directories(const std::string& directory) = 0;

  /// Returns when the names made, changed and removed in a directory are on the medium.
  virtual result<void> sync_directory(const std::string& directory) = 0;

  /// Bytes that may still be written where `path` is.
  virtual result<std::uint64_t> space_left(const std::string& path) = 0;

  /// Takes a lock; makes the file when it is missing. Held by somebody else: `errc::unavailable`.
  virtual result<std::unique_ptr<file_lock>> lock(const std::string& path) = 0;
};

/// The files of this machine. Signals do not disturb it; thread safe.
MILLRACE_DECL file_system& posix_file_system() noexcept;

/// `*given`, or the real one when there is none.
inline file_system& file_system_or_default(file_system* given) noexcept {
  return given != nullptr ? *given : posix_file_system();
}

/// Whether an error says that there is no room (ENOSPC, EDQUOT, EFBIG): it may go away.
MILLRACE_DECL bool is_disk_full(const std::error_code& code) noexcept;

/// Writes all of `bytes`, with as many calls as it takes. An error may leave a part of them.
MILLRACE_DECL result<void> write_fully(open_file& to, std::uint64_t offset, std::string_view bytes);

/// Exactly `size` bytes; `errc::corrupt` when the file ends before.
MILLRACE_DECL result<std::string> read_exactly(open_file& from, std::uint64_t offset,
                                               std::size_t size);

/// A whole file; `errc::too_large` above `most` bytes.
MILLRACE_DECL result<std::string> read_file(file_system& files, const std::string& path,
                                            std::uint64_t most);

/// `directory` + "/" + `name`.
inline std::string path_in(const std::string& directory, std::string_view name) {
  return directory + "/" + std::string(name);
}

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/base/impl/file_system.ipp>
#endif
