// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/detail/http_server_session.hpp>

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>

namespace millrace::net {

namespace detail {

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), whatever the locale.
MILLRACE_DECL std::string http_date(std::time_t now) {
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  const int n = std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                              days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon],
                              utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
  return {text, static_cast<std::size_t>(n)};
}

/// What a handler puts into a field must not end the field.
MILLRACE_DECL void http_append_field(std::string& out, std::string_view name,
                                     std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  out += "\r\n";
}

MILLRACE_DECL std::string http_served_text(const http_served_response& response, bool keep_alive,
                                           bool head) {
  namespace http = boost::beast::http;
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out.append(reason.data(), reason.size()).append("\r\n");
  http_append_field(out, "Date", http_date(std::time(nullptr)));
  for (std::size_t i = 0; i < response.headers.size(); ++i) {
    http_append_field(out, response.headers[i].name, response.headers[i].value);
  }
  const bool has_body = response.status >= 200 && response.status != 204 && response.status != 304;
  if (has_body) {
    if (!response.content_type.empty()) {
      http_append_field(out, "Content-Type", response.content_type);
    }
    http_append_field(out, "Content-Length", std::to_string(response.body.size()));
  }
  if (!keep_alive) out += "Connection: close\r\n";
  out += "\r\n";
  if (has_body && !head) out += response.body;
  return out;
}

}  // namespace detail

MILLRACE_DECL void http_server::session::enter(phase next, std::chrono::milliseconds limit) {
  phase_ = next;
  since_ = std::chrono::steady_clock::now();
  deadline_ = since_ + limit;
  if (watching_ && timer_.expiry() <= deadline_) return;  // it will look again when it fires
  timer_.expires_at(deadline_);
  watch();
}

/// One timer for all phases: it is moved to the present deadline when it fires, not at each step.
MILLRACE_DECL void http_server::session::watch() {
  watching_ = true;
  timer_.async_wait([self = shared_from_this()](const error_code& code) {
    if (self->phase_ == phase::closed) return;
    if (code == boost::asio::error::operation_aborted) return;
    self->watching_ = false;
    if (std::chrono::steady_clock::now() < self->deadline_) {
      self->timer_.expires_at(self->deadline_);
      return self->watch();
    }
    ++self->owner_->timeouts_;
    self->close();
  });
}

MILLRACE_DECL void http_server::session::wait_for_request() {
  if (buffer_.size() > 0) {  // the next one came with the last
    if (++in_a_row_ > owner_->limits().pipelined) return reject(400, "too many requests at once");
    enter(phase::reading, owner_->limits().request);
    return read();
  }
  in_a_row_ = 0;
  enter(phase::idle, owner_->limits().idle);
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code& code) {
    if (code || self->phase_ == phase::closed) return self->close();
    self->enter(phase::reading, self->owner_->limits().request);
    self->read();
  });
}

MILLRACE_DECL void http_server::session::read() {
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(owner_->limits().header));
  parser_->body_limit(owner_->limits().body);
  boost::beast::http::async_read(
      socket_, buffer_, *parser_,
      [self = shared_from_this()](const error_code& code, std::size_t) { self->on_read(code); });
}

MILLRACE_DECL void http_server::session::on_read(const error_code& code) {
  namespace http = boost::beast::http;
  if (phase_ == phase::closed) return close();
  if (code == http::error::end_of_stream || code == http::error::partial_message) return close();
  if (code == http::error::body_limit) return reject(413, "the body is too large");
  if (code == http::error::header_limit || code == http::error::buffer_overflow) {
    return reject(431, "the header is too large");
  }
  if (code == http::error::bad_version) return reject(505, "HTTP/1.0 or HTTP/1.1");
  if (code && code.category() == make_error_code(http::error::bad_method).category()) {
    return reject(400, code.message());
  }
  if (code) return close();
  if (!take_request()) return;
  // The pace is ours: nobody is to blame for a wait.
  enter(phase::waiting, std::chrono::hours{1});
  const auto serve = [self = shared_from_this()] {
    if (self->phase_ == phase::closed) return;
    self->respond(self->owner_->answer(self->request_));
  };
  const auto wait = owner_->pace().take(http_pace::clock::now());
  if (wait.count() == 0) return serve();
  pause_.expires_after(wait);
  pause_.async_wait([serve](const error_code&) { serve(); });
}

