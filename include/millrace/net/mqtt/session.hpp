// SPDX-License-Identifier: Apache-2.0
/// \file
/// The client side of an MQTT session, sans I/O: received bytes and the time go in, messages,
/// events and bytes to send come out. It outlives connections and keeps what 4.1 demands: QoS 1 and
/// 2 in both directions, in order, repeated after a reconnect. Not thread safe.
#pragma once

#include <millrace/net/mqtt/decode.hpp>
#include <millrace/net/mqtt/inbound.hpp>
#include <millrace/net/mqtt/outbound.hpp>
#include <millrace/net/mqtt/session_options.hpp>
#include <millrace/net/mqtt/types.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::mqtt {

enum class event_kind : std::uint8_t {
  connected,          ///< CONNACK with success
  refused,            ///< CONNACK with a failure; the connection is of no use any more
  subscribed,         ///< SUBACK; `code` is the first failure, if any, `words` tell all of them
  server_disconnect,  ///< DISCONNECT from the server, or the code it gave
  protocol_failed,    ///< the server broke the protocol: send what `output` holds, then close
  unresponsive,       ///< no answer in time: close
};

struct session_event {
  event_kind kind{};
  reason_code code = reason_code::success;
  std::string words{};
};

/// How far `session::receive` came.
struct receive_result {
  std::size_t consumed = 0;  ///< bytes that are done with
  std::size_t needed = 0;    ///< size of the incomplete packet at the end, as far as known
  bool stopped = false;      ///< the handler wanted no more; call again with the rest
  bool failed = false;       ///< see the events; the connection must be closed
};

class session {
 public:
  MILLRACE_DECL explicit session(session_options options);

  /// The transport is up: writes CONNECT.
  MILLRACE_DECL void connect(std::chrono::nanoseconds now);

  /// The transport is gone. What was in flight waits for the next connection.
  MILLRACE_DECL void connection_lost();

  /// Says goodbye: writes DISCONNECT. `end` also ends the session on the server (version 5).
  enum class goodbye : std::uint8_t { keep_session, end_session };
  MILLRACE_DECL void disconnect(goodbye how);

  /// Takes the whole packets at the start of `input`. For every message it calls
  /// `bool on_publish(const publish_packet&, delivery_id)`, whose views point into `input` (the
  /// topic of an aliased message: into the session, until the next call); `false` stops after that
  /// message. The id is not 0 if the message waits for `acknowledge`. O(bytes consumed).
  template <class OnPublish>
  receive_result receive(std::string_view input, OnPublish&& on_publish);

  /// The application is done with a message (mode `manual`). Acknowledgements are written in the
  /// order of reception, whatever the order of these calls.
  void acknowledge(delivery_id id) { inbound_.acknowledge(id, output_); }

  /// Mode `on_journal`: packet identifiers of QoS 2 that the server has released (PUBREL), oldest
  /// first. The caller takes them out, and calls `complete` when it has noted them; until then the
  /// server does not use them again.
  std::vector<std::uint16_t>& released() noexcept { return released_; }
  MILLRACE_DECL void complete(std::uint16_t packet_id);

  /// Writes SUBSCRIBE. The outcome is an event. \pre `connected()`, not empty
  MILLRACE_DECL void subscribe(const std::vector<subscription>& subscriptions,
                               std::chrono::nanoseconds now);

  /// Publishes, now or when the window and the connection allow; the outcome is in
  /// `publish_outcomes`. The caller bounds `unfinished()`. O(size of the message).
  MILLRACE_DECL void publish(const publish_request& request);

  /// Messages without an outcome; and of these, those that have no place in the window yet.
  std::size_t unfinished() const noexcept { return outbound_.size(); }
  std::size_t waiting() const noexcept { return outbound_.waiting(); }
  std::vector<publish_outcome>& publish_outcomes() noexcept { return outbound_.outcomes(); }

  /// Received messages that wait for their acknowledgement.
  std::size_t unacknowledged() const noexcept { return inbound_.unacknowledged(); }

  /// Bytes to send, in order. The caller takes them out (`swap`, `clear`) as it sends them.
  std::string& output() noexcept { return output_; }

  /// Something happened, oldest first. The caller takes them out.
  std::vector<session_event>& events() noexcept { return events_; }

  /// Bytes have been sent, or received: the peer is alive, no PINGREQ is due.
  void note_sent(std::chrono::nanoseconds now) noexcept { last_sent_ = now; }
  void note_received(std::chrono::nanoseconds now) noexcept { last_received_ = now; }

  /// When `on_time` wants to be called next; nothing while there is no connection.
  MILLRACE_DECL std::optional<std::chrono::nanoseconds> next_deadline() const noexcept;

  /// Keep-alive and response timeouts: may write PINGREQ or add an `unresponsive` event.
  MILLRACE_DECL void on_time(std::chrono::nanoseconds now);

