// SPDX-License-Identifier: Apache-2.0
/// \file
/// One client of the test broker: reads and answers packets, and sends what its session is to get.
/// Belongs to the broker's thread.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/net/mqtt/codec.hpp>
#include <millrace/net/transport.hpp>
#include <millrace/testing/detail/mqtt_session.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::testing::detail {

class broker_core;

/// Keeps itself alive while an operation of its transport is pending; `core_` is null once the
/// broker has let go of it.
class broker_connection : public std::enable_shared_from_this<broker_connection> {
 public:
  MILLRACE_DECL broker_connection(broker_core& core, std::unique_ptr<net::transport> stream);

  void start() { read(); }

  /// How one message is to be sent.
  struct delivery_header {
    std::uint8_t qos = 0;
    bool retain = false;
    bool duplicate = false;
    std::uint16_t packet_id = 0;
    std::string_view identifiers = {};  ///< encoded subscription identifiers
  };

  /// Encodes a message into the output; false if it is larger than the client accepts. The bound of
  /// the output is the caller's business.
  MILLRACE_DECL bool send(const publication& p, const delivery_header& header);

  /// Sends queued deliveries as far as the client's receive maximum and the output's bound allow.
  MILLRACE_DECL void pump();

  /// Hands encoded output to the transport, unless a write is under way.
  MILLRACE_DECL void flush();

  /// Whether the output has reached `times` its bound.
  MILLRACE_DECL bool is_full(std::size_t times = 1) const noexcept;

  /// Tells the broker when the client falls behind, and when it has caught up.
  MILLRACE_DECL void update_congestion();

  /// Says why (MQTT 5), then closes.
  MILLRACE_DECL void disconnect(mqtt::reason_code why);

  /// Closes without a word. The session loses its connection at once, its will is published.
  MILLRACE_DECL void cut();

  /// Lets go of the broker: nothing is called any more.
  MILLRACE_DECL void abandon();

  /// Goes on reading after `core.pause`.
  MILLRACE_DECL void resume();

  /// Closes if CONNECT, or anything within 1.5 keep-alive intervals, is overdue (3.1.2.10).
  MILLRACE_DECL void check_time(std::chrono::nanoseconds now);

  bool is_congested() const noexcept { return congested_; }
  broker_session* session() const noexcept { return session_; }

 private:
  struct delayed_bytes {
    std::chrono::nanoseconds due;
    std::string bytes;
  };

  // impl/mqtt_connection.ipp: bytes in and out
  MILLRACE_DECL void read();
  MILLRACE_DECL void on_read(const result<std::size_t>& got);
  enum class progress : std::uint8_t { done, paused };
  MILLRACE_DECL void go_on();
  MILLRACE_DECL progress handle_input();
  MILLRACE_DECL void make_room(std::size_t needed);
  MILLRACE_DECL void write();
  MILLRACE_DECL void release_delayed();
  MILLRACE_DECL void on_written(const result<std::size_t>& sent);
  MILLRACE_DECL void finish();
  MILLRACE_DECL void detach();
  MILLRACE_DECL void let_go();
  MILLRACE_DECL void fail(const mqtt::protocol_failure& failure);
  MILLRACE_DECL bool repeat_or_next();
  std::size_t output_size() const noexcept { return out_.size() + writing_.size() + delayed_size_; }

  // impl/mqtt_connection_packets.ipp: what packets mean
  MILLRACE_DECL void handle(const mqtt::frame& frame);
  MILLRACE_DECL void on_publish(mqtt::publish_packet& p);
  MILLRACE_DECL bool resolve_alias(mqtt::publish_packet& p);
  MILLRACE_DECL void on_packet(const mqtt::connect_packet& p);
  MILLRACE_DECL void on_packet(const mqtt::acknowledge_packet& p);
  MILLRACE_DECL void on_packet(const mqtt::subscribe_packet& p);
  MILLRACE_DECL void on_packet(const mqtt::unsubscribe_packet& p);
  MILLRACE_DECL void on_packet(const mqtt::pingreq_packet& p);
  MILLRACE_DECL void on_packet(const mqtt::disconnect_packet& p);
  template <class Unexpected>
  void on_packet(const Unexpected&) {
    fail({mqtt::reason_code::protocol_error, "a packet that clients do not send"});
  }
  MILLRACE_DECL mqtt::reason_code check(const mqtt::connect_packet& p) const;
  MILLRACE_DECL void take_limits(const mqtt::connect_packet& p);
  MILLRACE_DECL void welcome(const mqtt::connect_packet& p, bool session_present, bool assigned_id);
  MILLRACE_DECL void refuse(mqtt::reason_code why);
  MILLRACE_DECL void acknowledge(mqtt::packet_type type, std::uint16_t id, mqtt::reason_code code);
  MILLRACE_DECL mqtt::reason_code subscribe(const mqtt::subscription& s, std::uint32_t identifier);
  MILLRACE_DECL void set_will(const mqtt::connect_packet& p);

  broker_core* core_;
  std::unique_ptr<net::transport> stream_;
  broker_session* session_ = nullptr;

  std::vector<char> in_;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::string out_;
  std::string writing_;
  std::deque<delayed_bytes> delayed_;
  std::size_t delayed_size_ = 0;
  std::string properties_;  // scratch for one outgoing message

  mqtt::version version_ = mqtt::version::v3_1_1;
  std::chrono::nanoseconds silence_allowed_{};  // 0 is for ever
  std::chrono::nanoseconds last_received_{};
  std::optional<broker_will> will_;
  std::vector<std::string> aliases_in_;
  std::unordered_map<std::string, std::uint16_t, text_hash, std::equal_to<>> aliases_out_;
  std::uint16_t alias_maximum_ = 0;
  std::uint32_t packet_maximum_ = 0xffff'ffff;
  std::size_t window_ = 65'535;
  std::size_t window_used_ = 0;
  std::uint64_t timer_ = 0;  // for delayed output
  bool touched_ = false;
  bool connected_ = false;  // CONNECT was accepted
  bool congested_ = false;
  bool closing_ = false;  // close when all output is sent
  bool closed_ = false;
};

}  // namespace millrace::testing::detail

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/testing/detail/mqtt_broker_core.hpp>
#endif
