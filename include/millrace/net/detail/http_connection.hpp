// SPDX-License-Identifier: Apache-2.0
/// \file
/// One client connection, plain or TLS, that carries one HTTP exchange at a time. Heavy. Everything
/// is on the worker's thread.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/error.hpp>
#include <millrace/net/detail/http_parser.hpp>
#include <millrace/net/dial.hpp>
#include <millrace/net/tls.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::net::detail {

class http_connection;
struct http_exchange;
struct http_host;

/// Where a connection leads.
struct http_origin {
  std::string host;
  std::uint16_t port = 0;
  std::string name;                                    ///< "host:port" for messages
  std::shared_ptr<boost::asio::ssl::context> context;  ///< null: plain TCP
  const tls_options* tls = nullptr;
};

/// How an exchange failed, as far as it matters for sending again.
struct http_failure {
  error reason;
  bool silent;     ///< not one byte of a response
  bool untouched;  ///< not one byte of the request has been taken by the system
};

/// What a connection reports, each once per `open` or `transmit`, never from inside these.
class http_connection_owner {
 public:
  virtual void opened(http_connection& connection, std::optional<error> failure) = 0;
  virtual void answered(http_connection& connection) = 0;
  virtual void failed(http_connection& connection, http_failure failure) = 0;

 protected:
  ~http_connection_owner() = default;
};

class http_connection
    : public boost::intrusive_ref_counter<http_connection, boost::thread_unsafe_counter> {
 public:
  MILLRACE_DECL http_connection(environment& env, http_connection_owner& owner,
                                const http_limits& limits);

  /// Resolves, connects, shakes hands. Time limits are the owner's, by `close`.
  MILLRACE_DECL void open(const http_origin& origin);

  /// The request's header, to be written before `transmit`; keeps its memory.
  std::string& head() noexcept { return out_; }

  /// Sends `head()` and `body`, and reads the response.
  MILLRACE_DECL void transmit(http_method method, std::string body);

  /// Nothing is reported any more. Idempotent.
  MILLRACE_DECL void close() noexcept;

  /// Whether the peer has closed, or spoken out of turn, while the connection was idle. One system
  /// call.
  MILLRACE_DECL bool gone() noexcept;

  /// After `answered`: the response, the request's body, and whether another exchange may follow.
  http_response take_response() { return std::move(parser_->response()); }
  std::string take_body() noexcept { return std::move(body_); }
  bool reusable() const noexcept { return reusable_; }

  /// Whether this is not the first exchange.
  bool used_before() const noexcept { return exchanges_ > 1; }
  bool is_open() const noexcept { return open_; }

  http_exchange* exchange = nullptr;  ///< the owner's
  http_host* host = nullptr;          ///< the owner's
  std::chrono::nanoseconds idle_since{};

 private:
  using pointer = boost::intrusive_ptr<http_connection>;
  using tcp = boost::asio::ip::tcp;
  using error_code = boost::system::error_code;

  MILLRACE_DECL void connected(tcp::socket socket);
  MILLRACE_DECL void ready(std::optional<error> failure);
  MILLRACE_DECL void write_rest(std::size_t sent);
  MILLRACE_DECL void receive();
  MILLRACE_DECL void received(const error_code& code, std::size_t size);
  MILLRACE_DECL bool parse();
  MILLRACE_DECL bool make_room();
  MILLRACE_DECL void ended(const error_code& code);
  MILLRACE_DECL void complete();
  MILLRACE_DECL void fail(error reason);

  environment& env_;
  http_connection_owner* owner_;
  http_limits limits_;
  tcp::socket socket_;
  std::unique_ptr<boost::asio::ssl::stream<tcp::socket&>> tls_;
  std::shared_ptr<dialing> dialing_;
  const http_origin* origin_ = nullptr;
  std::string out_;
  std::string body_;
  std::vector<char> in_;
  std::size_t in_size_ = 0;
  std::optional<http_parser> parser_;
  std::unique_ptr<inflater> unpack_;
  http_method method_ = http_method::get;
  std::uint64_t exchanges_ = 0;
  unsigned informational_ = 0;
  bool open_ = false;
  bool in_exchange_ = false;
  bool writing_ = false;
  bool write_failed_ = false;
  bool untouched_ = false;
  bool silent_ = true;
  bool reusable_ = false;
};

}  // namespace millrace::net::detail

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/impl/http_connection.ipp>
#endif
