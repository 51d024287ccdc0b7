// SPDX-License-Identifier: Apache-2.0
/// \file
/// The real files, with a point at which the process dies (SIGKILL, by its own hand). Thread safe.
#pragma once

#include <millrace/base/file_system.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <unistd.h>

namespace kill_test {

using namespace millrace;

/// Where to die.
struct kill_point {
  std::string what;   // "write", "sync", "rename-before", ...; empty: nowhere
  std::string where;  // a part of the path
  int nth = 0;        // how often it is passed before
};

class kill_files final : public file_system {
 public:
  explicit kill_files(kill_point at) : at_(std::move(at)), left_(at_.nth) {}

  /// True once, when the point is reached.
  bool reached(std::string_view what, const std::string& path) {
    if (what != at_.what || path.find(at_.where) == std::string::npos) return false;
    return left_.fetch_sub(1) == 0;
  }
  void pass(std::string_view what, const std::string& path) {
    if (reached(what, path)) die();
  }
  [[noreturn]] static void die() {
    ::kill(::getpid(), SIGKILL);
    while (true) ::pause();
  }

  result<std::unique_ptr<open_file>> open(const std::string& path, file_access access) override {
    auto opened = posix_file_system().open(path, access);
    if (!opened) return opened.error();
    return std::unique_ptr<open_file>(std::make_unique<file>(*this, path, std::move(*opened)));
  }
  result<void> rename(const std::string& from, const std::string& to) override {
    pass("rename-before", to);
    auto done = posix_file_system().rename(from, to);
    pass("rename-after", to);
    return done;
  }
  result<void> remove(const std::string& path) override {
    pass("remove", path);
    return posix_file_system().remove(path);
  }
  result<bool> exists(const std::string& path) override { return posix_file_system().exists(path); }
  result<std::vector<std::string>> list(const std::string& directory) override {
    return posix_file_system().list(directory);
  }
  result<void> create_directories(const std::string& directory) override {
    return posix_file_system().create_directories(directory);
  }
  result<void> sync_directory(const std::string& directory) override {
    return posix_file_system().sync_directory(directory);
  }
  result<std::uint64_t> space_left(const std::string& path) override {
    return posix_file_system().space_left(path);
  }
  result<std::unique_ptr<file_lock>> lock(const std::string& path) override {
    return posix_file_system().lock(path);
  }

 private:
  class file final : public open_file {
   public:
    file(kill_files& of, std::string path, std::unique_ptr<open_file> real)
        : of_(of), path_(std::move(path)), real_(std::move(real)) {}

    result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t size) override {
      return real_->read_at(offset, into, size);
    }
    result<std::size_t> write_at(std::uint64_t offset, std::string_view bytes) override {
      if (of_.reached("write", path_)) {
        static_cast<void>(real_->write_at(offset, bytes.substr(0, bytes.size() / 2)));
        die();
      }
      return real_->write_at(offset, bytes);
    }
    result<std::size_t> append(std::string_view bytes) override {
      if (of_.reached("write", path_)) {
        static_cast<void>(real_->append(bytes.substr(0, bytes.size() / 2)));
        die();
      }
      return real_->append(bytes);
    }
    result<std::uint64_t> size() override { return real_->size(); }
    result<void> truncate(std::uint64_t size) override { return real_->truncate(size); }
    result<void> allocate(std::uint64_t size) override { return real_->allocate(size); }
    result<void> sync() override { return synced(real_->sync()); }
    result<void> sync_data() override { return synced(real_->sync_data()); }

   private:
    result<void> synced(result<void> done) {
      of_.pass("sync", path_);
      if (of_.reached("sync-later", path_)) {
        std::thread([] {
          std::this_thread::sleep_for(std::chrono::milliseconds{2});
          die();
        }).detach();
      }
      return done;
    }

    kill_files& of_;
    std::string path_;
    std::unique_ptr<open_file> real_;
  };

  kill_point at_;
  std::atomic<int> left_;
};

}  // namespace kill_test
