// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/detail/http_connection.hpp>
#include <millrace/net/tls_context.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace millrace::net::detail {

inline constexpr std::size_t http_first_buffer = 8 * 1024;
inline constexpr std::size_t http_largest_step = 64 * 1024;
inline constexpr std::size_t http_joined_body = 16 * 1024;  // copied behind the header: one buffer
inline constexpr unsigned http_most_informational = 16;

MILLRACE_DECL http_connection::http_connection(environment& env, http_connection_owner& owner,
                                               const http_limits& limits)
    : env_(env), owner_(&owner), limits_(limits), socket_(env.executor().handle) {}

MILLRACE_DECL void http_connection::open(const http_origin& origin) {
  constexpr std::chrono::nanoseconds beyond = std::chrono::hours{1};
  origin_ = &origin;
  dialing_ =
      dial(env_, origin.host, origin.port, {.resolve_timeout = beyond, .connect_timeout = beyond},
           [self = pointer(this)](result<tcp::socket> outcome) {
             self->dialing_.reset();
             if (self->owner_ == nullptr) return;
             if (outcome) {
               self->connected(*std::move(outcome));
             } else {
               self->ready(error{errc::unavailable, outcome.error().to_string()});
             }
           });
}

MILLRACE_DECL void http_connection::connected(tcp::socket socket) {
  socket_ = std::move(socket);
  error_code ignored;
  socket_.non_blocking(true, ignored);
  if (origin_->context == nullptr) {
    ready(std::nullopt);
    return;
  }
  tls_ = std::make_unique<boost::asio::ssl::stream<tcp::socket&>>(socket_, *origin_->context);
  if (auto prepared = prepare_tls_stream(tls_->native_handle(), *origin_->tls, origin_->host);
      !prepared) {
    ready(prepared.error());
    return;
  }
  tls_->async_handshake(
      boost::asio::ssl::stream_base::client, [self = pointer(this)](const error_code& result) {
        if (self->owner_ == nullptr) return;
        if (!result) {
          self->ready(std::nullopt);
          return;
        }
        self->ready(error{errc::connection_refused,
                          "TLS handshake with " + self->origin_->name + ": " +
                              tls_handshake_words(result, self->tls_->native_handle())});
      });
}

MILLRACE_DECL void http_connection::ready(std::optional<error> failure) {
  open_ = !failure;
  owner_->opened(*this, std::move(failure));
}

MILLRACE_DECL void http_connection::transmit(http_method method, std::string body) {
  method_ = method;
  body_ = std::move(body);
  ++exchanges_;
  in_exchange_ = true;
  informational_ = 0;
  in_size_ = 0;
  writing_ = write_failed_ = untouched_ = reusable_ = false;
  silent_ = true;
  parser_.emplace(limits_, method, unpack_);
  if (body_.size() <= http_joined_body) out_ += body_;

  std::size_t sent = 0;
  if (tls_ == nullptr) {
    // Usually the socket takes all of it at once, which saves an asynchronous operation.
    error_code code;
    sent = socket_.write_some(boost::asio::buffer(out_), code);
    if (code && code != boost::asio::error::would_block) {
      write_failed_ = untouched_ = true;
    }
  }
  if (!write_failed_) write_rest(sent);
  // Reading begins at once: a server may answer before it has read all of a large body.
  receive();
}

MILLRACE_DECL void http_connection::write_rest(std::size_t sent) {
  const auto head = boost::asio::buffer(out_) + sent;
  const auto tail = body_.size() > http_joined_body ? boost::asio::buffer(std::as_const(body_))
                                                    : boost::asio::const_buffer{};
  if (head.size() + tail.size() == 0) return;
  writing_ = true;
  const std::array<boost::asio::const_buffer, 2> rest{head, tail};
  auto written = [self = pointer(this)](const error_code& code, std::size_t) {
    self->writing_ = false;
    if (code) self->write_failed_ = true;  // reading will tell why
  };
  if (tls_ != nullptr) {
    boost::asio::async_write(*tls_, rest, std::move(written));
  } else {
    boost::asio::async_write(socket_, rest, std::move(written));
  }
}

