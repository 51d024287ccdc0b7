// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/dashboard/detail/page.hpp>
#include <millrace/dashboard/detail/site.hpp>
#include <millrace/dashboard/prometheus.hpp>
#include <millrace/dashboard/status_json.hpp>

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <utility>

namespace millrace {

namespace detail {

/// The value of a parameter, decoded; empty without it.
MILLRACE_DECL std::string query_value(std::string_view query, std::string_view name) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
    std::string value;
    for (std::size_t i = equals + 1; i < pair.size(); ++i) {
      const bool escaped = pair[i] == '%' && i + 2 < pair.size() && digit(pair[i + 1]) >= 0 &&
                           digit(pair[i + 2]) >= 0;
      if (escaped) {
        value += static_cast<char>(digit(pair[i + 1]) * 16 + digit(pair[i + 2]));
        i += 2;
      } else {
        value += pair[i] == '+' ? ' ' : pair[i];
      }
    }
    return value;
  }
  return {};
}

/// Takes as long for a wrong text as for the right one of that length.
MILLRACE_DECL bool same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

/// "[::1]:8080" -> "::1", "localhost:8080" -> "localhost"
MILLRACE_DECL std::string_view host_without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    return end == std::string_view::npos ? std::string_view{} : host.substr(1, end - 1);
  }
  return host.substr(0, std::min(host.find(':'), host.size()));
}

}  // namespace detail

MILLRACE_DECL dashboard::site::site(observed_pipeline what, dashboard_options options)
    : what_(std::move(what)),
      options_(std::move(options)),
      plan_(what_.plan()),
      diagnostician_(options_.diagnosis),
      history_(options_.history) {
  constexpr std::size_t least = 16;
  if (!options_.token.empty() && options_.token.size() < least) {
    throw topology_error("dashboard: the token has " + std::to_string(options_.token.size()) +
                         " characters; whoever guesses it can stop the pipeline, take at least " +
                         std::to_string(least));
  }
  sample();
}

MILLRACE_DECL void dashboard::site::sample() {
  before_ = std::exchange(now_, what_.status());
  if (!plan_is_final_ && now_.started) {  // what was assembled after the dashboard was made
    plan_ = what_.plan();
    plan_is_final_ = true;
  }
  found_ = diagnostician_.look(now_, plan_);
  explain_stalls();
  if (!now_.ended) history_.add(before_, now_, plan_);
  status_json_.clear();
}

/// The pipeline knows more than its status: which partition is behind, which streams are aligned.
MILLRACE_DECL void dashboard::site::explain_stalls() {
  stalls_.clear();
  if (!what_.stalls || !now_.started || now_.ended) return;
  stalls_ = what_.stalls(options_.diagnosis.still);
  if (!found_.stall.empty()) return;
  const stall* worst = nullptr;
  for (const auto& each : stalls_) {
    const bool telling = each.reason == stall_reason::partition ||
                         each.reason == stall_reason::alignment ||
                         each.reason == stall_reason::standing;
    if (!telling || !each.since || each.lasting < options_.diagnosis.still) continue;
    if (worst == nullptr || each.lasting > worst->lasting) worst = &each;
  }
  if (worst == nullptr) return;
  found_.stall = worst->sentence;
  found_.stall_operator = worst->name;
  if (!worst->way.empty()) found_.stall_cause = worst->way.back();
}

/// A name that is bound to this machine's address by a stranger's name server does not pass (DNS
/// rebinding); an address cannot be forged that way.
MILLRACE_DECL bool dashboard::site::host_allowed(std::string_view host) const {
  const auto name = detail::host_without_port(host);
  boost::system::error_code code;
  boost::asio::ip::make_address(std::string(name), code);
  if (!code || net::equal_ignoring_case(name, "localhost")) return true;
  return std::any_of(options_.hosts.begin(), options_.hosts.end(),
                     [&](const auto& known) { return net::equal_ignoring_case(name, known); });
}

