// SPDX-License-Identifier: Apache-2.0
/// \file
/// The vocabulary of MQTT: protocol versions, packet types, reason codes in numbers and words, and
/// the limits that the wire format sets. Plain values; all functions are pure and thread safe.
/// Sources: OASIS MQTT 3.1.1 and MQTT 5.0; section numbers in this folder are those of 5.0.
#pragma once

#include <millrace/base/config.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::mqtt {

/// The protocol level as CONNECT carries it (3.1.2.2).
enum class version : std::uint8_t { v3_1_1 = 4, v5 = 5 };

/// The high four bits of a packet's first byte (2.1.2).
enum class packet_type : std::uint8_t {
  connect = 1,
  connack,
  publish,
  puback,
  pubrec,
  pubrel,
  pubcomp,
  subscribe,
  suback,
  unsubscribe,
  unsuback,
  pingreq,
  pingresp,
  disconnect,
  auth,
};

/// What a peer says about a request, or why it closes (2.4). The return codes of 3.1.1 are mapped
/// to the reason codes of the same meaning.
enum class reason_code : std::uint8_t {
  success = 0x00,  ///< also: granted QoS 0, normal disconnection
  granted_qos_1 = 0x01,
  granted_qos_2 = 0x02,
  disconnect_with_will = 0x04,
  no_matching_subscribers = 0x10,
  no_subscription_existed = 0x11,
  continue_authentication = 0x18,
  reauthenticate = 0x19,
  unspecified_error = 0x80,
  malformed_packet = 0x81,
  protocol_error = 0x82,
  implementation_specific_error = 0x83,
  unsupported_protocol_version = 0x84,
  client_identifier_not_valid = 0x85,
  bad_user_name_or_password = 0x86,
  not_authorized = 0x87,
  server_unavailable = 0x88,
  server_busy = 0x89,
  banned = 0x8a,
  server_shutting_down = 0x8b,
  bad_authentication_method = 0x8c,
  keep_alive_timeout = 0x8d,
  session_taken_over = 0x8e,
  topic_filter_invalid = 0x8f,
  topic_name_invalid = 0x90,
  packet_identifier_in_use = 0x91,
  packet_identifier_not_found = 0x92,
  receive_maximum_exceeded = 0x93,
  topic_alias_invalid = 0x94,
  packet_too_large = 0x95,
  message_rate_too_high = 0x96,
  quota_exceeded = 0x97,
  administrative_action = 0x98,
  payload_format_invalid = 0x99,
  retain_not_supported = 0x9a,
  qos_not_supported = 0x9b,
  use_another_server = 0x9c,
  server_moved = 0x9d,
  shared_subscriptions_not_supported = 0x9e,
  connection_rate_exceeded = 0x9f,
  maximum_connect_time = 0xa0,
  subscription_identifiers_not_supported = 0xa1,
  wildcard_subscriptions_not_supported = 0xa2,
};

/// The code in words, such as "not authorized"; "unknown reason code" for others.
MILLRACE_DECL std::string_view to_string(reason_code code) noexcept;

/// The packet's name as in the specification, such as "PUBLISH".
MILLRACE_DECL std::string_view to_string(packet_type type) noexcept;

/// Whether the code reports a failure (2.4: 0x80 and above).
constexpr bool is_failure(reason_code code) noexcept {
  return static_cast<std::uint8_t>(code) >= 0x80;
}

/// Bytes that break the protocol: the code to answer with and the words to log. `words` lives
/// forever. Converts to true when there is a failure.
struct protocol_failure {
  reason_code code = reason_code::success;
  const char* words = nullptr;

  explicit constexpr operator bool() const noexcept { return words != nullptr; }
};

/// The largest remaining length (1.5.5): four bytes of seven bits.
inline constexpr std::size_t maximum_remaining_length = 268'435'455;

/// The longest string or binary field (1.5.4).
inline constexpr std::size_t maximum_field_length = 65'535;

/// Default bound on one packet, both ways, in bytes; a larger one is refused with 0x95.
inline constexpr std::uint32_t default_maximum_packet_size = 1u << 20;

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/mqtt/impl/types.ipp>
#endif
