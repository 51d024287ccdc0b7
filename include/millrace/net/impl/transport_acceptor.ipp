// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/detail/stream_transport.hpp>
#include <millrace/net/tls_context.hpp>
#include <millrace/net/transport_acceptor.hpp>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/websocket/stream_base.hpp>

namespace millrace::net {

namespace detail {

class acceptor_state : public std::enable_shared_from_this<acceptor_state> {
 public:
  acceptor_state(environment& env, const listen_options& options, accept_function on_accept)
      : env_(env),
        options_(options),
        on_accept_(std::move(on_accept)),
        acceptor_(env.executor().handle) {}

  result<void> start() {
    if (options_.tls) {
      auto made = make_tls_server_context(*options_.tls);
      if (!made) return made.error();
      context_ = std::move(*made);
    }
    boost::system::error_code code;
    const auto address = boost::asio::ip::make_address(options_.address, code);
    if (code) return {errc::malformed, "'" + options_.address + "' is no IP address to listen on"};
    const boost::asio::ip::tcp::endpoint endpoint(address, options_.port);
    acceptor_.open(endpoint.protocol(), code);
    // Without it a restarted server could not have its port back for a minute.
    if (!code) acceptor_.set_option(boost::asio::socket_base::reuse_address(true), code);
    if (!code) acceptor_.bind(endpoint, code);
    if (!code) acceptor_.listen(boost::asio::socket_base::max_listen_connections, code);
    if (code) return millrace::error{code, "listen on " + to_string(endpoint)};
    port_ = acceptor_.local_endpoint(code).port();
    accept();
    return {};
  }

  std::uint16_t port() const noexcept { return port_; }

