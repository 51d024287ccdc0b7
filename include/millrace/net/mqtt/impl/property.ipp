// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/mqtt/property.hpp>
#include <millrace/net/mqtt/text.hpp>
#include <millrace/net/mqtt/wire.hpp>

namespace millrace::mqtt {

namespace detail {

enum class property_kind : std::uint8_t { none, flag, u16, u32, variable, text, binary, pair };

/// One row of table 2-4: the type, the places where it may stand, and whether 0 is forbidden.
struct property_rule {
  property_kind kind = property_kind::none;
  std::uint16_t places = 0;
  bool nonzero = false;
};

template <class... Places>
constexpr std::uint16_t property_places(Places... places) noexcept {
  return static_cast<std::uint16_t>(((1u << static_cast<unsigned>(places)) | ...));
}

constexpr property_rule rule_of(property_id id) noexcept {
  using enum property_place;
  using kind = property_kind;
  constexpr auto message = property_places(publish, will);
  constexpr auto handshake = property_places(connect, connack);
  constexpr auto server = property_places(connack);
  switch (id) {
    case property_id::payload_format_indicator: return {kind::flag, message};
    case property_id::message_expiry_interval: return {kind::u32, message};
    case property_id::content_type: return {kind::text, message};
    case property_id::response_topic: return {kind::text, message};
    case property_id::correlation_data: return {kind::binary, message};
    case property_id::subscription_identifier:
      return {kind::variable, property_places(publish, subscribe), true};
    case property_id::session_expiry_interval:
      return {kind::u32, property_places(connect, connack, disconnect)};
    case property_id::assigned_client_identifier: return {kind::text, server};
    case property_id::server_keep_alive: return {kind::u16, server};
    case property_id::authentication_method:
      return {kind::text, property_places(connect, connack, auth)};
    case property_id::authentication_data:
      return {kind::binary, property_places(connect, connack, auth)};
    case property_id::request_problem_information:
    case property_id::request_response_information: return {kind::flag, property_places(connect)};
    case property_id::will_delay_interval: return {kind::u32, property_places(will)};
    case property_id::response_information: return {kind::text, server};
    case property_id::server_reference: return {kind::text, property_places(connack, disconnect)};
    case property_id::reason_string:
      return {kind::text, property_places(connack, puback, pubrec, pubrel, pubcomp, suback,
                                          unsuback, disconnect, auth)};
    case property_id::receive_maximum: return {kind::u16, handshake, true};
    case property_id::topic_alias_maximum: return {kind::u16, handshake};
    case property_id::topic_alias: return {kind::u16, property_places(publish), true};
    case property_id::maximum_qos:
    case property_id::retain_available:
    case property_id::wildcard_subscription_available:
    case property_id::subscription_identifiers_available:
    case property_id::shared_subscription_available: return {kind::flag, server};
    case property_id::user_property: return {kind::pair, 0xfffe};
    case property_id::maximum_packet_size: return {kind::u32, handshake, true};
  }
  return {};
}

/// Reads what follows the id. False where the bytes end or the id is unknown.
inline bool read_property(wire_reader& in, property& out) noexcept {
  out = property{};
  out.id = static_cast<property_id>(in.u8());
  switch (rule_of(out.id).kind) {
    case property_kind::none: return false;
    case property_kind::flag: out.number = in.u8(); break;
    case property_kind::u16: out.number = in.u16(); break;
    case property_kind::u32: out.number = in.u32(); break;
    case property_kind::variable: out.number = in.variable(); break;
    case property_kind::pair: out.name = in.field(); [[fallthrough]];
    case property_kind::text:
    case property_kind::binary: out.text = in.field(); break;
  }
  return !in.failed();
}

inline protocol_failure check_property(const property& p, property_place place) noexcept {
  const property_rule rule = rule_of(p.id);
  if ((rule.places >> static_cast<unsigned>(place) & 1u) == 0) {
    return {reason_code::malformed_packet, "a property that its packet must not carry"};
  }
  if (rule.kind == property_kind::flag && p.number > 1) {
    return {reason_code::protocol_error, "a property that must be 0 or 1 is neither"};
  }
  if (rule.nonzero && p.number == 0) {
    return {p.id == property_id::topic_alias ? reason_code::topic_alias_invalid
                                             : reason_code::protocol_error,
            "a property that must not be 0 is 0"};
  }
  if (rule.kind == property_kind::text || rule.kind == property_kind::pair) {
    if (!is_valid_utf8(p.text) || !is_valid_utf8(p.name)) {
      return {reason_code::malformed_packet, "a property is not valid UTF-8"};
    }
  }
  if (p.id == property_id::response_topic && !is_valid_topic_name(p.text)) {
    return {reason_code::protocol_error, "the response topic is not a topic name"};
  }
  return {};
}

}  // namespace detail

MILLRACE_DECL std::optional<property> property_view::take() noexcept {
  if (bytes_.empty()) return std::nullopt;
  detail::wire_reader in{bytes_};
  property p;
  const bool good = detail::read_property(in, p);
  bytes_ = good ? in.rest() : std::string_view{};
  return good ? std::optional{p} : std::nullopt;
}

MILLRACE_DECL std::optional<property> property_view::find(property_id id) const noexcept {
  property_view rest = *this;
  while (auto p = rest.take()) {
    if (p->id == id) return p;
  }
  return std::nullopt;
}

MILLRACE_DECL std::optional<std::string_view> property_view::user(
    std::string_view name) const noexcept {
  property_view rest = *this;
  while (auto p = rest.take()) {
    if (p->id == property_id::user_property && p->name == name) return p->text;
  }
  return std::nullopt;
}

MILLRACE_DECL protocol_failure validate_properties(property_view view,
                                                   property_place place) noexcept {
  detail::wire_reader in{view.bytes()};
  std::uint64_t seen = 0;
  while (!in.at_end()) {
    property p;
    if (!detail::read_property(in, p)) {
      return {reason_code::malformed_packet, "a property is unknown or cut short"};
    }
    if (const auto failure = detail::check_property(p, place)) return failure;
    const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(p.id);
    const bool repeatable =
        p.id == property_id::user_property ||
        (p.id == property_id::subscription_identifier && place == property_place::publish);
    if ((seen & bit) != 0 && !repeatable) {
      return {reason_code::protocol_error, "a property stands twice in a packet"};
    }
    seen |= bit;
  }
  const auto has = [seen](property_id id) { return (seen >> static_cast<unsigned>(id) & 1u) != 0; };
  if (has(property_id::authentication_data) && !has(property_id::authentication_method)) {
    return {reason_code::protocol_error, "authentication data without a method"};
  }
  return {};
}

MILLRACE_DECL void append_property(const property& p, std::string& to) {
  detail::append_u8(to, static_cast<unsigned>(p.id));
  switch (detail::rule_of(p.id).kind) {
    case detail::property_kind::none: to.pop_back(); break;
    case detail::property_kind::flag: detail::append_u8(to, p.number); break;
    case detail::property_kind::u16:
      detail::append_u16(to, static_cast<std::uint16_t>(p.number));
      break;
    case detail::property_kind::u32: detail::append_u32(to, p.number); break;
    case detail::property_kind::variable: detail::append_variable(to, p.number); break;
    case detail::property_kind::pair: detail::append_field(to, p.name); [[fallthrough]];
    case detail::property_kind::text:
    case detail::property_kind::binary: detail::append_field(to, p.text); break;
  }
}

namespace detail {

/// Calls `visit(id, member)` for every optional member, in the order of the ids.
template <class Properties, class Visit>
void visit_properties(Properties& p, Visit&& visit) {
  visit(property_id::payload_format_indicator, p.payload_format_indicator);
  visit(property_id::message_expiry_interval, p.message_expiry_interval);
  visit(property_id::content_type, p.content_type);
  visit(property_id::response_topic, p.response_topic);
  visit(property_id::correlation_data, p.correlation_data);
  visit(property_id::session_expiry_interval, p.session_expiry_interval);
  visit(property_id::assigned_client_identifier, p.assigned_client_identifier);
  visit(property_id::server_keep_alive, p.server_keep_alive);
  visit(property_id::authentication_method, p.authentication_method);
  visit(property_id::authentication_data, p.authentication_data);
  visit(property_id::request_problem_information, p.request_problem_information);
  visit(property_id::will_delay_interval, p.will_delay_interval);
  visit(property_id::request_response_information, p.request_response_information);
  visit(property_id::response_information, p.response_information);
  visit(property_id::server_reference, p.server_reference);
  visit(property_id::reason_string, p.reason_string);
  visit(property_id::receive_maximum, p.receive_maximum);
  visit(property_id::topic_alias_maximum, p.topic_alias_maximum);
  visit(property_id::topic_alias, p.topic_alias);
  visit(property_id::maximum_qos, p.maximum_qos);
  visit(property_id::retain_available, p.retain_available);
  visit(property_id::maximum_packet_size, p.maximum_packet_size);
  visit(property_id::wildcard_subscription_available, p.wildcard_subscription_available);
  visit(property_id::subscription_identifiers_available, p.subscription_identifiers_available);
  visit(property_id::shared_subscription_available, p.shared_subscription_available);
}

struct property_assigner {
  const property& from;

