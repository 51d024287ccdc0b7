// SPDX-License-Identifier: Apache-2.0
/// \file
/// Byte streams to servers over TCP, TLS, WebSocket and WebSocket over TLS behind one interface.
/// Light: Asio, Beast and OpenSSL stay in the `.ipp`. Everything must be called on the thread of
/// the environment, and completes there.
///
/// Rules for all operations: a callback is called exactly once, never from within the function that
/// it was given to, and also after the object was closed or destroyed (then with `errc::aborted`).
/// Buffers must stay valid until then: let the callback share the ownership of what holds them.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/result.hpp>
#include <millrace/net/callback.hpp>
#include <millrace/net/tls.hpp>
#include <millrace/net/url.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace millrace::net {

/// When received data is acknowledged to the peer's kernel.
enum class tcp_acknowledge {
  /// At once while little arrives, as the system likes when much does. A peer that leaves Nagle's
  /// algorithm on (a stock mosquitto) otherwise holds small messages back for up to 40 ms.
  adaptive,
  system,  ///< the system's delayed acknowledgement
};

/// Bounds and protocols of a connection.
struct transport_options {
  tls_options tls = {};
  std::string websocket_protocol = {};  ///< sub-protocol to ask for and to insist on; "" for none
  std::chrono::nanoseconds resolve_timeout = std::chrono::seconds{10};
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds{10};    ///< over all addresses
  std::chrono::nanoseconds handshake_timeout = std::chrono::seconds{10};  ///< TLS; WebSocket alike
  std::chrono::nanoseconds shutdown_timeout = std::chrono::seconds{2};
  /// How long one address is tried alone before the next one is tried as well (RFC 8305, 8).
  std::chrono::nanoseconds attempt_delay = std::chrono::milliseconds{250};
  tcp_acknowledge acknowledge = tcp_acknowledge::adaptive;
};

using transfer_callback = callback<void(result<std::size_t>)>;
using shutdown_callback = callback<void(result<void>)>;

/// A connected stream of bytes. Destroying it closes it.
class transport {
 public:
  transport() = default;
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  virtual ~transport() = default;

  /// Reads at least one byte straight into `into`. The end of the stream is the error
  /// `errc::connection_closed`. Over TCP big buffers (64-256 KiB) are filled by one system call;
  /// TLS gives at most 16 KiB at a time, WebSocket at most one frame.
  /// \pre no read is pending, `into` is not empty
  virtual void read_some(std::span<char> into, transfer_callback done) = 0;

  /// Writes all bytes of all buffers, gathered; over WebSocket they are one binary frame. The list
  /// of buffers may go away at once, the bytes must not.
  /// \pre no write is pending
  virtual void write(std::span<const std::string_view> buffers, transfer_callback done) = 0;

  /// Says goodbye as the protocol has it (end of stream, close_notify, close frame), waits for the
  /// peer's answer at most `shutdown_timeout`, then closes. Written data arrives before.
  /// \pre no write is pending
  virtual void shutdown(shutdown_callback done) = 0;

  /// Closes the socket at once; pending operations complete with `errc::aborted`.
  virtual void close() noexcept = 0;

  /// Address and port of the other side: "192.0.2.1:1883", "[::1]:1883".
  virtual const std::string& peer() const noexcept = 0;
};

/// A connection being opened; goes on when this is destroyed.
class transport_opening {
 public:
  transport_opening() = default;
  transport_opening(const transport_opening&) = delete;
  transport_opening& operator=(const transport_opening&) = delete;
  virtual ~transport_opening() = default;

  /// Gives up; the callback gets `errc::aborted`. Without effect when it has been called.
  virtual void cancel() noexcept = 0;
};

using open_callback = callback<void(result<std::unique_ptr<transport>>)>;

/// Connects to `where`: name resolution, TCP, then TLS and WebSocket as the scheme says (mqtts,
/// https, wss; ws, wss). All addresses of the host are tried, IPv6 and IPv4 in turn. Nagle's
/// algorithm is off. An error names the step and the address: "connect to 127.0.0.1:1883:
/// Connection refused", "TLS handshake with 192.0.2.1:8883: certificate verify failed (...)".
/// `env` must outlive the transport.
MILLRACE_DECL std::shared_ptr<transport_opening> open_transport(environment& env, const url& where,
                                                                const transport_options& options,
                                                                open_callback done);

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/transport.ipp>
#endif
