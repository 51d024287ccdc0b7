// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/testing/detail/mqtt_broker_core.hpp>
#include <millrace/testing/detail/mqtt_connection.hpp>

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

namespace millrace::testing::detail {

/// What is handed on of a message's properties: all but those that belong to one connection.
inline std::string forwarded_properties(mqtt::property_view from,
                                        std::optional<std::uint32_t>& expiry) {
  std::string kept;
  while (const auto property = from.take()) {
    if (property->id == mqtt::property_id::message_expiry_interval) {
      expiry = property->number;
    } else if (property->id != mqtt::property_id::topic_alias) {
      mqtt::append_property(*property, kept);
    }
  }
  return kept;
}

MILLRACE_DECL void broker_connection::handle(const mqtt::frame& frame) {
  const auto type = frame.type();
  if (!connected_ && type != mqtt::packet_type::connect) {
    fail({mqtt::reason_code::protocol_error, "the first packet is not CONNECT"});
    return;
  }
  if (type == mqtt::packet_type::publish) {
    mqtt::publish_packet p;
    if (const auto failure = mqtt::decode_publish(frame, version_, p)) {
      fail(failure);
    } else {
      on_publish(p);
    }
    return;
  }
  mqtt::packet p;
  if (const auto failure = mqtt::decode(frame, version_, p)) {
    const bool connecting = type == mqtt::packet_type::connect && !connected_;
    if (connecting && failure.code == mqtt::reason_code::unsupported_protocol_version) {
      refuse(failure.code);
    } else {
      fail(failure);
    }
    return;
  }
  std::visit([this](const auto& which) { on_packet(which); }, p);
}

MILLRACE_DECL bool broker_connection::resolve_alias(mqtt::publish_packet& p) {
  if (p.topic_alias == 0) return true;
  if (p.topic_alias > aliases_in_.size()) {
    fail({mqtt::reason_code::topic_alias_invalid, "a topic alias above the maximum"});
    return false;
  }
  auto& known = aliases_in_[p.topic_alias - 1U];
  if (!p.topic.empty()) known = p.topic;
  if (known.empty()) {
    fail({mqtt::reason_code::protocol_error, "a topic alias that was never set"});
    return false;
  }
  p.topic = known;
  return true;
}

MILLRACE_DECL void broker_connection::on_publish(mqtt::publish_packet& p) {
  using mqtt::packet_type;
  using mqtt::reason_code;
  if (!resolve_alias(p)) return;
  if (p.qos == 2) {
    if (session_->received.contains(p.packet_id)) {
      acknowledge(packet_type::pubrec, p.packet_id, reason_code::success);
      return;
    }
    if (session_->received.size() >= core_->options().receive_maximum) {
      fail({reason_code::receive_maximum_exceeded, "more messages in flight than allowed"});
      return;
    }
    session_->received.insert(p.packet_id);
  }
  publication message{
      .topic = p.topic, .payload = p.payload, .qos = p.qos, .retain = p.retain, .origin = session_};
  std::string properties;
  if (!p.properties.empty()) {
    if (p.properties.find(mqtt::property_id::subscription_identifier)) {
      fail({reason_code::protocol_error, "a client sent a subscription identifier"});
      return;
    }
    std::optional<std::uint32_t> expiry;
    properties = forwarded_properties(p.properties, expiry);
    message.properties = properties;
    if (expiry) message.expires_at = core_->env().monotonic() + std::chrono::seconds{*expiry};
  }
  ++core_->counts().messages_in;
  const bool wanted = core_->route(message);
  if (p.qos == 0) return;
  acknowledge(p.qos == 1 ? packet_type::puback : packet_type::pubrec, p.packet_id,
              wanted ? reason_code::success : reason_code::no_matching_subscribers);
}

MILLRACE_DECL void broker_connection::acknowledge(mqtt::packet_type type, std::uint16_t id,
                                                  mqtt::reason_code code) {
  if (core_->swallow(type)) return;
  mqtt::encode(mqtt::acknowledge_packet{.type = type, .packet_id = id, .code = code}, version_,
               out_);
}

MILLRACE_DECL mqtt::reason_code broker_connection::check(const mqtt::connect_packet& p) const {
  using mqtt::reason_code;
  if (core_->refusal() != reason_code::success) return core_->refusal();
  if (p.properties.find(mqtt::property_id::authentication_method)) {
    return reason_code::bad_authentication_method;
  }
  if (p.client_id.empty() && p.version == mqtt::version::v3_1_1 && !p.clean_start) {
    return reason_code::client_identifier_not_valid;
  }
  const auto& authenticate = core_->options().authenticate;
  if (!authenticate) return reason_code::success;
  return authenticate({.client_id = p.client_id, .user_name = p.user_name, .password = p.password});
}

MILLRACE_DECL void broker_connection::on_packet(const mqtt::connect_packet& p) {
  if (connected_) {
    fail({mqtt::reason_code::protocol_error, "a second CONNECT"});
    return;
  }
  version_ = p.version;
  if (const auto code = check(p); code != mqtt::reason_code::success) {
    refuse(code);
    return;
  }
  const std::string id = p.client_id.empty() ? core_->make_client_id() : std::string(p.client_id);
  const auto [session, present] = core_->open_session(id, p.clean_start);
  if (session == nullptr) {
    refuse(mqtt::reason_code::quota_exceeded);
    return;
  }
  session_ = session;
  session_->connection = this;
  connected_ = true;
  ++core_->counts().connects;
  take_limits(p);
  set_will(p);
  welcome(p, present, p.client_id.empty());

  // Repetitions go out in the order of the first sending; what was received needs PUBREL only.
  std::vector<std::pair<std::uint64_t, std::uint16_t>> unfinished;
  for (const auto& [packet_id, message] : session_->in_flight) {
    unfinished.emplace_back(message.order, packet_id);
  }
  std::sort(unfinished.begin(), unfinished.end());
  session_->to_repeat.clear();
  for (const auto& [order, packet_id] : unfinished) {
    if (session_->in_flight[packet_id].received) {
      acknowledge(mqtt::packet_type::pubrel, packet_id, mqtt::reason_code::success);
    } else {
      session_->to_repeat.push_back(packet_id);
    }
  }
  pump();
}

MILLRACE_DECL void broker_connection::take_limits(const mqtt::connect_packet& p) {
  using mqtt::property_id;
  const auto number = [&p](property_id id, std::uint32_t otherwise) {
    return p.properties.number(id).value_or(otherwise);
  };
  const auto& options = core_->options();
  std::chrono::seconds expiry{0};
  if (version_ == mqtt::version::v5) {
    expiry = std::chrono::seconds{number(property_id::session_expiry_interval, 0)};
    window_ = number(property_id::receive_maximum, 65'535);
    packet_maximum_ =
        number(property_id::maximum_packet_size, std::numeric_limits<std::uint32_t>::max());
    alias_maximum_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(
        number(property_id::topic_alias_maximum, 0), options.topic_alias_maximum));
    aliases_in_.resize(options.topic_alias_maximum);
  } else if (!p.clean_start) {
    expiry = options.session_expiry;
  }
  session_->expiry = std::min(expiry, options.session_expiry);
  silence_allowed_ = std::chrono::milliseconds{1500} * p.keep_alive;
}

MILLRACE_DECL void broker_connection::set_will(const mqtt::connect_packet& p) {
  if (!p.will) return;
  const auto& w = *p.will;
  broker_will will;
  std::optional<std::uint32_t> expiry;
  std::string properties;
  auto view = w.properties;
  while (const auto property = view.take()) {
    if (property->id == mqtt::property_id::will_delay_interval) {
      will.delay = std::chrono::seconds{property->number};
    } else if (property->id == mqtt::property_id::message_expiry_interval) {
      expiry = property->number;
    } else {
      mqtt::append_property(*property, properties);
    }
  }
  const auto expires_at =
      expiry ? core_->env().monotonic() + will.delay + std::chrono::seconds{*expiry}
             : std::chrono::nanoseconds{};
  will.message = std::make_shared<broker_message>(broker_message{
      std::string(w.topic), std::string(w.payload), std::move(properties), expires_at, w.qos});
  will.retain = w.retain;
  will_ = std::move(will);
}

MILLRACE_DECL void broker_connection::welcome(const mqtt::connect_packet& p, bool session_present,
                                              bool assigned_id) {
  std::string encoded;
  if (version_ == mqtt::version::v5) {
    mqtt::properties properties;
    const auto& options = core_->options();
    const auto expiry = std::chrono::duration_cast<std::chrono::seconds>(session_->expiry);
    if (p.properties.number(mqtt::property_id::session_expiry_interval).value_or(0) !=
        expiry.count()) {
      properties.session_expiry_interval = static_cast<std::uint32_t>(expiry.count());
    }
    properties.receive_maximum = options.receive_maximum;
    properties.maximum_packet_size = options.maximum_packet_size;
    properties.topic_alias_maximum = options.topic_alias_maximum;
    if (assigned_id) properties.assigned_client_identifier = session_->client_id;
    mqtt::append_properties(properties, encoded);
  }
  mqtt::encode(mqtt::connack_packet{.session_present = session_present,
                                    .properties = mqtt::property_view(encoded)},
               version_, out_);
}

MILLRACE_DECL void broker_connection::refuse(mqtt::reason_code why) {
  mqtt::encode(mqtt::connack_packet{.code = why}, version_, out_);
  disconnect(why);
}

MILLRACE_DECL void broker_connection::on_packet(const mqtt::acknowledge_packet& p) {
  using mqtt::packet_type;
  using mqtt::reason_code;
  if (p.type == packet_type::pubrel) {
    const bool known = session_->received.erase(p.packet_id) != 0;
    acknowledge(packet_type::pubcomp, p.packet_id,
                known ? reason_code::success : reason_code::packet_identifier_not_found);
    return;
  }
  const auto found = session_->in_flight.find(p.packet_id);
  const bool known = found != session_->in_flight.end() &&
                     (found->second.delivery.qos == 1) == (p.type == packet_type::puback);
  if (p.type == packet_type::pubrec && !is_failure(p.code)) {
    if (known) {
      found->second.received = true;
      found->second.delivery.message = nullptr;
    }
    acknowledge(packet_type::pubrel, p.packet_id,
                known ? reason_code::success : reason_code::packet_identifier_not_found);
    return;
  }
  if (!known) return;
  session_->in_flight.erase(found);
  if (window_used_ != 0) --window_used_;
  pump();
}

MILLRACE_DECL mqtt::reason_code broker_connection::subscribe(const mqtt::subscription& s,
                                                             std::uint32_t identifier) {
  using mqtt::reason_code;
  if (!mqtt::is_valid_topic_filter(s.filter)) return reason_code::topic_filter_invalid;
  if (session_->subscriptions >= core_->options().max_subscriptions) {
    return reason_code::quota_exceeded;
  }
  core_->subscriptions().add(*session_, s, identifier);
  return static_cast<reason_code>(s.qos);
}

MILLRACE_DECL void broker_connection::on_packet(const mqtt::subscribe_packet& p) {
  const auto identifier =
      p.properties.number(mqtt::property_id::subscription_identifier).value_or(0);
  mqtt::suback_packet answer{.packet_id = p.packet_id};
  std::vector<const mqtt::subscription*> wants_retained;
  for (const auto& s : p.subscriptions) {
    const auto before = session_->subscriptions;
    answer.codes.push_back(subscribe(s, identifier));
    const bool fresh = session_->subscriptions != before;
    const bool retained = s.retained == mqtt::retain_handling::send ||
                          (s.retained == mqtt::retain_handling::send_if_new && fresh);
    if (!is_failure(answer.codes.back()) && retained) wants_retained.push_back(&s);
  }
  if (!core_->swallow(mqtt::packet_type::suback)) mqtt::encode(answer, version_, out_);
  for (const auto* s : wants_retained) core_->send_retained(*session_, *s, identifier);
}

MILLRACE_DECL void broker_connection::on_packet(const mqtt::unsubscribe_packet& p) {
  mqtt::unsuback_packet answer{.packet_id = p.packet_id};
  for (const auto filter : p.filters) {
    const bool removed = core_->subscriptions().remove(*session_, filter);
    answer.codes.push_back(removed ? mqtt::reason_code::success
                                   : mqtt::reason_code::no_subscription_existed);
  }
  mqtt::encode(answer, version_, out_);
}

MILLRACE_DECL void broker_connection::on_packet(const mqtt::pingreq_packet& /*p*/) {
  mqtt::encode(mqtt::pingresp_packet{}, version_, out_);
}

MILLRACE_DECL void broker_connection::on_packet(const mqtt::disconnect_packet& p) {
  if (p.code != mqtt::reason_code::disconnect_with_will) will_.reset();
  const auto expiry = p.properties.number(mqtt::property_id::session_expiry_interval);
  if (expiry) {
    if (session_->expiry.count() == 0 && *expiry != 0) {
      fail({mqtt::reason_code::protocol_error, "DISCONNECT prolongs a session that ends"});
      return;
    }
    session_->expiry = std::min<std::chrono::nanoseconds>(std::chrono::seconds{*expiry},
                                                          core_->options().session_expiry);
  }
  detach();
  closing_ = true;
}

}  // namespace millrace::testing::detail
