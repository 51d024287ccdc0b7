// SPDX-License-Identifier: Apache-2.0
/// \file
/// The properties of MQTT 5 packets (2.2.2): a view that reads them where they were received, and a
/// struct that owns them. A packet without properties costs an empty view. Not thread safe beyond
/// what string_view and string are.
#pragma once

#include <millrace/net/mqtt/types.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::mqtt {

enum class property_id : std::uint8_t {
  payload_format_indicator = 0x01,
  message_expiry_interval = 0x02,
  content_type = 0x03,
  response_topic = 0x08,
  correlation_data = 0x09,
  subscription_identifier = 0x0b,
  session_expiry_interval = 0x11,
  assigned_client_identifier = 0x12,
  server_keep_alive = 0x13,
  authentication_method = 0x15,
  authentication_data = 0x16,
  request_problem_information = 0x17,
  will_delay_interval = 0x18,
  request_response_information = 0x19,
  response_information = 0x1a,
  server_reference = 0x1c,
  reason_string = 0x1f,
  receive_maximum = 0x21,
  topic_alias_maximum = 0x22,
  topic_alias = 0x23,
  maximum_qos = 0x24,
  retain_available = 0x25,
  user_property = 0x26,
  maximum_packet_size = 0x27,
  wildcard_subscription_available = 0x28,
  subscription_identifiers_available = 0x29,
  shared_subscription_available = 0x2a,
};

/// One property as it lies in a packet. `number` is set for integers, `text` for strings, binary
/// data and the value of a user property, `name` for the name of a user property.
struct property {
  property_id id{};
  std::uint32_t number = 0;
  std::string_view text;
  std::string_view name;
};

/// The encoded properties of a packet, without their length. What a decoder hands out has been
/// validated; views point into the receive buffer. Empty for MQTT 3.1.1.
class property_view {
 public:
  property_view() = default;
  explicit property_view(std::string_view encoded) noexcept : bytes_(encoded) {}

  bool empty() const noexcept { return bytes_.empty(); }
  std::string_view bytes() const noexcept { return bytes_; }

  /// Takes the first property off the view; nothing at the end, or where the bytes are not valid.
  MILLRACE_DECL std::optional<property> take() noexcept;

  /// The first property with that id. O(number of properties).
  MILLRACE_DECL std::optional<property> find(property_id id) const noexcept;

  /// The integer property with that id.
  std::optional<std::uint32_t> number(property_id id) const noexcept {
    const auto found = find(id);
    return found ? std::optional{found->number} : std::nullopt;
  }

  /// The text of the property with that id; empty if absent.
  std::string_view text(property_id id) const noexcept {
    const auto found = find(id);
    return found ? found->text : std::string_view{};
  }

  /// The value of the first user property of that name.
  MILLRACE_DECL std::optional<std::string_view> user(std::string_view name) const noexcept;

 private:
  std::string_view bytes_;
};

using user_properties = std::vector<std::pair<std::string, std::string>>;

/// Properties that own their values, each for the packets that section 2.2.2.2 lists.
struct properties {
  std::optional<std::uint8_t> payload_format_indicator{};
  std::optional<std::uint32_t> message_expiry_interval{};  ///< seconds
  std::optional<std::string> content_type{};
  std::optional<std::string> response_topic{};
  std::optional<std::string> correlation_data{};
  std::vector<std::uint32_t> subscription_identifiers{};
  std::optional<std::uint32_t> session_expiry_interval{};  ///< seconds
  std::optional<std::string> assigned_client_identifier{};
  std::optional<std::uint16_t> server_keep_alive{};  ///< seconds
  std::optional<std::string> authentication_method{};
  std::optional<std::string> authentication_data{};
  std::optional<std::uint8_t> request_problem_information{};
  std::optional<std::uint32_t> will_delay_interval{};  ///< seconds
  std::optional<std::uint8_t> request_response_information{};
  std::optional<std::string> response_information{};
  std::optional<std::string> server_reference{};
  std::optional<std::string> reason_string{};
  std::optional<std::uint16_t> receive_maximum{};
  std::optional<std::uint16_t> topic_alias_maximum{};
  std::optional<std::uint16_t> topic_alias{};
  std::optional<std::uint8_t> maximum_qos{};
  std::optional<std::uint8_t> retain_available{};
  std::optional<std::uint32_t> maximum_packet_size{};  ///< bytes
  std::optional<std::uint8_t> wildcard_subscription_available{};
  std::optional<std::uint8_t> subscription_identifiers_available{};
  std::optional<std::uint8_t> shared_subscription_available{};
  mqtt::user_properties user{};

  bool operator==(const properties&) const = default;
};

/// The properties of a view, copied. Bytes that are not valid end the copy.
MILLRACE_DECL properties to_properties(property_view view);

/// Appends the properties as a `property_view` holds them. Strings longer than 65,535 bytes are
/// cut.
MILLRACE_DECL void append_properties(const properties& from, std::string& to);

/// Appends one property. Which of `number`, `text` and `name` count follows from the id.
MILLRACE_DECL void append_property(const property& p, std::string& to);

/// Where properties stand; the will has a set of its own.
enum class property_place : std::uint8_t {
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
  will,
  disconnect = 14,
  auth,
};

/// Checks encoded properties: known, allowed in this place, at most once, values in range. O(n).
MILLRACE_DECL protocol_failure validate_properties(property_view view,
                                                   property_place place) noexcept;

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/mqtt/impl/property.ipp>
#endif