  void close() noexcept {
    closed_ = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  /// A stream on its way through its handshakes, and what watches over it.
  template <class Stream>
  struct handshake {
    explicit handshake(Stream s) : stream(std::move(s)) {}
    Stream stream;
    std::string peer;
    timer_id deadline = 0;
    boost::beast::flat_buffer buffer;
    boost::beast::http::request_parser<boost::beast::http::empty_body> request;
  };

  void accept() {
    if (closed_ || accepting_ || handshakes_ >= options_.max_handshakes) return;
    accepting_ = true;
    acceptor_.async_accept(
        [self = shared_from_this()](const boost::system::error_code& code, tcp_stream socket) {
          self->accepting_ = false;
          if (self->closed_) return;
          if (code) {
            self->retry_later(code);
            return;
          }
          self->on_connection(std::move(socket));
          self->accept();
        });
  }

  /// Out of file descriptors, for example: trying at once would spin.
  void retry_later(const boost::system::error_code& code) {
    env_.log().warning("listen", "cannot accept a connection: " + code.message());
    env_.call_after(std::chrono::milliseconds{100},
                    [self = shared_from_this()] { self->accept(); });
  }

  void on_connection(tcp_stream socket) {
    boost::system::error_code code;
    const auto endpoint = socket.remote_endpoint(code);
    if (code) return;
    socket.set_option(boost::asio::ip::tcp::no_delay(true), code);
    auto peer = to_string(endpoint);
    if (context_ == nullptr) {
      after_tls(std::move(socket), std::move(peer));
      return;
    }
    auto pending = begin(tls_stream(std::move(socket), *context_), std::move(peer));
    pending->stream.async_handshake(
        boost::asio::ssl::stream_base::server,
        [self = shared_from_this(), pending](const boost::system::error_code& failed) {
          self->end(*pending);
          if (failed) {
            self->refuse(pending->peer, "TLS",
                         tls_handshake_words(failed, pending->stream.native_handle()));
          } else {
            self->after_tls(std::move(pending->stream), std::move(pending->peer));
          }
          self->accept();
        });
  }

  template <class Stream>
  void after_tls(Stream stream, std::string peer) {
    if (options_.framing == transport_framing::none) {
      hand_out(std::move(stream), std::move(peer));
      return;
    }
    using websocket = boost::beast::websocket::stream<Stream, false>;
    auto pending = begin(websocket(std::move(stream)), std::move(peer));
    pending->request.header_limit(8192);
    boost::beast::http::async_read(
        pending->stream.next_layer(), pending->buffer, pending->request,
        [self = shared_from_this(), pending](const boost::system::error_code& code, std::size_t) {
          self->on_upgrade(pending, code);
        });
  }

  template <class Stream>
  void on_upgrade(const std::shared_ptr<handshake<Stream>>& pending,
                  const boost::system::error_code& code) {
    if (code || closed_ || pending->buffer.size() != 0) {
      end(*pending);
      refuse(pending->peer, "WebSocket", code ? code.message() : "bytes after the request");
      accept();
      return;
    }
    const auto& request = pending->request.get();
    boost::beast::http::token_list offered{
        request[boost::beast::http::field::sec_websocket_protocol]};
    prepare_websocket(pending->stream);
    if (!options_.websocket_protocol.empty() && offered.exists(options_.websocket_protocol)) {
      pending->stream.set_option(boost::beast::websocket::stream_base::decorator(
          [protocol =
               options_.websocket_protocol](boost::beast::websocket::response_type& response) {
            response.set(boost::beast::http::field::sec_websocket_protocol, protocol);
          }));
    }
    pending->stream.async_accept(
        request, [self = shared_from_this(), pending](const boost::system::error_code& failed) {
          self->end(*pending);
          if (failed) {
            self->refuse(pending->peer, "WebSocket", failed.message());
          } else {
            self->hand_out(std::move(pending->stream), std::move(pending->peer));
          }
          self->accept();
        });
  }

  template <class Stream>
  std::shared_ptr<handshake<Stream>> begin(Stream stream, std::string peer) {
    auto pending = std::make_shared<handshake<Stream>>(std::move(stream));
    pending->peer = std::move(peer);
    ++handshakes_;
    pending->deadline = env_.call_after(options_.handshake_timeout, [pending] {
      pending->deadline = 0;
      close_socket(tcp_layer(pending->stream));
    });
    return pending;
  }

  template <class Stream>
  void end(handshake<Stream>& pending) {
    --handshakes_;
    env_.cancel_timer(pending.deadline);
  }

  void refuse(const std::string& peer, const char* step, const std::string& words) const {
    env_.log().warning("listen", std::string(step) + " handshake with " + peer + ": " + words);
  }

  template <class Stream>
  void hand_out(Stream stream, std::string peer) {
    if (closed_) return;
    on_accept_(make_transport(env_, std::move(stream),
                              {.peer = std::move(peer),
                               .context = context_,
                               .shutdown_timeout = options_.shutdown_timeout,
                               .acknowledge = options_.acknowledge}));
  }

  environment& env_;
  listen_options options_;
  accept_function on_accept_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::shared_ptr<boost::asio::ssl::context> context_;
  std::size_t handshakes_ = 0;
  std::uint16_t port_ = 0;
  bool accepting_ = false;
  bool closed_ = false;
};

class transport_acceptor_impl final : public transport_acceptor {
 public:
  explicit transport_acceptor_impl(std::shared_ptr<acceptor_state> state)
      : state_(std::move(state)) {}
  ~transport_acceptor_impl() override { state_->close(); }
  std::uint16_t port() const noexcept override { return state_->port(); }
  void close() noexcept override { state_->close(); }

 private:
  std::shared_ptr<acceptor_state> state_;
};

}  // namespace detail

MILLRACE_DECL result<std::unique_ptr<transport_acceptor>> listen(environment& env,
                                                                 const listen_options& options,
                                                                 accept_function on_accept) {
  auto state = std::make_shared<detail::acceptor_state>(env, options, std::move(on_accept));
  if (auto started = state->start(); !started) return started.error();
  return std::unique_ptr<transport_acceptor>(
      std::make_unique<detail::transport_acceptor_impl>(std::move(state)));
}

}  // namespace millrace::net
