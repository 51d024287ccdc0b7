// SPDX-License-Identifier: Apache-2.0
/// \file
/// A mosquitto of the system, started on a free port with a configuration of its own, for tests
/// with a real server. `available()` says whether there is one. Not thread safe.
#pragma once

#include "support/temporary_directory.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>

namespace millrace::testing {

class mosquitto {
 public:
  /// The program's path; empty if it is not installed.
  static std::string find() {
    for (const char* path : {"/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto",
                             "/usr/bin/mosquitto", "/opt/homebrew/sbin/mosquitto"}) {
      if (::access(path, X_OK) == 0) return path;
    }
    return {};
  }
  static bool available() { return !find().empty(); }
  static constexpr const char* how_to_get = "no mosquitto: apt install mosquitto";

  /// Starts it and waits until it listens. `listener` are lines for the listener (cafile, protocol,
  /// ...), `global` lines for the whole server; without `global` anybody may connect.
  explicit mosquitto(std::string listener = {}, std::string global = "allow_anonymous true\n")
      : port_(free_port()) {
    configuration_ = directory_.write(
        "mosquitto.conf", "per_listener_settings false\nuser " + user() + "\n" + global +
                              "persistence_location " + directory_.path() + "/\nlistener " +
                              std::to_string(port_) + " 127.0.0.1\n" + listener);
    start();
  }
  mosquitto(const mosquitto&) = delete;
  mosquitto& operator=(const mosquitto&) = delete;
  ~mosquitto() { stop(SIGKILL); }

  std::uint16_t port() const noexcept { return port_; }
  std::string url(const std::string& scheme = "mqtt", const std::string& user_info = {}) const {
    return scheme + "://" + user_info + "localhost:" + std::to_string(port_);
  }
  const temporary_directory& directory() const noexcept { return directory_; }
  std::string log() const { return directory_.read("log"); }

  void start() {
    process_ = ::fork();
    if (process_ < 0) throw std::runtime_error("cannot fork");
    if (process_ == 0) {
      const int log = ::open(directory_.file("log").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      ::dup2(log, 1);
      ::dup2(log, 2);
      const std::string program = find();
      ::execl(program.c_str(), program.c_str(), "-v", "-c", configuration_.c_str(), nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 1000 && !listens(); ++i) {
      int status = 0;
      if (::waitpid(process_, &status, WNOHANG) == process_) {
        process_ = -1;
        throw std::runtime_error("mosquitto does not start: " + log());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
  }

  /// Whether it still listens after somebody has connected and gone.
  bool survives_a_connection() const {
    listens();
    std::this_thread::sleep_for(std::chrono::milliseconds{200});  // for a crash, if it comes
    return listens();
  }

  /// SIGTERM lets it save its sessions, SIGKILL does not. Waits for its end.
  void stop(int signal = SIGTERM) {
    if (process_ <= 0) return;
    ::kill(process_, signal);
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = -1;
  }

  static std::uint16_t free_port() {
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    ::bind(s, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(s, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(s);
    return ntohs(address.sin_port);
  }

 private:
  /// As root, mosquitto would become another user, who cannot read the test's files.
  static std::string user() {
    const passwd* entry = ::getpwuid(::geteuid());
    return entry == nullptr ? "root" : entry->pw_name;
  }

  /// Version 2.0.11 does not start with listeners for WebSocket alone.
  static std::string beside(const std::string& listener) {
    if (listener.find("websockets") == std::string::npos) return {};
    return "listener " + std::to_string(free_port()) + " 127.0.0.1\n";
  }

  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  bool listens() const {
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(port_);
    const bool good =
        ::connect(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(s);
    return good;
  }

  temporary_directory directory_;
  std::uint16_t port_;
  std::string configuration_;
  pid_t process_ = -1;
};

}  // namespace millrace::testing
