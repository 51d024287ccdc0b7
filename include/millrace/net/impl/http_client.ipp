// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/asio.hpp>
#include <millrace/net/detail/http_engine.hpp>

#include <algorithm>
#include <limits>

namespace millrace::net {

MILLRACE_DECL result<void> validate(const http_client_options& options) {
  const auto wrong = [](const char* fix) { return result<void>{errc::out_of_range, fix}; };
  if (options.connections_per_host == 0) return wrong("connections_per_host must be 1 or more");
  if (options.hosts == 0) return wrong("hosts must be 1 or more");
  if (options.connect_timeout.count() <= 0) return wrong("connect_timeout must be above 0");
  if (options.timeout.count() <= 0) return wrong("timeout must be above 0");
  if (options.idle_timeout.count() < 0) return wrong("idle_timeout must not be negative");
  if (options.max_header < 256 || options.max_header > 16 * 1024 * 1024) {
    return wrong("max_header must be between 256 bytes and 16 MiB");
  }
  if (options.retry.attempts == 0) return wrong("retry.attempts must be 1 or more");
  for (std::size_t i = 0; i < options.headers.size(); ++i) {
    const auto checked = detail::check_header(options.headers[i].name, options.headers[i].value);
    if (!checked) return {errc::malformed, "headers: " + checked.error().message};
  }
  if (const auto checked = detail::check_header("user-agent", options.user_agent); !checked) {
    return {errc::malformed, "user_agent: " + checked.error().message};
  }
  if (auto backoff = validate(options.retry.backoff); !backoff) {
    return {errc::out_of_range, "retry.backoff: " + backoff.error().message};
  }
  return validate(options.tls);
}

MILLRACE_DECL http_client::http_client(environment& env, http_client_options options)
    : self_(std::make_shared<implementation>(env, std::move(options))) {}

MILLRACE_DECL http_client::~http_client() { self_->shut_down(); }

MILLRACE_DECL http_request_id http_client::send(http_request request, callback done) {
  return self_->send(std::move(request), std::move(done));
}
MILLRACE_DECL bool http_client::cancel(http_request_id id) { return self_->cancel(id); }
MILLRACE_DECL void http_client::cancel_all() { self_->cancel_all(); }
MILLRACE_DECL http_client_statistics http_client::statistics() const { return self_->statistics(); }
MILLRACE_DECL const http_client_options& http_client::options() const noexcept {
  return self_->options_;
}
MILLRACE_DECL environment& http_client::env() const noexcept { return self_->env_; }

//------------------------------------------------------------------------------ exchanges

MILLRACE_DECL http_client::implementation::implementation(environment& env,
                                                          http_client_options options)
    : env_(env), options_(std::move(options)) {
  if (options_.metrics != nullptr) counters_.emplace(*options_.metrics);
}

MILLRACE_DECL http_request_id http_client::implementation::send(http_request request,
                                                                callback done) {
  exchange& e = take_slot();
  const http_request_id id = e.id();
  ++statistics_.requests;
  ++statistics_.in_flight;
  e.request = std::move(request);
  e.done = std::move(done);
  if (auto prepared = prepare(e); !prepared) {
    finish_later(e, prepared.error());
    return id;
  }
  auto timeout = e.request.timeout.count() > 0 ? e.request.timeout : options_.timeout;
  timeout = std::min<std::chrono::nanoseconds>(timeout, std::chrono::hours{24 * 365});
  e.deadline = env_.monotonic() + timeout;
  arm(e.deadline);
  start(e);
  return id;
}

/// Everything about a request that can be wrong, found before it takes a connection.
MILLRACE_DECL result<void> http_client::implementation::prepare(exchange& e) {
  for (std::size_t i = 0; i < e.request.headers.size(); ++i) {
    const auto field = e.request.headers[i];
    if (auto checked = detail::check_header(field.name, field.value); !checked) return checked;
  }
  if (auto located = locate(e); !located) return located;
  if (e.request.coding == content_coding::deflate) {
    return {errc::not_supported, "request bodies are compressed as gzip only"};
  }
  if (e.request.coding == content_coding::gzip) {
    if (e.request.body.empty()) {
      e.request.coding = content_coding::identity;
    } else {
      e.request.body = gzip_compress(e.request.body);
    }
  }
  const std::uint32_t attempts = e.request.attempts;
  if (attempts > 1 || (attempts == 0 && options_.retry.attempts > 1)) {
    auto policy = options_.retry;
    if (attempts != 0) policy.attempts = attempts;
    e.retry = http_retry(policy);
  } else {
    e.retry = http_retry();
  }
  return {};
}

MILLRACE_DECL detail::http_exchange& http_client::implementation::take_slot() {
  if (free_.empty()) {
    exchange& e = exchanges_.emplace_back();
    e.index = static_cast<std::uint32_t>(exchanges_.size() - 1);
    return e;
  }
  exchange& e = exchanges_[free_.back()];
  free_.pop_back();
  return e;
}

/// \pre the exchange is in no line and has no connection
MILLRACE_DECL http_client::callback http_client::implementation::free_slot(exchange& e) {
  callback done = std::move(e.done);
  ++e.generation;
  e.stage = detail::http_stage::unused;
  e.resent = e.foreign = false;
  e.redirects = 0;
  e.host = nullptr;
  e.request = {};
  free_.push_back(e.index);
  return done;
}

MILLRACE_DECL detail::http_exchange* http_client::implementation::find(
    http_request_id id) noexcept {
  const auto index = static_cast<std::uint32_t>(id);
  if (index >= exchanges_.size()) return nullptr;
  exchange& e = exchanges_[index];
  return e.stage != detail::http_stage::unused && e.id() == id ? &e : nullptr;
}

/// Takes an exchange out of whatever it waits for; connection and line go to the others.
MILLRACE_DECL void http_client::implementation::detach(exchange& e) {
  switch (e.stage) {
    case detail::http_stage::waiting:
      e.host->waiting.erase(e.host->waiting.iterator_to(e));
      --statistics_.waiting;
      break;
    case detail::http_stage::delayed: env_.cancel_timer(e.delay); break;
    case detail::http_stage::opening:
    case detail::http_stage::running: {
      auto c = std::move(e.connection);
      e.connection.reset();
      give_back(std::move(c), false);
      break;
    }
    case detail::http_stage::unused: break;
  }
}

MILLRACE_DECL void http_client::implementation::finish(exchange& e, result<http_response> outcome) {
  callback done = free_slot(e);
  --statistics_.in_flight;
  rest();
  ++(outcome ? statistics_.responses : statistics_.failures);
  done(std::move(outcome));
}

MILLRACE_DECL void http_client::implementation::finish_later(exchange& e, error reason) {
  late_.emplace_back(free_slot(e), std::move(reason));
  if (late_.size() > 1) return;
  env_.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->deliver_late();
  });
}

