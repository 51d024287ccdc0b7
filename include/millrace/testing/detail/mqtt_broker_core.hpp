// SPDX-License-Identifier: Apache-2.0
/// \file
/// The test broker on its thread: sessions, routing, retained messages, faults. `mqtt_broker` makes
/// it thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/net/mqtt/codec.hpp>
#include <millrace/net/transport_acceptor.hpp>
#include <millrace/testing/detail/mqtt_connection.hpp>
#include <millrace/testing/detail/mqtt_session.hpp>
#include <millrace/testing/mqtt_broker.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::testing::detail {

class broker_core {
 public:
  MILLRACE_DECL broker_core(environment& env, mqtt_broker_options options);
  broker_core(const broker_core&) = delete;
  broker_core& operator=(const broker_core&) = delete;
  MILLRACE_DECL ~broker_core();

  MILLRACE_DECL result<void> start();
  MILLRACE_DECL void stop();
  bool is_running() const noexcept { return !acceptors_.empty(); }
  std::uint16_t port(std::size_t listener) const { return options_.listeners.at(listener).port; }
  const mqtt_broker_options& options() const noexcept { return options_; }
  environment& env() noexcept { return env_; }

  /// Brings a message to its subscribers and keeps it if it is to be retained. Returns whether
  /// anybody wanted it. The output of connections is not flushed.
  MILLRACE_DECL bool route(publication& p);

  /// Flushes every connection that got something since the last call.
  MILLRACE_DECL void flush();

  /// Makes the session of a client that connects, or finds it; a connection that it may have is
  /// closed. Null if there are too many sessions.
  struct opened_session {
    broker_session* session;
    bool present;
  };
  MILLRACE_DECL opened_session open_session(std::string_view client_id, bool clean);

  /// The connection of a session has ended; `will` is to be published unless it said goodbye.
  MILLRACE_DECL void close_session(broker_session& session, std::optional<broker_will> will);

  /// Sends the retained messages that match a new subscription.
  MILLRACE_DECL void send_retained(broker_session& session, const mqtt::subscription& wanted,
                                   std::uint32_t identifier);

  /// Remembers that the connection has output to flush.
  void touch(const std::shared_ptr<broker_connection>& c) { touched_.push_back(c); }

  /// Keeps a connection from reading until nobody is congested.
  void pause(const std::shared_ptr<broker_connection>& c) { paused_.push_back(c); }
  bool is_congested() const noexcept { return congested_ != 0; }
  MILLRACE_DECL void change_congestion(int by);

  /// Drops a connection from the list of those that are open.
  MILLRACE_DECL void forget(broker_connection& c);

  /// Counts a packet; true if its connection is to be cut after it.
  bool count_packet() noexcept {
    ++statistics_.packets_in;
    return cut_after_ != 0 && --cut_after_ == 0;
  }

  /// Whether this acknowledgement is to be swallowed.
  MILLRACE_DECL bool swallow(mqtt::packet_type type) noexcept;

  MILLRACE_DECL void cut_connections(std::string_view client_id);
  void cut_after(std::uint64_t packets) noexcept { cut_after_ = packets; }
  void drop_acknowledgements(mqtt::packet_type type, std::uint64_t count) {
    swallowed_.at(static_cast<std::size_t>(type)) = count;
  }
  void refuse_connections(mqtt::reason_code with) noexcept { refusal_ = with; }
  mqtt::reason_code refusal() const noexcept { return refusal_; }
  void set_delay(std::chrono::nanoseconds by) noexcept { delay_ = by; }
  std::chrono::nanoseconds output_delay() const noexcept { return delay_; }

  MILLRACE_DECL mqtt_broker_statistics statistics() const;
  mqtt_broker_statistics& counts() noexcept { return statistics_; }
  MILLRACE_DECL bool is_connected(std::string_view client_id) const;
  subscription_table& subscriptions() noexcept { return subscriptions_; }

  /// A client id that is not in use.
  MILLRACE_DECL std::string make_client_id();

 private:
  MILLRACE_DECL void on_accept(std::unique_ptr<net::transport> stream);
  MILLRACE_DECL void deliver(broker_session& session, publication& p, std::uint8_t qos, bool retain,
                             std::string_view identifiers);
  MILLRACE_DECL void enqueue(broker_session& session, broker_delivery delivery);
  MILLRACE_DECL void deliver_direct(const subscription_table::target& to, publication& p);
  MILLRACE_DECL void deliver_shared(subscription_table::filter_entry& entry, publication& p);
  MILLRACE_DECL void retain(publication& p);
  MILLRACE_DECL void publish_will(broker_will will);
  MILLRACE_DECL void remove_session(broker_session& session);
  MILLRACE_DECL void schedule_sweep();
  MILLRACE_DECL void sweep();

  environment& env_;
  mqtt_broker_options options_;
  std::vector<std::unique_ptr<net::transport_acceptor>> acceptors_;
  std::vector<std::shared_ptr<broker_connection>> connections_;
  std::map<std::string, std::unique_ptr<broker_session>, std::less<>> sessions_;
  subscription_table subscriptions_;
  std::map<std::string, broker_message_pointer, std::less<>> retained_;
  std::vector<std::shared_ptr<broker_connection>> touched_;
  std::vector<std::shared_ptr<broker_connection>> paused_;
  std::size_t congested_ = 0;
  std::array<std::uint64_t, 16> swallowed_{};  // by packet type
  std::uint64_t cut_after_ = 0;
  mqtt::reason_code refusal_ = mqtt::reason_code::success;
  std::chrono::nanoseconds delay_{};
  std::uint64_t last_client_id_ = 0;
  timer_id sweep_timer_ = 0;
  mqtt_broker_statistics statistics_;
};

}  // namespace millrace::testing::detail

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/testing/impl/mqtt_broker.ipp>
#include <millrace/testing/impl/mqtt_broker_core.ipp>
#include <millrace/testing/impl/mqtt_connection.ipp>
#include <millrace/testing/impl/mqtt_connection_packets.ipp>
#endif
