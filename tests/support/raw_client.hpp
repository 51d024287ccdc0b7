// SPDX-License-Identifier: Apache-2.0
/// \file
/// A TCP client that a test writes by hand, byte by byte, for servers that must bear anything.
/// Blocking, every wait ends after 10 s unless told otherwise. Not thread safe.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::testing {

class raw_client {
 public:
  /// Connects to 127.0.0.1. `receive_buffer` in bytes makes the window small; 0: as usual.
  explicit raw_client(std::uint16_t port, int receive_buffer = 0, int patience_seconds = 10)
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval limit{patience_seconds, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (receive_buffer > 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0;
  }
  raw_client(raw_client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)),
        connected_(other.connected_),
        pending_(std::move(other.pending_)) {}
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;
  ~raw_client() {
    if (socket_ >= 0) ::close(socket_);
  }

  bool connected() const { return connected_; }

  /// Whether all of it was taken.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  /// No more will be sent.
  void finish() { ::shutdown(socket_, SHUT_WR); }

  /// Closing sends a reset instead of an orderly end.
  void reset_on_close() {
    const linger hard{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }

  /// The next answer, header and body (by Content-Length); empty at the end of the stream.
  std::string read_response(bool has_body = true) {
    std::size_t end = std::string::npos;
    while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return {};
    }
    std::size_t size = end + 4;
    const auto at = pending_.find("Content-Length:");
    if (has_body && at < end) size += std::strtoul(pending_.c_str() + at + 15, nullptr, 10);
    while (pending_.size() < size) {
      if (!read_more()) return {};
    }
    std::string response = pending_.substr(0, size);
    pending_.erase(0, size);
    return response;
  }

  /// Everything up to the end of the stream.
  std::string read_all() {
    while (read_more()) {
    }
    return std::exchange(pending_, {});
  }

  /// Whether the server closes within `patience`; what it sends until then is thrown away.
  bool closed_within(std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < deadline) {
      char piece[4096];
      const timeval limit{0, 20'000};
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      const auto n = ::recv(socket_, piece, sizeof piece, 0);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) return true;
    }
    return false;
  }

 private:
  bool read_more() {
    char piece[16384];
    const auto n = ::recv(socket_, piece, sizeof piece, 0);
    if (n > 0) pending_.append(piece, static_cast<std::size_t>(n));
    return n > 0;
  }

  int socket_;
  bool connected_ = false;
  std::string pending_;
};

/// "GET path" with a Host, and further fields, each ended by CRLF.
inline std::string get_request(std::string_view path, std::string_view fields = {}) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(fields) +
         "\r\n";
}

/// The status of an answer, 0 if it is none.
inline int status_of(std::string_view response) {
  if (!response.starts_with("HTTP/1.1 ") || response.size() < 12) return 0;
  return std::atoi(std::string(response.substr(9, 3)).c_str());
}

/// What stands behind the header.
inline std::string body_of(std::string_view response) {
  const auto end = response.find("\r\n\r\n");
  return end == std::string_view::npos ? std::string{} : std::string(response.substr(end + 4));
}

}  // namespace millrace::testing
