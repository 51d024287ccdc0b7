// SPDX-License-Identifier: Apache-2.0
/// \file
/// A small MQTT broker inside the process (3.1.1 and 5; QoS 0, 1, 2; sessions, retained messages,
/// wildcards, shared subscriptions, wills), for demos and tests, with faults on demand. State is
/// kept in memory only. All functions of `mqtt_broker` are thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/log.hpp>
#include <millrace/net/mqtt/property.hpp>
#include <millrace/net/mqtt/types.hpp>
#include <millrace/net/transport_acceptor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::testing {

/// Who wants to connect.
struct mqtt_credentials {
  std::string_view client_id;
  std::optional<std::string_view> user_name;
  std::optional<std::string_view> password;
};

/// What happens to a message for a client that does not keep up.
enum class mqtt_overflow : std::uint8_t {
  drop_newest,  ///< it is dropped and counted
  drop_oldest,  ///< the oldest queued one is dropped and counted (QoS 0: the new one)
  /// Publishers are not read from until the client has caught up. Nothing is lost, except what a
  /// client that does not read publishes to itself, and what `mqtt_broker::publish` adds.
  block,
};

/// Limits and behaviour; every queue has a bound.
struct mqtt_broker_options {
  /// Where to listen. For WebSocket clients `websocket_protocol` should be "mqtt".
  std::vector<net::listen_options> listeners = std::vector<net::listen_options>(1);
  /// Decides about a client: `success` lets it in. By default everybody may. Runs on the broker's
  /// thread.
  std::function<mqtt::reason_code(const mqtt_credentials&)> authenticate = {};
  std::uint16_t receive_maximum = 1000;           ///< of each client's QoS 2 messages in flight
  std::uint16_t topic_alias_maximum = 100;        ///< per connection, in both directions
  std::uint32_t maximum_packet_size = 1U << 20U;  ///< bytes
  std::chrono::seconds session_expiry{3600};      ///< of 3.1.1 sessions; bounds those of 5
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds{10};  ///< until CONNECT
  std::size_t max_sessions = 10'000;
  std::size_t max_subscriptions = 1'000;      ///< per session
  std::size_t max_retained = 100'000;         ///< topics
  std::size_t max_queued_messages = 100'000;  ///< per session, QoS 1 and 2, not in flight yet
  std::size_t max_queued_bytes = 64U << 20U;  ///< per session
  std::size_t max_output_bytes = 4U << 20U;   ///< per connection, encoded and not sent yet
  mqtt_overflow overflow = mqtt_overflow::drop_newest;
  logger log = {};
};

/// A message that the application publishes through the broker itself.
struct mqtt_message {
  std::string topic = {};
  std::string payload = {};
  std::uint8_t qos = 0;
  bool retain = false;
  mqtt::properties properties = {};
};

/// Counts since construction; the first four are present values.
struct mqtt_broker_statistics {
  std::uint64_t connections = 0;
  std::uint64_t sessions = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t retained = 0;
  std::uint64_t connects = 0;  ///< successful ones
  std::uint64_t packets_in = 0;
  std::uint64_t messages_in = 0;               ///< without repetitions that were recognized
  std::uint64_t messages_out = 0;              ///< with repetitions
  std::uint64_t dropped = 0;                   ///< by a bound, per receiver
  std::uint64_t expired = 0;                   ///< by their own expiry, per receiver
  std::uint64_t acknowledgements_dropped = 0;  ///< by `drop_acknowledgements`
};

/// Runs from construction to destruction, on a thread of its own or on a given environment. Calls
/// wait for the broker's thread, so that their effect is visible when they return.
class mqtt_broker {
 public:
  /// \throws std::system_error if it cannot listen, with the address and the reason
  MILLRACE_DECL explicit mqtt_broker(mqtt_broker_options options = {});

  /// Runs on `env`, which must outlive the broker and, where its `on_worker()` says nothing (always
  /// true), be the only one to call it.
  MILLRACE_DECL mqtt_broker(environment& env, mqtt_broker_options options);

  mqtt_broker(const mqtt_broker&) = delete;
  mqtt_broker& operator=(const mqtt_broker&) = delete;
  MILLRACE_DECL ~mqtt_broker();

  /// The port of a listener; it stays the same over `stop` and `start`.
  MILLRACE_DECL std::uint16_t port(std::size_t listener = 0) const;

  /// How clients reach a listener: "mqtt://127.0.0.1:1883", "wss://...".
  MILLRACE_DECL std::string url(std::size_t listener = 0) const;

  /// Publishes to all subscribers. \throws std::invalid_argument for a topic with wildcards
  MILLRACE_DECL void publish(mqtt_message message);
  /// Publishes many with one hand-over.
  MILLRACE_DECL void publish(std::span<const mqtt_message> messages);

  /// Sends everything that much later from now on; 0 ends it.
  MILLRACE_DECL void delay(std::chrono::nanoseconds by);

  /// Closes connections without a word: all, or the one of a client.
  MILLRACE_DECL void cut_connections();
  MILLRACE_DECL void cut_connection(std::string_view client_id);

  /// Counts packets received from now on (of any client); the n-th is still handled, but then its
  /// connection is cut before an answer is sent. 0 ends it.
  MILLRACE_DECL void cut_after(std::uint64_t packets);

  /// Does not send the next `count` acknowledgements of that type (PUBACK, PUBREC, PUBCOMP,
  /// SUBACK).
  MILLRACE_DECL void drop_acknowledgements(mqtt::packet_type type, std::uint64_t count);

  /// Answers every CONNECT with that failure; `success` ends it.
  MILLRACE_DECL void refuse_connections(mqtt::reason_code with);

  /// Stops listening and cuts all connections; sessions, queues and retained messages stay.
  MILLRACE_DECL void stop();
  /// Listens again, on the same ports. \throws std::system_error
  MILLRACE_DECL void start();
  MILLRACE_DECL bool is_running() const;

  /// The present values and counts, consistent with each other.
  MILLRACE_DECL mqtt_broker_statistics statistics() const;

  /// Whether the client is connected at the moment.
  MILLRACE_DECL bool is_connected(std::string_view client_id) const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace millrace::testing

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/testing/detail/mqtt_broker_core.hpp>
#endif
