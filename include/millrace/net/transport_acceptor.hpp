// SPDX-License-Identifier: Apache-2.0
/// \file
/// The listening side of `transport`, for test servers: TCP, TLS, WebSocket and WebSocket over TLS.
/// Light. Everything must be called on the thread of the environment, and completes there.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/result.hpp>
#include <millrace/net/tls.hpp>
#include <millrace/net/transport.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace millrace::net {

/// What is put on top of TCP (and TLS).
enum class transport_framing { none, websocket };

/// Where and how to listen.
struct listen_options {
  std::string address = "127.0.0.1";    ///< of a local interface
  std::uint16_t port = 0;               ///< 0: a free one, see `port()`
  std::optional<tls_options> tls = {};  ///< encrypted if set; a certificate is required
  transport_framing framing = transport_framing::none;
  std::string websocket_protocol = {};  ///< chosen if the client offers it
  std::size_t max_handshakes = 64;      ///< under way at a time; others wait in the kernel
  std::chrono::nanoseconds handshake_timeout = std::chrono::seconds{10};
  std::chrono::nanoseconds shutdown_timeout = std::chrono::seconds{2};
  tcp_acknowledge acknowledge = tcp_acknowledge::adaptive;
};

/// Called for every connection whose handshakes are over.
using accept_function = std::function<void(std::unique_ptr<transport>)>;

/// Listens from `start` until destruction. Handshakes that fail are dropped and logged.
class transport_acceptor {
 public:
  transport_acceptor() = default;
  transport_acceptor(const transport_acceptor&) = delete;
  transport_acceptor& operator=(const transport_acceptor&) = delete;
  virtual ~transport_acceptor() = default;

  /// The port that clients connect to.
  virtual std::uint16_t port() const noexcept = 0;

  /// Stops listening and frees the port; connections that were handed out stay.
  virtual void close() noexcept = 0;
};

/// Binds and listens (backlog: the system's), and accepts until the acceptor is closed or
/// destroyed. Errors name the address: "listen on 127.0.0.1:1883: Address already in use".
MILLRACE_DECL result<std::unique_ptr<transport_acceptor>> listen(environment& env,
                                                                 const listen_options& options,
                                                                 accept_function on_accept);

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/transport_acceptor.ipp>
#endif
