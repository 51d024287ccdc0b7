// SPDX-License-Identifier: Apache-2.0
/// \file
/// `transport` over any of the four streams of Asio and Beast; what `open_transport` and
/// `transport_acceptor` share. Thread safety as in net/transport.hpp.
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/net/dial.hpp>
#include <millrace/net/transport.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/websocket/error.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>

#if defined(__linux__)
#include <netinet/tcp.h>
#include <sys/socket.h>
#endif

#include <array>
#include <utility>
#include <vector>

namespace millrace::net::detail {

using tcp_stream = boost::asio::ip::tcp::socket;
using tls_stream = boost::asio::ssl::stream<tcp_stream>;
// Compression is off: MQTT gains little, and it doubles the compile time.
using websocket_stream = boost::beast::websocket::stream<tcp_stream, false>;
using websocket_tls_stream = boost::beast::websocket::stream<tls_stream, false>;

template <class Stream>
inline constexpr bool is_websocket = false;
template <class Next>
inline constexpr bool is_websocket<boost::beast::websocket::stream<Next, false>> = true;

inline tcp_stream& tcp_layer(tcp_stream& stream) noexcept { return stream; }
inline tcp_stream& tcp_layer(tls_stream& stream) noexcept { return stream.next_layer(); }
template <class Next>
tcp_stream& tcp_layer(boost::beast::websocket::stream<Next, false>& stream) noexcept {
  return tcp_layer(stream.next_layer());
}

inline void close_socket(tcp_stream& socket) noexcept {
  boost::system::error_code ignored;
  socket.close(ignored);
}

/// Settings of every WebSocket, before its handshake.
template <class Next>
void prepare_websocket(boost::beast::websocket::stream<Next, false>& stream) {
  constexpr std::size_t write_chunk = 64U << 10U;  // the default of 4 KiB costs a system call each
  stream.binary(true);
  stream.auto_fragment(false);
  stream.write_buffer_bytes(write_chunk);
  // Frames are handed on piece by piece: nothing grows with a message, so no limit is needed.
  stream.read_message_max(0);
}

/// A list of buffers that is cheap to copy, as Asio does several times per operation.
class buffer_list_view {
 public:
  using value_type = boost::asio::const_buffer;
  using const_iterator = const value_type*;
  explicit buffer_list_view(const std::vector<value_type>& all) noexcept
      : begin_(all.data()), end_(all.data() + all.size()) {}
  const_iterator begin() const noexcept { return begin_; }
  const_iterator end() const noexcept { return end_; }

 private:
  const_iterator begin_;
  const_iterator end_;
};

/// What is specific to one established connection, apart from its stream.
struct stream_settings {
  std::string peer;
  std::shared_ptr<boost::asio::ssl::context> context;  ///< null without TLS
  std::chrono::nanoseconds shutdown_timeout;
  tcp_acknowledge acknowledge;
};

/// Lives until the last operation has completed, however early its transport goes.
template <class Stream>
class stream_state : public std::enable_shared_from_this<stream_state<Stream>> {
 public:
  stream_state(environment& env, Stream stream, stream_settings settings)
      : env_(env), settings_(std::move(settings)), stream_(std::move(stream)) {}

  const std::string& peer() const noexcept { return settings_.peer; }

  void read_some(std::span<char> into, transfer_callback done) {
    MILLRACE_ASSERT(!reading_ && !into.empty());
    reading_ = true;
    into_ = into;
    if (closed_) {
      post([self = this->shared_from_this(), done = std::move(done)]() mutable {
        self->complete_read(aborted(), 0, done);
      });
    } else {
      start_read(std::move(done));
    }
  }

