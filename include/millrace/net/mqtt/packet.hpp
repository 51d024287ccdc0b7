// SPDX-License-Identifier: Apache-2.0
/// \file
/// The fifteen packets of MQTT as structs. Views point into the buffer that was decoded, or into
/// whatever is to be encoded; they own nothing.
#pragma once

#include <millrace/net/mqtt/property.hpp>
#include <millrace/net/mqtt/types.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace::mqtt {

/// A message that the server publishes for a client that goes away without goodbye (3.1.2.5).
struct will_message {
  std::string_view topic{};
  std::string_view payload{};
  std::uint8_t qos = 0;
  bool retain = false;
  property_view properties{};
};

struct connect_packet {
  mqtt::version version = mqtt::version::v5;
  bool clean_start = true;        ///< "clean session" in 3.1.1
  std::uint16_t keep_alive = 60;  ///< seconds; 0 is never
  std::string_view client_id{};
  std::optional<will_message> will{};
  std::optional<std::string_view> user_name{};
  std::optional<std::string_view> password{};
  property_view properties{};
};

struct connack_packet {
  bool session_present = false;
  reason_code code = reason_code::success;
  property_view properties{};
};

struct publish_packet {
  std::string_view topic{};  ///< empty when only a topic alias is sent
  std::string_view payload{};
  property_view properties{};
  std::uint16_t packet_id = 0;  ///< 0 at QoS 0
  /// 0 is none. The decoder copies it from the properties, the encoder writes it in front of them.
  std::uint16_t topic_alias = 0;
  std::uint8_t qos = 0;
  bool retain = false;
  bool duplicate = false;
};

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
struct acknowledge_packet {
  packet_type type = packet_type::puback;
  std::uint16_t packet_id = 0;
  reason_code code = reason_code::success;
  property_view properties{};
};

/// When a server sends retained messages for a subscription (3.8.3.1).
enum class retain_handling : std::uint8_t { send, send_if_new, do_not_send };

/// One topic filter with its options; in 3.1.1 only `filter` and `qos` count.
struct subscription {
  std::string_view filter{};
  std::uint8_t qos = 0;
  bool no_local = false;
  bool retain_as_published = false;
  retain_handling retained = retain_handling::send;
};

struct subscribe_packet {
  std::uint16_t packet_id = 0;
  std::vector<subscription> subscriptions{};
  property_view properties{};
};

struct suback_packet {
  std::uint16_t packet_id = 0;
  std::vector<reason_code> codes{};  ///< one per subscription
  property_view properties{};
};

struct unsubscribe_packet {
  std::uint16_t packet_id = 0;
  std::vector<std::string_view> filters{};
  property_view properties{};
};

struct unsuback_packet {
  std::uint16_t packet_id = 0;
  std::vector<reason_code> codes{};  ///< one per filter; none in 3.1.1
  property_view properties{};
};

struct pingreq_packet {};
struct pingresp_packet {};

struct disconnect_packet {
  reason_code code = reason_code::success;
  property_view properties{};
};

struct auth_packet {
  reason_code code = reason_code::success;
  property_view properties{};
};

using packet = std::variant<connect_packet, connack_packet, publish_packet, acknowledge_packet,
                            subscribe_packet, suback_packet, unsubscribe_packet, unsuback_packet,
                            pingreq_packet, pingresp_packet, disconnect_packet, auth_packet>;

}  // namespace millrace::mqtt
