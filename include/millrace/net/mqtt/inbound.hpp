// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a receiver must remember about messages of QoS 1 and 2: which were delivered and wait for
/// the application, in which order acknowledgements go out (4.6), and which packet identifiers of
/// QoS 2 have been seen (4.3.3). Part of `session`; not thread safe.
#pragma once

#include <millrace/net/mqtt/packet.hpp>
#include <millrace/net/mqtt/types.hpp>

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

namespace millrace::mqtt {

/// Names a delivery that waits for `session::acknowledge`; 0 is none.
using delivery_id = std::uint64_t;

/// When acknowledgements are sent.
enum class acknowledge_mode : std::uint8_t {
  on_receive,     ///< as soon as the message has been handed over
  manual,         ///< when the application says so, in the order of reception
  on_checkpoint,  ///< as `manual`; a source does it when the checkpoint that holds them is durable
  /// As `manual`; a source does it when its journal has the message on the disk. Of QoS 2, the end
  /// (PUBCOMP) waits for `session::complete`, too.
  on_journal,
};

/// The receiving half of a session's state. Memory: 40 bytes per unacknowledged delivery, at most
/// 65,535 of them, and 64 KiB once QoS 2 is used.
class inbound_deliveries {
 public:
  enum class verdict : std::uint8_t {
    deliver,    ///< new: hand it over
    duplicate,  ///< seen before: what is to be answered has been written or will be
    excess,     ///< more in flight than the receive maximum
  };
  struct admission {
    verdict what;
    delivery_id id;
  };

  inbound_deliveries(acknowledge_mode mode, std::size_t receive_maximum)
      : mode_(mode), receive_maximum_(receive_maximum) {}

  /// Decides about a received PUBLISH of QoS 1 or 2. In mode `on_receive` the caller calls
  /// `accept` after handing it over. O(1), amortized without allocation.
  MILLRACE_DECL admission admit(const publish_packet& p, std::string& out);

  /// Writes the acknowledgement of a message that was handed over in mode `on_receive`.
  void accept(const publish_packet& p, std::string& out) {
    write(p.qos == 1 ? packet_type::puback : packet_type::pubrec, p.packet_id, out);
    if (p.qos == 2) set_state(p.packet_id, id_state::received);
  }

  /// The application is done with a delivery; writes what can go out in order. Unknown ids (also
  /// those of a session that was lost) are ignored. Amortized O(1).
  MILLRACE_DECL void acknowledge(delivery_id id, std::string& out);

  /// PUBREL: forgets the packet identifier. False if it was not known.
  MILLRACE_DECL bool release(std::uint16_t packet_id);

  /// The connection is gone: deliveries wait for their repetition by the server.
  MILLRACE_DECL void connection_lost();

  /// The server has forgotten the session: nothing that was received will be repeated.
  MILLRACE_DECL void session_lost();

  /// Takes effect for messages admitted from now on.
  void set_receive_maximum(std::size_t n) noexcept { receive_maximum_ = n; }

  /// Deliveries that the application has not acknowledged on this connection.
  std::size_t unacknowledged() const noexcept { return order_.size(); }

 private:
  enum class id_state : std::uint8_t { unknown, delivered, received };

  struct entry {
    std::uint32_t generation = 1;
    std::uint16_t packet_id = 0;
    std::uint8_t qos = 0;
    bool acknowledged = false;
    std::size_t content = 0;
  };
  struct turn {
    std::uint32_t slot;  ///< no_entry: to be acknowledged at once
    std::uint16_t packet_id;
    std::uint8_t qos;
  };
  static constexpr std::uint32_t no_entry = 0xffff'ffff;

  MILLRACE_DECL bool reattach(const publish_packet& p, std::string& out);
  MILLRACE_DECL delivery_id remember(const publish_packet& p);
  MILLRACE_DECL void forget(std::uint32_t slot);
  MILLRACE_DECL void forget_detached_qos_1();
  MILLRACE_DECL void flush(std::string& out);
  MILLRACE_DECL void set_state(std::uint16_t packet_id, id_state state);
  id_state state(std::uint16_t packet_id) const noexcept {
    return states_.empty() ? id_state::unknown : states_[packet_id];
  }
  static void write(packet_type type, std::uint16_t packet_id, std::string& out) {
    const char bytes[4] = {static_cast<char>(static_cast<unsigned>(type) << 4), 2,
                           static_cast<char>(packet_id >> 8), static_cast<char>(packet_id)};
    out.append(bytes, 4);
  }

  acknowledge_mode mode_;
  std::size_t receive_maximum_;
  std::size_t repeated_ = 0;      // of order_, those that count in received_ already
  std::size_t received_ = 0;      // packet identifiers between PUBREC and PUBREL
  std::vector<id_state> states_;  // of QoS 2, by packet identifier
  std::vector<entry> entries_;
  std::vector<std::uint32_t> free_;
  std::deque<turn> order_;  // acknowledgements of this connection, oldest first
  // Deliveries of earlier connections by packet identifier, to recognize their repetition.
  std::unordered_map<std::uint16_t, std::uint32_t> detached_;
};

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/mqtt/impl/inbound.ipp>
#endif
