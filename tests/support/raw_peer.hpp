// SPDX-License-Identifier: Apache-2.0
/// \file
/// A TCP server that a test writes by hand, byte by byte, for peers that misbehave. Each accepted
/// connection runs the script on a thread of its own; the destructor ends them all.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::testing {

class raw_peer {
 public:
  /// One accepted connection; blocking, all waits end after 10 s or with the peer.
  class connection {
   public:
    connection(int socket, int number) : socket_(socket), number_(number) {}

    /// 1 for the first accepted connection.
    int number() const { return number_; }

    /// Header and body of the next HTTP request; empty at the end of the stream.
    std::string read_request() {
      std::size_t end = std::string::npos;
      while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
        if (!read_more()) return {};
      }
      std::size_t length = 0;
      const auto at = pending_.find("Content-Length: ");
      if (at < end) length = std::stoul(pending_.substr(at + 16));
      const std::size_t size = end + 4 + length;
      while (pending_.size() < size) {
        if (!read_more()) return {};
      }
      std::string request = pending_.substr(0, size);
      pending_.erase(0, size);
      return request;
    }

    /// Whether all of it was taken.
    bool send(std::string_view bytes) {
      while (!bytes.empty()) {
        const auto n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
      }
      return true;
    }

    /// Blocks until the client has closed, throwing away what it sends.
    void wait_for_close() {
      while (read_more()) pending_.clear();
    }

    /// Closing sends a reset instead of an orderly end.
    void reset_on_close() {
      const linger hard{1, 0};
      ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }

   private:
    bool read_more() {
      char piece[4096];
      const auto n = ::recv(socket_, piece, sizeof piece, 0);
      if (n > 0) pending_.append(piece, static_cast<std::size_t>(n));
      return n > 0;
    }

    int socket_;
    int number_;
    std::string pending_;
  };

  using script = std::function<void(connection&)>;

  explicit raw_peer(script run) : run_(std::move(run)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof where;
    auto* address = reinterpret_cast<sockaddr*>(&where);
    if (socket_ < 0 || ::bind(socket_, address, size) != 0 || ::listen(socket_, 128) != 0 ||
        ::getsockname(socket_, address, &size) != 0) {
      throw std::runtime_error("raw_peer: cannot listen");
    }
    port_ = ntohs(where.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  raw_peer(const raw_peer&) = delete;
  raw_peer& operator=(const raw_peer&) = delete;

  ~raw_peer() {
    stopping_ = true;
    ::shutdown(socket_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int open : open_) ::shutdown(open, SHUT_RDWR);
    }
    for (auto& t : threads_) t.join();
    ::close(socket_);
  }

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }
  int accepted() const { return accepted_; }

 private:
  void accept_all() {
    while (!stopping_) {
      const int client = ::accept(socket_, nullptr, nullptr);
      if (client < 0) return;
      const int one = 1;
      const timeval limit{10, 0};
      ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      ::setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
      const std::lock_guard lock(mutex_);
      open_.push_back(client);
      threads_.emplace_back([this, client, number = ++accepted_] {
        connection c(client, number);
        run_(c);
        const std::lock_guard closing(mutex_);
        std::erase(open_, client);
        ::close(client);
      });
    }
  }

  script run_;
  int socket_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> accepted_{0};
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace millrace::testing