MILLRACE_DECL void http_client::implementation::deliver_late() {
  auto batch = std::exchange(late_, {});
  for (auto& [done, reason] : batch) {
    if (closed_) return;
    --statistics_.in_flight;
    ++statistics_.failures;
    rest();
    done(std::move(reason));
  }
}

MILLRACE_DECL bool http_client::implementation::cancel(http_request_id id) {
  exchange* e = find(id);
  if (e == nullptr) return false;
  detach(*e);
  finish_later(*e, {errc::aborted, "request cancelled"});
  return true;
}

MILLRACE_DECL void http_client::implementation::cancel_all() {
  // The lines first, so that no connection is opened for those who are next.
  for (auto& e : exchanges_) {
    if (e.stage == detail::http_stage::waiting) cancel(e.id());
  }
  for (auto& e : exchanges_) {
    if (e.stage != detail::http_stage::unused) cancel(e.id());
  }
}

MILLRACE_DECL void http_client::implementation::shut_down() noexcept {
  closed_ = true;
  env_.cancel_timer(std::exchange(timer_, 0));
  for (auto& [key, h] : hosts_) h->waiting.clear();
  // Callbacks may own what sends or cancels when it is destroyed: they go last.
  std::vector<callback> dropped;
  for (auto& e : exchanges_) {
    if (e.stage == detail::http_stage::delayed) env_.cancel_timer(e.delay);
    if (e.connection != nullptr) e.connection->close();
    e.connection.reset();
    e.stage = detail::http_stage::unused;
    dropped.push_back(std::move(e.done));
  }
  for (auto& [key, h] : hosts_) {
    for (auto& c : h->idle) c->close();
    h->idle.clear();
  }
}

MILLRACE_DECL http_client_statistics http_client::implementation::statistics() const {
  auto all = statistics_;
  for (const auto& [key, h] : hosts_) all.idle += h->idle.size();
  return all;
}

//---------------------------------------------------------------------------------- outcomes

MILLRACE_DECL void http_client::implementation::opened(connection& c,
                                                       std::optional<error> failure) {
  exchange& e = *c.exchange;
  if (counters_) (failure ? counters_->connection_failures : counters_->connects).add();
  if (!failure) {
    run_on(e, std::move(e.connection));
    return;
  }
  const auto self = shared_from_this();
  detach(e);
  settle(e, *std::move(failure));
}

MILLRACE_DECL void http_client::implementation::answered(connection& c) {
  const auto self = shared_from_this();
  exchange& e = *c.exchange;
  http_response response = c.take_response();
  if (counters_) counters_->response_bytes.add(response.body.size());
  e.request.body = c.take_body();
  const bool reusable = c.reusable();
  auto held = std::move(e.connection);
  e.connection.reset();
  e.stage = detail::http_stage::delayed;
  e.delay = 0;
  give_back(std::move(held), reusable);
  if (const auto text = response.headers.find("retry-after")) {
    response.retry_after = parse_retry_after(*text, env_.now());
  }
  if (options_.max_redirects > 0 && response.status / 100 == 3 && redirect(e, response)) return;
  settle(e, std::move(response));
}

