// SPDX-License-Identifier: Apache-2.0
/// \file
/// What byte-oriented sources emit: a payload, the topic (path, file, ...) it came from, and the
/// block of memory both lie in. Decoders take any type that is a `payload_record`.
#pragma once

#include <millrace/base/time.hpp>
#include <millrace/record/buffer.hpp>

#include <concepts>
#include <string>
#include <string_view>

namespace millrace {

/// A received message. Views stay valid as long as this message or a copy of it lives; copying is
/// one atomic increment.
struct message {
  shared_buffer owner;
  std::string_view topic;
  std::string_view payload;
  timestamp received{};  ///< wall clock at reception

  /// A message that owns copies of both texts.
  static message copy_of(std::string_view topic, std::string_view payload, timestamp received) {
    message m;
    m.owner = shared_buffer::allocate(topic.size() + payload.size());
    char* bytes = m.owner.data();
    topic.copy(bytes, topic.size());
    payload.copy(bytes + topic.size(), payload.size());
    m.topic = {bytes, topic.size()};
    m.payload = {bytes + topic.size(), payload.size()};
    m.received = received;
    return m;
  }
};

/// A record with bytes to decode; at least `shared_buffer::padding` bytes behind the payload are
/// readable when it lies in a `shared_buffer`.
template <class M>
concept payload_record = requires(const M& m) {
  { m.payload } -> std::convertible_to<std::string_view>;
  { m.owner } -> std::convertible_to<const shared_buffer&>;
};

/// A record that could not be processed, and why. It carries all that is needed to look into it or
/// to feed it again.
struct dead_letter {
  std::string where;    ///< name of the operator or connector that gave up
  std::string reason;   ///< one line, for people
  std::string topic;    ///< where the record came from, if known
  std::string payload;  ///< the raw bytes, or a printed form of the record
  timestamp time{};     ///< event time if assigned, else reception
};

}  // namespace millrace