  /// Writes PINGREQ. Servers work in order: when `pings_answered()` has reached what this returns,
  /// everything written before has been processed. \pre `connected()`
  MILLRACE_DECL std::uint64_t ping(std::chrono::nanoseconds now);
  std::uint64_t pings_answered() const noexcept { return pings_answered_; }

  bool connected() const noexcept { return state_ == state::connected; }
  bool session_present() const noexcept { return session_present_; }
  const server_limits& limits() const noexcept { return limits_; }
  const session_options& options() const noexcept { return options_; }
  std::chrono::seconds keep_alive() const noexcept { return keep_alive_; }

  /// The client identifier in use: ours, or the one that the server has assigned.
  const std::string& client_id() const noexcept { return options_.client_id; }

  /// Falls back to another protocol version. \pre there is no connection
  void set_version(version v) noexcept { options_.version = v; }

 private:
  enum class state : std::uint8_t { closed, connecting, connected, ended };
  enum class admitted : std::uint8_t { deliver, skip, failed };

  MILLRACE_DECL bool resolve_alias(publish_packet& p);
  MILLRACE_DECL admitted admit(const publish_packet& p, delivery_id& id);
  MILLRACE_DECL bool on_control(const frame& f);
  MILLRACE_DECL bool on_connack(const connack_packet& p);
  MILLRACE_DECL bool on_acknowledge(const acknowledge_packet& p);
  MILLRACE_DECL bool on_suback(const suback_packet& p);
  MILLRACE_DECL void take_limits(property_view p);
  MILLRACE_DECL void write_connect();
  MILLRACE_DECL bool fail(protocol_failure failure);
  MILLRACE_DECL bool unexpected(packet_type type);
  void add_event(event_kind kind, reason_code code, std::string words) {
    events_.push_back({kind, code, std::move(words)});
  }

  struct pending_subscribe {
    std::uint16_t packet_id;
    std::vector<std::string> filters;
    std::vector<std::uint8_t> qos;
    std::chrono::nanoseconds since;
  };

  session_options options_;
  state state_ = state::closed;
  bool first_connect_ = true;
  bool started_clean_ = false;
  bool session_present_ = false;
  server_limits limits_{};
  std::chrono::seconds keep_alive_{0};
  std::chrono::nanoseconds last_sent_{0};
  std::chrono::nanoseconds last_received_{0};
  std::optional<std::chrono::nanoseconds> ping_since_;
  std::uint64_t pings_sent_ = 0;
  std::uint64_t pings_answered_ = 0;
  std::uint16_t next_subscribe_id_ = outbound_messages::highest_packet_id;
  std::vector<pending_subscribe> subscribing_;
  std::vector<std::string> aliases_;  // of received topics; [alias - 1]
  std::vector<std::uint16_t> released_;
  inbound_deliveries inbound_;
  outbound_messages outbound_;
  std::string output_;
  std::vector<session_event> events_;
};

template <class OnPublish>
receive_result session::receive(std::string_view input, OnPublish&& on_publish) {
  receive_result done;
  frame f;
  const std::size_t maximum = options_.maximum_packet_size;
  while (true) {
    if (MILLRACE_UNLIKELY(state_ == state::ended || state_ == state::closed)) {
      done.failed = true;
      return done;
    }
    const std::string_view rest{input.data() + done.consumed, input.size() - done.consumed};
    const auto status = read_frame(rest, maximum, f);
    if (MILLRACE_UNLIKELY(status != frame_status::complete)) {
      done.needed = f.size;
      done.failed = status == frame_status::failed && !fail(f.failure);
      return done;
    }
    done.consumed += f.size;
    if (MILLRACE_LIKELY(f.type() == packet_type::publish && state_ == state::connected)) {
      publish_packet p;
      delivery_id id = 0;
      const auto failure = decode_publish(f, limits_.version, p);
      done.failed = MILLRACE_UNLIKELY(failure) && !fail(failure);
      if (MILLRACE_UNLIKELY(!done.failed && (p.topic_alias != 0 || p.topic.empty()))) {
        done.failed = !resolve_alias(p);
      }
      if (MILLRACE_UNLIKELY(done.failed)) return done;
      if (p.qos != 0) {
        const auto verdict = admit(p, id);
        if (MILLRACE_UNLIKELY(verdict == admitted::failed)) done.failed = true;
        if (done.failed) return done;
        if (MILLRACE_UNLIKELY(verdict == admitted::skip)) continue;
      }
      const bool go_on = on_publish(std::as_const(p), id);
      if (p.qos != 0 && id == 0) inbound_.accept(p, output_);
      if (!go_on) {
        done.stopped = true;
        return done;
      }
    } else if (MILLRACE_UNLIKELY(!on_control(f))) {
      done.failed = true;
      return done;
    }
  }
}

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/mqtt/impl/session.ipp>
#endif