  void operator()(property_id id, std::optional<std::string>& member) const {
    if (id == from.id) member = std::string{from.text};
  }
  template <class Integer>
  void operator()(property_id id, std::optional<Integer>& member) const {
    if (id == from.id) member = static_cast<Integer>(from.number);
  }
};

struct property_appender {
  std::string& to;

  void operator()(property_id id, const std::optional<std::string>& member) const {
    if (member) append_property({.id = id, .number = 0, .text = *member, .name = {}}, to);
  }
  template <class Integer>
  void operator()(property_id id, const std::optional<Integer>& member) const {
    if (member) append_property({.id = id, .number = *member, .text = {}, .name = {}}, to);
  }
};

}  // namespace detail

MILLRACE_DECL properties to_properties(property_view view) {
  properties all;
  while (const auto p = view.take()) {
    if (p->id == property_id::user_property) {
      all.user.emplace_back(p->name, p->text);
    } else if (p->id == property_id::subscription_identifier) {
      all.subscription_identifiers.push_back(p->number);
    } else {
      detail::visit_properties(all, detail::property_assigner{*p});
    }
  }
  return all;
}

MILLRACE_DECL void append_properties(const properties& from, std::string& to) {
  detail::visit_properties(from, detail::property_appender{to});
  for (const std::uint32_t id : from.subscription_identifiers) {
    append_property({property_id::subscription_identifier, id, {}, {}}, to);
  }
  for (const auto& [name, value] : from.user) {
    append_property({property_id::user_property, 0, value, name}, to);
  }
}

}  // namespace millrace::mqtt
