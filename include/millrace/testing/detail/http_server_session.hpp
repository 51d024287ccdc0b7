// SPDX-License-Identifier: Apache-2.0
/// \file
/// One connection of `http_server`, and the bytes that it sends. Heavy. On the server's thread.
#pragma once

#include <millrace/testing/detail/http_server_engine.hpp>

#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/ssl.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::testing {

namespace detail {

/// The bytes of a response.
inline std::string http_response_text(const served_request& request, served_response response,
                                      bool keep_alive) {
  namespace http = boost::beast::http;
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out.append(reason.data(), reason.size()).append("\r\n");
  for (std::size_t i = 0; i < response.headers.size(); ++i) {
    out.append(response.headers[i].name).append(": ");
    out.append(response.headers[i].value).append("\r\n");
  }
  const bool no_body = response.status == 204 || response.status == 304;
  if (!no_body && !response.content_type.empty()) {
    out.append("Content-Type: ").append(response.content_type).append("\r\n");
  }
  if (response.coding == net::content_coding::gzip && !no_body &&
      request.headers.value("accept-encoding").find("gzip") != std::string_view::npos) {
    response.body = net::gzip_compress(response.body);
    out += "Content-Encoding: gzip\r\n";
  }
  if (!keep_alive) out += "Connection: close\r\n";
  if (!no_body && response.framing == http_framing::content_length) {
    out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  }
  const bool chunked = !no_body && response.framing == http_framing::chunked;
  if (chunked) out += "Transfer-Encoding: chunked\r\n";
  out += "\r\n";
  if (no_body || request.method == "HEAD") return out;
  if (!chunked) return out += response.body;
  constexpr std::size_t piece_size = 1000;
  for (std::size_t at = 0; at < response.body.size(); at += piece_size) {
    const auto piece = std::string_view{response.body}.substr(at, piece_size);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string size;
    for (std::size_t n = piece.size(); n > 0; n /= 16) size.insert(size.begin(), digits[n % 16]);
    out.append(size).append("\r\n").append(piece).append("\r\n");
  }
  return out += "0\r\n\r\n";
}

}  // namespace detail

