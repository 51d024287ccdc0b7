// SPDX-License-Identifier: Apache-2.0
/// \file
/// A small HTTP/1.1 server inside the process, for demos and for tests of pipelines: routes with
/// handlers, delays, and faults on demand. Not for the open internet. Every function is thread
/// safe; handlers run on the server's thread, or on the environment's.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/net/http_message.hpp>
#include <millrace/net/tls.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::testing {

/// A request as the server got it.
struct served_request {
  std::string method;
  std::string path;   ///< percent-encoded, without the query
  std::string query;  ///< without '?'
  net::http_headers headers;
  std::string body;
  std::uint64_t connection = 0;  ///< counts accepted connections from 1
};

/// What goes wrong instead of, or in the middle of, a response.
enum class http_fault : std::uint8_t {
  none,
  close,     ///< the connection is closed without a byte
  reset,     ///< the same with a TCP reset
  truncate,  ///< `cut_after` bytes of the response are sent, then the connection is closed
  garbage,   ///< bytes that are not HTTP
  stall,     ///< nothing is sent, the connection stays open
};

/// How the end of the body is marked.
enum class http_framing : std::uint8_t { content_length, chunked, until_close };

struct served_response {
  unsigned status = 200;
  std::string body = {};
  std::string content_type = "application/json";  ///< none when empty
  net::http_headers headers = {};
  std::chrono::nanoseconds delay{0};  ///< before the response is sent
  http_framing framing = http_framing::content_length;
  net::content_coding coding = net::content_coding::identity;  ///< gzip: if the client accepts it
  http_fault fault = http_fault::none;
  std::size_t cut_after = 0;
};

struct http_server_options {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;                                ///< 0: a free one
  std::size_t max_connections = 1024;                    ///< at once; more are closed at once
  std::size_t max_header = 64 * std::size_t{1024};       ///< bytes
  std::size_t max_body = 64 * std::size_t{1024} * 1024;  ///< bytes; more: 413
  std::optional<net::tls_options> tls = {};              ///< serves https with this certificate
};

struct http_server_statistics {
  std::uint64_t connections = 0;  ///< accepted
  std::uint64_t refused = 0;      ///< closed because there were too many
  std::uint64_t requests = 0;     ///< read completely
  std::uint64_t responses = 0;    ///< sent completely
  std::uint64_t faults = 0;       ///< injected
  std::size_t open = 0;           ///< connections now
};

class http_server {
 public:
  using handler = std::function<served_response(const served_request&)>;

  /// Listens at once, on a thread of its own. \throws std::system_error when it cannot
  MILLRACE_DECL explicit http_server(http_server_options options = {});

  /// The same on the thread of `env`, which must outlive the server. In this form all functions
  /// must be called on that thread, too.
  MILLRACE_DECL explicit http_server(environment& env, http_server_options options = {});

  /// Stops.
  MILLRACE_DECL ~http_server();

  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// Answers requests for `path` by `serve`; a path that ends with '*' is a prefix, the longest
  /// match wins. `method` empty: any. The same method and path again replaces the handler. A path
  /// without handler is answered with 404, another method with 405, a handler that throws with 500.
  MILLRACE_DECL void route(std::string_view method, std::string path, handler serve);

  /// The same with a constant response.
  MILLRACE_DECL void route(std::string_view method, std::string path, served_response response);

  MILLRACE_DECL std::uint16_t port() const noexcept;

  /// "http://127.0.0.1:port" followed by `path`; https with TLS.
  MILLRACE_DECL std::string url(std::string_view path = "/") const;

  MILLRACE_DECL http_server_statistics statistics() const;

  /// Closes all connections and refuses new ones until `come_back`, which listens on the same port.
  MILLRACE_DECL void go_down();
  MILLRACE_DECL void come_back();

  /// Closes all connections and goes on listening.
  MILLRACE_DECL void drop_connections();

  /// Closes everything. Idempotent; no handler runs after it has returned.
  MILLRACE_DECL void stop();

 private:
  class implementation;
  std::shared_ptr<implementation> self_;
};

}  // namespace millrace::testing

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/testing/impl/http_server.ipp>
#endif
