// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a client asks for when it connects. Plain values.
#pragma once

#include <millrace/net/mqtt/inbound.hpp>
#include <millrace/net/mqtt/property.hpp>
#include <millrace/net/mqtt/types.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace millrace::mqtt {

/// The message that the server publishes when this client disappears without goodbye.
struct will {
  std::string topic{};
  std::string payload{};
  std::uint8_t qos = 0;
  bool retain = false;
  std::chrono::seconds delay{0};  ///< how long the server waits for us to come back (version 5)
  mqtt::user_properties user_properties{};
};

struct session_options {
  mqtt::version version = mqtt::version::v5;
  std::string client_id{};
  /// Whether the first connection of this object starts a new session. Later ones resume it if
  /// `session_expiry` is not 0.
  bool clean_start = true;
  /// How long the server keeps the session without a connection. In 3.1.1 anything but 0 means for
  /// as long as the server likes (clean session 0).
  std::chrono::seconds session_expiry{0};
  std::chrono::seconds keep_alive{60};        ///< 0: no PINGREQ
  std::chrono::seconds response_timeout{20};  ///< for CONNACK, PINGRESP and SUBACK
  acknowledge_mode acknowledge = acknowledge_mode::on_receive;
  /// Messages of QoS 1 and 2 that the server may have in flight to us (version 5). One that sends
  /// more is disconnected, unless it resumes a session.
  std::uint16_t receive_maximum = 1024;
  /// The largest packet that is accepted, in bytes; protects our memory in both versions.
  std::uint32_t maximum_packet_size = default_maximum_packet_size;
  std::uint16_t topic_alias_maximum = 0;  ///< aliases that the server may use
  /// Aliases that are used for sending, if the server allows so many. 0 switches them off.
  std::uint16_t send_topic_aliases = 64;
  /// Messages of QoS 1 and 2 in flight to the server, at most; it may allow less. Up to 60,000.
  std::uint16_t in_flight = 1024;
  std::optional<std::string> user_name{};
  std::optional<std::string> password{};
  std::optional<mqtt::will> will{};
  mqtt::user_properties user_properties{};  ///< of CONNECT (version 5)
};

}  // namespace millrace::mqtt
