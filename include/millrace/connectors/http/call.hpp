// SPDX-License-Identifier: Apache-2.0
/// \file
/// Requests to HTTP services as functions of the async operator: a record becomes a request, the
/// response a result. Copies share nothing; each belongs to one worker.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/codec/codec.hpp>
#include <millrace/connectors/detail/record_printer.hpp>
#include <millrace/net/http_client.hpp>
#include <millrace/record/buffer.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace millrace::http {

struct call_options {
  std::string url{};  ///< may stay empty if the request function sets it
  net::http_method method = net::http_method::post;
  std::string content_type = "application/json";               ///< of bodies; none when empty
  net::content_coding coding = net::content_coding::identity;  ///< gzip: compress bodies

  /// Of one call with all its attempts; the async operator's own timeout holds besides.
  std::chrono::nanoseconds timeout = std::chrono::seconds{30};

  /// Credentials, TLS, limits, pool, retries that heed Retry-After. `timeout` in here does not
  /// count. The waiting line of a host should be as long as the operator's `in_flight`.
  net::http_client_options client{};
};

namespace detail {

/// The part of a call that knows no types: client, and the request as the options have it.
class caller {
 public:
  using outcome = result<net::http_response>;

  MILLRACE_DECL explicit caller(const call_options& options);
  MILLRACE_DECL caller(const caller& other);
  MILLRACE_DECL caller(caller&& other) noexcept;
  MILLRACE_DECL caller& operator=(const caller& other);
  MILLRACE_DECL caller& operator=(caller&& other) noexcept;
  MILLRACE_DECL ~caller();

  const call_options& options() const noexcept { return options_; }
  net::http_request blank() const { return {.method = options_.method, .coding = options_.coding}; }

  /// Completes the request and sends it; statuses other than 2xx become errors.
  MILLRACE_DECL net::http_request_id send(environment& env, metric_group* metrics,
                                          net::http_request request,
                                          net::callback<void(outcome)> done);
  MILLRACE_DECL void cancel(net::http_request_id id);

 private:
  call_options options_;
  std::unique_ptr<net::http_client> client_;
};

template <class F, class T>
concept request_function = requires(const F& f, const T& value) {
  { f(value) } -> std::same_as<net::http_request>;
};

template <class F, class R>
concept response_function = requires(const F& f, net::http_response& response) {
  { f(std::as_const(response)) } -> std::convertible_to<R>;
};
template <class F, class R>
concept checked_response_function = requires(const F& f, net::http_response& response) {
  { f(std::as_const(response)) } -> std::same_as<result<R>>;
};

/// The same with the record that was asked about.
template <class F, class T, class R>
concept paired_response_function =
    requires(const F& f, const T& value, net::http_response& response) {
      { f(value, std::as_const(response)) } -> std::convertible_to<result<R>>;
    };

}  // namespace detail

/// See `call`. To be moved or copied before the first call only.
template <class Result, class Request, class Response>
class call_function {
 public:
  using result_type = Result;

  call_function(const call_options& options, Request request, Response response)
      : caller_(options),
        request_(std::move(request)),
        printer_(request_),
        response_(std::move(response)) {}

  /// Starts the call; `reply` is an `async_reply<Result>`. Fails with `rejected` (a status that a
  /// retry cannot help, with the start of the body), `unavailable` (408, 425, 429, 5xx, or no
  /// connection), `timeout`, or what decoding says.
  template <class T, class Reply>
  void operator()(const T& value, Reply reply) {
    net::http_request request = caller_.blank();
    if constexpr (detail::request_function<Request, T>) {
      request = request_(value);
    } else {
      static_assert(encoder_for<Request, T> || millrace::detail::appending_format<Request, T> ||
                        millrace::detail::plain_format<Request, T>,
                    "http::call(options, request, response): request must be a codec that encodes "
                    "the record, or callable as f(const T&) and return a body or a "
                    "net::http_request");
      printer_.print(value, timestamp{}, request.body);
    }
    environment& env = reply.env();
    metric_group* const metrics = reply.metrics();
    const auto id = std::make_shared<net::http_request_id>(0);
    reply.on_cancel([this, id] { caller_.cancel(*id); });
    *id = caller_.send(
        env, metrics, std::move(request),
        [this, reply = std::move(reply), &value](detail::caller::outcome outcome) mutable {
          if (!outcome) return reply.fail(outcome.error());
          auto read = parse(value, *outcome);
          if (!read) return reply.fail(read.error());
          reply(*std::move(read));
        });
  }

 private:
  template <class T>
  result<Result> parse(const T& value, net::http_response& from) {
    if constexpr (detail::paired_response_function<Response, T, Result>) {
      return response_(value, std::as_const(from));
    } else {
      return parse(from);
    }
  }

  result<Result> parse(net::http_response& from) {
    if constexpr (detail::checked_response_function<Response, Result>) {
      return response_(std::as_const(from));
    } else if constexpr (detail::response_function<Response, Result>) {
      return result<Result>(Result(response_(std::as_const(from))));
    } else {
      static_assert(decoder_for<Response, Result>,
                    "http::call<R>(options, request, response): response must be a codec that "
                    "decodes R, or callable as f(const net::http_response&) and return R or "
                    "result<R>");
      Result value{};
      const std::size_t size = from.body.size();
      from.body.append(shared_buffer::padding, '\0');  // SIMD decoders look beyond the end
      auto decoded = response_.template make_decoder<Result>().decode(
          {std::string_view{from.body}.substr(0, size), from.body.size()}, value);
      if (!decoded) return decoded.error();
      return value;
    }
  }

  detail::caller caller_;
  Request request_;
  millrace::detail::record_printer<Request> printer_;
  Response response_;
};

/// A function for `async_map` and `async_flat_map` that asks an HTTP service:
///
///     .async_map("score", http::call<score>({.url = "http://model/predict"}, json, json))
///
/// `request` makes the request from a record: a codec or function that makes the body, or a
/// function `net::http_request f(const T&)` for everything else (an empty URL is the options').
/// `response` makes the result: a codec, or a function of `const net::http_response&`, or of the
/// record and the response, that returns `Result` or `result<Result>`; it sees 2xx only.
template <class Result, class Request, class Response>
call_function<Result, Request, Response> call(const call_options& options, Request request,
                                              Response response) {
  return {options, std::move(request), std::move(response)};
}

}  // namespace millrace::http

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/http_call.ipp>
#endif
