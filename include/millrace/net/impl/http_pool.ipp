// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/net/detail/http_engine.hpp>
#include <millrace/net/tls_context.hpp>
#include <millrace/net/url.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace millrace::net {

namespace detail {

inline constexpr std::size_t http_longest_url = 64 * 1024;

inline bool is_token_char(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c != '\0' && std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos);
}

MILLRACE_DECL result<void> check_header(std::string_view name, std::string_view value) {
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_token_char)) {
    return {errc::malformed, "\"" + std::string(name) + "\" is no name of a header field"};
  }
  for (const char c : value) {
    if (c == '\r' || c == '\n' || c == '\0') {
      return {errc::malformed,
              "the header field \"" + std::string(name) + "\" holds a line break or zero byte"};
    }
  }
  if (equal_ignoring_case(name, "content-length") ||
      equal_ignoring_case(name, "transfer-encoding")) {
    return {errc::malformed, "the header field \"" + std::string(name) +
                                 "\" is written by the client; leave it out"};
  }
  return {};
}

MILLRACE_DECL std::string_view origin_of(std::string_view url) noexcept {
  const auto scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return {};
  return url.substr(0, std::min(url.find_first_of("/?#", scheme_end + 3), url.size()));
}

/// An origin without user and password.
inline std::string without_user(std::string_view origin) {
  const auto at = origin.rfind('@');
  if (at == std::string_view::npos) return std::string(origin);
  return std::string(origin.substr(0, origin.find("://") + 3)).append(origin.substr(at + 1));
}

MILLRACE_DECL std::string base64(std::string_view bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8U | (k < group.size() ? static_cast<unsigned char>(group[k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= group.size() ? digits[(bits >> (18 - 6 * k)) & 63U] : '=';
    }
  }
  return out;
}

/// Removes "." and ".." segments (RFC 3986, 5.2.4). \pre `path` begins with '/'
inline std::string without_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const auto end = std::min(path.find('/', 1), path.size());
    const auto segment = path.substr(0, end);
    path.remove_prefix(end);
    if (segment == "/.") {
      if (path.empty()) out += '/';
    } else if (segment == "/..") {
      out.erase(std::min(out.rfind('/'), out.size()));
      if (path.empty()) out += '/';
    } else {
      out += segment;
    }
  }
  return out;
}

MILLRACE_DECL std::string resolve_location(std::string_view base, std::string_view location) {
  const auto origin = origin_of(base);
  if (origin.empty()) return {};
  const auto scheme = origin.substr(0, origin.find(':'));
  if (!origin_of(location).empty()) return std::string(location);
  if (location.starts_with("//")) return std::string(scheme) + ":" + std::string(location);
  // Relative to ourselves: the origin keeps its user info.
  const auto base_path = base.substr(origin.size(), base.find_first_of("?#") - origin.size());
  const auto path_end = std::min(location.find_first_of("?#"), location.size());
  std::string path;
  if (path_end == 0) {
    path = base_path.empty() ? "/" : std::string(base_path);
  } else if (location.front() == '/') {
    path = location.substr(0, path_end);
  } else {
    const auto last = base_path.rfind('/');
    path = last == std::string_view::npos ? "/" : std::string(base_path.substr(0, last + 1));
    path += location.substr(0, path_end);
  }
  return std::string(origin) + without_dot_segments(path) + std::string(location.substr(path_end));
}

}  // namespace detail

//-------------------------------------------------------------------------------------- hosts

/// Finds the host of the request's URL, and where path and query lie in it.
MILLRACE_DECL result<void> http_client::implementation::locate(exchange& e) {
  const std::string_view url = e.request.url;
  if (url.size() > detail::http_longest_url) {
    return {errc::too_large, "URL of " + std::to_string(url.size()) + " bytes"};
  }
  const auto key = detail::origin_of(url);
  const auto end = std::min(url.find('#'), url.size());
  for (const char c : url.substr(key.size(), end - key.size())) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F) {
      return {errc::malformed,
              "the URL holds a space, control or non-ASCII character; percent-encode it"};
    }
  }
  e.target = static_cast<std::uint32_t>(key.size());
  e.target_end = static_cast<std::uint32_t>(end);
  if (const auto known = hosts_.find(key); known != hosts_.end()) {
    e.host = known->second.get();
    return {};
  }
  auto made = make_host(key);
  if (!made) return made.error();
  e.host = *made;
  return {};
}

