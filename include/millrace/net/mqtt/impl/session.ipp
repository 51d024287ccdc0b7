// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/mqtt/encode.hpp>
#include <millrace/net/mqtt/session.hpp>

#include <algorithm>
#include <limits>

namespace millrace::mqtt {

namespace detail {

inline std::uint32_t seconds_count(std::chrono::seconds s) noexcept {
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(s.count(), 0, std::numeric_limits<std::uint32_t>::max()));
}

inline std::string words_of(std::string_view ours, property_view p) {
  std::string words{ours};
  const std::string_view theirs = p.text(property_id::reason_string);
  if (!theirs.empty()) words.append(" (").append(theirs).append(")");
  const std::string_view other = p.text(property_id::server_reference);
  if (!other.empty()) words.append(", see server ").append(other);
  return words;
}

/// 3.1.1 has no receive maximum: only the packet identifiers bound what is in flight.
inline std::size_t inbound_bound(const session_options& options) noexcept {
  return options.version == version::v5 ? std::max<std::size_t>(options.receive_maximum, 1)
                                        : 65'535;
}

}  // namespace detail

MILLRACE_DECL session::session(session_options options)
    : options_(std::move(options)),
      inbound_(options_.acknowledge, detail::inbound_bound(options_)),
      outbound_(options_.in_flight) {}

MILLRACE_DECL void session::connect(std::chrono::nanoseconds now) {
  connection_lost();
  events_.clear();
  output_.clear();
  state_ = state::connecting;
  session_present_ = false;
  inbound_.set_receive_maximum(detail::inbound_bound(options_));
  last_sent_ = last_received_ = now;
  ping_since_ = now;  // CONNACK is awaited like an answer to PINGREQ
  write_connect();
  first_connect_ = false;
}

