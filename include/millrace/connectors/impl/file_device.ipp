// SPDX-License-Identifier: Apache-2.0
/// \file
/// The file sink's device on POSIX.
#pragma once

#include <millrace/connectors/file/device.hpp>

#include <cerrno>
#include <charconv>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace millrace::file {

namespace detail {

inline std::error_code last_system_error() noexcept { return {errno, std::system_category()}; }

/// The directory a path lies in; "." for a bare name.
inline std::string directory_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

class posix_device final : public device {
 public:
  ~posix_device() override { posix_device::close(); }

  std::error_code open(const std::string& path, open_mode mode) override {
    close();
    path_ = path;
    const int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC;
    descriptor_ = ::open(path.c_str(), mode == open_mode::truncate ? flags | O_TRUNC : flags, 0644);
    name_is_durable_ = false;
    return descriptor_ < 0 ? last_system_error() : std::error_code{};
  }

  result<std::uint64_t> size() override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return error{last_system_error(), path_};
    return static_cast<std::uint64_t>(status.st_size);
  }

  int last_byte() override {
    const auto length = size();
    unsigned char byte = 0;
    if (!length || *length == 0) return -1;
    if (::pread(descriptor_, &byte, 1, static_cast<off_t>(*length - 1)) != 1) return -1;
    return byte;
  }

  result<std::size_t> write(std::string_view bytes) override {
    while (true) {
      const auto n = ::write(descriptor_, bytes.data(), bytes.size());
      if (n > 0 || bytes.empty()) return static_cast<std::size_t>(n);
      if (n == 0) return error{std::make_error_code(std::errc::no_space_on_device), path_};
      if (errno != EINTR) return error{last_system_error(), path_};
    }
  }

  std::error_code truncate(std::uint64_t size) override {
    return ::ftruncate(descriptor_, static_cast<off_t>(size)) == 0 ? std::error_code{}
                                                                   : last_system_error();
  }

  std::error_code sync() override {
    // EINVAL: a pipe, a terminal; there is no medium to wait for.
    if (::fdatasync(descriptor_) != 0 && errno != EINVAL) return last_system_error();
    if (name_is_durable_) return {};
    const int directory = ::open(directory_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return last_system_error();
    const auto outcome =
        ::fsync(directory) != 0 && errno != EINVAL ? last_system_error() : std::error_code{};
    ::close(directory);
    name_is_durable_ = !outcome;
    return outcome;
  }

  std::error_code close() noexcept override {
    if (descriptor_ < 0) return {};
    const int descriptor = descriptor_;
    descriptor_ = -1;
    return ::close(descriptor) != 0 && errno != EINTR ? last_system_error() : std::error_code{};
  }

  std::error_code rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str()) == 0 ? std::error_code{} : last_system_error();
  }

  std::error_code remove(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? std::error_code{} : last_system_error();
  }

  std::uint64_t last_number(const std::string& path) override {
    const auto prefix = std::filesystem::path(path).filename().string() + ".";
    std::uint64_t greatest = 0;
    std::error_code ignored;
    for (std::filesystem::directory_iterator at(directory_of(path), ignored), end; at != end;
         at.increment(ignored)) {
      const auto name = at->path().filename().string();
      if (name.size() <= prefix.size() || !name.starts_with(prefix)) continue;
      std::uint64_t number = 0;
      const auto* last = name.data() + name.size();
      const auto [stop, problem] = std::from_chars(name.data() + prefix.size(), last, number);
      if (problem == std::errc{} && stop == last && number > greatest) greatest = number;
    }
    return greatest;
  }

 private:
  std::string path_;
  int descriptor_ = -1;
  bool name_is_durable_ = false;
};

}  // namespace detail

MILLRACE_DECL std::unique_ptr<device> make_posix_device() {
  return std::make_unique<detail::posix_device>();
}

}  // namespace millrace::file