MILLRACE_DECL result<detail::http_host*> http_client::implementation::make_host(
    std::string_view key) {
  auto parsed = parse_url(key);
  if (!parsed) return parsed.error();
  if (parsed->scheme != "http" && parsed->scheme != "https") {
    return {errc::not_supported, "an HTTP client cannot speak " + parsed->scheme};
  }
  if (hosts_.size() >= options_.hosts) forget_hosts(true);
  if (hosts_.size() >= options_.hosts) {
    return {errc::overloaded,
            "requests to more than " + std::to_string(options_.hosts) + " hosts at once"};
  }
  auto h = std::make_unique<host>();
  h->authority = parsed->authority();
  h->origin.name = parsed->host + ":" + std::to_string(parsed->port);
  h->origin.host = parsed->host;
  h->origin.port = parsed->port;
  if (parsed->uses_tls()) {
    if (tls_context_ == nullptr) {
      auto context = make_tls_context(options_.tls);
      if (!context) return context.error();
      tls_context_ = *std::move(context);
    }
    h->origin.context = tls_context_;
    h->origin.tls = &options_.tls;
  }
  const bool own = parsed->user.has_value();
  auto lines = add_lines(*h, own ? *parsed->user : options_.user,
                         own ? parsed->password.value_or("") : options_.password);
  if (!lines) return lines.error();
  return hosts_.emplace(std::string(key), std::move(h)).first->second.get();
}

MILLRACE_DECL result<void> http_client::implementation::add_lines(host& h, const std::string& user,
                                                                  const std::string& password) {
  const auto add = [&h](std::string_view name, std::string_view value, bool secret) {
    h.lines.push_back(
        {std::string(name), std::string(name).append(": ").append(value).append("\r\n"), secret});
  };
  const auto& own = options_.headers;
  if (!options_.user_agent.empty() && !own.contains("User-Agent")) {
    add("User-Agent", options_.user_agent, false);
  }
  if (options_.accept == accept_coding::compressed && !own.contains("Accept-Encoding")) {
    add("Accept-Encoding", "gzip, deflate", false);
  }
  if (!user.empty()) {
    if (user.find(':') != std::string::npos) {
      return {errc::malformed, "the user's name must not hold a colon"};
    }
    add("Authorization", "Basic " + detail::base64(user + ":" + password), true);
  }
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (!user.empty() && equal_ignoring_case(own[i].name, "Authorization")) continue;
    add(own[i].name, own[i].value, true);
  }
  for (const auto& line : h.lines) h.all_lines += line.text;
  return {};
}

/// Drops hosts that have no connection and no request, on demand also those with idle ones only.
MILLRACE_DECL void http_client::implementation::forget_hosts(bool idle_ones) {
  std::erase_if(hosts_, [&](const auto& entry) {
    host& h = *entry.second;
    if (!h.waiting.empty() || h.open > h.idle.size()) return false;
    if (!h.idle.empty() && !idle_ones) return false;
    for (const auto& c : h.idle) {
      c->close();
      closed_one(h);
    }
    return true;
  });
}

MILLRACE_DECL void http_client::implementation::write_head(exchange& e, std::string& out) const {
  const auto& request = e.request;
  const host& h = *e.host;
  const auto& own = request.headers;
  out.clear();
  out.append(to_string(request.method)).append(" ");
  const auto target = std::string_view{request.url}.substr(e.target, e.target_end - e.target);
  if (target.empty() || target.front() != '/') out += '/';
  out.append(target).append(" HTTP/1.1\r\n");
  if (!own.contains("Host")) out.append("Host: ").append(h.authority).append("\r\n");

  const bool overlap = std::any_of(h.lines.begin(), h.lines.end(),
                                   [&](const auto& line) { return own.contains(line.name); });
  if (!overlap && !e.foreign) {
    out += h.all_lines;
  } else {
    for (const auto& line : h.lines) {
      if (!own.contains(line.name) && !(e.foreign && line.secret)) out += line.text;
    }
  }
  for (std::size_t i = 0; i < own.size(); ++i) {
    out.append(own[i].name).append(": ").append(own[i].value).append("\r\n");
  }
  if (request.coding == content_coding::gzip) out += "Content-Encoding: gzip\r\n";
  const bool has_length = !request.body.empty() || request.method == http_method::post ||
                          request.method == http_method::put ||
                          request.method == http_method::patch;
  if (has_length) {
    std::array<char, 20> digits;
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), request.body.size()).ptr;
    out.append("Content-Length: ").append(digits.data(), end).append("\r\n");
  }
  out += "\r\n";
}

//-------------------------------------------------------------------------------- connections

