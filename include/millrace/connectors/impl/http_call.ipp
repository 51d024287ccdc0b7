// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/detail/trace_headers.hpp>
#include <millrace/connectors/http/call.hpp>

namespace millrace::http::detail {

MILLRACE_DECL caller::caller(const call_options& options) : options_(options) {
  if (auto checked = net::validate(options_.client); !checked) {
    throw topology_error("http call: client: " + checked.error().to_string());
  }
  if (options_.timeout.count() <= 0) throw topology_error("http call: timeout must be above 0");
}

MILLRACE_DECL caller::caller(const caller& other) : options_(other.options_) {}
MILLRACE_DECL caller::caller(caller&& other) noexcept = default;
MILLRACE_DECL caller& caller::operator=(const caller& other) {
  options_ = other.options_;
  client_.reset();
  return *this;
}
MILLRACE_DECL caller& caller::operator=(caller&& other) noexcept = default;
MILLRACE_DECL caller::~caller() = default;

MILLRACE_DECL net::http_request_id caller::send(environment& env, metric_group* metrics,
                                                net::http_request request,
                                                net::callback<void(outcome)> done) {
  if (client_ == nullptr) {
    auto adapted = options_.client;
    adapted.timeout = options_.timeout;
    if (adapted.metrics == nullptr) adapted.metrics = metrics;
    client_ = std::make_unique<net::http_client>(env, std::move(adapted));
  }
  if (request.url.empty()) request.url = options_.url;
  if (!request.body.empty() && !options_.content_type.empty() &&
      !request.headers.contains("Content-Type")) {
    request.headers.add("Content-Type", options_.content_type);
  }
  if (const auto* trace = env.trace(); MILLRACE_UNLIKELY(trace != nullptr)) {
    add_trace_headers(*trace, request.headers);
  }
  return client_->send(std::move(request), [done = std::move(done)](outcome response) mutable {
    if (response && !response->ok()) {
      done(net::status_error(*response));
    } else {
      done(std::move(response));
    }
  });
}

MILLRACE_DECL void caller::cancel(net::http_request_id id) {
  if (client_ != nullptr) client_->cancel(id);
}

}  // namespace millrace::http::detail
