// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/detail/http_check.hpp>
#include <millrace/connectors/detail/trace_headers.hpp>
#include <millrace/connectors/http/sink.hpp>

#include <algorithm>
#include <iterator>
#include <list>
#include <string_view>
#include <utility>

namespace millrace::http {

class sender::implementation {
 public:
  implementation(sink_context& context, const sink_options& options)
      : context_(context),
        env_(context.env()),
        options_(options),
        client_(env_, client_options(context, options)),
        delivered_(context.metrics().counter("delivered")),
        retries_(context.metrics().counter("retries")),
        rejected_(context.metrics().counter("rejected")),
        in_flight_(context.metrics().gauge("in_flight")),
        waiting_now_(context.metrics().gauge("waiting")) {
    context.metrics().gauge("in_flight_limit").set(static_cast<std::int64_t>(options.in_flight));
    key_start_ = hex(env_.random()) + hex(env_.random()).substr(0, 8) + "-";
  }

  ~implementation() {
    for (const auto& sent : active_) env_.cancel_timer(sent.timer);
  }

  net::http_request blank() const { return {.method = options_.method, .coding = options_.coding}; }

  void submit(net::http_request request, std::string key, timestamp time) {
    if (request.url.empty()) request.url = options_.url;
    if (!request.body.empty() && !options_.content_type.empty() &&
        !request.headers.contains("Content-Type")) {
      request.headers.add("Content-Type", options_.content_type);
    }
    if (!options_.key_header.empty()) {
      if (key.empty()) key = key_start_ + std::to_string(++sequence_);
      request.headers.set(options_.key_header, key);
    }
    if (MILLRACE_UNLIKELY(trace_ != nullptr)) detail::add_trace_headers(*trace_, request.headers);
    waiting_.push_back({std::move(request), time, net::backoff(options_.retry)});
    advance();
  }

  void trace(const trace_context* context) noexcept { trace_ = context; }

  void checkpoint() {
    checkpointing_ = true;
    context_.block();
    finish_if_empty();
  }

  void end() {
    ending_ = true;
    finish_if_empty();
  }

 private:
  struct item {
    net::http_request request;
    timestamp time;
    net::backoff backoff;
    timer_id timer = 0;
  };
  using place = std::list<item>::iterator;

  static net::http_client_options client_options(sink_context& context,
                                                 const sink_options& options) {
    auto adapted = options.client;
    adapted.metrics = &context.metrics();
    adapted.connections_per_host = std::max<std::size_t>(options.in_flight, 1);
    adapted.timeout = options.timeout;
    adapted.retry = {};
    return adapted;
  }

  static std::string hex(std::uint64_t bits) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text(16, '0');
    for (auto at = text.rbegin(); at != text.rend(); ++at, bits /= 16) *at = digits[bits % 16];
    return text;
  }

  /// Starts what there is room for. No more waits than was on its way when the sink blocked.
  void advance() {
    while (!waiting_.empty() && active_.size() < options_.in_flight) {
      active_.splice(active_.end(), waiting_, waiting_.begin());
      attempt(std::prev(active_.end()));
    }
    in_flight_.set(static_cast<std::int64_t>(active_.size()));
    waiting_now_.set(static_cast<std::int64_t>(waiting_.size()));
    if (checkpointing_ || active_.size() >= options_.in_flight) {
      context_.block();
    } else {
      context_.unblock();
    }
  }

  void attempt(place at) {
    client_.send(at->request, [this, at](result<net::http_response> outcome) {
      answered(at, std::move(outcome));
    });
  }

  void answered(place at, result<net::http_response> outcome) {
    if (outcome && outcome->ok()) {
      delivered_.add();
      return remove(at);
    }
    const error reason = outcome ? net::status_error(*outcome) : outcome.error();
    const bool again = outcome ? net::is_retriable_status(outcome->status) || outcome->status >= 500
                               : may_pass(reason);
    if (!again) return give_up(at, reason.to_string());
    auto wait = at->backoff.next(env_.random());
    if (options_.attempts != 0 && at->backoff.attempts() >= options_.attempts) {
      return give_up(at, "given up after " + std::to_string(options_.attempts) +
                             (options_.attempts == 1 ? " attempt: " : " attempts: ") +
                             reason.to_string());
    }
    if (outcome && outcome->retry_after) {
      wait = std::min(*outcome->retry_after, options_.longest_retry_after);
    }
    retries_.add();
    if (limit_.allow(env_.monotonic())) {
      env_.log().warning(context_.name(), "will be sent again: " + reason.to_string());
    }
    at->timer = env_.call_after(wait, [this, at] {
      at->timer = 0;
      attempt(at);
    });
  }

  /// Whether an error is the peer's or the network's, and not in the request.
  static bool may_pass(const error& reason) {
    return reason.code != errc::malformed && reason.code != errc::not_supported &&
           reason.code != errc::too_large && reason.code != errc::rejected;
  }

  void give_up(place at, const std::string& reason) {
    rejected_.add();
    context_.dead_letter(reason, at->request.body, at->time);
    remove(at);
  }

  void remove(place at) {
    active_.erase(at);
    advance();
    finish_if_empty();
  }

  void finish_if_empty() {
    if (done_ || !active_.empty() || !waiting_.empty()) return;
    if (std::exchange(checkpointing_, false)) {
      context_.unblock();
      context_.checkpointed();
    }
    if (!ending_) return;
    done_ = true;
    context_.done();
  }

  sink_context& context_;
  environment& env_;
  sink_options options_;
  net::http_client client_;
  std::list<item> active_;   // sent, or between two attempts
  std::list<item> waiting_;  // not begun
  const trace_context* trace_ = nullptr;
  std::string key_start_;
  std::uint64_t sequence_ = 0;
  rate_limit limit_;
  bool checkpointing_ = false;  // nothing new until all is delivered
  bool ending_ = false;
  bool done_ = false;
  counter& delivered_;
  counter& retries_;
  counter& rejected_;
  gauge& in_flight_;
  gauge& waiting_now_;
};

MILLRACE_DECL sender::sender(sink_context& context, const sink_options& options)
    : self_(std::make_unique<implementation>(context, options)) {}
MILLRACE_DECL sender::~sender() = default;
MILLRACE_DECL net::http_request sender::blank() const { return self_->blank(); }
MILLRACE_DECL void sender::submit(net::http_request request, std::string key, timestamp time) {
  self_->submit(std::move(request), std::move(key), time);
}
MILLRACE_DECL void sender::trace(const trace_context* context) { self_->trace(context); }
MILLRACE_DECL void sender::checkpoint() { self_->checkpoint(); }
MILLRACE_DECL void sender::end() { self_->end(); }

MILLRACE_DECL void validate_options(const sink_options& options, const std::string& part) {
  if (!options.url.empty()) detail::check_client(part, options.url, options.client);
  if (auto checked = net::validate(options.client); !checked) {
    throw topology_error(part + ": client: " + checked.error().to_string());
  }
  if (options.in_flight == 0) throw topology_error(part + ": in_flight must be 1 or more");
  if (options.timeout.count() <= 0) throw topology_error(part + ": timeout must be above 0");
  if (auto checked = net::validate(options.retry); !checked) {
    throw topology_error(part + ": retry: " + checked.error().to_string());
  }
}

}  // namespace millrace::http
