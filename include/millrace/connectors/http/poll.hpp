// SPDX-License-Identifier: Apache-2.0
/// \file
/// A source that fetches a URL again and again, and emits what has changed. The description may be
/// copied to any thread; the reader belongs to one worker.
#pragma once

#include <millrace/net/http_client.hpp>
#include <millrace/operators/source.hpp>
#include <millrace/record/message.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace millrace::http {

/// What a response with the same body as the last one means.
enum class repeats : std::uint8_t {
  skip,  ///< nothing new
  emit,  ///< a record like any other
};

struct poll_options {
  std::string url{};
  std::chrono::nanoseconds every = std::chrono::seconds{30};
  std::chrono::nanoseconds timeout = std::chrono::seconds{10};  ///< of one request
  std::chrono::nanoseconds jitter{};  ///< each poll comes later by a random time up to this
  repeats unchanged = repeats::skip;
  net::http_headers headers{};  ///< of each request, in addition to the client's
  std::string topic{};          ///< of the records; empty: the URL without its password

  /// Waits between tries after a failure, as long as the next scheduled poll is further away.
  net::backoff_options retry{.shortest = std::chrono::milliseconds{100},
                             .initial = std::chrono::seconds{1},
                             .longest = std::chrono::minutes{5}};

  /// Credentials, TLS, limits, redirects. `timeout` and `retry` in here do not count.
  net::http_client_options client{.connections_per_host = 1, .max_redirects = 3};
};

/// What `poll::open` makes.
class poll_reader {
 public:
  MILLRACE_DECL poll_reader(source_context& context, const poll_options& options);
  MILLRACE_DECL ~poll_reader();
  poll_reader(const poll_reader&) = delete;
  poll_reader& operator=(const poll_reader&) = delete;

  MILLRACE_DECL poll_status poll(source_output<message>& out);
  MILLRACE_DECL void stop();

 private:
  class implementation;
  std::unique_ptr<implementation> self_;
};

/// Emits a message with the body of each 200 response: the first poll at once, the others by the
/// clock, whether or not data flows and however long an answer takes (a poll that falls due while
/// one is under way is skipped). ETag and Last-Modified are sent back (RFC 9110, 13), and 304 emits
/// nothing. A failure (no connection, timeout, other statuses) emits nothing either, so that what
/// stands behind keeps the last value; it is counted, logged at a bounded rate, and tried again
/// after a back-off, a Retry-After, or on schedule. If back-pressure holds a response up, a newer
/// one takes its place: at most one is kept. Metrics: polls, records, unchanged, failures, skipped.
///
///     p.source("models", http::poll{{.url = "http://registry/models", .every = 30s}})
class poll {
 public:
  using value_type = message;

  explicit poll(poll_options options) : options_(std::move(options)) {}

  /// \throws topology_error for options that cannot work; `part` is named in it.
  MILLRACE_DECL void validate(const std::string& part = "http poll") const;

  /// \throws topology_error as `validate`
  poll_reader open(source_context& context) const {
    validate("source \"" + context.name() + "\"");
    return {context, options_};
  }

  delivery delivered() const { return {guarantee::at_least_once, "asks again after a crash", {}}; }

  const poll_options& options() const noexcept { return options_; }

 private:
  poll_options options_;
};

}  // namespace millrace::http

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/http_poll.ipp>
#endif
