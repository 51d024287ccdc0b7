// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/file_system.hpp>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace millrace {

namespace detail {

inline error file_error(int number, const char* what, const std::string& path) {
  return {{number, std::system_category()}, "cannot " + std::string(what) + " '" + path + "'"};
}

/// Calls `f` again as long as a signal has interrupted it.
template <class F>
auto without_interruption(F f) {
  auto outcome = f();
  while (outcome == -1 && errno == EINTR) outcome = f();
  return outcome;
}

class posix_file final : public open_file {
 public:
  posix_file(int descriptor, std::string path) noexcept
      : descriptor_(descriptor), path_(std::move(path)) {}
  ~posix_file() override { ::close(descriptor_); }

  result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t size) override {
    std::size_t done = 0;
    while (done < size) {
      const auto n = without_interruption([&] {
        return ::pread(descriptor_, into + done, size - done, static_cast<off_t>(offset + done));
      });
      if (n < 0) return file_error(errno, "read", path_);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  result<std::size_t> write_at(std::uint64_t offset, std::string_view bytes) override {
    return written(bytes, without_interruption([&] {
                     return ::pwrite(descriptor_, bytes.data(), bytes.size(),
                                     static_cast<off_t>(offset));
                   }));
  }

  result<std::size_t> append(std::string_view bytes) override {
    const auto end = ::lseek(descriptor_, 0, SEEK_END);
    if (end < 0) return file_error(errno, "write to", path_);
    return write_at(static_cast<std::uint64_t>(end), bytes);
  }

  result<std::uint64_t> size() override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return file_error(errno, "look at", path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

  result<void> truncate(std::uint64_t size) override {
    const auto done =
        without_interruption([&] { return ::ftruncate(descriptor_, static_cast<off_t>(size)); });
    if (done != 0) return file_error(errno, "cut", path_);
    return {};
  }

  result<void> allocate(std::uint64_t size) override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return file_error(errno, "look at", path_);
    if (static_cast<std::uint64_t>(status.st_size) >= size) return {};
    int problem = EINTR;
    while (problem == EINTR) problem = reserve(size);
    if (problem == EOPNOTSUPP || problem == EINVAL || problem == ENOSYS) return truncate(size);
    if (problem != 0) return file_error(problem, "make room in", path_);
    return {};
  }

  result<void> sync() override { return synced(::fsync(descriptor_)); }
  result<void> sync_data() override {
#if defined(__APPLE__)
    return synced(::fcntl(descriptor_, F_FULLFSYNC));
#else
    return synced(::fdatasync(descriptor_));
#endif
  }

 private:
  int reserve([[maybe_unused]] std::uint64_t size) const noexcept {
#if defined(__linux__)
    // Not posix_fallocate: glibc writes a byte into every block where this call is missing.
    return ::fallocate(descriptor_, 0, 0, static_cast<off_t>(size)) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
  }

  result<std::size_t> written(std::string_view bytes, ssize_t n) const {
    if (n < 0) return file_error(errno, "write to", path_);
    if (n == 0 && !bytes.empty()) return file_error(ENOSPC, "write to", path_);
    return static_cast<std::size_t>(n);
  }

  // Not repeated after EINTR: whether the first try has dropped something cannot be known.
  result<void> synced(int outcome) const {
    if (outcome != 0) return file_error(errno, "make durable", path_);
    return {};
  }

  int descriptor_;
  std::string path_;
};

class posix_lock final : public file_lock {
 public:
  explicit posix_lock(int descriptor) noexcept : descriptor_(descriptor) {}
  ~posix_lock() override { ::close(descriptor_); }

 private:
  int descriptor_;
};

class posix_files final : public file_system {
 public:
  result<std::unique_ptr<open_file>> open(const std::string& path, file_access access) override {
    int flags = O_CLOEXEC | (access == file_access::read ? O_RDONLY : O_RDWR | O_CREAT);
    if (access == file_access::create) flags |= O_EXCL;
    const int descriptor = without_interruption([&] { return ::open(path.c_str(), flags, 0644); });
    if (descriptor < 0) return file_error(errno, "open", path);
    return std::unique_ptr<open_file>(std::make_unique<posix_file>(descriptor, path));
  }

  result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return file_error(errno, "rename", from);
    return {};
  }

  result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return file_error(errno, "remove", path);
    return {};
  }