MILLRACE_DECL net::http_served_response dashboard::site::answer(const net::http_served_request& r) {
  response out;
  if (!host_allowed(r.host)) {
    out = {.status = 421, .body = "unknown host; see dashboard_options::hosts\n"};
  } else if (r.method == "GET" || r.method == "HEAD") {
    out = get(r);
  } else if (r.method == "POST") {
    out = post(r);
  } else {
    out = {.status = 405, .body = "GET, or POST where something changes\n"};
    out.headers.add("Allow", "GET, HEAD, POST");
  }
  out.headers.add("Cache-Control", "no-store");
  out.headers.add("X-Content-Type-Options", "nosniff");
  out.headers.add("Referrer-Policy", "no-referrer");
  out.headers.add("Cross-Origin-Resource-Policy", "same-origin");
  out.headers.add("Content-Security-Policy",
                  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                  "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  return out;
}

MILLRACE_DECL net::http_served_response dashboard::site::get(const request& r) {
  if (r.path == "/") {
    return {.body = detail::page_html(), .content_type = "text/html; charset=utf-8"};
  }
  if (r.path == "/page.css") {
    return {.body = detail::page_style(), .content_type = "text/css; charset=utf-8"};
  }
  if (r.path == "/page.js") {
    return {.body = detail::page_script(), .content_type = "text/javascript; charset=utf-8"};
  }
  if (r.path == "/metrics") return metrics();
  if (r.path == "/status.json") return status();
  if (r.path == "/history.json") {
    return {.body = history_.json(plan_, detail::query_value(r.query, "operator")),
            .content_type = "application/json"};
  }
  if (r.path == "/plan") return show_plan(r.query);
  if (r.path == "/live" || r.path == "/ready") {
    const auto s = what_.status();
    if (r.path == "/live") return health(s.failure.empty(), s.failure);
    const bool ready = s.started && !s.ended && !s.stopping && s.failure.empty();
    return health(ready, s.ended ? "ended" : s.stopping ? "stopping" : "not started");
  }
  if (r.path == "/stop" || r.path == "/savepoint") {
    response out{.status = 405, .body = "POST it, with the token\n"};
    out.headers.add("Allow", "POST");
    return out;
  }
  return {.status = 404, .body = "not found\n"};
}

MILLRACE_DECL net::http_served_response dashboard::site::health(bool good,
                                                                const std::string& words) const {
  if (good) return {.body = "ok\n"};
  return {.status = 503, .body = words + "\n"};
}

/// Several scrapers at a time get the same.
MILLRACE_DECL net::http_served_response dashboard::site::metrics() {
  const auto now = std::chrono::steady_clock::now();
  if (!metrics_at_ || now - *metrics_at_ > std::chrono::milliseconds{100}) {
    metrics_ = to_prometheus(what_.status());
    metrics_at_ = now;
  }
  return {.body = metrics_, .content_type = std::string(prometheus_content_type)};
}

MILLRACE_DECL net::http_served_response dashboard::site::status() {
  if (status_json_.empty()) {
    status_json_ = status_json(before_, now_, plan_, found_, stalls_);
    status_json_.pop_back();
    status_json_ += options_.token.empty() ? ",\"writable\":false}" : ",\"writable\":true}";
  }
  return {.body = status_json_, .content_type = "application/json"};
}

MILLRACE_DECL net::http_served_response dashboard::site::show_plan(std::string_view query) const {
  const auto format = detail::query_value(query, "format");
  if (format.empty() || format == "text") return {.body = to_text(plan_)};
  if (format == "mermaid") return {.body = to_mermaid(plan_)};
  if (format == "dot") return {.body = to_dot(plan_)};
  if (format == "json") return {.body = plan_json(plan_), .content_type = "application/json"};
  return {.status = 400, .body = "format: text, mermaid, dot or json\n"};
}

MILLRACE_DECL net::http_served_response dashboard::site::post(const request& r) {
  if (r.path != "/stop" && r.path != "/savepoint") {
    const bool known = get(r).status != 404;
    return {.status = known ? 405U : 404U, .body = known ? "GET it\n" : "not found\n"};
  }
  if (options_.token.empty()) {
    return {.status = 403, .body = "read-only: the dashboard has no token\n"};
  }
  constexpr std::string_view scheme = "Bearer ";
  const auto shown = r.headers.value("authorization");
  const bool fits = shown.size() > scheme.size() &&
                    net::equal_ignoring_case(shown.substr(0, scheme.size()), scheme) &&
                    detail::same_secret(shown.substr(scheme.size()), options_.token);
  if (fits) return change(r);
  response out{.status = 401, .body = "the token, please\n"};
  out.headers.add("WWW-Authenticate", "Bearer");
  return out;
}

MILLRACE_DECL net::http_served_response dashboard::site::change(const request& r) {
  if (r.path == "/stop") {
    if (!what_.stop) return {.status = 501, .body = "it cannot be stopped from here\n"};
    what_.stop();
    return {.status = 202, .body = "stopping\n"};
  }
  if (!what_.savepoint) return {.status = 501, .body = "this pipeline keeps no checkpoints\n"};
  const auto made = what_.savepoint();
  if (!made) return {.status = 503, .body = made.error().to_string() + "\n"};
  return {.status = 202, .body = *made + "\n"};
}

}  // namespace millrace