  void write(std::span<const std::string_view> buffers, transfer_callback done) {
    MILLRACE_ASSERT(!writing_);
    writing_ = true;
    buffers_.clear();
    for (const auto& buffer : buffers) {
      if (!buffer.empty()) buffers_.emplace_back(buffer.data(), buffer.size());
    }
    auto handler = [self = this->shared_from_this(), done = std::move(done)](
                       const boost::system::error_code& code, std::size_t size) mutable {
      self->complete_write(code, size, done);
    };
    if (closed_ || buffers_.empty()) {
      const auto code = closed_ ? aborted() : boost::system::error_code{};
      post([handler = std::move(handler), code]() mutable { handler(code, 0); });
    } else if constexpr (is_websocket<Stream>) {
      stream_.async_write(buffer_list_view(buffers_), std::move(handler));
    } else if (buffers_.size() == 1) {
      boost::asio::async_write(stream_, buffers_.front(), std::move(handler));
    } else {
      boost::asio::async_write(stream_, buffer_list_view(buffers_), std::move(handler));
    }
  }

  void shutdown(shutdown_callback done) {
    MILLRACE_ASSERT(!writing_ && goodbye_.expired());
    auto said = std::make_shared<goodbye>(goodbye{std::move(done)});
    goodbye_ = said;
    auto self = this->shared_from_this();
    if (closed_) {
      post([self, said] { self->finish_shutdown(*said, make_error_code(errc::aborted)); });
      return;
    }
    said->timer = env_.call_after(settings_.shutdown_timeout, [self, said] {
      said->timer = 0;
      self->finish_shutdown(*said, make_error_code(errc::timeout));
    });
    // A peer that has gone already has heard enough: only the time limit counts as a failure.
    auto handler = [self, said](const boost::system::error_code&) {
      self->finish_shutdown(*said, {});
    };
    if constexpr (is_websocket<Stream>) {
      stream_.async_close(boost::beast::websocket::close_code::normal, std::move(handler));
    } else if constexpr (std::is_same_v<Stream, tls_stream>) {
      stream_.async_shutdown(std::move(handler));
    } else {
      boost::system::error_code ignored;
      stream_.shutdown(tcp_stream::shutdown_send, ignored);
      if (!reading_) drain(std::move(handler));
    }
  }

  void close() noexcept {
    if (closed_) return;
    closed_ = true;
    close_socket(tcp_layer(stream_));
  }

 private:
  // Callbacks live in what is pending, never in here: they own whoever owns this, and a context
  // that is destroyed before they have run must be able to free all of it.
  struct goodbye {
    shutdown_callback done;
    timer_id timer = 0;
  };

  static boost::system::error_code aborted() { return boost::asio::error::operation_aborted; }

  template <class F>
  void post(F action) {
    boost::asio::post(env_.executor().handle, std::move(action));
  }

  void start_read(transfer_callback done) {
    stream_.async_read_some(boost::asio::buffer(into_.data(), into_.size()),
                            [self = this->shared_from_this(), done = std::move(done)](
                                const boost::system::error_code& code, std::size_t size) mutable {
                              self->on_read(code, size, std::move(done));
                            });
  }

  void on_read(const boost::system::error_code& code, std::size_t size, transfer_callback done) {
    if constexpr (is_websocket<Stream>) {
      if (!code && !stream_.got_binary()) {
        complete_read(boost::beast::websocket::error::bad_opcode, 0, done);
        return;
      }
      if (!code && size == 0 && !closed_) {  // an empty frame
        start_read(std::move(done));
        return;
      }
    }
    if (!code) acknowledge(size);
    complete_read(code, size, done);
    if (!code) return;
    if (const auto said = goodbye_.lock()) finish_shutdown(*said, {});
  }

  void acknowledge([[maybe_unused]] std::size_t size) {
#if defined(__linux__)
    // At saturation a system call per read would cost a fifth of the throughput (measured); then
    // reads are big, and the kernel acknowledges every second segment anyway.
    constexpr std::size_t small = 16U << 10U;
    if (settings_.acknowledge != tcp_acknowledge::adaptive || size >= small || closed_) return;
    const int on = 1;
    static_cast<void>(::setsockopt(tcp_layer(stream_).native_handle(), IPPROTO_TCP, TCP_QUICKACK,
                                   &on, sizeof on));
#endif
  }