/// Puts an exchange on an idle connection, a new one, or in the line.
MILLRACE_DECL void http_client::implementation::start(exchange& e) {
  // A connection that has just been used is tried without a look at it, where failing is harmless.
  constexpr auto fresh = std::chrono::milliseconds{20};
  host& h = *e.host;
  while (!h.idle.empty()) {
    auto c = std::move(h.idle.back());
    h.idle.pop_back();
    const bool trusted =
        is_idempotent(e.request.method) && env_.monotonic() - c->idle_since < fresh;
    if (trusted || !c->gone()) {
      run_on(e, std::move(c));
      return;
    }
    c->close();
    closed_one(h);
  }
  if (h.open < options_.connections_per_host) {
    open_for(e);
    return;
  }
  if (h.waiting.size() < options_.waiting_per_host) {
    e.stage = detail::http_stage::waiting;
    h.waiting.push_back(e);
    ++statistics_.waiting;
    return;
  }
  e.stage = detail::http_stage::unused;
  finish_later(e, {errc::overloaded, "more than " + std::to_string(options_.waiting_per_host) +
                                         " requests wait for " + h.origin.name});
}

MILLRACE_DECL void http_client::implementation::open_for(exchange& e) {
  host& h = *e.host;
  ++h.open;
  ++statistics_.open;
  ++statistics_.connections;
  e.stage = detail::http_stage::opening;
  e.opening_until = env_.monotonic() + options_.connect_timeout;
  arm(e.opening_until);
  e.connection = new connection(env_, *this, {options_.max_header, options_.max_body});
  e.connection->exchange = &e;
  e.connection->host = &h;
  e.connection->open(h.origin);
}

MILLRACE_DECL void http_client::implementation::run_on(exchange& e,
                                                       boost::intrusive_ptr<connection> c) {
  e.stage = detail::http_stage::running;
  c->exchange = &e;
  write_head(e, c->head());
  if (counters_) counters_->request_bytes.add(e.request.body.size());
  e.connection = std::move(c);
  e.connection->transmit(e.request.method, std::move(e.request.body));
}

MILLRACE_DECL void http_client::implementation::give_back(boost::intrusive_ptr<connection> c,
                                                          bool reusable) {
  host& h = *c->host;
  c->exchange = nullptr;
  if (reusable && options_.idle_timeout.count() > 0) {
    c->idle_since = env_.monotonic();
    if (h.waiting.empty()) arm(c->idle_since + options_.idle_timeout);
    h.idle.push_back(std::move(c));
  } else {
    c->close();
    closed_one(h);
  }
  serve_waiting(h);
}

MILLRACE_DECL void http_client::implementation::serve_waiting(host& h) {
  while (!h.waiting.empty() && (!h.idle.empty() || h.open < options_.connections_per_host)) {
    exchange& e = h.waiting.front();
    h.waiting.pop_front();
    --statistics_.waiting;
    start(e);
  }
}

/// Sends the request to where a 3xx points; false when the response is to be delivered as it is.
MILLRACE_DECL bool http_client::implementation::redirect(exchange& e,
                                                         const http_response& response) {
  const auto location = response.headers.find("location");
  const unsigned status = response.status;
  const bool rewrites = status == 301 || status == 302 || status == 303;
  if (!location || (!rewrites && status != 307 && status != 308)) return false;
  std::string target = detail::resolve_location(e.request.url, *location);
  const auto from = detail::origin_of(e.request.url);
  auto to = detail::origin_of(target);
  if (from != to && detail::without_user(from) == to) {
    target.replace(0, to.size(), from);
    to = detail::origin_of(target);
  }
  if (to.empty() || (from.starts_with("https:") && !to.starts_with("https:"))) return false;
  if (e.redirects == options_.max_redirects) {
    finish(e, error{errc::rejected, "more than " + std::to_string(options_.max_redirects) +
                                        " redirects, the last to " + target});
    return true;
  }
  ++e.redirects;
  if (from != to) {
    e.foreign = true;
    e.request.headers.erase("Authorization");
    e.request.headers.erase("Cookie");
  }
  const bool keeps_method =
      e.request.method == http_method::get || e.request.method == http_method::head;
  if (rewrites && !keeps_method && (status == 303 || e.request.method == http_method::post)) {
    e.request.method = http_method::get;
    e.request.body.clear();
    e.request.coding = content_coding::identity;
    e.request.headers.erase("Content-Type");
  }
  e.request.url = std::move(target);
  e.resent = false;
  if (auto located = locate(e); !located) {
    finish(e, located.error());
  } else {
    start(e);
  }
  return true;
}

}  // namespace millrace::net
