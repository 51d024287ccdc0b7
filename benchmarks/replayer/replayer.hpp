// SPDX-License-Identifier: Apache-2.0
/// \file
/// Canned MQTT 3.1.1 PUBLISH packets (QoS 0) over loopback at full speed or at a rate: as a server
/// that a subscriber connects to (a broker would hide everything else), or as a publisher to a
/// broker. Plain sockets, nothing of the library. Failures throw std::runtime_error. One thread.
#pragma once

#include "floors/reference.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace replayer {

inline std::uint64_t now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(t.tv_nsec);
}

/// When messages were sent, for another process to see: one stamp per `each` messages, the last
/// 2^20 of them. Maps memory that survives a fork.
class stamps {
 public:
  static constexpr std::size_t size = 1 << 20;

  explicit stamps(std::uint64_t each = 1) : each_(each) {
    void* memory = mmap(nullptr, size * sizeof(std::uint64_t), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no memory for time stamps");
    times_ = static_cast<std::atomic<std::uint64_t>*>(memory);
  }
  stamps(const stamps&) = delete;
  stamps& operator=(const stamps&) = delete;
  ~stamps() { munmap(times_, size * sizeof(std::uint64_t)); }

  bool wanted(std::uint64_t message) const noexcept { return message % each_ == 0; }
  void set(std::uint64_t message) noexcept {
    times_[message / each_ % size].store(now(), std::memory_order_relaxed);
  }
  std::uint64_t get(std::uint64_t message) const noexcept {
    return times_[message / each_ % size].load(std::memory_order_relaxed);
  }

 private:
  std::uint64_t each_;
  std::atomic<std::uint64_t>* times_;
};

struct options {
  std::uint64_t messages = 0;
  std::uint64_t per_second = 0;  ///< 0: as fast as the other side takes them
  stamps* sent = nullptr;
};

/// A TCP socket, closed at the end.
class socket_handle {
 public:
  explicit socket_handle(int fd) : fd_(fd) {
    if (fd < 0) throw std::runtime_error("a socket could not be had");
  }
  socket_handle(socket_handle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  socket_handle& operator=(socket_handle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~socket_handle() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const noexcept { return fd_; }

  void write_all(const char* bytes, std::size_t size) const {
    while (size > 0) {
      const ssize_t n = ::send(fd_, bytes, size, MSG_NOSIGNAL);
      if (n <= 0) throw std::runtime_error("the other side has closed");
      bytes += n;
      size -= static_cast<std::size_t>(n);
    }
  }
  void write_all(std::string_view text) const { write_all(text.data(), text.size()); }

  /// At least one packet's worth of bytes: what there is. 0: closed.
  std::size_t read_some(char* to, std::size_t size) const {
    const ssize_t n = ::recv(fd_, to, size, 0);
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  }

 private:
  int fd_;
};

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline socket_handle connect_to(std::uint16_t port) {
  socket_handle s(::socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in address = loopback(port);
  for (int i = 0; i < 500; ++i) {
    if (::connect(s.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      const int on = 1;
      setsockopt(s.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return s;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  throw std::runtime_error("nobody listens on port " + std::to_string(port));
}

/// Sends the packets of a block again and again.
inline void send_packets(const socket_handle& to, const floors::packet_block& block,
                         const options& o) {
  std::vector<std::size_t> ends;  // of each packet
  for (std::size_t at = 0; at < block.size;) {
    const auto* b = reinterpret_cast<const unsigned char*>(block.bytes.data() + at);
    std::size_t length = b[1] & 0x7fU;
    std::size_t head = 2;
    for (unsigned shift = 7; (b[head - 1] & 0x80U) != 0; shift += 7, ++head) {
      length |= static_cast<std::size_t>(b[head] & 0x7fU) << shift;
    }
    ends.push_back(at += head + length);
  }
  const std::uint64_t start = now();
  // At a rate: what is due, at least one; otherwise 64 KiB at a time.
  for (std::uint64_t sent = 0; sent < o.messages;) {
    const std::size_t first = sent % ends.size();
    std::uint64_t many = std::min<std::uint64_t>(ends.size() - first, 400);
    many = std::min(many, o.messages - sent);
    if (o.per_second != 0) {
      const std::uint64_t due = (now() - start) * o.per_second / 1'000'000'000U;
      if (due < sent) {
        std::this_thread::sleep_for(std::chrono::microseconds{20});
        continue;
      }
      many = std::min(many, due - sent + 1);
    }
    if (o.sent != nullptr) {
      for (std::uint64_t i = 0; i < many; ++i) {
        if (o.sent->wanted(sent + i)) o.sent->set(sent + i);
      }
    }
    const std::size_t from = first == 0 ? 0 : ends[first - 1];
    to.write_all(block.bytes.data() + from, ends[first + many - 1] - from);
    sent += many;
  }
}

/// CONNECT of version 3.1.1 with a clean session.
inline std::string connect_packet(std::string_view client_id) {
  std::string p("\x10\0\0\4MQTT\4\2\0\x3c", 12);
  p += '\0';
  p += static_cast<char>(client_id.size());
  p += client_id;
  p[1] = static_cast<char>(p.size() - 2);
  return p;
}

inline std::string subscribe_packet(std::string_view filter) {
  std::string p("\x82\0\0\1\0\0", 6);
  p[5] = static_cast<char>(filter.size());
  p += filter;
  p += '\0';
  p[1] = static_cast<char>(p.size() - 2);
  return p;
}

/// Waits for the answer of that type; what comes behind it in the same read is lost.
inline void await_packet(const socket_handle& from, unsigned char type) {
  std::array<char, 64> bytes{};
  const std::size_t n = from.read_some(bytes.data(), bytes.size());
  if (n == 0 || (static_cast<unsigned char>(bytes[0]) & 0xf0U) != type) {
    throw std::runtime_error("an unexpected MQTT packet");
  }
}

/// Listens from construction on.
class server {
 public:
  server() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const int on = 1;
    setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_.get(), any, size) != 0 || ::listen(listener_.get(), 4) != 0 ||
        ::getsockname(listener_.get(), any, &size) != 0) {
      throw std::runtime_error("cannot listen on loopback");
    }
    port_ = ntohs(address.sin_port);
  }
  std::uint16_t port() const noexcept { return port_; }

  /// Takes one client; answers CONNECT and SUBSCRIBE, sends all packets, and waits until the client
  /// has gone.
  void serve(const floors::packet_block& block, const options& o) const {
    const socket_handle client(::accept(listener_.get(), nullptr, nullptr));
    std::array<char, 4096> in{};
    bool subscribed = false;
    while (!subscribed) {
      const std::size_t n = client.read_some(in.data(), in.size());
      if (n == 0) return;
      for (std::size_t at = 0; at + 4 <= n;) {
        const auto type = static_cast<unsigned char>(in[at]) & 0xf0U;
        const std::size_t length = static_cast<unsigned char>(in[at + 1]);  // short packets only
        if (type == 0x10) client.write_all({"\x20\2\0\0", 4});
        if (type == 0x80) {
          client.write_all({std::string{'\x90', '\3', in[at + 2], in[at + 3], '\0'}});
          subscribed = true;
        }
        at += 2 + length;
      }
    }
    send_packets(client, block, o);
    while (client.read_some(in.data(), in.size()) != 0) {
    }
  }

 private:
  socket_handle listener_;
  std::uint16_t port_ = 0;
};

/// Publishes to a broker and leaves; returns when the broker has read it all.
inline void publish(std::uint16_t port, const floors::packet_block& block, const options& o) {
  const socket_handle broker = connect_to(port);
  broker.write_all(connect_packet("replayer"));
  await_packet(broker, 0x20);
  send_packets(broker, block, o);
  broker.write_all({"\xe0\0", 2});
  std::array<char, 64> rest{};
  while (broker.read_some(rest.data(), rest.size()) != 0) {
  }
}

}  // namespace replayer
