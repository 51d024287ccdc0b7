// SPDX-License-Identifier: Apache-2.0
/// \file
/// A port that nobody listens on now, for programs that cannot choose one themselves.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

namespace millrace::testing {

inline std::uint16_t free_port() {
  const int s = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  ::bind(s, reinterpret_cast<sockaddr*>(&where), size);
  ::getsockname(s, reinterpret_cast<sockaddr*>(&where), &size);
  ::close(s);
  return ntohs(where.sin_port);
}

}  // namespace millrace::testing
