// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/detail/http_server_session.hpp>

#include <string>
#include <utility>

namespace millrace::net {

MILLRACE_DECL void http_server::engine::listen() {
  error_code code;
  const auto check = [&](const char* what) {
    if (!code) return;
    throw std::system_error(code.value(), std::system_category(),
                            "http_server: " + std::string(what) + " " + options_.address + ":" +
                                std::to_string(options_.port));
  };
  const auto address = boost::asio::ip::make_address(options_.address, code);
  check("not an IP address:");
  const tcp::endpoint where{address, options_.port};
  acceptor_.emplace(strand_);
  acceptor_->open(where.protocol(), code);
  check("cannot open a socket for");
  acceptor_->set_option(tcp::acceptor::reuse_address(true), code);
  acceptor_->bind(where, code);
  check("cannot bind to");
  acceptor_->listen(boost::asio::socket_base::max_listen_connections, code);
  check("cannot listen at");
  options_.port = acceptor_->local_endpoint().port();
}

MILLRACE_DECL void http_server::engine::accept() {
  if (closed_) return;
  acceptor_->async_accept([self = shared_from_this()](const error_code& code, tcp::socket socket) {
    if (self->closed_) return;
    if (!code) self->admit(std::move(socket));
    // After an error (no file descriptor left) and beyond the rate: later.
    auto wait = self->pace_.take(http_pace::clock::now());
    if (code) wait = std::max<http_pace::clock::duration>(wait, std::chrono::milliseconds{20});
    if (wait.count() == 0) return self->accept();
    self->pause_.emplace(self->strand_, wait);
    self->pause_->async_wait([self](const error_code&) { self->accept(); });
  });
}

MILLRACE_DECL void http_server::engine::tick() {
  if (closed_ || !options_.task || options_.task_every.count() <= 0) return;
  if (!tick_) tick_.emplace(strand_);
  tick_->expires_after(options_.task_every);
  tick_->async_wait([self = shared_from_this()](const error_code& code) {
    if (code || self->closed_) return;
    {
      const std::lock_guard lock(self->serving_);
      if (self->stopped_) return;
      self->options_.task();
    }
    self->tick();
  });
}

MILLRACE_DECL void http_server::engine::admit(tcp::socket socket) {
  ++connections_;
  if (sessions_.size() >= limits().connections && !make_room()) {
    ++refused_;
    return;
  }
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  std::make_shared<session>(*this, std::move(socket))->begin();
}

/// Closes the connection that has been idle for longest; false when none is.
MILLRACE_DECL bool http_server::engine::make_room() {
  session* oldest = nullptr;
  for (session* candidate : sessions_) {
    if (!candidate->idle_since()) continue;
    if (oldest == nullptr || *candidate->idle_since() < *oldest->idle_since()) {
      oldest = candidate;
    }
  }
  if (oldest == nullptr) return false;
  ++refused_;
  oldest->close();
  return true;
}

MILLRACE_DECL void http_server::engine::close_all() {
  closed_ = true;
  error_code ignored;
  acceptor_->close(ignored);
  if (pause_) pause_->cancel();
  if (tick_) tick_->cancel();
  for (session* each : sessions_) each->close();
}

MILLRACE_DECL http_server::http_server(http_server_options options, handler serve)
    : engine_(std::make_shared<engine>(nullptr, std::move(options), std::move(serve))) {
  engine_->begin();
}

MILLRACE_DECL http_server::http_server(io_executor& executor, http_server_options options,
                                       handler serve)
    : engine_(std::make_shared<engine>(&executor, std::move(options), std::move(serve))) {
  engine_->begin();
}

MILLRACE_DECL http_server::~http_server() { engine_->stop(); }

MILLRACE_DECL std::uint16_t http_server::port() const noexcept { return engine_->options_.port; }

MILLRACE_DECL std::string http_server::url(std::string_view path) const {
  const auto& address = engine_->options_.address;
  const bool v6 = address.find(':') != std::string::npos;
  std::string text = "http://" + (v6 ? "[" + address + "]" : address);
  return text.append(":").append(std::to_string(port())).append(path);
}

MILLRACE_DECL http_server_statistics http_server::statistics() const {
  return {engine_->connections_, engine_->refused_,  engine_->requests_,
          engine_->rejected_,    engine_->timeouts_, engine_->open_};
}

MILLRACE_DECL void http_server::stop() { engine_->stop(); }

}  // namespace millrace::net