MILLRACE_DECL void session::write_connect() {
  std::string encoded;
  std::string of_will;
  connect_packet p;
  p.version = options_.version;
  const bool keeps = options_.session_expiry.count() > 0;
  // 3.1.1 knows one flag for "start anew" and "do not keep".
  p.clean_start = options_.version == version::v5 ? (first_connect_ ? options_.clean_start : !keeps)
                                                  : options_.clean_start && !keeps;
  p.keep_alive =
      static_cast<std::uint16_t>(std::clamp<std::int64_t>(options_.keep_alive.count(), 0, 65'535));
  p.client_id = options_.client_id;
  p.user_name = options_.user_name;
  p.password = options_.password;
  mqtt::properties own;
  if (keeps) own.session_expiry_interval = detail::seconds_count(options_.session_expiry);
  own.receive_maximum = std::max<std::uint16_t>(options_.receive_maximum, 1);
  own.maximum_packet_size = options_.maximum_packet_size;
  if (options_.topic_alias_maximum != 0) own.topic_alias_maximum = options_.topic_alias_maximum;
  own.user = options_.user_properties;
  append_properties(own, encoded);
  p.properties = property_view{encoded};
  if (options_.will) {
    const auto& w = *options_.will;
    mqtt::properties of;
    if (w.delay.count() > 0) of.will_delay_interval = detail::seconds_count(w.delay);
    of.user = w.user_properties;
    append_properties(of, of_will);
    p.will = will_message{w.topic, w.payload, w.qos, w.retain, property_view{of_will}};
  }
  encode(p, output_);
}

MILLRACE_DECL void session::connection_lost() {
  state_ = state::closed;
  output_.clear();
  ping_since_.reset();
  pings_answered_ = pings_sent_;
  subscribing_.clear();
  aliases_.clear();
  released_.clear();  // the server repeats PUBREL
  inbound_.connection_lost();
  outbound_.connection_lost();
}

MILLRACE_DECL void session::disconnect(goodbye how) {
  if (state_ != state::connected) return;
  std::string encoded;
  if (how == goodbye::end_session && options_.session_expiry.count() > 0) {
    append_property({property_id::session_expiry_interval, 0, {}, {}}, encoded);
  }
  encode(disconnect_packet{reason_code::success, property_view{encoded}}, limits_.version, output_);
  state_ = state::ended;
}

MILLRACE_DECL bool session::fail(protocol_failure failure) {
  if (state_ == state::connected && limits_.version == version::v5) {
    encode(disconnect_packet{failure.code, {}}, limits_.version, output_);
  }
  state_ = state::ended;
  add_event(event_kind::protocol_failed, failure.code, failure.words);
  return false;
}

MILLRACE_DECL bool session::unexpected(packet_type type) {
  fail({reason_code::protocol_error, "a packet that the server must not send now"});
  events_.back().words.append(": ").append(to_string(type));
  return false;
}

MILLRACE_DECL bool session::resolve_alias(publish_packet& p) {
  if (p.topic_alias > options_.topic_alias_maximum) {
    return fail({reason_code::topic_alias_invalid, "a topic alias above our maximum"});
  }
  if (aliases_.empty()) aliases_.resize(options_.topic_alias_maximum);
  std::string& topic = aliases_[p.topic_alias - 1u];
  if (!p.topic.empty()) {
    topic = p.topic;
  } else if (topic.empty()) {
    return fail({reason_code::protocol_error, "a topic alias that has not been set"});
  } else {
    p.topic = topic;
  }
  return true;
}

MILLRACE_DECL session::admitted session::admit(const publish_packet& p, delivery_id& id) {
  const auto admission = inbound_.admit(p, output_);
  id = admission.id;
  switch (admission.what) {
    case inbound_deliveries::verdict::deliver: return admitted::deliver;
    case inbound_deliveries::verdict::duplicate: return admitted::skip;
    case inbound_deliveries::verdict::excess: break;
  }
  fail({reason_code::receive_maximum_exceeded, "more messages in flight than our maximum"});
  return admitted::failed;
}

MILLRACE_DECL bool session::on_control(const frame& f) {
  packet p;
  const version v = state_ == state::connecting ? options_.version : limits_.version;
  if (const auto failure = decode(f, v, p)) return fail(failure);
  if (const auto* connack = std::get_if<connack_packet>(&p)) {
    return state_ == state::connecting ? on_connack(*connack) : unexpected(f.type());
  }
  if (state_ != state::connected) return unexpected(f.type());
  if (const auto* acknowledge = std::get_if<acknowledge_packet>(&p)) {
    return on_acknowledge(*acknowledge);
  }
  if (const auto* suback = std::get_if<suback_packet>(&p)) return on_suback(*suback);
  if (std::holds_alternative<pingresp_packet>(p)) {
    ping_since_.reset();
    pings_answered_ = std::min(pings_answered_ + 1, pings_sent_);
    return true;
  }
  const auto* bye = std::get_if<disconnect_packet>(&p);
  if (bye == nullptr || v != version::v5) return unexpected(f.type());
  state_ = state::ended;
  add_event(event_kind::server_disconnect, bye->code,
            detail::words_of(to_string(bye->code), bye->properties));
  return false;
}

MILLRACE_DECL bool session::on_connack(const connack_packet& p) {
  if (is_failure(p.code)) {
    state_ = state::ended;
    add_event(event_kind::refused, p.code, detail::words_of(to_string(p.code), p.properties));
    return false;
  }
  if (p.session_present && started_clean_) {
    return fail({reason_code::protocol_error, "a session is present after a clean start"});
  }
  state_ = state::connected;
  ping_since_.reset();
  session_present_ = p.session_present;
  take_limits(p.properties);
  if (!session_present_) {
    inbound_.session_lost();
  } else {
    // Mosquitto sends all that it had stored at once when a session comes back.
    inbound_.set_receive_maximum(65'535);
  }
  outbound_.connected(limits_, session_present_);
  outbound_.pump(output_);
  add_event(event_kind::connected, p.code, {});
  return true;
}

MILLRACE_DECL void session::take_limits(property_view view) {
  const mqtt::properties p = to_properties(view);
  limits_ = server_limits{};
  limits_.version = options_.version;
  limits_.receive_maximum = p.receive_maximum.value_or(limits_.receive_maximum);
  limits_.maximum_packet_size = p.maximum_packet_size.value_or(limits_.maximum_packet_size);
  limits_.topic_alias_maximum =
      std::min(p.topic_alias_maximum.value_or(0), options_.send_topic_aliases);
  limits_.maximum_qos = p.maximum_qos.value_or(2);
  limits_.session_expiry = std::chrono::seconds{
      p.session_expiry_interval.value_or(detail::seconds_count(options_.session_expiry))};
  limits_.retain_available = p.retain_available.value_or(1) != 0;
  limits_.wildcards_available = p.wildcard_subscription_available.value_or(1) != 0;
  limits_.shared_available = p.shared_subscription_available.value_or(1) != 0;
  limits_.subscription_identifiers_available =
      p.subscription_identifiers_available.value_or(1) != 0;
  keep_alive_ =
      p.server_keep_alive ? std::chrono::seconds{*p.server_keep_alive} : options_.keep_alive;
  if (p.assigned_client_identifier) options_.client_id = *p.assigned_client_identifier;
}

MILLRACE_DECL bool session::on_acknowledge(const acknowledge_packet& p) {
  reason_code answer = reason_code::success;
  if (p.type == packet_type::pubrel) {
    if (options_.acknowledge == acknowledge_mode::on_journal) {
      released_.push_back(p.packet_id);
    } else {
      complete(p.packet_id);
    }
    return true;
  }
  if (!outbound_.acknowledged(p, output_) && p.type == packet_type::pubrec && !is_failure(p.code)) {
    answer = reason_code::packet_identifier_not_found;
    encode(acknowledge_packet{packet_type::pubrel, p.packet_id, answer, {}}, limits_.version,
           output_);
  }
  return true;
}

MILLRACE_DECL void session::complete(std::uint16_t packet_id) {
  if (state_ != state::connected) return;
  const bool known = inbound_.release(packet_id);
  encode(acknowledge_packet{packet_type::pubcomp,
                            packet_id,
                            known ? reason_code::success : reason_code::packet_identifier_not_found,
                            {}},
         limits_.version, output_);
}

MILLRACE_DECL void session::subscribe(const std::vector<subscription>& subscriptions,
                                      std::chrono::nanoseconds now) {
  next_subscribe_id_ = next_subscribe_id_ == std::numeric_limits<std::uint16_t>::max()
                           ? outbound_messages::highest_packet_id
                           : next_subscribe_id_;
  pending_subscribe pending{++next_subscribe_id_, {}, {}, now};
  for (const auto& s : subscriptions) {
    pending.filters.emplace_back(s.filter);
    pending.qos.push_back(s.qos);
  }
  subscribing_.push_back(std::move(pending));
  encode(subscribe_packet{next_subscribe_id_, subscriptions, {}}, limits_.version, output_);
}

MILLRACE_DECL bool session::on_suback(const suback_packet& p) {
  const auto found = std::find_if(subscribing_.begin(), subscribing_.end(),
                                  [&p](const auto& s) { return s.packet_id == p.packet_id; });
  if (found == subscribing_.end() || p.codes.size() != found->filters.size()) {
    return fail({reason_code::protocol_error, "SUBACK does not fit any SUBSCRIBE"});
  }
  session_event event{event_kind::subscribed, reason_code::success, {}};
  for (std::size_t i = 0; i < p.codes.size(); ++i) {
    const bool failed = is_failure(p.codes[i]);
    if (!failed && static_cast<std::uint8_t>(p.codes[i]) >= found->qos[i]) continue;
    if (!event.words.empty()) event.words += "; ";
    event.words.append("'").append(found->filters[i]).append("': ").append(to_string(p.codes[i]));
    if (!failed) event.words.append(" instead of ").append(std::to_string(found->qos[i]));
    if (failed && !is_failure(event.code)) event.code = p.codes[i];
  }
  if (!event.words.empty()) event.words = detail::words_of(event.words, p.properties);
  subscribing_.erase(found);
  events_.push_back(std::move(event));
  return true;
}

MILLRACE_DECL void session::publish(const publish_request& request) {
  outbound_.push(request);
  outbound_.pump(output_);
}

MILLRACE_DECL std::optional<std::chrono::nanoseconds> session::next_deadline() const noexcept {
  if (state_ != state::connecting && state_ != state::connected) return std::nullopt;
  std::optional<std::chrono::nanoseconds> next;
  const auto consider = [&next](std::chrono::nanoseconds t) {
    if (!next || t < *next) next = t;
  };
  if (ping_since_) {
    consider(std::max(*ping_since_, last_received_) + options_.response_timeout);
  } else if (keep_alive_.count() > 0) {
    consider(std::min(last_sent_, last_received_) + keep_alive_);
  }
  if (!subscribing_.empty()) consider(subscribing_.front().since + options_.response_timeout);
  return next;
}

MILLRACE_DECL void session::on_time(std::chrono::nanoseconds now) {
  if (state_ != state::connecting && state_ != state::connected) return;
  if (!subscribing_.empty() && now >= subscribing_.front().since + options_.response_timeout) {
    state_ = state::ended;
    add_event(event_kind::unresponsive, reason_code::unspecified_error, "no answer to SUBSCRIBE");
    return;
  }
  if (ping_since_) {
    if (now < std::max(*ping_since_, last_received_) + options_.response_timeout) return;
    const bool connecting = state_ == state::connecting;
    state_ = state::ended;
    add_event(event_kind::unresponsive, reason_code::keep_alive_timeout,
              connecting ? "no answer to CONNECT" : "no answer to PINGREQ");
    return;
  }
  if (keep_alive_.count() > 0 && now >= std::min(last_sent_, last_received_) + keep_alive_) {
    ping(now);
  }
}

MILLRACE_DECL std::uint64_t session::ping(std::chrono::nanoseconds now) {
  encode(pingreq_packet{}, limits_.version, output_);
  last_sent_ = now;
  if (!ping_since_) ping_since_ = now;
  return ++pings_sent_;
}

}  // namespace millrace::mqtt
