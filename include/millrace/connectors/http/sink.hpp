// SPDX-License-Identifier: Apache-2.0
/// \file
/// A sink that sends each record in an HTTP request. The description may be copied to any thread;
/// the writer belongs to one worker.
#pragma once

#include <millrace/codec/codec.hpp>
#include <millrace/connectors/detail/record_printer.hpp>
#include <millrace/net/http_client.hpp>
#include <millrace/operators/sink.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace millrace::http {

struct sink_options {
  std::string url{};  ///< may stay empty if the request function sets it
  net::http_method method = net::http_method::post;
  std::string content_type = "application/json";               ///< of bodies; none when empty
  net::content_coding coding = net::content_coding::identity;  ///< gzip: compress bodies
  std::size_t in_flight = 16;  ///< records not answered yet; 1: the order of records is kept
  std::chrono::nanoseconds timeout = std::chrono::seconds{30};  ///< of one attempt

  /// Attempts per record before it becomes a dead letter; 0: for ever, with back-pressure.
  std::uint32_t attempts = 0;
  net::backoff_options retry{};  ///< between attempts, when there is no Retry-After
  std::chrono::nanoseconds longest_retry_after = std::chrono::minutes{5};  ///< longer is cut

  /// Carries a key that is the same in all attempts of a record, so that the server can drop a
  /// second copy; none when empty.
  std::string key_header = "Idempotency-Key";

  /// Credentials, TLS, limits, redirects. Pool, `timeout` and `retry` in here do not count.
  net::http_client_options client{};
};

/// \throws topology_error for options that cannot work; `part` is named in it.
MILLRACE_DECL void validate_options(const sink_options& options, const std::string& part);

/// No key function: keys are random, and differ when a record is processed again after a restart.
struct generated_key {};

/// The part of the writer that knows no types: what is in flight, and what waits for its turn.
class sender {
 public:
  MILLRACE_DECL sender(sink_context& context, const sink_options& options);
  MILLRACE_DECL ~sender();
  sender(const sender&) = delete;
  sender& operator=(const sender&) = delete;

  /// A request with the options' method and coding.
  MILLRACE_DECL net::http_request blank() const;

  /// Sends it now or when there is room. An empty `key` is made up.
  MILLRACE_DECL void submit(net::http_request request, std::string key, timestamp time);

  /// What is submitted from now on carries that trace context in its headers, unless it has one of
  /// its own; null: none.
  MILLRACE_DECL void trace(const trace_context* context);

  /// Tells the context when all that was submitted so far has been delivered or given up.
  MILLRACE_DECL void checkpoint();
  MILLRACE_DECL void end();

 private:
  class implementation;
  std::unique_ptr<implementation> self_;
};

/// Sends every record by itself. `Format` makes the request: a codec or a function that makes the
/// body (as in `file::sink`), or `net::http_request f(const T&)` for everything else (an empty URL
/// is the options'). `Key` is `f(const T&)` and returns text.
///
/// 2xx is delivered. 408, 425, 429, 5xx, timeouts and lost or missing connections are tried again
/// after Retry-After or a back-off with jitter, by default for ever: the sink blocks, and the
/// pipeline waits. Other statuses, and requests that cannot be sent, are dead letters with status
/// and start of the answer as reason. At least once; idempotent if the server honours the key or
/// the method is PUT to the record's own URL. Metrics: delivered, retries, rejected, in_flight.
///
///     .to("alerts", http::sink{{.url = "https://hooks.example.org/alert"}, json})
template <class Format, class Key = generated_key>
class sink {
 public:
  static constexpr bool parallel = true;

  explicit sink(sink_options options, Format format, Key key = {})
      : options_(std::move(options)), format_(std::move(format)), key_(std::move(key)) {
    validate_options(options_, "http sink");
  }

  class writer {
   public:
    writer(sink_context& context, const sink& from)
        : sender_(context, from.options_), from_(from), printer_(from.format_) {}

    template <class T>
    void write(const T& value, timestamp time) {
      net::http_request request = sender_.blank();
      if constexpr (requires {
                      { from_.format_(value) } -> std::same_as<net::http_request>;
                    }) {
        request = from_.format_(value);
      } else {
        printer_.print(value, time, request.body);
      }
      std::string key;
      if constexpr (!std::is_same_v<Key, generated_key>) {
        key = from_.key_(value);
      }
      sender_.submit(std::move(request), std::move(key), time);
    }
    void trace(const trace_context* context) { sender_.trace(context); }
    void checkpoint(std::uint64_t) { sender_.checkpoint(); }
    void end() { sender_.end(); }

   private:
    sender sender_;
    const sink from_;
    millrace::detail::record_printer<Format> printer_;
  };

  writer open(sink_context& context) const { return writer(context, *this); }

  delivery delivered() const {
    return {guarantee::at_least_once,
            "sends again after a crash, with the same key if Key gives one",
            {}};
  }

 private:
  sink_options options_;
  Format format_;
  Key key_;
};

}  // namespace millrace::http

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/http_sink.ipp>
#endif
