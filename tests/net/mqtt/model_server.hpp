// SPDX-License-Identifier: Apache-2.0
/// \file
/// The least MQTT server that keeps sessions: one client, both directions, all QoS levels,
/// repetition after a reconnect. It checks what a client must do as it goes. For tests of the
/// client session in virtual time; bytes in, bytes out, not thread safe.
#pragma once

#include <millrace/net/mqtt/codec.hpp>

#include "catch.hpp"

#include <deque>
#include <set>
#include <string>
#include <vector>

namespace millrace::testing {

class model_server {
 public:
  explicit model_server(mqtt::version v) : version_(v) {}

  struct outgoing {
    std::string payload;
    std::uint8_t qos = 0;
    std::uint16_t id = 0;
    bool sent_before = false;
    bool released = false;
  };

  std::string out;                     ///< bytes for the client
  std::vector<std::string> published;  ///< payloads from the client, as delivered onwards
  std::size_t connections = 0;
  std::size_t receive_maximum = 10;  ///< told to the client, and enforced
  mqtt::properties connack{};
  bool keep_session = true;
  bool refuse_publish = false;  ///< answer QoS 1 and 2 with "quota exceeded"
  std::size_t client_receive_maximum = 65'535;

  void publish(std::string payload, std::uint8_t qos) {
    queue_.push_back({std::move(payload), qos, 0, false, false});
    pump();
  }

  bool idle() const { return queue_.empty() && in_flight_.empty(); }

  void connection_lost() {
    connected_ = false;
    out.clear();
    input_.clear();
    expected_.clear();
  }

  /// Takes bytes from the client.
  void receive(std::string_view bytes) {
    input_.append(bytes);
    std::string_view rest = input_;
    mqtt::frame f;
    while (mqtt::read_frame(rest, 1u << 20, f) == mqtt::frame_status::complete) {
      mqtt::packet p;
      const auto failure = mqtt::decode(f, version_, p);
      CAPTURE(failure.words == nullptr ? "" : failure.words);
      REQUIRE_FALSE(failure);
      std::visit([this](const auto& which) { on(which); }, p);
      rest.remove_prefix(f.size);
    }
    input_.erase(0, input_.size() - rest.size());
    pump();
  }

 private:
  template <class Packet>
  void on(const Packet&) {
    FAIL("a packet that a client must not send");
  }