MILLRACE_DECL void http_connection::receive() {
  if (in_.empty()) in_.resize(http_first_buffer);
  const auto room = boost::asio::buffer(in_.data() + in_size_, in_.size() - in_size_);
  auto handler = [self = pointer(this)](const error_code& code, std::size_t size) {
    self->received(code, size);
  };
  if (tls_ != nullptr) {
    tls_->async_read_some(room, std::move(handler));
  } else {
    socket_.async_read_some(room, std::move(handler));
  }
}

MILLRACE_DECL void http_connection::received(const error_code& code, std::size_t size) {
  if (owner_ == nullptr || !in_exchange_) return;
  if (size > 0) {
    silent_ = false;
    in_size_ += size;
    if (parse()) return;
  }
  if (code) {
    ended(code);
  } else if (make_room()) {
    receive();
  } else {
    fail({errc::too_large, "response header or chunk header"});
  }
}

/// Feeds what has been received to the parser; true when the exchange is over.
MILLRACE_DECL bool http_connection::parse() {
  std::size_t used = 0;
  while (used < in_size_) {
    error_code code;
    used += parser_->put(boost::asio::const_buffer(in_.data() + used, in_size_ - used), code);
    if (code == boost::beast::http::error::need_more) break;
    if (code) {
      fail(parser_->explain(code));
      return true;
    }
    if (!parser_->is_done()) continue;
    const unsigned status = parser_->response().status;
    if (status / 100 != 1) {
      in_size_ -= used;
      complete();
      return true;
    }
    if (status == 101 || ++informational_ > http_most_informational) {
      fail({errc::protocol_error, "unexpected status " + std::to_string(status)});
      return true;
    }
    parser_.emplace(limits_, method_, unpack_);
  }
  if (used > 0) {
    in_size_ -= used;
    std::memmove(in_.data(), in_.data() + used, in_size_);
  }
  return false;
}

/// Room for the next read; false when a header fills all that may be buffered.
MILLRACE_DECL bool http_connection::make_room() {
  const bool header_pending = in_size_ > 0;
  if (in_size_ < in_.size() && (header_pending || in_.size() >= http_largest_step)) return true;
  const std::size_t most = std::max(http_largest_step, limits_.header + http_first_buffer);
  if (in_size_ < in_.size() && !header_pending) {
    // A long body: larger steps.
    if (!parser_->is_header_done() || parser_->response().body.size() < in_.size()) return true;
  }
  if (in_.size() >= most) return in_size_ < in_.size();
  in_.resize(std::min(most, in_.size() * 2));
  return true;
}

MILLRACE_DECL void http_connection::ended(const error_code& code) {
  if (code == boost::asio::error::eof && parser_->got_some()) {
    error_code at_end;
    parser_->put_eof(at_end);
    if (!at_end) {
      complete();
    } else {
      fail(parser_->explain(at_end));
    }
    return;
  }
  if (code == boost::asio::error::eof || code == boost::asio::error::connection_reset ||
      code == boost::asio::error::broken_pipe ||
      code == boost::asio::ssl::error::stream_truncated) {
    fail({errc::connection_closed, silent_ ? origin_->name + " before it answered"
                                           : origin_->name + " in the middle of the response"});
  } else {
    fail({errc::connection_closed, origin_->name + " (" + code.message() + ")"});
  }
}

MILLRACE_DECL void http_connection::complete() {
  in_exchange_ = false;
  // What follows the response was not asked for: never let the next exchange read it.
  reusable_ = parser_->keep_alive() && in_size_ == 0 && !writing_ && !write_failed_;
  owner_->answered(*this);
}

MILLRACE_DECL void http_connection::fail(error reason) {
  in_exchange_ = false;
  owner_->failed(*this, {std::move(reason), silent_, untouched_});
}

MILLRACE_DECL void http_connection::close() noexcept {
  owner_ = nullptr;
  open_ = false;
  error_code ignored;
  if (dialing_ != nullptr) dialing_->cancel();
  socket_.close(ignored);
}

MILLRACE_DECL bool http_connection::gone() noexcept {
  error_code code;
  unsigned char first = 0;
  const std::size_t n =
      socket_.receive(boost::asio::buffer(&first, 1), boost::asio::socket_base::message_peek, code);
  if (code == boost::asio::error::would_block) return false;
  constexpr unsigned char tls_alert = 21;  // session tickets, however, may come at any time
  return code || n == 0 || tls_ == nullptr || first == tls_alert;
}

}  // namespace millrace::net::detail