MILLRACE_DECL void http_server::session::reject(unsigned status, std::string_view why) {
  ++owner_->rejected_;
  keep_alive_ = false;
  head_ = false;
  out_ = detail::http_served_text({.status = status, .body = std::string(why) + "\n"}, keep_alive_,
                                  head_);
  write();
}

/// Checks what Beast leaves to us; false when it has been rejected.
MILLRACE_DECL bool http_server::session::take_request() {
  const auto text = [](auto view) { return std::string_view{view.data(), view.size()}; };
  auto message = parser_->release();
  const auto refuse = [this](unsigned status, std::string_view why) {
    reject(status, why);
    return false;
  };
  if (message.version() != 10 && message.version() != 11) return refuse(505, "HTTP/1.0 or 1.1");
  request_.method = text(message.method_string());
  request_.headers.clear();
  std::size_t hosts = 0;
  request_.host.clear();
  for (const auto& field : message) {
    request_.headers.add(text(field.name_string()), text(field.value()));
    if (field.name() != boost::beast::http::field::host) continue;
    ++hosts;
    request_.host = text(field.value());
  }
  // RFC 9112, 3.2: a server must refuse what names no host, or several.
  if (hosts > 1 || (hosts == 0 && message.version() == 11)) return refuse(400, "one Host, please");
  if (message.count(boost::beast::http::field::expect) != 0) {
    return refuse(417, "send the body without asking");
  }
  const auto target = text(message.target());
  if (target.size() > owner_->limits().target) return refuse(414, "the target is too long");
  if (!take_target(target)) return refuse(400, "not a path");
  request_.body = std::move(message.body());
  head_ = request_.method == "HEAD";
  keep_alive_ = message.keep_alive() && ++served_ < owner_->limits().requests_per_connection;
  return true;
}

/// "/path?query", or the absolute form, whose authority wins over Host (RFC 9112, 3.2.2).
MILLRACE_DECL bool http_server::session::take_target(std::string_view target) {
  constexpr std::string_view scheme = "http://";
  if (target.size() > scheme.size() &&
      equal_ignoring_case(target.substr(0, scheme.size()), scheme)) {
    target.remove_prefix(scheme.size());
    const auto slash = std::min(target.find('/'), target.size());
    request_.host = target.substr(0, slash);
    target.remove_prefix(slash);
    if (target.empty()) target = "/";
  }
  if (!target.starts_with('/')) return false;
  for (const char c : target) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F)
      return false;
  }
  const auto question = std::min(target.find('?'), target.size());
  request_.path = target.substr(0, question);
  request_.query = target.substr(std::min(question + 1, target.size()));
  return true;
}

MILLRACE_DECL void http_server::session::respond(const http_served_response& response) {
  out_ = detail::http_served_text(response, keep_alive_, head_);
  write();
}

MILLRACE_DECL void http_server::session::write() {
  enter(phase::writing, owner_->limits().response);
  boost::asio::async_write(socket_, boost::asio::buffer(out_),
                           [self = shared_from_this()](const error_code& code, std::size_t) {
                             if (code || self->phase_ == phase::closed) return self->close();
                             if (self->keep_alive_) return self->wait_for_request();
                             // Closing with bytes unread would send a reset, which can overtake the
                             // answer.
                             error_code ignored;
                             self->socket_.shutdown(tcp::socket::shutdown_send, ignored);
                             self->enter(phase::draining, std::chrono::milliseconds{500});
                             self->drain();
                           });
}

MILLRACE_DECL void http_server::session::drain() {
  socket_.async_read_some(boost::asio::buffer(rubbish_),
                          [self = shared_from_this()](const error_code& code, std::size_t n) {
                            constexpr std::size_t most = 64 * 1024;
                            self->drained_ += n;
                            if (code || self->phase_ == phase::closed || self->drained_ > most) {
                              return self->close();
                            }
                            self->drain();
                          });
}

}  // namespace millrace::net
