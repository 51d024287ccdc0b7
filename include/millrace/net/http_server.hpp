// SPDX-License-Identifier: Apache-2.0
/// \file
/// A small HTTP/1.1 server (RFC 9110, 9112) for what the library shows of itself: metrics, status,
/// a page. It never blocks or wakes a worker, and everything a client can make it hold or do is
/// bounded. No TLS: put a proxy in front of it where it has to leave the machine. Thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/net/http_message.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace millrace::net {

/// A request as it was read. Methods and header names are not changed.
struct http_served_request {
  std::string method;
  std::string path;   ///< percent-encoded, begins with '/', without the query
  std::string query;  ///< without '?'
  std::string host;   ///< as in the Host header, with port if there was one
  http_headers headers;
  std::string body;
};

struct http_served_response {
  unsigned status = 200;
  std::string body = {};
  std::string content_type = "text/plain; charset=utf-8";
  http_headers headers = {};  ///< beside Date, Content-Type, Content-Length and Connection
};

/// What a client may ask of the server. What goes beyond is answered with the status named, or the
/// connection is closed.
struct http_server_limits {
  std::size_t connections = 64;  ///< at once; the longest idle one makes way for a new one
  std::size_t target = 2048;     ///< bytes of path and query; 414
  std::size_t header = 8192;     ///< bytes of request line and fields; 431
  std::size_t body = 4096;       ///< bytes; 413
  std::size_t requests_per_connection = 1000;  ///< then it is closed
  std::size_t pipelined = 16;                  ///< requests sent in a row before an answer was
  std::chrono::milliseconds idle{30'000};      ///< between requests
  std::chrono::milliseconds request{5'000};    ///< from the first byte of a request to the last
  std::chrono::milliseconds response{10'000};  ///< until the client has taken the whole answer
  /// Connections and requests per second, all clients together; beyond, they wait. This bounds the
  /// processor's time that a flood takes from the workers. 0: no limit.
  std::uint32_t rate = 500;
};

struct http_server_options {
  std::string address = "127.0.0.1";  ///< an IP address; "0.0.0.0" or "::" for all
  std::uint16_t port = 0;             ///< 0: a free one
  http_server_limits limits = {};
  /// Runs on the server's thread every so often, never at the same time as a handler, and must not
  /// throw: for what has to be sampled. A period of 0: never.
  std::chrono::milliseconds task_every{0};
  std::function<void()> task = {};
};

struct http_server_statistics {
  std::uint64_t connections = 0;  ///< accepted
  std::uint64_t refused = 0;      ///< closed to keep the limit of connections
  std::uint64_t requests = 0;     ///< handed to the handler
  std::uint64_t rejected = 0;     ///< malformed or beyond a limit
  std::uint64_t timeouts = 0;     ///< of idle, slow-writing and slow-reading clients
  std::size_t open = 0;           ///< connections now
};

class http_server {
 public:
  /// Answers a request; runs on the server's thread, one call at a time, and must not block. HEAD
  /// comes as it is; the body of its answer is not sent. What it throws becomes a 500.
  using handler = std::function<http_served_response(const http_served_request&)>;

  /// Listens at once, on a thread of its own.
  /// \throws std::system_error when the address cannot be had
  MILLRACE_DECL explicit http_server(http_server_options options, handler serve);

  /// The same on the application's executor (see base/asio.hpp), which may have several threads.
  MILLRACE_DECL http_server(io_executor& executor, http_server_options options, handler serve);

  /// Stops.
  MILLRACE_DECL ~http_server();

  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  MILLRACE_DECL std::uint16_t port() const noexcept;

  /// "http://127.0.0.1:port" followed by `path`.
  MILLRACE_DECL std::string url(std::string_view path = "/") const;

  MILLRACE_DECL http_server_statistics statistics() const;

  /// Closes everything. Idempotent. No handler runs after it has returned; it must not be called by
  /// one. On an executor of the application it waits for the handler that runs, if there is one.
  MILLRACE_DECL void stop();

 private:
  class engine;
  class session;
  std::shared_ptr<engine> engine_;
};

}  // namespace millrace::net

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/http_server.ipp>
#include <millrace/net/impl/http_server_session.ipp>
#endif