MILLRACE_DECL void http_client::implementation::failed(connection& c,
                                                       detail::http_failure failure) {
  const auto self = shared_from_this();
  exchange& e = *c.exchange;
  e.request.body = c.take_body();
  const bool again = c.used_before() && failure.silent && !e.resent &&
                     failure.reason.code == errc::connection_closed &&
                     (failure.untouched || is_idempotent(e.request.method));
  if (again) {
    e.resent = true;
    count_retry();
    c.close();
    closed_one(*e.host);
    open_for(e);
    return;
  }
  detach(e);
  settle(e, std::move(failure.reason));
}

MILLRACE_DECL void http_client::implementation::count_retry() {
  ++statistics_.retries;
  if (counters_) counters_->request_retries.add();
}

/// One attempt is over. \pre the exchange is in no line and has no connection
MILLRACE_DECL void http_client::implementation::settle(exchange& e, result<http_response> outcome) {
  std::optional<std::chrono::nanoseconds> wait;
  if (e.retry.enabled()) wait = e.retry.next(e.request.method, outcome, env_.random());
  if (wait && env_.monotonic() + *wait < e.deadline) {
    count_retry();
    e.stage = detail::http_stage::delayed;
    e.resent = false;
    e.delay = env_.call_after(*wait, [this, id = e.id()] { resume(id); });
    return;
  }
  finish(e, std::move(outcome));
}

MILLRACE_DECL void http_client::implementation::resume(http_request_id id) {
  exchange* e = find(id);
  if (e == nullptr) return;
  if (auto located = locate(*e); !located) {
    const auto self = shared_from_this();
    finish(*e, located.error());
    return;
  }
  start(*e);
}

//----------------------------------------------------------------------------------- the timer

/// One timer for everything: it is set for the first deadline, and when it runs it looks at all
/// exchanges. As most requests have the same timeout, sending seldom touches it.
MILLRACE_DECL void http_client::implementation::arm(std::chrono::nanoseconds when) {
  if (timer_ != 0 && timer_at_ <= when) return;
  env_.cancel_timer(timer_);
  timer_at_ = when;
  timer_ = env_.call_after(std::max(when - env_.monotonic(), std::chrono::nanoseconds{0}),
                           [this] { tick(); });
}

/// With nothing to watch there is no timer, so that an idle client keeps no event loop busy.
MILLRACE_DECL void http_client::implementation::rest() {
  if (statistics_.in_flight == 0 && statistics_.open == 0 && timer_ != 0) {
    env_.cancel_timer(std::exchange(timer_, 0));
  }
}

MILLRACE_DECL void http_client::implementation::closed_one(host& h) {
  --h.open;
  --statistics_.open;
  rest();
}

MILLRACE_DECL void http_client::implementation::tick() {
  const auto self = shared_from_this();
  timer_ = 0;
  const auto now = env_.monotonic();
  constexpr auto never = std::chrono::nanoseconds::max();
  auto next = never;
  std::vector<http_request_id> expired;
  for (const auto& e : exchanges_) {
    if (e.stage == detail::http_stage::unused) continue;
    auto until = e.deadline;
    if (e.stage == detail::http_stage::opening) until = std::min(until, e.opening_until);
    if (until <= now) {
      // Those in a line first, so that no connection is opened for them.
      const bool in_line = e.stage == detail::http_stage::waiting;
      expired.insert(in_line ? expired.begin() : expired.end(), e.id());
    } else {
      next = std::min(next, until);
    }
  }
  for (auto& [key, h] : hosts_) {
    auto& idle = h->idle;
    while (!idle.empty() && idle.front()->idle_since + options_.idle_timeout <= now) {
      idle.front()->close();
      idle.erase(idle.begin());
      closed_one(*h);
    }
    if (!idle.empty()) next = std::min(next, idle.front()->idle_since + options_.idle_timeout);
  }
  forget_hosts(false);
  if (next != never) arm(next);
  for (const auto id : expired) {
    if (closed_) return;
    if (exchange* e = find(id)) expire(*e);
  }
}

MILLRACE_DECL void http_client::implementation::expire(exchange& e) {
  const auto now = env_.monotonic();
  const std::string name = e.host == nullptr ? e.request.url : e.host->origin.name;
  const auto stage = e.stage;
  detach(e);
  if (stage == detail::http_stage::opening && now < e.deadline) {
    settle(e, error{errc::unavailable, "cannot connect to " + name + " in time"});
    return;
  }
  const char* where = stage == detail::http_stage::waiting   ? " (no connection was free)"
                      : stage == detail::http_stage::opening ? " (while connecting)"
                      : stage == detail::http_stage::delayed ? " (between two attempts)"
                                                             : "";
  finish(e, error{errc::timeout, "request to " + name + where});
}

}  // namespace millrace::net
