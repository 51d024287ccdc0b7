// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the test broker keeps: messages, sessions, and who subscribed to what. Not thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/net/mqtt/packet.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace millrace::testing::detail {

class broker_connection;
struct broker_session;

/// Lets tables of strings be searched with views.
struct text_hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>{}(text);
  }
};

/// A message that is kept: queued, in flight, or retained.
struct broker_message {
  std::string topic;
  std::string payload;
  std::string properties;  ///< encoded; without alias, expiry and subscription identifiers
  std::chrono::nanoseconds expires_at{};  ///< monotonic; 0 is never
  std::uint8_t qos = 0;

  std::size_t size() const noexcept { return topic.size() + payload.size() + properties.size(); }
};
using broker_message_pointer = std::shared_ptr<const broker_message>;

/// A message on its way to subscribers. It is copied only if somebody has to keep it.
struct publication {
  std::string_view topic;
  std::string_view payload;
  std::string_view properties = {};
  std::chrono::nanoseconds expires_at{};
  std::uint8_t qos = 0;
  bool retain = false;
  const broker_session* origin = nullptr;
  broker_message_pointer kept = {};

  const broker_message_pointer& keep() {
    if (kept == nullptr) {
      kept = std::make_shared<broker_message>(broker_message{
          std::string(topic), std::string(payload), std::string(properties), expires_at, qos});
    }
    return kept;
  }
};

/// A publication of a kept message; the message must outlive it.
inline publication publication_of(const broker_message_pointer& m) {
  return {.topic = m->topic,
          .payload = m->payload,
          .properties = m->properties,
          .expires_at = m->expires_at,
          .qos = m->qos,
          .kept = m};
}

/// A message as one session is to receive it.
struct broker_delivery {
  broker_message_pointer message;
  std::string identifiers = {};  ///< encoded subscription identifiers
  std::uint8_t qos = 0;
  bool retain = false;
};

/// A delivery of QoS 1 or 2 that has a packet identifier.
struct broker_in_flight {
  broker_delivery delivery;
  std::uint64_t order = 0;
  bool received = false;  ///< PUBREC has come
};

struct broker_will {
  broker_message_pointer message;
  bool retain = false;
  std::chrono::nanoseconds delay{};
};

/// The state that outlives a connection (4.1).
struct broker_session {
  std::string client_id;
  broker_connection* connection = nullptr;
  std::chrono::nanoseconds expiry{};      ///< after the connection
  std::chrono::nanoseconds expires_at{};  ///< monotonic, while there is no connection
  std::deque<broker_delivery> queue;
  std::size_t queued_bytes = 0;
  std::unordered_map<std::uint16_t, broker_in_flight> in_flight;
  std::deque<std::uint16_t> to_repeat;         ///< of `in_flight`, not sent on this connection yet
  std::unordered_set<std::uint16_t> received;  ///< QoS 2, between PUBLISH and PUBREL
  std::optional<broker_will> will;             ///< waits for its delay
  std::chrono::nanoseconds will_at{};
  std::uint64_t next_order = 0;
  std::uint16_t last_packet_id = 0;
  std::size_t subscriptions = 0;
};

/// One subscription of one session.
struct broker_subscription {
  broker_session* owner = nullptr;
  std::uint8_t qos = 0;
  bool no_local = false;
  bool retain_as_published = false;
  std::uint32_t identifier = 0;  ///< 0 is none
};

/// Finds the subscribers of a topic. Lookups are remembered per topic until a subscription changes:
/// O(1) for known topics, O(number of filters) for others.
class subscription_table {
 public:
  /// All subscribers to one filter; members of a shared one take turns.
  struct filter_entry {
    std::string group;
    std::string filter;
    std::vector<broker_subscription> members;
    std::size_t turn = 0;
  };
  /// A session with all of its subscriptions that match.
  struct target {
    broker_session* session;
    std::vector<const broker_subscription*> subscriptions;
  };
  struct matches {
    std::vector<target> direct;
    std::vector<filter_entry*> shared;
    bool empty() const noexcept { return direct.empty() && shared.empty(); }
  };

  enum class change : std::uint8_t { added, replaced };

  /// \pre the filter is valid
  MILLRACE_DECL change add(broker_session& session, const mqtt::subscription& wanted,
                           std::uint32_t identifier);
  /// Whether there was one.
  MILLRACE_DECL bool remove(broker_session& session, std::string_view filter);
  MILLRACE_DECL void remove_all(broker_session& session);

  /// Valid until the next change.
  MILLRACE_DECL const matches& find(std::string_view topic);

  /// How many subscriptions there are.
  std::size_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t max_remembered = 65'536;

  MILLRACE_DECL matches search(std::string_view topic);

  std::map<std::string, filter_entry, std::less<>> entries_;
  std::unordered_map<std::string, matches, text_hash, std::equal_to<>> remembered_;
  std::size_t size_ = 0;
};

}  // namespace millrace::testing::detail

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/testing/impl/mqtt_session.ipp>
#endif
