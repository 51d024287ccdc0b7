// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/detail/http_check.hpp>
#include <millrace/connectors/http/poll.hpp>

#include <algorithm>
#include <optional>

namespace millrace::http {

class poll_reader::implementation {
 public:
  implementation(source_context& context, const poll_options& options)
      : context_(context),
        env_(context.env()),
        options_(options),
        client_(env_, client_options(context, options)),
        backoff_(options.retry),
        polls_(context.metrics().counter("polls")),
        records_(context.metrics().counter("records")),
        unchanged_(context.metrics().counter("unchanged")),
        failures_(context.metrics().counter("failures")),
        skipped_(context.metrics().counter("skipped")) {
    if (options_.topic.empty()) {
      const auto parsed = net::parse_url(options_.url);
      options_.topic = parsed ? parsed->to_string() : options_.url;
    }
    due_ = env_.monotonic();
    schedule();
    fetch();
  }

  ~implementation() {
    env_.cancel_timer(scheduled_);
    env_.cancel_timer(retry_);
  }

  poll_status poll(source_output<message>& out) {
    if (fresh_ && out.room() > 0) {
      const timestamp received = fresh_->received;
      out.emit(*std::exchange(fresh_, std::nullopt), received);
      records_.add();
    }
    if (fresh_) return poll_status::more;
    return stopped_ ? poll_status::end : poll_status::wait;
  }

  void stop() {
    stopped_ = true;
    env_.cancel_timer(std::exchange(scheduled_, 0));
    env_.cancel_timer(std::exchange(retry_, 0));
    client_.cancel(std::exchange(request_, 0));
    context_.wake();
  }

 private:
  static net::http_client_options client_options(source_context& context,
                                                 const poll_options& options) {
    auto adapted = options.client;
    adapted.metrics = &context.metrics();
    adapted.timeout = options.timeout;
    adapted.retry = {};
    return adapted;
  }

  /// Sets the clock for the poll after this one: a fixed grid, so that slow answers shift nothing.
  void schedule() {
    const auto now = env_.monotonic();
    do {
      due_ += options_.every;
    } while (due_ <= now);  // the worker was held up: no burst afterwards
    auto wait = due_ - now;
    if (options_.jitter.count() > 0) {
      wait += std::chrono::nanoseconds{static_cast<std::int64_t>(
          env_.random() % static_cast<std::uint64_t>(options_.jitter.count()))};
    }
    next_poll_ = now + wait;
    scheduled_ = env_.call_after(wait, [this] {
      scheduled_ = 0;
      const bool too_early = env_.monotonic() < not_before_;
      schedule();
      if (request_ != 0 || too_early) {
        skipped_.add();
      } else {
        fetch();
      }
    });
  }

  void fetch() {
    env_.cancel_timer(std::exchange(retry_, 0));
    polls_.add();
    net::http_request request{.url = options_.url, .headers = options_.headers};
    if (!etag_.empty()) request.headers.set("If-None-Match", etag_);
    if (!modified_.empty()) request.headers.set("If-Modified-Since", modified_);
    request_ = client_.send(std::move(request), [this](result<net::http_response> outcome) {
      request_ = 0;
      if (!stopped_) take(std::move(outcome));
    });
  }

  void take(result<net::http_response> outcome) {
    if (!outcome) return failed(outcome.error(), std::nullopt);
    const bool known = outcome->status == 304 && last_.has_value();
    if (outcome->status != 200 && !known) {
      return failed(net::status_error(*outcome), outcome->retry_after);
    }
    backoff_.reset();
    not_before_ = {};
    if (failing_) env_.log().info(context_.name(), "polling " + options_.topic + " works again");
    failing_ = false;
    if (known) return unchanged_.add();
    etag_ = outcome->headers.value("ETag");
    modified_ = outcome->headers.value("Last-Modified");
    if (options_.unchanged == repeats::skip && last_ && last_->payload == outcome->body) {
      return unchanged_.add();
    }
    last_ = fresh_ = message::copy_of(options_.topic, outcome->body, env_.now());
    context_.wake();
  }

  void failed(const error& reason, std::optional<std::chrono::nanoseconds> retry_after) {
    failures_.add();
    failing_ = true;
    const auto now = env_.monotonic();
    if (limit_.allow(now)) {
      env_.log().warning(context_.name(), "polling " + options_.topic + " failed (" +
                                              reason.to_string() + "); the last value stays");
    }
    if (retry_after) {
      const auto longest = std::max(options_.every, options_.retry.longest);
      retry_in(std::min(*retry_after, longest));
      not_before_ = now + std::min(*retry_after, longest);
      return;
    }
    const auto wait = backoff_.next(env_.random());
    if (now + wait < next_poll_) retry_in(wait);
  }

  void retry_in(std::chrono::nanoseconds wait) {
    env_.cancel_timer(retry_);
    retry_ = env_.call_after(wait, [this] {
      retry_ = 0;
      if (request_ == 0) fetch();
    });
  }

  source_context& context_;
  environment& env_;
  poll_options options_;
  net::http_client client_;
  net::backoff backoff_;
  rate_limit limit_;
  net::http_request_id request_ = 0;
  timer_id scheduled_ = 0;
  timer_id retry_ = 0;
  std::chrono::nanoseconds due_{};
  std::chrono::nanoseconds next_poll_{};
  std::chrono::nanoseconds not_before_{};
  std::string etag_;
  std::string modified_;
  std::optional<message> last_;
  std::optional<message> fresh_;
  bool stopped_ = false;
  bool failing_ = false;
  counter& polls_;
  counter& records_;
  counter& unchanged_;
  counter& failures_;
  counter& skipped_;
};

MILLRACE_DECL poll_reader::poll_reader(source_context& context, const poll_options& options)
    : self_(std::make_unique<implementation>(context, options)) {}
MILLRACE_DECL poll_reader::~poll_reader() = default;
MILLRACE_DECL poll_status poll_reader::poll(source_output<message>& out) {
  return self_->poll(out);
}
MILLRACE_DECL void poll_reader::stop() { self_->stop(); }

MILLRACE_DECL void poll::validate(const std::string& part) const {
  detail::check_client(part, options_.url, options_.client);
  if (options_.every.count() <= 0) throw topology_error(part + ": every must be above 0");
  if (options_.timeout.count() <= 0) throw topology_error(part + ": timeout must be above 0");
  if (options_.jitter.count() < 0 || options_.jitter >= options_.every) {
    throw topology_error(part + ": jitter must be between 0 and every");
  }
  if (auto checked = net::validate(options_.retry); !checked) {
    throw topology_error(part + ": retry: " + checked.error().to_string());
  }
}

}  // namespace millrace::http
