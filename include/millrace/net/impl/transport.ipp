// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/detail/stream_transport.hpp>
#include <millrace/net/tls_context.hpp>
#include <millrace/net/transport.hpp>

#include <boost/beast/http/field.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream_base.hpp>

namespace millrace::net {

namespace detail {

class transport_opening_impl : public std::enable_shared_from_this<transport_opening_impl> {
 public:
  transport_opening_impl(environment& env, const url& where, const transport_options& options,
                         open_callback done)
      : env_(env), where_(where), options_(options), done_(std::move(done)) {}

  void start() {
    if (where_.uses_tls()) {
      auto made = make_tls_context(options_.tls);
      if (!made) {
        finish(made.error());
        return;
      }
      context_ = std::move(*made);
    }
    const dial_options bounds{.resolve_timeout = options_.resolve_timeout,
                              .connect_timeout = options_.connect_timeout,
                              .attempt_delay = options_.attempt_delay};
    dialing_ = dial(env_, where_.host, where_.port, bounds,
                    [self = shared_from_this()](result<tcp_stream> connected) {
                      self->on_connected(std::move(connected));
                    });
  }

  void cancel() noexcept {
    if (finished_) return;
    fail(make_error_code(errc::aborted), "open a connection to " + where_.authority());
  }

 private:
  void on_connected(result<tcp_stream> connected) {
    if (finished_) return;
    if (!connected) {
      finish(connected.error());
      return;
    }
    boost::system::error_code code;
    const auto endpoint = connected->remote_endpoint(code);
    if (code) {
      fail(code, "connect to " + where_.authority());
      return;
    }
    peer_ = to_string(endpoint);
    if (context_ != nullptr) {
      handshake_tls(std::move(*connected));
    } else {
      after_tls(std::move(*connected));
    }
  }

  void handshake_tls(tcp_stream socket) {
    auto stream = std::make_shared<tls_stream>(std::move(socket), *context_);
    const auto prepared = prepare_tls_stream(stream->native_handle(), options_.tls, where_.host);
    if (!prepared) {
      finish(prepared.error());
      return;
    }
    set_deadline("TLS handshake with ", stream);
    stream->async_handshake(
        boost::asio::ssl::stream_base::client,
        [self = shared_from_this(), stream](const boost::system::error_code& handshake) {
          if (self->finished_) return;
          if (handshake) {
            self->fail(make_error_code(errc::protocol_error),
                       "TLS handshake with " + self->peer_ + ": " +
                           tls_handshake_words(handshake, stream->native_handle()));
            return;
          }
          self->after_tls(std::move(*stream));
        });
  }

  template <class Stream>
  void after_tls(Stream stream) {
    if (where_.uses_websocket()) {
      handshake_websocket(boost::beast::websocket::stream<Stream, false>(std::move(stream)));
    } else {
      succeed(std::move(stream));
    }
  }

  template <class Stream>
  void handshake_websocket(Stream fresh) {
    namespace websocket = boost::beast::websocket;
    auto stream = std::make_shared<Stream>(std::move(fresh));
    prepare_websocket(*stream);
    stream->set_option(websocket::stream_base::decorator(
        [protocol = options_.websocket_protocol](websocket::request_type& request) {
          request.set(boost::beast::http::field::user_agent, "millrace");
          if (!protocol.empty()) {
            request.set(boost::beast::http::field::sec_websocket_protocol, protocol);
          }
        }));
    set_deadline("WebSocket handshake with ", stream);
    auto response = std::make_shared<websocket::response_type>();
    stream->async_handshake(
        *response, where_.authority(), where_.target(),
        [self = shared_from_this(), stream, response](const boost::system::error_code& code) {
          if (self->finished_) return;
          if (const auto words = self->websocket_words(code, *response); !words.empty()) {
            self->fail(make_error_code(errc::protocol_error),
                       "WebSocket handshake with " + self->peer_ + ": " + words);
            return;
          }
          self->succeed(std::move(*stream));
        });
  }

  std::string websocket_words(const boost::system::error_code& code,
                              const boost::beast::websocket::response_type& response) const {
    namespace websocket = boost::beast::websocket;
    if (code == websocket::error::upgrade_declined) {
      return "the server answered " + std::to_string(response.result_int()) + " " +
             std::string(response.reason()) + " to the path '" + where_.target() + "'";
    }
    if (code == boost::asio::error::eof || code == websocket::error::closed) {
      return "the peer closed the connection";
    }
    if (code) return code.message();
    const auto chosen = response[boost::beast::http::field::sec_websocket_protocol];
    const auto& asked = options_.websocket_protocol;
    if (std::string_view(chosen.data(), chosen.size()) == asked) return {};
    return "the server chose the sub-protocol '" + std::string(chosen) + "', not '" + asked + "'";
  }

  template <class Stream>
  void succeed(Stream stream) {
    finish(make_transport(env_, std::move(stream),
                          {.peer = peer_,
                           .context = context_,
                           .shutdown_timeout = options_.shutdown_timeout,
                           .acknowledge = options_.acknowledge}));
  }

  /// Closes the stream when the time is over, or when the opening is cancelled.
  template <class Stream>
  void set_deadline(const char* step, const std::shared_ptr<Stream>& stream) {
    env_.cancel_timer(deadline_);
    abandon_ = [stream] { close_socket(tcp_layer(*stream)); };
    deadline_ = env_.call_after(options_.handshake_timeout, [self = shared_from_this(), step] {
      self->deadline_ = 0;
      if (self->finished_) return;
      self->fail(make_error_code(errc::timeout), step + self->peer_);
    });
  }

  void fail(std::error_code code, std::string message) {
    finish(millrace::error{code, std::move(message)});
  }

  void finish(result<std::unique_ptr<transport>> outcome) {
    finished_ = true;
    env_.cancel_timer(deadline_);
    if (dialing_ != nullptr) dialing_->cancel();
    // Handshakes that are under way hold their stream: closing it ends them.
    if (abandon_ && !outcome) abandon_();
    abandon_ = nullptr;
    boost::asio::post(env_.executor().handle,
                      [done = std::move(done_), outcome = std::move(outcome)]() mutable {
                        done(std::move(outcome));
                      });
  }

  environment& env_;
  url where_;
  transport_options options_;
  open_callback done_;
  std::shared_ptr<boost::asio::ssl::context> context_;
  std::shared_ptr<dialing> dialing_;
  std::function<void()> abandon_;
  std::string peer_;
  timer_id deadline_ = 0;
  bool finished_ = false;
};

/// What the caller holds: it does not own the opening, whose callback may own the caller.
class transport_opening_handle final : public transport_opening {
 public:
  explicit transport_opening_handle(std::weak_ptr<transport_opening_impl> opening)
      : opening_(std::move(opening)) {}
  void cancel() noexcept override {
    if (const auto opening = opening_.lock()) opening->cancel();
  }

 private:
  std::weak_ptr<transport_opening_impl> opening_;
};

}  // namespace detail

MILLRACE_DECL std::shared_ptr<transport_opening> open_transport(environment& env, const url& where,
                                                                const transport_options& options,
                                                                open_callback done) {
  auto opening =
      std::make_shared<detail::transport_opening_impl>(env, where, options, std::move(done));
  opening->start();
  return std::make_shared<detail::transport_opening_handle>(opening);
}

}  // namespace millrace::net
