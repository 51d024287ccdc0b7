// SPDX-License-Identifier: Apache-2.0
/// \file
/// An HTTP/1.1 client with a connection pool per host (RFC 9110, RFC 9112). It belongs to one
/// worker: every call and every callback is on that worker's thread. Light: Beast, Asio and OpenSSL
/// stay in the `.ipp`.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/base/result.hpp>
#include <millrace/net/callback.hpp>
#include <millrace/net/http_message.hpp>
#include <millrace/net/http_retry.hpp>
#include <millrace/net/tls.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace millrace::net {

/// Whether responses may arrive compressed.
enum class accept_coding : std::uint8_t { identity, compressed };

struct http_client_options {
  std::size_t connections_per_host = 16;  ///< open at once, idle ones included
  std::size_t waiting_per_host = 1024;    ///< requests that wait for one; more: errc::overloaded
  std::size_t hosts = 256;                ///< known at once; hosts without connections do not count
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds{5};  ///< DNS, TCP and TLS
  std::chrono::nanoseconds timeout = std::chrono::seconds{30};  ///< from `send` to the callback
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds{30};  ///< then a connection closes
  std::size_t max_header = 64 * std::size_t{1024};       ///< bytes of a response's header
  std::size_t max_body = 16 * std::size_t{1024} * 1024;  ///< bytes, after decompression, too
  std::uint32_t max_redirects = 0;                       ///< 0: a 3xx is a response like any other
  accept_coding accept = accept_coding::compressed;
  http_headers headers = {};  ///< sent with every request that does not bring its own of that name
  std::string user = {};      ///< for basic authentication (RFC 7617), when not empty
  std::string password = {};
  std::string user_agent = "millrace";
  tls_options tls = {};
  http_retry_policy retry = {};     ///< one attempt by default
  metric_group* metrics = nullptr;  ///< where to count, see docs/metrics.md; outlives the client
};

/// Whether the options make sense; the error names the member and the fix. Reads the TLS files.
MILLRACE_DECL result<void> validate(const http_client_options& options);

/// Names a request in flight; 0 is none.
using http_request_id = std::uint64_t;

struct http_client_statistics {
  std::uint64_t requests = 0;     ///< sent by the application
  std::uint64_t responses = 0;    ///< handed to callbacks, whatever their status
  std::uint64_t failures = 0;     ///< errors handed to callbacks, cancellations included
  std::uint64_t retries = 0;      ///< attempts after the first, by policy or because a kept
                                  ///< connection had been closed
  std::uint64_t connections = 0;  ///< opened since the start
  std::size_t open = 0;           ///< connections now
  std::size_t idle = 0;           ///< of these
  std::size_t waiting = 0;        ///< requests without a connection
  std::size_t in_flight = 0;      ///< requests whose callback has not been called
};

/// Sends requests, one at a time on each connection.
///
/// A callback is called exactly once and never from inside `send` or `cancel`; it may send, cancel
/// and destroy the client. Errors: `timeout`; `unavailable` (no connection: DNS, TCP);
/// `connection_refused` (the TLS handshake, e.g. the certificate); `connection_closed`;
/// `protocol_error`; `too_large` (header or body); `malformed` (URL, header field, compressed
/// body); `overloaded` (bounds of the pool); `aborted` (cancelled).
///
/// A request that fails on a connection kept from before, without a byte of response, is sent once
/// more on a fresh one if its method is idempotent or none of it was sent: the server had closed.
class http_client {
 public:
  using callback = net::callback<void(result<http_response>)>;

  /// \pre `validate(options)` holds. A context that cannot be made fails the requests instead.
  MILLRACE_DECL explicit http_client(environment& env, http_client_options options = {});

  /// Closes all connections. Callbacks that were not called yet are destroyed, not called.
  MILLRACE_DECL ~http_client();

  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  /// Sends `request` as soon as a connection is free. O(1).
  MILLRACE_DECL http_request_id send(http_request request, callback done);

  /// Gives a request up: its callback gets `errc::aborted` and its connection, slot and memory are
  /// free at once. Without effect on requests that have finished. Returns whether it had one.
  MILLRACE_DECL bool cancel(http_request_id id);

  /// Gives all requests up.
  MILLRACE_DECL void cancel_all();

  MILLRACE_DECL http_client_statistics statistics() const;
  MILLRACE_DECL const http_client_options& options() const noexcept;
  MILLRACE_DECL environment& env() const noexcept;

 private:
  class implementation;
  std::shared_ptr<implementation> self_;
};

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/http_client.ipp>
#endif
