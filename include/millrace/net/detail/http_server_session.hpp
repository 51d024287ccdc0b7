// SPDX-License-Identifier: Apache-2.0
/// \file
/// One connection of `http_server`. Heavy. On the server's strand.
#pragma once

#include <millrace/net/detail/http_server_engine.hpp>

#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::net {

/// Reads a request, answers it, and only then looks at the next one. It lives as long as one of its
/// operations, and keeps the engine alive so long.
class http_server::session : public std::enable_shared_from_this<http_server::session> {
 public:
  using tcp = boost::asio::ip::tcp;
  using error_code = boost::system::error_code;

  session(engine& owner, tcp::socket socket)
      : owner_(owner.shared_from_this()),
        socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        pause_(socket_.get_executor()),
        buffer_(owner.limits().header + owner.limits().body),
        place_(owner.add(*this)) {}
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  ~session() { owner_->remove(place_); }

  void begin() { wait_for_request(); }

  /// Whether it waits for the first byte of a request, and since when.
  std::optional<std::chrono::steady_clock::time_point> idle_since() const {
    return phase_ == phase::idle ? std::optional(since_) : std::nullopt;
  }

  /// Ends the connection; its operations complete with an error.
  void close() {
    if (phase_ == phase::closed) return;
    phase_ = phase::closed;
    error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
    pause_.cancel();
  }

 private:
  using parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  enum class phase : std::uint8_t { idle, reading, waiting, writing, draining, closed };

  void enter(phase next, std::chrono::milliseconds limit);
  void watch();
  void wait_for_request();
  void read();
  void on_read(const error_code& code);
  void reject(unsigned status, std::string_view why);
  bool take_request();
  bool take_target(std::string_view target);
  void respond(const http_served_response& response);
  void write();
  void drain();

  std::shared_ptr<engine> owner_;
  tcp::socket socket_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer pause_;
  boost::beast::flat_buffer buffer_;
  engine::sessions::iterator place_;
  std::optional<parser> parser_;
  http_served_request request_;
  std::string out_;
  std::array<char, 1024> rubbish_{};
  phase phase_ = phase::idle;
  std::chrono::steady_clock::time_point since_{};
  std::chrono::steady_clock::time_point deadline_{};
  std::size_t served_ = 0;
  std::size_t in_a_row_ = 0;
  std::size_t drained_ = 0;
  bool keep_alive_ = false;
  bool head_ = false;
  bool watching_ = false;
};

}  // namespace millrace::net
