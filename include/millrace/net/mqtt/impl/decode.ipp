// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/mqtt/decode.hpp>
#include <millrace/net/mqtt/wire.hpp>

namespace millrace::mqtt {

namespace detail {

constexpr protocol_failure cut_short() noexcept {
  return {reason_code::malformed_packet, "a packet ends before its fields do"};
}
constexpr protocol_failure bad_utf8() noexcept {
  return {reason_code::malformed_packet, "a string is not valid UTF-8"};
}

/// The properties with their length; validated. 3.1.1 has none.
inline protocol_failure read_properties(wire_reader& in, version v, property_place place,
                                        property_view& out) noexcept {
  out = {};
  if (v != version::v5) return {};
  const std::size_t size = in.variable();
  out = property_view{in.bytes(size)};
  if (in.failed()) return {reason_code::malformed_packet, "the properties are cut short"};
  return validate_properties(out, place);
}

inline protocol_failure read_packet_id(wire_reader& in, std::uint16_t& id) noexcept {
  id = in.u16();
  if (in.failed()) return cut_short();
  if (id == 0) return {reason_code::protocol_error, "the packet identifier is 0"};
  return {};
}

MILLRACE_DECL protocol_failure decode_publish_properties(publish_packet& out) noexcept {
  wire_reader in{out.payload};
  if (const auto failure =
          read_properties(in, version::v5, property_place::publish, out.properties)) {
    return failure;
  }
  out.payload = in.rest();
  if (const auto alias = out.properties.number(property_id::topic_alias)) {
    out.topic_alias = static_cast<std::uint16_t>(*alias);
  }
  return {};
}

MILLRACE_DECL protocol_failure check_publish_topic(const publish_packet& p, version v) noexcept {
  if (p.topic.empty()) {
    if (v == version::v5 && p.topic_alias != 0) return {};
    return {v == version::v5 ? reason_code::protocol_error : reason_code::topic_name_invalid,
            "PUBLISH without a topic"};
  }
  if (!is_valid_utf8(p.topic)) return bad_utf8();
  if (!is_valid_topic_name(p.topic)) {
    return {reason_code::topic_name_invalid, "the topic of PUBLISH has a wildcard"};
  }
  return {};
}

inline protocol_failure decode_will(wire_reader& in, unsigned flags, version v, will_message& w) {
  w.qos = static_cast<std::uint8_t>(flags >> 3 & 3u);
  w.retain = (flags & 0x20u) != 0;
  if (const auto failure = read_properties(in, v, property_place::will, w.properties)) {
    return failure;
  }
  w.topic = in.field();
  w.payload = in.field();
  if (in.failed()) return cut_short();
  if (!is_valid_utf8(w.topic)) return bad_utf8();
  if (!is_valid_topic_name(w.topic)) {
    return {reason_code::topic_name_invalid, "the topic of the will is no topic name"};
  }
  return {};
}

inline protocol_failure check_connect_flags(unsigned flags, version v) noexcept {
  const bool will = (flags & 4u) != 0;
  const bool bad_will = will ? (flags >> 3 & 3u) == 3 : (flags & 0x38u) != 0;
  const bool password_alone = v == version::v3_1_1 && (flags & 0xc0u) == 0x40u;
  if ((flags & 1u) != 0 || bad_will || password_alone) {
    return {reason_code::malformed_packet, "the flags of CONNECT are not valid"};
  }
  return {};
}

inline protocol_failure decode_connect(wire_reader& in, packet& out) {
  auto& p = out.emplace<connect_packet>();
  const std::string_view protocol = in.field();
  const unsigned level = in.u8();
  if (in.failed()) return cut_short();
  if (protocol != "MQTT" || (level != 4 && level != 5)) {
    return {reason_code::unsupported_protocol_version, "neither MQTT 3.1.1 nor MQTT 5"};
  }
  p.version = static_cast<version>(level);
  const unsigned flags = in.u8();
  p.keep_alive = in.u16();
  if (in.failed()) return cut_short();
  if (const auto failure = check_connect_flags(flags, p.version)) return failure;
  p.clean_start = (flags & 2u) != 0;
  if (const auto failure = read_properties(in, p.version, property_place::connect, p.properties)) {
    return failure;
  }
  p.client_id = in.field();
  if ((flags & 4u) != 0) {
    if (const auto failure = decode_will(in, flags, p.version, p.will.emplace())) return failure;
  }
  if ((flags & 0x80u) != 0) p.user_name = in.field();
  if ((flags & 0x40u) != 0) p.password = in.field();
  if (in.failed()) return cut_short();
  if (!is_valid_utf8(p.client_id) || (p.user_name && !is_valid_utf8(*p.user_name))) {
    return bad_utf8();
  }
  return {};
}

/// The return codes of 3.1.1 (its table 3.1) as reason codes; `malformed_packet` for others.
constexpr reason_code connack_code_of_v3(unsigned code) noexcept {
  switch (code) {
    case 0: return reason_code::success;
    case 1: return reason_code::unsupported_protocol_version;
    case 2: return reason_code::client_identifier_not_valid;
    case 3: return reason_code::server_unavailable;
    case 4: return reason_code::bad_user_name_or_password;
    case 5: return reason_code::not_authorized;
    default: return reason_code::malformed_packet;
  }
}

inline protocol_failure decode_connack(wire_reader& in, version v, packet& out) {
  auto& p = out.emplace<connack_packet>();
  const unsigned flags = in.u8();
  const unsigned code = in.u8();
  if (in.failed()) return cut_short();
  // A server that does not know version 5 answers in the format of 3.1.1 (3.1.1, section 3.1.2.2).
  const bool old_format = v == version::v3_1_1 || (in.at_end() && code >= 1 && code <= 5);
  p.code = old_format ? connack_code_of_v3(code) : static_cast<reason_code>(code);
  p.session_present = (flags & 1u) != 0;
  if (flags > 1 || (p.session_present && code != 0) || (!is_failure(p.code) && code != 0) ||
      (old_format && p.code == reason_code::malformed_packet)) {
    return {reason_code::malformed_packet, "the flags or code of CONNACK are not valid"};
  }
  if (old_format) return {};
  return read_properties(in, v, property_place::connack, p.properties);
}

/// Codes below 0x80 have a meaning per packet; unknown failures are taken as failures.
constexpr bool is_known_code(packet_type type, reason_code code) noexcept {
  if (is_failure(code) || code == reason_code::success) return true;
  switch (type) {
    case packet_type::puback:
    case packet_type::pubrec: return code == reason_code::no_matching_subscribers;
    case packet_type::suback:
      return code == reason_code::granted_qos_1 || code == reason_code::granted_qos_2;
    case packet_type::unsuback: return code == reason_code::no_subscription_existed;
    case packet_type::disconnect: return code == reason_code::disconnect_with_will;
    case packet_type::auth:
      return code == reason_code::continue_authentication || code == reason_code::reauthenticate;
    default: return false;
  }
}

/// The reason code and the properties that may be left out together at the end of a v5 packet.
inline protocol_failure decode_reason(wire_reader& in, packet_type type, reason_code& code,
                                      property_view& properties) noexcept {
  if (in.at_end()) return {};
  code = static_cast<reason_code>(in.u8());
  if (!is_known_code(type, code)) {
    return {reason_code::protocol_error, "a reason code that its packet does not have"};
  }
  if (in.at_end()) return {};
  return read_properties(in, version::v5, static_cast<property_place>(type), properties);
}

inline protocol_failure decode_acknowledge(wire_reader& in, packet_type type, version v,
                                           packet& out) {
  auto& p = out.emplace<acknowledge_packet>();
  p.type = type;
  if (const auto failure = read_packet_id(in, p.packet_id)) return failure;
  return v == version::v5 ? decode_reason(in, type, p.code, p.properties) : protocol_failure{};
}

inline protocol_failure decode_subscription(wire_reader& in, version v, subscription& s) noexcept {
  s.filter = in.field();
  const unsigned options = in.u8();
  if (in.failed()) return cut_short();
  if (!is_valid_utf8(s.filter)) return bad_utf8();
  s.qos = static_cast<std::uint8_t>(options & 3u);
  s.no_local = (options & 4u) != 0;
  s.retain_as_published = (options & 8u) != 0;
  s.retained = static_cast<retain_handling>(options >> 4 & 3u);
  const unsigned reserved = v == version::v5 ? 0xc0u : 0xfcu;
  if ((options & reserved) != 0 || s.qos == 3) {
    return {reason_code::malformed_packet, "the options of a subscription are not valid"};
  }
  if (static_cast<unsigned>(s.retained) == 3) {
    return {reason_code::protocol_error, "the retain handling of a subscription is not valid"};
  }
  if (s.no_local && !split_shared(s.filter).group.empty()) {
    return {reason_code::protocol_error, "no local on a shared subscription"};
  }
  return {};
}

inline protocol_failure decode_subscribe(wire_reader& in, version v, packet& out) {
  auto& p = out.emplace<subscribe_packet>();
  if (const auto failure = read_packet_id(in, p.packet_id)) return failure;
  if (const auto failure = read_properties(in, v, property_place::subscribe, p.properties)) {
    return failure;
  }
  if (in.at_end()) return {reason_code::protocol_error, "SUBSCRIBE without a topic filter"};
  while (!in.at_end()) {
    if (const auto failure = decode_subscription(in, v, p.subscriptions.emplace_back())) {
      return failure;
    }
  }
  return {};
}

inline protocol_failure decode_unsubscribe(wire_reader& in, version v, packet& out) {
  auto& p = out.emplace<unsubscribe_packet>();
  if (const auto failure = read_packet_id(in, p.packet_id)) return failure;
  if (const auto failure = read_properties(in, v, property_place::unsubscribe, p.properties)) {
    return failure;
  }
  if (in.at_end()) return {reason_code::protocol_error, "UNSUBSCRIBE without a topic filter"};
  while (!in.at_end()) {
    const std::string_view filter = in.field();
    if (in.failed()) return cut_short();
    if (!is_valid_utf8(filter)) return bad_utf8();
    p.filters.push_back(filter);
  }
  return {};
}

/// SUBACK and UNSUBACK: a code per filter.
template <class Packet>
protocol_failure decode_codes(wire_reader& in, packet_type type, version v, packet& out) {
  auto& p = out.emplace<Packet>();
  if (const auto failure = read_packet_id(in, p.packet_id)) return failure;
  const auto place = static_cast<property_place>(type);
  if (const auto failure = read_properties(in, v, place, p.properties)) return failure;
  const std::string_view codes = in.rest();
  const bool none_expected = v == version::v3_1_1 && type == packet_type::unsuback;
  if (codes.empty() != none_expected) {
    return {reason_code::malformed_packet, "the number of reason codes is not valid"};
  }
  p.codes.reserve(codes.size());
  for (const char c : codes) {
    const auto code = static_cast<reason_code>(static_cast<std::uint8_t>(c));
    if (!is_known_code(type, code) ||
        (v == version::v3_1_1 && is_failure(code) && code != reason_code::unspecified_error)) {
      return {reason_code::protocol_error, "a reason code that its packet does not have"};
    }
    p.codes.push_back(code);
  }
  return {};
}

inline protocol_failure decode_disconnect(wire_reader& in, version v, packet& out) {
  auto& p = out.emplace<disconnect_packet>();
  if (v != version::v5) return {};
  return decode_reason(in, packet_type::disconnect, p.code, p.properties);
}

inline protocol_failure decode_auth(wire_reader& in, version v, packet& out) {
  auto& p = out.emplace<auth_packet>();
  if (v != version::v5) return {reason_code::malformed_packet, "AUTH does not exist in MQTT 3.1.1"};
  return decode_reason(in, packet_type::auth, p.code, p.properties);
}

inline protocol_failure decode_body(const frame& from, version v, wire_reader& in, packet& out) {
  switch (from.type()) {
    case packet_type::connect: return decode_connect(in, out);
    case packet_type::connack: return decode_connack(in, v, out);
    case packet_type::publish:
      in.rest();
      return decode_publish(from, v, out.emplace<publish_packet>());
    case packet_type::puback:
    case packet_type::pubrec:
    case packet_type::pubrel:
    case packet_type::pubcomp: return decode_acknowledge(in, from.type(), v, out);
    case packet_type::subscribe: return decode_subscribe(in, v, out);
    case packet_type::suback: return decode_codes<suback_packet>(in, from.type(), v, out);
    case packet_type::unsubscribe: return decode_unsubscribe(in, v, out);
    case packet_type::unsuback: return decode_codes<unsuback_packet>(in, from.type(), v, out);
    case packet_type::pingreq: out.emplace<pingreq_packet>(); return {};
    case packet_type::pingresp: out.emplace<pingresp_packet>(); return {};
    case packet_type::disconnect: return decode_disconnect(in, v, out);
    case packet_type::auth: return decode_auth(in, v, out);
  }
  return {reason_code::malformed_packet, "a packet of type 0"};
}

}  // namespace detail

MILLRACE_DECL protocol_failure decode(const frame& from, version v, packet& out) {
  const auto type = from.type();
  const unsigned flags = from.header & 0x0fu;
  const bool two = type == packet_type::pubrel || type == packet_type::subscribe ||
                   type == packet_type::unsubscribe;
  if (type != packet_type::publish && flags != (two ? 2u : 0u)) {
    return {reason_code::malformed_packet, "the flags of a packet are not valid"};
  }
  detail::wire_reader in{from.body};
  if (const auto failure = detail::decode_body(from, v, in, out)) return failure;
  if (in.failed()) return detail::cut_short();
  if (!in.at_end()) return {reason_code::malformed_packet, "a packet has bytes behind its end"};
  return {};
}

}  // namespace millrace::mqtt
