// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a sender must remember about its messages: those that wait for a place in the window, those
/// in flight until they are acknowledged, in order, for repetition after a reconnect (4.4). Part of
/// `session`; not thread safe.
#pragma once

#include <millrace/net/mqtt/packet.hpp>
#include <millrace/net/mqtt/types.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::mqtt {

/// What the server allows on this connection (CONNACK, 3.2.2.3), with the defaults of the standard.
struct server_limits {
  mqtt::version version = mqtt::version::v5;
  std::uint16_t receive_maximum = 65'535;
  std::uint32_t maximum_packet_size = std::numeric_limits<std::uint32_t>::max();
  std::uint16_t topic_alias_maximum = 0;
  std::uint8_t maximum_qos = 2;
  std::chrono::seconds session_expiry{0};  ///< what the server gives of what we asked for
  bool retain_available = true;
  bool wildcards_available = true;
  bool shared_available = true;
  bool subscription_identifiers_available = true;
};

/// A message to be published. Views are only read during the call.
struct publish_request {
  std::string_view topic{};
  std::string_view payload{};
  property_view properties{};  ///< without a topic alias
  std::uint8_t qos = 0;
  bool retain = false;
  std::uint64_t token = 0;  ///< comes back with the outcome
};

/// The end of a publication: acknowledged, or refused with a reason of 0x80 and above.
struct publish_outcome {
  std::uint64_t token = 0;
  reason_code code = reason_code::success;
  std::string words{};    ///< the server's own words, or ours; often empty
  std::string payload{};  ///< of what was refused, for a dead letter
};

/// The sending half of a session's state. Memory of finished messages is used again, so that the
/// steady state allocates nothing. The number of messages is bounded by the caller (`size`).
class outbound_messages {
 public:
  /// \param window messages of QoS 1 and 2 in flight at most, 1 to `highest_packet_id`
  MILLRACE_DECL explicit outbound_messages(std::uint16_t window);

  /// Packet identifiers above this one are free for SUBSCRIBE and UNSUBSCRIBE.
  static constexpr std::uint16_t highest_packet_id = 60'000;

  /// Messages of QoS 2 in flight in 3.1.1, where a server cannot say how many it takes: mosquitto
  /// acknowledges, and then drops, what goes beyond 20 (its default).
  static constexpr std::size_t v3_exactly_once_window = 20;

  /// Keeps a message until its outcome, at the end of the queue. O(size of the message).
  MILLRACE_DECL void push(const publish_request& request);

  /// Writes what the window allows: repetitions first, then new messages, in order.
  MILLRACE_DECL void pump(std::string& out);

  /// PUBACK, PUBREC or PUBCOMP arrived. False if its packet identifier is not in flight.
  MILLRACE_DECL bool acknowledged(const acknowledge_packet& p, std::string& out);

  /// A connection is up. `session_present` says whether the server knows what was in flight; if
  /// not, all of it is published anew: better twice than never.
  MILLRACE_DECL void connected(const server_limits& limits, bool session_present);
  void connection_lost() noexcept { connected_ = false; }

  /// Messages that wait or are in flight; and of these, those without a place in the window.
  std::size_t size() const noexcept { return size_; }
  std::size_t waiting() const noexcept { return waiting_; }

  /// Outcomes since they were last cleared by the caller.
  std::vector<publish_outcome>& outcomes() noexcept { return outcomes_; }

 private:
  enum class stage : std::uint8_t { waiting, published, released };

  struct message_slot {
    std::string bytes;  // topic, properties, payload
    std::size_t topic_size = 0;
    std::size_t properties_size = 0;
    std::uint64_t token = 0;
    std::uint32_t next = none;
    std::uint32_t previous = none;
    std::uint16_t packet_id = 0;
    std::uint8_t qos = 0;
    bool retain = false;
    bool duplicate = false;
    stage at = stage::waiting;
  };
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  static constexpr std::uint32_t none = 0xffff'ffff;

  MILLRACE_DECL bool take_place(std::uint32_t index);
  MILLRACE_DECL bool send(std::uint32_t index, std::string& out);
  MILLRACE_DECL bool write_publish(const message_slot& m, std::string& out);
  MILLRACE_DECL reason_code refuse(const message_slot& m) const noexcept;
  MILLRACE_DECL void set_alias(publish_packet& p);
  MILLRACE_DECL void finish(std::uint32_t index, reason_code code, std::string_view words);
  MILLRACE_DECL void unlink(std::uint32_t index) noexcept;
  static std::string_view topic(const message_slot& m) noexcept {
    return std::string_view{m.bytes}.substr(0, m.topic_size);
  }
  static std::string_view payload(const message_slot& m) noexcept {
    return std::string_view{m.bytes}.substr(m.topic_size + m.properties_size);
  }

  std::vector<message_slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint32_t> slot_of_id_;  // by packet identifier
  std::vector<std::uint16_t> free_ids_;    // a ring: identifiers rest as long as possible
  std::size_t free_id_at_ = 0;
  std::size_t free_id_count_ = 0;
  std::uint32_t first_ = none;
  std::uint32_t last_ = none;
  std::uint32_t cursor_ = none;  // the first message not yet written on this connection
  std::size_t size_ = 0;
  std::size_t waiting_ = 0;
  std::size_t exactly_once_ = 0;  // messages of QoS 2 in flight
  std::size_t quota_ = 0;         // of the server's receive maximum
  bool connected_ = false;
  server_limits limits_{};
  std::unordered_map<std::string, std::uint16_t, text_hash, std::equal_to<>> aliases_;
  std::vector<publish_outcome> outcomes_;
};

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/mqtt/impl/outbound.ipp>
#endif
