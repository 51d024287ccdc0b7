// SPDX-License-Identifier: Apache-2.0
/// \file
/// Drives the bulk machine with an HTTP client.
#pragma once

#include <millrace/codec/json_writer.hpp>
#include <millrace/connectors/elasticsearch/writer.hpp>
#include <millrace/net/url.hpp>
#include <millrace/record/key.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace millrace::elasticsearch {

namespace detail {

/// Longer ones are refused by the server, together with the whole request.
inline constexpr std::size_t max_id = 512;

inline const sink_options& checked(const sink_context& context, const sink_options& options) {
  if (const auto valid = validate(options); !valid) {
    throw topology_error(context.name() + ": elasticsearch::sink: " + valid.error().message);
  }
  return options;
}

inline std::string without_slashes(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

inline net::http_client_options client_options(sink_context& context, const sink_options& options) {
  net::http_client_options client;
  client.metrics = &context.metrics();
  client.connections_per_host = options.bulk.in_flight + 1;
  client.timeout = options.timeout;
  client.max_body = std::size_t{64} << 20;
  client.tls = options.tls;
  client.user = options.user;
  client.password = options.password;
  if (!options.api_key.empty()) client.headers.add("Authorization", "ApiKey " + options.api_key);
  client.headers.add("Accept", "application/json");
  return client;
}

inline std::string bulk_url(const std::string& base, const sink_options& options, bool fixed) {
  std::string url = base;
  if (fixed) url += "/" + net::percent_encode(options.index.fixed());
  url.append("/_bulk?filter_path=").append(bulk_filter_path);
  if (!options.parameters.empty()) url.append("&").append(options.parameters);
  return url;
}

/// Whether the index is one and the same for all documents: then it stands in the URL.
inline bool has_fixed_index(const sink_options& options) noexcept {
  return !options.index.varies() && options.index.fixed().find('%') == std::string::npos;
}

}  // namespace detail

MILLRACE_DECL bulk_writer::bulk_writer(sink_context& context, const sink_options& options)
    : context_(context),
      options_(detail::checked(context, options)),
      op_(options.target == target::data_stream ? operation::create : options.op),
      adds_time_(options.time == add_time::always ||
                 (options.time == add_time::automatic && options.target == target::data_stream)),
      base_url_(detail::without_slashes(options.url)),
      bulk_url_(detail::bulk_url(base_url_, options, detail::has_fixed_index(options))),
      machine_(op_, options.bulk, *this, context.metrics()),
      template_backoff_(options.bulk.backoff),
      records_(context.metrics().counter("records")),
      pending_(context.metrics().gauge("pending")),
      in_flight_(context.metrics().gauge("in_flight")),
      client_(context.env(), detail::client_options(context, options)) {
  if (options_.template_.name.empty()) {
    ready_ = true;
  } else if (options_.template_.when_it_exists == template_exists::keep) {
    check_template();
  } else {
    put_template();
  }
}

MILLRACE_DECL bulk_writer::~bulk_writer() { context_.env().cancel_timer(timer_); }

MILLRACE_DECL std::string_view bulk_writer::index_of(std::string_view derived, timestamp time) {
  if (options_.index.varies()) return derived;
  const auto hour = floor_div(time.time_since_epoch().count(), 3'600'000'000);
  if (hour != dated_hour_) {
    dated_hour_ = hour;
    dated_index_ = *dated_name(options_.index.fixed(), time);  // validated
  }
  return dated_index_;
}

MILLRACE_DECL std::string& bulk_writer::begin(std::string_view index, const std::string* id,
                                              timestamp time) {
  if (time == min_timestamp || time == max_timestamp) time = context_.env().now();
  refusal_.clear();
  std::string& out = machine_.begin();
  item_ = out.size();
  out.append(op_ == operation::create ? "{\"create\":{" : "{\"index\":{");
  const bool has_index = !detail::has_fixed_index(options_);
  if (has_index) {
    const auto name = index_of(index, time);
    if (name.empty()) refusal_ = "the index function returned nothing";
    out.append("\"_index\":");
    append_json_string(out, name);
  }
  if (id != nullptr) {
    if (id->empty()) refusal_ = "the id function returned nothing";
    if (id->size() > detail::max_id) refusal_ = "the id is longer than 512 bytes";
    out.append(has_index ? ",\"_id\":" : "\"_id\":");
    append_json_string(out, *id);
  }
  out.append("}}\n");
  document_ = out.size();
  // The low bit keeps the key of an id from being 0, which is "no id".
  key_ = id == nullptr ? 0 : key_hash<std::string_view>{}(std::string_view(out).substr(item_)) | 1U;
  if (adds_time_) {
    out.push_back('{');
    append_json_string(out, options_.time_member);
    char text[max_time_text];
    const char* end = format_time(time, text);
    out.append(":\"").append(text, static_cast<std::size_t>(end - text)).push_back('"');
  }
  encoded_ = out.size();
  return out;
}

MILLRACE_DECL void bulk_writer::commit(timestamp time) {
  std::string& out = machine_.body();
  const std::string_view encoded = std::string_view(out).substr(encoded_);
  const auto last = encoded.find_last_not_of(" \t\r\n");
  if (refusal_.empty() && (!encoded.starts_with('{') || encoded[last] != '}')) {
    refusal_ = "the encoded record is no JSON object";
  }
  records_.add();
  if (!refusal_.empty()) {
    context_.dead_letter("elasticsearch::sink: " + refusal_, encoded, time);
    return;
  }
  out.resize(encoded_ + last + 1);
  // Between tokens a line feed is white space, inside of strings JSON does not have it.
  for (auto at = out.find('\n', encoded_); at != std::string::npos; at = out.find('\n', at)) {
    out[at] = ' ';
  }
  if (adds_time_) {  // {"@timestamp":"..." + {"a":1}
    out[encoded_] = ',';
    if (out.find_first_not_of(" \t\r", encoded_ + 1) == out.size() - 1) out[encoded_] = ' ';
  }
  machine_.commit(document_, key_, time, context_.env().monotonic());
  if (machine_.full() || machine_.just_opened()) pump();
}

MILLRACE_DECL void bulk_writer::take_over(std::string_view text, std::size_t document,
                                          std::uint64_t key, timestamp time) {
  std::string& out = machine_.begin();
  const auto item = out.size();
  out.append(text);
  machine_.commit(item + document, key, time, context_.env().monotonic());
  if (machine_.full() || machine_.just_opened()) pump();
}

MILLRACE_DECL void bulk_writer::end() {
  ending_ = true;
  machine_.flush();
  pump();
}

/// Sends what can be sent, sees to it that it is called again, and tells the pipeline whether to go
/// on.
MILLRACE_DECL void bulk_writer::pump() {
  if (broken_) return;
  const auto now = context_.env().monotonic();
  if (ready_) {
    while (const auto dispatch = machine_.next(now)) send(*dispatch);
    if (const auto due = machine_.deadline()) arm(*due - now);
  }
  pending_.set(static_cast<std::int64_t>(machine_.size()));
  if (machine_.full()) {
    context_.block();
  } else {
    context_.unblock();
  }
  if (ending_ && !done_ && ready_ && machine_.empty()) {
    done_ = true;
    context_.done();
  }
}

MILLRACE_DECL void bulk_writer::arm(std::chrono::nanoseconds delay) {
  context_.env().cancel_timer(timer_);
  timer_ = context_.env().call_after(std::max(delay, std::chrono::nanoseconds{0}), [this] {
    timer_ = 0;
    if (ready_) return pump();
    if (options_.template_.when_it_exists == template_exists::keep) return check_template();
    put_template();
  });
}

MILLRACE_DECL void bulk_writer::send(const bulk_dispatch& dispatch) {
  net::http_request request;
  request.method = net::http_method::post;
  request.url = bulk_url_;
  request.headers.add("Content-Type", "application/x-ndjson");
  request.body = std::string(dispatch.body);  // the machine keeps its own for another try
  if (options_.compress == compression::gzip) request.coding = net::content_coding::gzip;
  in_flight_.add(1);
  client_.send(std::move(request),
               [this, slot = dispatch.slot](result<net::http_response> outcome) {
                 answered(slot, std::move(outcome));
               });
}

MILLRACE_DECL void bulk_writer::answered(std::size_t slot, result<net::http_response> outcome) {
  in_flight_.add(-1);
  if (broken_) return;
  const auto now = context_.env().monotonic();
  const auto failures = troubled_;
  troubled_ = false;
  if (outcome) {
    machine_.answered(slot, outcome->status, outcome->body, outcome->retry_after, now,
                      context_.env().random());
  } else {
    machine_.failed(slot, outcome.error(), now, context_.env().random());
  }
  if (failures && !troubled_ && !broken_) {
    context_.env().log().info(context_.name(), base_url_ + " takes documents again");
  }
  pump();
}

MILLRACE_DECL void bulk_writer::rejected(std::string_view reason, std::string_view document,
                                         timestamp time) {
  context_.dead_letter("elasticsearch: " + std::string(reason), document, time);
}

MILLRACE_DECL void bulk_writer::refused(error reason) { fail(std::move(reason)); }

MILLRACE_DECL void bulk_writer::fail(error reason) {
  broken_ = true;
  context_.env().cancel_timer(std::exchange(timer_, 0));
  reason.message = base_url_ + ": " + reason.message;
  context_.fail(std::move(reason));
}

MILLRACE_DECL void bulk_writer::will_retry(const error& reason, std::chrono::nanoseconds delay) {
  troubled_ = true;
  if (!log_limit_.allow(context_.env().monotonic())) return;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(delay).count();
  context_.env().log().warning(context_.name(), base_url_ + ": " + reason.to_string() +
                                                    "; next try in " + std::to_string(ms) + " ms");
}

MILLRACE_DECL void bulk_writer::check_template() {
  net::http_request request;
  request.method = net::http_method::head;
  request.url = base_url_ + "/_index_template/" + net::percent_encode(options_.template_.name);
  client_.send(std::move(request), [this](const result<net::http_response>& outcome) {
    template_answered(request_kind::look, outcome);
  });
}

MILLRACE_DECL void bulk_writer::put_template() {
  net::http_request request;
  request.method = net::http_method::put;
  request.url = base_url_ + "/_index_template/" + net::percent_encode(options_.template_.name);
  request.headers.add("Content-Type", "application/json");
  request.body = template_body(options_);
  client_.send(std::move(request), [this](const result<net::http_response>& outcome) {
    template_answered(request_kind::put, outcome);
  });
}

MILLRACE_DECL void bulk_writer::template_answered(request_kind kind,
                                                  const result<net::http_response>& outcome) {
  const bool later = outcome ? net::is_retriable_status(outcome->status)
                             : net::is_retriable_error(outcome.error());
  if (later) {
    const auto delay = template_backoff_.next(context_.env().random());
    will_retry(outcome ? net::status_error(*outcome) : outcome.error(), delay);
    return arm(delay);
  }
  if (!outcome) return fail(outcome.error());
  if (kind == request_kind::look && outcome->status == 404) return put_template();
  if (!outcome->ok() || (kind == request_kind::put && !is_acknowledged(outcome->body))) {
    return fail({errc::rejected,
                 "index template " + options_.template_.name + " refused with HTTP status " +
                     std::to_string(outcome->status) + ": " + error_reason(outcome->body)});
  }
  ready_ = true;
  pump();
}

}  // namespace millrace::elasticsearch
