// SPDX-License-Identifier: Apache-2.0
/// \file
/// The inside of `http_server`: listener, connections, pace. Heavy. Everything runs on one strand;
/// counters may be read from anywhere.
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/net/http_server.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace millrace::net {

/// A bucket of tokens, filled at a constant rate up to one second's worth. Not thread safe.
class http_pace {
 public:
  using clock = std::chrono::steady_clock;

  explicit http_pace(std::uint32_t per_second) noexcept
      : step_(per_second == 0 ? clock::duration{0}
                              : clock::duration{std::chrono::seconds{1}} / per_second) {}

  /// Takes a token, which may be one of the future: the time to wait until then.
  clock::duration take(clock::time_point now) noexcept {
    if (step_.count() == 0) return {};
    next_ = std::max(next_, now - std::chrono::seconds{1}) + step_;
    return std::max(next_ - now, clock::duration{0});
  }

 private:
  clock::duration step_;
  clock::time_point next_{};
};

class http_server::engine : public std::enable_shared_from_this<http_server::engine> {
 public:
  using tcp = boost::asio::ip::tcp;
  using error_code = boost::system::error_code;
  using sessions = std::list<session*>;  // each lives as long as its operations

  engine(io_executor* executor, http_server_options options, handler serve)
      : options_(std::move(options)), serve_(std::move(serve)), pace_(options_.limits.rate) {
    if (executor == nullptr) own_.emplace(1);
    strand_ = boost::asio::make_strand(executor == nullptr
                                           ? boost::asio::any_io_executor(own_->get_executor())
                                           : executor->handle);
  }

  void begin() {
    listen();
    boost::asio::post(strand_, [self = shared_from_this()] {
      self->accept();
      self->tick();
    });
    if (!own_) return;
    thread_ = std::thread([this] {
      while (true) {
        try {
          own_->run();
          return;
        } catch (const std::exception&) {  // out of memory: that connection is gone
        }
      }
    });
  }

  void stop() {
    {
      const std::lock_guard lock(serving_);
      if (std::exchange(stopped_, true)) return;
    }
    if (!own_) {
      boost::asio::post(strand_, [self = shared_from_this()] { self->close_all(); });
      return;
    }
    boost::asio::post(strand_, [this] { close_all(); });
    thread_.join();  // it has nothing to do once all is closed
  }

  /// Calls the handler, unless the server has been stopped.
  http_served_response answer(const http_served_request& request) {
    const std::lock_guard lock(serving_);
    if (stopped_) return {.status = 503, .body = "stopping\n"};
    ++requests_;
    try {
      return serve_(request);
    } catch (const std::exception& failure) {
      return {.status = 500, .body = std::string(failure.what()) + "\n"};
    }
  }

  sessions::iterator add(session& which) {
    sessions_.push_back(&which);
    open_ = sessions_.size();
    return std::prev(sessions_.end());
  }
  void remove(sessions::iterator which) noexcept {
    sessions_.erase(which);
    open_ = sessions_.size();
  }

  http_pace& pace() noexcept { return pace_; }
  const http_server_limits& limits() const noexcept { return options_.limits; }

  http_server_options options_;
  std::atomic<std::uint64_t> connections_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> rejected_{0};
  std::atomic<std::uint64_t> timeouts_{0};
  std::atomic<std::size_t> open_{0};

 private:
  void listen();
  void accept();
  void tick();
  void admit(tcp::socket socket);
  bool make_room();
  void close_all();

  handler serve_;
  http_pace pace_;
  std::optional<boost::asio::io_context> own_;
  boost::asio::any_io_executor strand_;
  std::optional<tcp::acceptor> acceptor_;
  std::optional<boost::asio::steady_timer> pause_;
  std::optional<boost::asio::steady_timer> tick_;
  sessions sessions_;
  std::mutex serving_;
  bool stopped_ = false;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace millrace::net
