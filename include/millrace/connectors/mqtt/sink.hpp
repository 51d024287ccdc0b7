// SPDX-License-Identifier: Apache-2.0
/// \file
/// A sink that publishes records to an MQTT server. The description may be copied to any thread;
/// the writer belongs to one worker.
#pragma once

#include <millrace/codec/text.hpp>
#include <millrace/connectors/detail/record_printer.hpp>
#include <millrace/connectors/mqtt/options.hpp>
#include <millrace/operators/sink.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace millrace::mqtt {

struct sink_options {
  std::string url = "mqtt://localhost";  ///< mqtt, mqtts, ws or wss
  /// Where to publish. Empty if the sink has a topic function, or if the records are messages that
  /// keep their topic.
  std::string topic{};
  std::uint8_t qos = 0;
  bool retain = false;
  /// Messages of QoS 1 and 2 without acknowledgement, at most; then the sink blocks. The server may
  /// allow less. Up to 60,000.
  std::uint16_t in_flight = 1024;
  /// Properties of every message (version 5): message_expiry_interval, content_type, user, ...
  mqtt::properties properties{};
  /// Aliases to use instead of topics (version 5), if the server allows so many.
  std::uint16_t topic_aliases = 64;
  /// How long `end()` waits for acknowledgements and a connection before the pipeline fails.
  std::chrono::nanoseconds end_timeout = std::chrono::seconds{60};
  connection_options connection{};
};

namespace detail {
class sink_link;
}

/// The part of the writer that knows no types.
class publisher {
 public:
  /// \throws topology_error for options that cannot work
  MILLRACE_DECL publisher(sink_context& context, const sink_options& options);
  publisher(const publisher&) = delete;
  publisher& operator=(const publisher&) = delete;
  MILLRACE_DECL ~publisher();

  /// An empty `topic` stands for the one of the options; without that one either, the record is a
  /// dead letter. Copies what it needs.
  MILLRACE_DECL void publish(std::string_view topic, std::string_view payload, timestamp time);
  /// What is published from now on carries that trace context in user properties (version 5); null:
  /// none.
  MILLRACE_DECL void trace(const trace_context* context);
  MILLRACE_DECL void batch_end();
  /// Tells the context when the server has acknowledged all that was published so far.
  MILLRACE_DECL void checkpoint();
  MILLRACE_DECL void end();

 private:
  std::shared_ptr<detail::sink_link> link_;
};

/// Stands for "no topic function".
struct no_topic {};

/// Publishes records, at QoS 0, 1 or 2; the connection is kept up, what is not acknowledged is sent
/// again. What the server refuses (and what is too large for it, or has an invalid topic) is a dead
/// letter with the reason in words. `Format` is a codec, or a function as for `file::sink`; the
/// default writes texts, and payloads of messages, as they are. `Topic` is a function of the record
/// that returns text. Metrics: published, bytes, acknowledged, rejected, in_flight, waiting,
/// connects, connection_failures, connected.
///
/// Delivery while the process lives: QoS 0 at most once; QoS 1 at least once; QoS 2 exactly once if
/// the session outlives connections (`session_expiry` above 0), else at least once.
///
///     mqtt::sink{{.topic = "alerts", .qos = 1}}
///     mqtt::sink{{.qos = 1}, json, [](const alert& a) { return "alerts/" + a.station; }}
template <class Format = text_codec, class Topic = no_topic>
class sink {
 public:
  explicit sink(sink_options options, Format format = {}, Topic topic = {})
      : options_(std::move(options)), format_(std::move(format)), topic_(std::move(topic)) {}

  class writer {
   public:
    writer(sink_context& context, const sink& description)
        : publisher_(context, description.options_),
          printer_(description.format_),
          topic_(description.topic_),
          has_topic_(!description.options_.topic.empty()) {}

    template <class T>
    void write(const T& value, timestamp time) {
      payload_.clear();
      printer_.print(value, time, payload_);
      if constexpr (!std::same_as<Topic, no_topic>) {
        static_assert(
            std::convertible_to<std::invoke_result_t<const Topic&, const T&>, std::string_view>,
            "mqtt::sink: the topic function must be callable as f(const T&) and return "
            "text");
        publisher_.publish(topic_(value), payload_, time);
      } else if constexpr (requires { std::string_view(value.topic); }) {
        publisher_.publish(has_topic_ ? std::string_view{} : std::string_view(value.topic),
                           payload_, time);
      } else {
        publisher_.publish({}, payload_, time);
      }
    }
    void trace(const trace_context* context) { publisher_.trace(context); }
    void batch_end() { publisher_.batch_end(); }
    void checkpoint(std::uint64_t) { publisher_.checkpoint(); }
    void end() { publisher_.end(); }

   private:
    publisher publisher_;
    millrace::detail::record_printer<Format> printer_;
    Topic topic_;
    bool has_topic_;
    std::string payload_;
  };

  writer open(sink_context& context) const { return writer(context, *this); }

  delivery delivered() const {
    if (options_.qos == 0) {
      return {guarantee::at_most_once, "QoS 0 is not acknowledged", "qos 1 or 2"};
    }
    return {guarantee::at_least_once, "publishes again after a crash", {}};
  }

 private:
  sink_options options_;
  Format format_;
  Topic topic_;
};

sink(sink_options) -> sink<>;

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/mqtt_sink.ipp>
#endif
