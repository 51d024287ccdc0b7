// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/testing/detail/http_server_session.hpp>

#include <string>
#include <utility>

namespace millrace::testing {

MILLRACE_DECL http_server::http_server(http_server_options options)
    : self_(std::make_shared<implementation>(nullptr, std::move(options))) {
  self_->begin();
}

MILLRACE_DECL http_server::http_server(environment& env, http_server_options options)
    : self_(std::make_shared<implementation>(&env, std::move(options))) {
  self_->begin();
}

MILLRACE_DECL http_server::~http_server() { self_->stop(); }

MILLRACE_DECL void http_server::route(std::string_view method, std::string path, handler serve) {
  self_->add_route(method, std::move(path), std::move(serve));
}

MILLRACE_DECL void http_server::route(std::string_view method, std::string path,
                                      served_response response) {
  self_->add_route(method, std::move(path),
                   [response = std::move(response)](const served_request&) { return response; });
}

MILLRACE_DECL std::uint16_t http_server::port() const noexcept { return self_->options_.port; }

MILLRACE_DECL std::string http_server::url(std::string_view path) const {
  const auto& address = self_->options_.address;
  const bool v6 = address.find(':') != std::string::npos;
  std::string text = self_->options_.tls ? "https://" : "http://";
  text += v6 ? "[" + address + "]" : address;
  return text.append(":").append(std::to_string(port())).append(path);
}

MILLRACE_DECL http_server_statistics http_server::statistics() const {
  return {self_->connections_, self_->refused_, self_->requests_,
          self_->responses_,   self_->faults_,  self_->open_};
}

MILLRACE_DECL void http_server::go_down() {
  self_->on_thread([this] { self_->go_down(); });
}

MILLRACE_DECL void http_server::come_back() {
  self_->on_thread([this] {
    if (!self_->acceptor_) self_->listen();
  });
}

MILLRACE_DECL void http_server::drop_connections() {
  self_->on_thread([this] { self_->close_sessions(); });
}

MILLRACE_DECL void http_server::stop() { self_->stop(); }

}  // namespace millrace::testing
