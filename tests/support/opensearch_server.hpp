// SPDX-License-Identifier: Apache-2.0
/// \file
/// A real OpenSearch node for tests: built once from Maven Central (tests/servers/opensearch), then
/// started on a free port with its data in a temporary directory. Not thread safe.
#pragma once

#include "support/child_process.hpp"
#include "support/temporary_directory.hpp"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace millrace::testing {

class opensearch_server {
 public:
  /// Why there can be no server on this machine; empty when it is built and ready to start. The
  /// first call downloads about 50 MB into Maven's own repository, and keeps the node in the cache
  /// directory ($MILLRACE_TEST_CACHE, $XDG_CACHE_HOME or ~/.cache).
  static const std::string& missing() {
    static const std::string reason = build();
    return reason;
  }

  /// `settings` as "name=value". \pre `missing()` is empty \throws std::runtime_error with the
  /// node's last words when it does not start
  explicit opensearch_server(std::vector<std::string> settings = {})
      : settings_(std::move(settings)) {
    start();
  }

  /// On the same port, with the same data.
  void start() {
    std::vector<std::string> command{"java",
                                     "-Xms512m",
                                     "-Xmx512m",
                                     "-XX:+UseSerialGC",
                                     "-XX:TieredStopAtLevel=1",
                                     "-cp",
                                     node().string() + "/*",
                                     "Main",
                                     home_.file("node"),
                                     std::to_string(port_)};
    command.insert(command.end(), settings_.begin(), settings_.end());
    process_ = std::make_unique<child_process>(command, home_.file("log"));
    const auto line = process_->read_line(std::chrono::seconds{120});
    if (!line || !line->starts_with("port ")) {
      process_.reset();
      auto words = home_.read("log");
      if (words.size() > 2000) words.erase(0, words.size() - 2000);
      throw std::runtime_error("OpenSearch did not start: ..." + words);
    }
    port_ = static_cast<std::uint16_t>(std::stoi(line->substr(5)));
  }

  /// As an operator would; returns when the port is closed and the data is on disk.
  void stop() {
    if (!process_) return;
    process_->close_input();
    process_->wait(std::chrono::seconds{60});
    process_.reset();
  }

  /// As a power cut would.
  void kill() {
    if (!process_) return;
    process_->signal(SIGKILL);
    process_->wait(std::chrono::seconds{10});
    process_.reset();
  }

  bool running() const noexcept { return process_ != nullptr; }
  std::uint16_t port() const noexcept { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  static std::filesystem::path source() {
    if (const char* root = std::getenv("MILLRACE_SOURCE_DIR")) {
      return std::filesystem::path(root) / "tests/servers/opensearch";
    }
    return std::filesystem::path(__FILE__).parent_path().parent_path() / "servers/opensearch";
  }

  static std::filesystem::path cache() {
    namespace fs = std::filesystem;
    fs::path base = fs::temp_directory_path();
    if (const char* home = std::getenv("HOME")) base = fs::path(home) / ".cache";
    if (const char* xdg = std::getenv("XDG_CACHE_HOME")) base = xdg;
    if (const char* own = std::getenv("MILLRACE_TEST_CACHE")) base = own;
    return base / "millrace-tests" / "opensearch";
  }
  static std::filesystem::path node() { return cache() / "node"; }

  static bool up_to_date() {
    namespace fs = std::filesystem;
    std::error_code ignored;
    const auto built = fs::last_write_time(node() / "opensearch-test-node.jar", ignored);
    if (ignored) return false;
    for (const auto& entry : fs::recursive_directory_iterator(source())) {
      if (entry.is_regular_file() && entry.last_write_time() > built) return false;
    }
    return true;
  }

  static std::string build() {
    using std::chrono::seconds;
    if (run_program({"java", "-version"}, seconds{60}) != 0) {
      return "OpenSearch needs Java: install default-jre-headless";
    }
    std::error_code problem;
    std::filesystem::create_directories(cache(), problem);
    // Several test programs may come here at once.
    const int lock = ::open((cache() / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock < 0) return "cannot write to " + cache().string();
    ::flock(lock, LOCK_EX);
    std::string reason;
    if (!up_to_date()) reason = package();
    ::close(lock);
    return reason;
  }

  static std::string package() {
    using std::chrono::seconds;
    if (run_program({"mvn", "-v"}, seconds{60}) != 0) {
      return "OpenSearch is built by Maven: install maven and default-jdk-headless";
    }
    const auto log = (cache() / "mvn.log").string();
    std::vector<std::string> command{"mvn",
                                     "-q",
                                     "-B",
                                     "-o",
                                     "-f",
                                     (source() / "pom.xml").string(),
                                     "-Dnode.build=" + cache().string(),
                                     "package"};
    if (run_program(command, seconds{120}, log) == 0 && up_to_date()) return {};
    command.erase(command.begin() + 3);  // not all is here: go online
    if (run_program(command, seconds{600}, log) == 0 && up_to_date()) return {};
    return "Maven could not fetch OpenSearch (no network?), see " + log;
  }

  temporary_directory home_;
  std::vector<std::string> settings_;
  std::uint16_t port_ = 0;
  std::unique_ptr<child_process> process_;
};

}  // namespace millrace::testing
