// SPDX-License-Identifier: Apache-2.0
/// \file
/// The inside of `http_server`: thread, listener and routes. Heavy. Routes are guarded by a lock,
/// everything else is on the server's thread.
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/net/tls_context.hpp>
#include <millrace/testing/http_server.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace millrace::testing {

/// Sessions and listener live on one executor; the own thread, if there is one, runs it.
class http_server::implementation : public std::enable_shared_from_this<implementation> {
 public:
  using tcp = boost::asio::ip::tcp;
  using error_code = boost::system::error_code;

  class session;

  implementation(environment* env, http_server_options options)
      : env_(env), options_(std::move(options)) {
    if (options_.tls) {
      auto context = net::make_tls_server_context(*options_.tls);
      if (!context) throw std::system_error(context.error().code, context.error().message);
      tls_ = *std::move(context);
    }
  }

  void begin() {
    if (env_ == nullptr) own_.emplace(1);
    executor_ = env_ == nullptr ? boost::asio::any_io_executor(own_->get_executor())
                                : env_->executor().handle;
    listen();
    if (env_ != nullptr) return;
    thread_ = std::thread([this] {
      const auto guard = boost::asio::make_work_guard(*own_);
      own_->run();
    });
  }

  /// Runs `what` on the server's thread and waits for it.
  template <class F>
  void on_thread(F what) {
    if (env_ != nullptr || std::this_thread::get_id() == thread_.get_id()) {
      what();
      return;
    }
    if (!thread_.joinable()) return;
    std::packaged_task<void()> task(std::move(what));
    auto done = task.get_future();
    boost::asio::post(executor_, [&task] { task(); });
    done.get();
  }

  void listen() {
    const tcp::endpoint where{boost::asio::ip::make_address(options_.address), options_.port};
    acceptor_.emplace(executor_);
    acceptor_->open(where.protocol());
    acceptor_->set_option(tcp::acceptor::reuse_address(true));
    acceptor_->bind(where);
    acceptor_->listen();
    options_.port = acceptor_->local_endpoint().port();
    accept();
  }

  void accept() {
    acceptor_->async_accept(
        [weak = weak_from_this(), epoch = epoch_](const error_code& code, tcp::socket socket) {
          const auto self = weak.lock();
          if (self == nullptr || self->epoch_ != epoch) return;
          if (!code) {
            self->admit(std::move(socket));
            self->accept();
            return;
          }
          self->after(std::chrono::milliseconds{10}, [weak] {  // e.g. no file descriptor left
            if (const auto again = weak.lock(); again && again->acceptor_) again->accept();
          });
        });
  }

  void admit(tcp::socket socket);

  void close_sessions();

  void go_down() {
    ++epoch_;
    acceptor_.reset();
    close_sessions();
  }

  void stop() {
    if (std::exchange(stopped_, true)) return;
    on_thread([this] { go_down(); });
    if (!thread_.joinable()) return;
    own_->stop();
    thread_.join();
    // What was queued holds sockets, such as those that were accepted a moment ago.
    own_->restart();
    own_->poll();
  }

  void add_route(std::string_view method, std::string path, handler serve) {
    const std::lock_guard lock(mutex_);
    routes_[std::move(path)][std::string(method)] = std::make_shared<handler>(std::move(serve));
  }

  served_response answer(const served_request& request) {
    std::shared_ptr<handler> serve;
    bool path_known = false;
    {
      const std::lock_guard lock(mutex_);
      serve = find(request, path_known);
    }
    if (serve == nullptr) {
      return path_known ? served_response{.status = 405, .body = "method not allowed"}
                        : served_response{.status = 404, .body = "not found"};
    }
    try {
      return (*serve)(request);
    } catch (const std::exception& failure) {
      return {.status = 500, .body = failure.what(), .content_type = "text/plain"};
    }
  }

  void after(std::chrono::nanoseconds delay, std::function<void()> then) {
    if (env_ != nullptr) {
      env_->call_after(delay, std::move(then));
      return;
    }
    auto timer = std::make_shared<boost::asio::steady_timer>(executor_, delay);
    timer->async_wait([timer, then = std::move(then)](const error_code& code) {
      if (!code) then();
    });
  }

  environment* env_;
  http_server_options options_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  std::optional<boost::asio::io_context> own_;
  boost::asio::any_io_executor executor_;
  std::optional<tcp::acceptor> acceptor_;
  std::map<std::uint64_t, std::shared_ptr<session>> sessions_;
  std::uint64_t epoch_ = 0;
  std::atomic<std::uint64_t> connections_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> responses_{0};
  std::atomic<std::uint64_t> faults_{0};
  std::atomic<std::size_t> open_{0};

 private:
  std::shared_ptr<handler> find(const served_request& request, bool& path_known) const {
    const std::map<std::string, std::shared_ptr<handler>>* best = nullptr;
    std::size_t best_size = 0;
    for (const auto& [path, methods] : routes_) {
      const bool prefix = path.ends_with('*');
      const bool match =
          prefix ? request.path.starts_with(path.substr(0, path.size() - 1)) : request.path == path;
      const std::size_t size = path.size() * 2 + (prefix ? 0 : 1);
      if (match && size > best_size) {
        best = &methods;
        best_size = size;
      }
    }
    path_known = best != nullptr;
    if (best == nullptr) return nullptr;
    auto found = best->find(request.method);
    if (found == best->end()) found = best->find("");
    return found == best->end() ? nullptr : found->second;
  }

  std::thread thread_;
  std::mutex mutex_;
  std::map<std::string, std::map<std::string, std::shared_ptr<handler>>> routes_;
  bool stopped_ = false;
};

}  // namespace millrace::testing