/// One connection. It outlives its server only as a closed one: `server_` is null then.
class http_server::implementation::session
    : public std::enable_shared_from_this<http_server::implementation::session> {
 public:
  session(implementation& server, tcp::socket socket, std::uint64_t id)
      : server_(&server), socket_(std::move(socket)), id_(id) {
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
  }

  void begin() {
    if (server_->tls_ == nullptr) {
      read();
      return;
    }
    tls_ = std::make_unique<boost::asio::ssl::stream<tcp::socket&>>(socket_, *server_->tls_);
    tls_->async_handshake(boost::asio::ssl::stream_base::server,
                          [self = shared_from_this()](const error_code& code) {
                            if (self->server_ == nullptr) return;
                            if (code) return self->end();
                            self->read();
                          });
  }

  /// Silently; for the server.
  void close() {
    server_ = nullptr;
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  using parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void end() {
    auto* server = server_;
    close();
    --server->open_;
    server->sessions_.erase(id_);
  }

  template <class F>
  void with_stream(F use) {
    if (tls_ != nullptr) {
      use(*tls_);
    } else {
      use(socket_);
    }
  }

  void read() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(server_->options_.max_header));
    parser_->body_limit(server_->options_.max_body);
    with_stream([this](auto& stream) {
      boost::beast::http::async_read(
          stream, buffer_, *parser_,
          [self = shared_from_this()](const error_code& code, std::size_t) {
            if (self->server_ != nullptr) self->handle(code);
          });
    });
  }

  void handle(const error_code& code) {
    namespace http = boost::beast::http;
    if (code == http::error::body_limit || code == http::error::header_limit) {
      request_ = {};
      keep_alive_ = false;
      send({.status = code == http::error::body_limit ? 413U : 431U});
      return;
    }
    if (code) return end();
    ++server_->requests_;
    take_request(parser_->release());
    auto response = server_->answer(request_);
    if (server_ == nullptr) return;  // the handler stopped the server
    if (response.framing == http_framing::until_close) keep_alive_ = false;
    if (response.delay.count() <= 0) return respond(std::move(response));
    const auto delay = std::exchange(response.delay, std::chrono::nanoseconds{0});
    server_->after(delay, [weak = weak_from_this(),
                           kept = std::make_shared<served_response>(std::move(response))] {
      const auto self = weak.lock();
      if (self != nullptr && self->server_ != nullptr) self->respond(std::move(*kept));
    });
  }

  void take_request(parser::value_type message) {
    const auto text = [](auto view) { return std::string_view{view.data(), view.size()}; };
    keep_alive_ = message.keep_alive();
    const auto target = text(message.target());
    const auto question = std::min(target.find('?'), target.size());
    request_.method = text(message.method_string());
    request_.path = target.substr(0, question);
    request_.query = target.substr(std::min(question + 1, target.size()));
    request_.connection = id_;
    request_.headers.clear();
    for (const auto& field : message) {
      request_.headers.add(text(field.name_string()), text(field.value()));
    }
    request_.body = std::move(message.body());
  }

  void respond(served_response response) {
    if (response.fault == http_fault::none) return send(std::move(response));
    ++server_->faults_;
    switch (response.fault) {
      case http_fault::reset: {
        error_code ignored;
        socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
        return end();
      }
      case http_fault::truncate: {
        const auto cut = response.cut_after;
        out_ = detail::http_response_text(request_, std::move(response), keep_alive_);
        out_.resize(std::min(out_.size(), cut));
        cut_ = true;
        keep_alive_ = false;
        return write();
      }
      case http_fault::garbage:
        out_ = "\x16\x03\x01 220 this is no HTTP\r\n\r\n\r\n";
        keep_alive_ = false;
        return write();
      case http_fault::stall: return stall();
      default: return end();
    }
  }

  void send(served_response response) {
    out_ = detail::http_response_text(request_, std::move(response), keep_alive_);
    write();
  }

  void write() {
    with_stream([this](auto& stream) {
      boost::asio::async_write(stream, boost::asio::buffer(out_),
                               [self = shared_from_this()](const error_code& code, std::size_t) {
                                 if (self->server_ == nullptr) return;
                                 if (!code) ++self->server_->responses_;
                                 if (code || !self->keep_alive_) return self->hang_up();
                                 self->read();
                               });
    });
  }

  /// Sends the end first, so that what was written arrives even if the client still sends.
  void hang_up() {
    if (tls_ != nullptr && !cut_) {
      tls_->async_shutdown([self = shared_from_this()](const error_code&) {
        if (self->server_ != nullptr) self->end();
      });
      return;
    }
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    end();
  }

  /// Waits for the client to give up.
  void stall() {
    with_stream([this](auto& stream) {
      stream.async_read_some(boost::asio::buffer(&ignored_byte_, 1),
                             [self = shared_from_this()](const error_code& code, std::size_t) {
                               if (self->server_ == nullptr) return;
                               if (code) return self->end();
                               self->stall();
                             });
    });
  }

  implementation* server_;
  tcp::socket socket_;
  std::unique_ptr<boost::asio::ssl::stream<tcp::socket&>> tls_;
  std::uint64_t id_;
  boost::beast::flat_buffer buffer_;
  std::optional<parser> parser_;
  served_request request_;
  std::string out_;
  char ignored_byte_ = 0;
  bool keep_alive_ = false;
  bool cut_ = false;
};

inline void http_server::implementation::admit(tcp::socket socket) {
  if (open_ >= options_.max_connections) {
    ++refused_;
    return;
  }
  const auto id = ++connections_;
  ++open_;
  sessions_.emplace(id, std::make_shared<session>(*this, std::move(socket), id))
      .first->second->begin();
}

inline void http_server::implementation::close_sessions() {
  for (auto& [id, s] : sessions_) s->close();
  open_ -= sessions_.size();
  sessions_.clear();
}

}  // namespace millrace::testing