  result<bool> exists(const std::string& path) override {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return file_error(errno, "look at", path);
  }

  result<std::vector<std::string>> list(const std::string& directory) override {
    std::vector<std::string> names;
    std::error_code code;
    std::filesystem::directory_iterator at(directory, code);
    for (; !code && at != std::filesystem::directory_iterator{}; at.increment(code)) {
      names.push_back(at->path().filename().string());
    }
    if (code) return error{code, "cannot list '" + directory + "'"};
    std::sort(names.begin(), names.end());
    return names;
  }

  result<void> create_directories(const std::string& directory) override {
    struct stat status {};
    if (::stat(directory.c_str(), &status) == 0) {
      if (S_ISDIR(status.st_mode)) return {};
      return file_error(ENOTDIR, "make the directory", directory);
    }
    auto parent = std::filesystem::path(directory).parent_path().string();
    if (parent.empty()) parent = ".";
    if (parent != directory) {
      if (auto above = create_directories(parent); !above) return above;
    }
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
      return file_error(errno, "make the directory", directory);
    }
    return sync_directory(parent);
  }

  result<void> sync_directory(const std::string& directory) override {
    const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return file_error(errno, "open", directory);
    // EINVAL: a file system that keeps its names otherwise, and has nothing to wait for.
    const int problem = ::fsync(descriptor) != 0 && errno != EINVAL ? errno : 0;
    ::close(descriptor);
    if (problem != 0) return file_error(problem, "make durable the names in", directory);
    return {};
  }

  result<std::uint64_t> space_left(const std::string& path) override {
    struct statvfs status {};
    if (::statvfs(path.c_str(), &status) != 0) return file_error(errno, "look at", path);
    return std::uint64_t{status.f_bavail} * std::uint64_t{status.f_frsize};
  }

  result<std::unique_ptr<file_lock>> lock(const std::string& path) override {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) return file_error(errno, "open", path);
    auto held = std::make_unique<posix_lock>(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
      return std::unique_ptr<file_lock>(std::move(held));
    }
    if (errno != EWOULDBLOCK) return file_error(errno, "lock", path);
    return error{errc::unavailable, "'" + path + "' is locked: somebody else writes there"};
  }
};

}  // namespace detail

MILLRACE_DECL file_system& posix_file_system() noexcept {
  static detail::posix_files files;
  return files;
}

MILLRACE_DECL bool is_disk_full(const std::error_code& code) noexcept {
  if (code.category() != std::system_category() && code.category() != std::generic_category()) {
    return false;
  }
  return code.value() == ENOSPC || code.value() == EDQUOT || code.value() == EFBIG;
}

MILLRACE_DECL result<void> write_fully(open_file& to, std::uint64_t offset,
                                       std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = to.write_at(offset, bytes);
    if (!n) return n.error();
    bytes.remove_prefix(*n);
    offset += *n;
  }
  return {};
}

MILLRACE_DECL result<std::string> read_exactly(open_file& from, std::uint64_t offset,
                                               std::size_t size) {
  // The size may come from a damaged file: what is not there must not be allocated.
  const auto length = from.size();
  if (!length) return length.error();
  if (offset > *length || size > *length - offset) {
    return error{errc::corrupt, std::to_string(size) + " bytes wanted at byte " +
                                    std::to_string(offset) + ", but the file ends at byte " +
                                    std::to_string(*length)};
  }
  std::string bytes(size, '\0');
  const auto n = from.read_at(offset, bytes.data(), size);
  if (!n) return n.error();
  if (*n < size) return error{errc::corrupt, "the file ends early"};
  return bytes;
}

MILLRACE_DECL result<std::string> read_file(file_system& files, const std::string& path,
                                            std::uint64_t most) {
  const auto opened = files.open(path, file_access::read);
  if (!opened) return opened.error();
  const auto length = (*opened)->size();
  if (!length) return length.error();
  if (*length > most) {
    return error{errc::too_large, "'" + path + "' has " + std::to_string(*length) +
                                      " bytes, at most " + std::to_string(most) + " are expected"};
  }
  return read_exactly(**opened, 0, static_cast<std::size_t>(*length));
}

}  // namespace millrace
