// SPDX-License-Identifier: Apache-2.0
/// \file
/// Random MQTT packets that follow the rules, with the memory their views point to. For tests of
/// the codec; one generator per test, not thread safe.
#pragma once

#include <millrace/net/mqtt/codec.hpp>

#include <deque>
#include <random>
#include <string>
#include <utility>

namespace millrace::testing {

/// Draws packets of every type; views stay valid as long as the generator.
class random_packets {
 public:
  explicit random_packets(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>{0, n - 1}(random_);
  }
  bool flip() { return below(2) == 0; }
  void forget() { kept_.clear(); }

  std::string_view keep(std::string s) { return kept_.emplace_back(std::move(s)); }

  std::string text(std::size_t longest = 40) {
    static constexpr const char* pieces[] = {"a", "Z", "/", "7", " ", "\x7f", "é", "雪", "🚲", "$"};
    std::string s;
    for (std::size_t i = below(longest + 1); i > 0; --i) s += pieces[below(10)];
    return s;
  }
  std::string topic() { return "t" + text(); }
  std::string bytes(std::size_t longest) {
    std::string s(below(longest + 1), '\0');
    for (char& c : s) c = static_cast<char>(below(256));
    return s;
  }
  std::uint16_t id() { return static_cast<std::uint16_t>(1 + below(65'535)); }

  mqtt::reason_code failure() { return static_cast<mqtt::reason_code>(0x80 + below(0x23)); }

  mqtt::packet draw(mqtt::version v) {
    switch (below(v == mqtt::version::v5 ? 12 : 11)) {
      case 0: return connect(v);
      case 1: return connack(v);
      case 2: return publish(v);
      case 3: return acknowledge(v);
      case 4: return subscribe(v);
      case 5: return suback(v);
      case 6: return unsubscribe(v);
      case 7: return unsuback(v);
      case 8: return mqtt::pingreq_packet{};
      case 9: return mqtt::pingresp_packet{};
      case 10: return disconnect(v);
      default:
        return mqtt::auth_packet{
            flip() ? mqtt::reason_code::success : mqtt::reason_code::continue_authentication,
            view(v, authentication())};
    }
  }

  mqtt::publish_packet publish(mqtt::version v) {
    mqtt::publish_packet p;
    p.topic = keep(topic());
    p.payload = keep(bytes(300));
    p.qos = static_cast<std::uint8_t>(below(3));
    if (p.qos > 0) p.packet_id = id();
    p.duplicate = p.qos > 0 && flip();
    p.retain = flip();
    mqtt::properties own;
    if (flip()) own = message();
    while (below(3) == 0) {
      own.subscription_identifiers.push_back(1 + static_cast<std::uint32_t>(below(268'435'455)));
    }
    p.properties = view(v, own);
    if (v == mqtt::version::v5 && flip()) {
      p.topic_alias = id();
      if (flip()) p.topic = {};
    }
    return p;
  }

  mqtt::connect_packet connect(mqtt::version v) {
    mqtt::connect_packet p;
    p.version = v;
    p.clean_start = flip();
    p.keep_alive = static_cast<std::uint16_t>(below(65'536));
    p.client_id = keep(text());
    if (flip()) p.user_name = keep(text());
    if (flip() && (p.user_name || v == mqtt::version::v5)) p.password = keep(bytes(30));
    mqtt::properties own;
    if (flip()) own.session_expiry_interval = number();
    if (flip()) own.receive_maximum = id();
    if (flip()) own.maximum_packet_size = 1 + number() / 2;
    if (flip()) own.topic_alias_maximum = id();
    if (flip()) own.request_problem_information = static_cast<std::uint8_t>(below(2));
    if (flip()) own.request_response_information = static_cast<std::uint8_t>(below(2));
    user(own);
    p.properties = view(v, own);
    if (flip()) {
      p.will = mqtt::will_message{
          keep(topic()), keep(bytes(50)), static_cast<std::uint8_t>(below(3)), flip(), {}};
      mqtt::properties of_will = message();
      if (flip()) of_will.will_delay_interval = number();
      p.will->properties = view(v, of_will);
    }
    return p;
  }

 private:
  std::uint32_t number() { return static_cast<std::uint32_t>(random_()); }

  void user(mqtt::properties& own) {
    while (below(3) == 0) own.user.emplace_back(text(), text());
  }

  mqtt::properties message() {
    mqtt::properties own;
    if (flip()) own.payload_format_indicator = static_cast<std::uint8_t>(below(2));
    if (flip()) own.message_expiry_interval = number();
    if (flip()) own.content_type = text();
    if (flip()) own.response_topic = topic();
    if (flip()) own.correlation_data = bytes(20);
    user(own);
    return own;
  }

  mqtt::properties authentication() {
    mqtt::properties own;
    own.authentication_method = text();
    if (flip()) own.authentication_data = bytes(20);
    if (flip()) own.reason_string = text();
    user(own);
    return own;
  }

  mqtt::property_view view(mqtt::version v, const mqtt::properties& own) {
    if (v != mqtt::version::v5) return {};
    std::string encoded;
    mqtt::append_properties(own, encoded);
    return mqtt::property_view{keep(std::move(encoded))};
  }

  mqtt::property_view reason(mqtt::version v) {
    mqtt::properties own;
    if (flip()) own.reason_string = text();
    user(own);
    return view(v, own);
  }

  mqtt::connack_packet connack(mqtt::version v) {
    if (v == mqtt::version::v3_1_1) {
      using enum mqtt::reason_code;
      const mqtt::reason_code codes[] = {success,
                                         unsupported_protocol_version,
                                         client_identifier_not_valid,
                                         server_unavailable,
                                         bad_user_name_or_password,
                                         not_authorized};
      return {.session_present = false, .code = codes[below(6)], .properties = {}};
    }
    mqtt::properties own;
    if (flip()) own.assigned_client_identifier = text();
    if (flip()) own.server_keep_alive = id();
    if (flip()) own.maximum_qos = static_cast<std::uint8_t>(below(2));
    if (flip()) own.retain_available = static_cast<std::uint8_t>(below(2));
    if (flip()) own.wildcard_subscription_available = static_cast<std::uint8_t>(below(2));
    if (flip()) own.subscription_identifiers_available = static_cast<std::uint8_t>(below(2));
    if (flip()) own.shared_subscription_available = static_cast<std::uint8_t>(below(2));
    if (flip()) own.response_information = text();
    if (flip()) own.server_reference = text();
    user(own);
    const bool good = flip();
    return {good && flip(), good ? mqtt::reason_code::success : failure(), view(v, own)};
  }

  mqtt::acknowledge_packet acknowledge(mqtt::version v) {
    const auto type = static_cast<mqtt::packet_type>(4 + below(4));
    const bool bad = v == mqtt::version::v5 && flip();
    return {type, id(), bad ? failure() : mqtt::reason_code::success, reason(v)};
  }

  mqtt::subscribe_packet subscribe(mqtt::version v) {
    mqtt::subscribe_packet p{id(), {}, {}};
    do {
      mqtt::subscription s{keep(topic() + "/#"), static_cast<std::uint8_t>(below(3))};
      if (v == mqtt::version::v5) {
        s.no_local = flip();
        s.retain_as_published = flip();
        s.retained = static_cast<mqtt::retain_handling>(below(3));
      }
      p.subscriptions.push_back(s);
    } while (flip());
    mqtt::properties own;
    if (flip()) own.subscription_identifiers.push_back(1 + static_cast<std::uint32_t>(below(1000)));
    user(own);
    p.properties = view(v, own);
    return p;
  }

  mqtt::suback_packet suback(mqtt::version v) {
    mqtt::suback_packet p{id(), {}, reason(v)};
    do {
      const bool bad = below(4) == 0;
      p.codes.push_back(!bad                     ? static_cast<mqtt::reason_code>(below(3))
                        : v == mqtt::version::v5 ? failure()
                                                 : mqtt::reason_code::unspecified_error);
    } while (flip());
    return p;
  }

  mqtt::unsubscribe_packet unsubscribe(mqtt::version v) {
    mqtt::unsubscribe_packet p{id(), {}, {}};
    do {
      p.filters.push_back(keep(topic()));
    } while (flip());
    mqtt::properties own;
    user(own);
    p.properties = view(v, own);
    return p;
  }

  mqtt::unsuback_packet unsuback(mqtt::version v) {
    mqtt::unsuback_packet p{id(), {}, reason(v)};
    if (v == mqtt::version::v3_1_1) return p;
    do {
      p.codes.push_back(flip() ? mqtt::reason_code::success : failure());
    } while (flip());
    return p;
  }

  mqtt::disconnect_packet disconnect(mqtt::version v) {
    if (v == mqtt::version::v3_1_1) return {};
    return {flip() ? mqtt::reason_code::success : failure(), reason(v)};
  }

  std::mt19937_64 random_;
  std::deque<std::string> kept_;
};

}  // namespace millrace::testing