  void on(const mqtt::connect_packet& p) {
    REQUIRE(p.version == version_);
    const bool present = keep_session && have_session_ && !p.clean_start;
    if (!present) {
      received_.clear();
      if (have_session_ && !keep_session) {
        for (auto& m : in_flight_) queue_.push_front(m);  // lost ids, not lost messages
        in_flight_.clear();
      }
    }
    have_session_ = true;
    connected_ = true;
    open_ = 0;
    ++connections;
    client_receive_maximum =
        p.properties.number(mqtt::property_id::receive_maximum).value_or(65'535);
    std::string encoded;
    mqtt::properties own = connack;
    own.receive_maximum = static_cast<std::uint16_t>(receive_maximum);
    if (version_ == mqtt::version::v5) mqtt::append_properties(own, encoded);
    send(mqtt::connack_packet{present, mqtt::reason_code::success, mqtt::property_view{encoded}});
    for (auto& m : in_flight_) transmit(m);
  }

  void on(const mqtt::publish_packet& p) {
    REQUIRE(connected_);
    std::string_view topic = p.topic;
    if (p.topic_alias != 0) {
      REQUIRE(p.topic_alias <= connack.topic_alias_maximum.value_or(0));
      aliases_.resize(65'536);
      if (!topic.empty()) aliases_[p.topic_alias] = topic;
      topic = aliases_[p.topic_alias];
    }
    REQUIRE(topic.starts_with("to/server"));
    if (p.qos == 0) {
      published.emplace_back(p.payload);
      return;
    }
    const auto code =
        refuse_publish ? mqtt::reason_code::quota_exceeded : mqtt::reason_code::success;
    if (p.qos == 1) {
      if (!refuse_publish) published.emplace_back(p.payload);
      send(mqtt::acknowledge_packet{mqtt::packet_type::puback, p.packet_id, code, {}});
      return;
    }
    if (!refuse_publish && received_.insert(p.packet_id).second) {
      published.emplace_back(p.payload);
    }
    if (version_ == mqtt::version::v5) REQUIRE(received_.size() <= receive_maximum);
    send(mqtt::acknowledge_packet{mqtt::packet_type::pubrec, p.packet_id, code, {}});
  }

  void on(const mqtt::acknowledge_packet& p) {
    REQUIRE(connected_);
    if (p.type == mqtt::packet_type::pubrel) {
      received_.erase(p.packet_id);
      send(mqtt::acknowledge_packet{mqtt::packet_type::pubcomp, p.packet_id, {}, {}});
      return;
    }
    const auto found = std::find_if(in_flight_.begin(), in_flight_.end(),
                                    [&p](const auto& m) { return m.id == p.packet_id; });
    REQUIRE(found != in_flight_.end());
    if (p.type != mqtt::packet_type::pubcomp) {
      REQUIRE_FALSE(expected_.empty());  // 4.6: acknowledgements in the order of the messages
      REQUIRE(expected_.front() == p.packet_id);
      expected_.pop_front();
      REQUIRE((p.type == mqtt::packet_type::puback) == (found->qos == 1));
    }
    if (p.type == mqtt::packet_type::pubrec) {
      found->released = true;
      send(mqtt::acknowledge_packet{mqtt::packet_type::pubrel, p.packet_id, {}, {}});
      return;
    }
    in_flight_.erase(found);
  }

  void on(const mqtt::subscribe_packet& p) {
    mqtt::suback_packet answer{p.packet_id, {}, {}};
    for (const auto& s : p.subscriptions) {
      answer.codes.push_back(s.filter.starts_with("forbidden")
                                 ? (version_ == mqtt::version::v5
                                        ? mqtt::reason_code::not_authorized
                                        : mqtt::reason_code::unspecified_error)
                                 : static_cast<mqtt::reason_code>(s.qos));
    }
    send(answer);
  }

  void on(const mqtt::pingreq_packet&) { send(mqtt::pingresp_packet{}); }
  void on(const mqtt::disconnect_packet&) { connected_ = false; }

  template <class Packet>
  void send(const Packet& p) {
    REQUIRE(mqtt::encode(p, version_, out));
  }

  void transmit(outgoing& m) {
    if (m.released) {
      send(mqtt::acknowledge_packet{mqtt::packet_type::pubrel, m.id, {}, {}});
      return;
    }
    send(mqtt::publish_packet{.topic = "to/client",
                              .payload = m.payload,
                              .packet_id = m.id,
                              .qos = m.qos,
                              .duplicate = m.sent_before});
    m.sent_before = true;
    if (m.qos > 0) expected_.push_back(m.id);
  }

  void pump() {
    while (connected_ && !queue_.empty() && in_flight_.size() < client_receive_maximum) {
      outgoing m = std::move(queue_.front());
      queue_.pop_front();
      m.sent_before = false;
      m.released = false;
      if (m.qos == 0) {
        transmit(m);
        continue;
      }
      do {
        m.id = ++next_id_;
      } while (m.id == 0 || std::any_of(in_flight_.begin(), in_flight_.end(),
                                        [&m](const auto& o) { return o.id == m.id; }));
      transmit(in_flight_.emplace_back(std::move(m)));
    }
  }

  mqtt::version version_;
  bool connected_ = false;
  bool have_session_ = false;
  std::size_t open_ = 0;
  std::string input_;
  std::uint16_t next_id_ = 65'500;  // wraps early
  std::deque<outgoing> queue_;
  std::deque<outgoing> in_flight_;
  std::deque<std::uint16_t> expected_;
  std::set<std::uint16_t> received_;
  std::vector<std::string> aliases_;
};

}  // namespace millrace::testing