  void complete_read(const boost::system::error_code& code, std::size_t size,
                     transfer_callback& done) {
    reading_ = false;
    if (code) {
      done(failure(code, "read from "));
    } else {
      done(size);
    }
  }

  void complete_write(const boost::system::error_code& code, std::size_t size,
                      transfer_callback& done) {
    writing_ = false;
    if (code) {
      done(failure(code, "write to "));
    } else {
      done(size);
    }
  }

  /// Reads and drops until the peer's end of stream: closing a socket with unread data resets the
  /// connection, and the reset may overtake what was written last.
  template <class Handler>
  void drain(Handler handler) {
    stream_.async_read_some(boost::asio::buffer(scratch_),
                            [self = this->shared_from_this(), handler = std::move(handler)](
                                const boost::system::error_code& code, std::size_t) mutable {
                              if (code) {
                                handler(code);
                              } else {
                                self->drain(std::move(handler));
                              }
                            });
  }

  void finish_shutdown(goodbye& said, std::error_code code) {
    if (!said.done) return;
    auto done = std::move(said.done);
    env_.cancel_timer(std::exchange(said.timer, 0));
    close();
    if (code) {
      done(millrace::error{code, "shut down the connection to " + settings_.peer});
    } else {
      done({});
    }
  }

  millrace::error failure(const boost::system::error_code& code, const char* step) const {
    namespace error = boost::asio::error;
    std::string words = step + settings_.peer;
    if (closed_) return {make_error_code(errc::aborted), std::move(words)};
    if constexpr (is_websocket<Stream>) {
      if (code == boost::beast::websocket::error::closed) {
        words += " (WebSocket close code " + std::to_string(stream_.reason().code) + ")";
        return {make_error_code(errc::connection_closed), std::move(words)};
      }
      if (code == boost::beast::websocket::error::bad_opcode) {
        words += " (a WebSocket frame that is not binary)";
        return {make_error_code(errc::protocol_error), std::move(words)};
      }
    }
    if (code == error::eof || code == boost::asio::ssl::error::stream_truncated) {
      return {make_error_code(errc::connection_closed), std::move(words)};
    }
    if (code == error::connection_reset || code == error::broken_pipe) {
      return {make_error_code(errc::connection_closed), words + " (" + code.message() + ")"};
    }
    return {code, std::move(words)};
  }

  environment& env_;
  stream_settings settings_;
  Stream stream_;
  std::span<char> into_;
  std::weak_ptr<goodbye> goodbye_;
  std::vector<boost::asio::const_buffer> buffers_;
  std::array<char, 1024> scratch_{};
  bool reading_ = false;
  bool writing_ = false;
  bool closed_ = false;
};

template <class Stream>
class stream_transport final : public transport {
 public:
  stream_transport(environment& env, Stream stream, stream_settings settings)
      : state_(
            std::make_shared<stream_state<Stream>>(env, std::move(stream), std::move(settings))) {}
  ~stream_transport() override { state_->close(); }

  void read_some(std::span<char> into, transfer_callback done) override {
    state_->read_some(into, std::move(done));
  }
  void write(std::span<const std::string_view> buffers, transfer_callback done) override {
    state_->write(buffers, std::move(done));
  }
  void shutdown(shutdown_callback done) override { state_->shutdown(std::move(done)); }
  void close() noexcept override { state_->close(); }
  const std::string& peer() const noexcept override { return state_->peer(); }

 private:
  std::shared_ptr<stream_state<Stream>> state_;
};

/// The transport of a stream whose handshakes are over.
template <class Stream>
std::unique_ptr<transport> make_transport(environment& env, Stream stream,
                                          stream_settings settings) {
  return std::make_unique<stream_transport<Stream>>(env, std::move(stream), std::move(settings));
}

}  // namespace millrace::net::detail
