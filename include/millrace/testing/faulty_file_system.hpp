// SPDX-License-Identifier: Apache-2.0
/// \file
/// A file system in memory that fails on purpose: any one operation, in any way a disk can, and
/// power cuts that lose what was not made durable. Thread safe.
///
///     faulty_file_system disk;
///     scenario(disk);                                   // once without faults, to count
///     for (std::size_t i = 0; i < disk.operations(); ++i) {
///       faulty_file_system d;
///       d.plan(i, disk_fault::power_cut);
///       scenario(d);  d.restart(seed);  check(d);
///     }
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/file_system.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::testing {

enum class disk_operation : std::uint8_t {
  open,
  read,
  write,
  size,
  truncate,
  allocate,
  sync,
  rename,
  remove,
  exists,
  list,
  create_directories,
  sync_directory,
  space_left,
  lock,
};

/// How an operation fails. A failed `sync` loses what was written since the last good one: reading
/// still shows it, but no later sync saves it.
enum class disk_fault : std::uint8_t {
  none,
  io_error,     ///< EIO, nothing is done; every operation can
  no_space,     ///< ENOSPC: what needs room (open, write, truncate, allocate, sync, rename, ...)
  short_write,  ///< half is written, and the length says so
  torn_write,   ///< some sectors are written, then EIO
  bit_flip,     ///< a read returns one wrong bit, once
  power_cut,    ///< this operation is begun, and then nothing works before `restart`
};

/// Whether an operation can fail that way.
MILLRACE_DECL bool can_fail(disk_operation operation, disk_fault fault) noexcept;

MILLRACE_DECL const char* name_of(disk_operation operation) noexcept;
MILLRACE_DECL const char* name_of(disk_fault fault) noexcept;

class faulty_file_system final : public file_system {
 public:
  struct step {
    disk_operation operation;
    std::string path;
  };

  faulty_file_system();
  ~faulty_file_system() override;

  /// The operation with this number (0 is the first since construction) fails, once.
  void plan(std::size_t number, disk_fault fault);
  void forget_plans();

  /// How many operations there have been; what they were.
  std::size_t operations() const;
  std::vector<step> history() const;

  /// Bytes that all files may have together; no limit at first.
  void set_capacity(std::uint64_t bytes);

  /// Cuts the power now: every operation fails until `restart`.
  void cut_power();
  bool powered() const;

  /// Power is back. Of what was not durable, files and names, an arbitrary part has survived, drawn
  /// from `seed`, in units of sectors of 512 bytes. Open files and locks are void.
  void restart(std::uint64_t seed);

  /// A process has died and the machine runs on: nothing is lost, locks are free, open files void.
  void restart_process();

  /// What reading a file shows; empty when there is none.
  std::string content(const std::string& path) const;

  /// Replaces a file, durably; no operation is counted.
  void put(const std::string& path, std::string_view bytes);
  void erase(const std::string& path);

  /// Damages the medium: flips bits of a byte.
  void flip(const std::string& path, std::uint64_t offset, unsigned char mask = 1);

  /// All files, by path, sorted.
  std::vector<std::string> files() const;

  // file_system
  result<std::unique_ptr<open_file>> open(const std::string& path, file_access access) override;
  result<void> rename(const std::string& from, const std::string& to) override;
  result<void> remove(const std::string& path) override;
  result<bool> exists(const std::string& path) override;
  result<std::vector<std::string>> list(const std::string& directory) override;
  result<void> create_directories(const std::string& directory) override;
  result<void> sync_directory(const std::string& directory) override;
  result<std::uint64_t> space_left(const std::string& path) override;
  result<std::unique_ptr<file_lock>> lock(const std::string& path) override;

  struct state;

 private:
  std::shared_ptr<state> state_;
};

}  // namespace millrace::testing

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/testing/impl/faulty_file_system.ipp>
#include <millrace/testing/impl/faulty_file_system_control.ipp>
#endif
