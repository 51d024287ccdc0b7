// SPDX-License-Identifier: Apache-2.0
/// \file
/// Bytes to packets, without a copy: framing of a byte stream that may be split anywhere, and the
/// decoding of one frame. Never reads outside the frame, never allocates more than the frame's own
/// size justifies. Pure functions, thread safe.
#pragma once

#include <millrace/net/mqtt/packet.hpp>
#include <millrace/net/mqtt/text.hpp>
#include <millrace/net/mqtt/types.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::mqtt {

enum class frame_status : std::uint8_t {
  complete,    ///< the frame is there
  incomplete,  ///< more bytes are needed
  failed,      ///< the bytes are no MQTT, or the packet is larger than allowed
};

/// One packet cut out of a stream.
struct frame {
  std::uint8_t header = 0;  ///< packet type and flags
  std::string_view body{};  ///< what follows the remaining length
  std::size_t size = 0;     ///< of the whole packet; when incomplete: what is known to be needed
  protocol_failure failure{};

  packet_type type() const noexcept { return static_cast<packet_type>(header >> 4); }
};

/// Cuts the first packet off `input`. A packet above `maximum` bytes fails as soon as its length is
/// known. O(1).
MILLRACE_ALWAYS_INLINE frame_status read_frame(std::string_view input, std::size_t maximum,
                                               frame& out) noexcept {
  if (MILLRACE_UNLIKELY(input.size() < 2)) {
    out.size = 2;
    return frame_status::incomplete;
  }
  out.header = static_cast<std::uint8_t>(input[0]);
  std::size_t length = 0;
  std::size_t at = 1;
  for (unsigned shift = 0;; shift += 7, ++at) {
    if (MILLRACE_UNLIKELY(at >= input.size())) {
      out.size = at + 1;
      return frame_status::incomplete;
    }
    const auto next = static_cast<std::uint8_t>(input[at]);
    length |= static_cast<std::size_t>(next & 0x7f) << shift;
    if (next < 0x80) {
      if (MILLRACE_UNLIKELY(next == 0 && at > 1)) break;
      ++at;
      out.size = at + length;
      if (MILLRACE_UNLIKELY(out.size > maximum)) {
        out.failure = {reason_code::packet_too_large, "a packet is larger than allowed"};
        return frame_status::failed;
      }
      if (out.size > input.size()) return frame_status::incomplete;
      out.body = {input.data() + at, length};
      return frame_status::complete;
    }
    if (MILLRACE_UNLIKELY(shift == 21)) break;
  }
  out.failure = {reason_code::malformed_packet, "the remaining length is not valid"};
  return frame_status::failed;
}

namespace detail {

/// The parts of PUBLISH that are rare: properties, and topics that are not plain ASCII.
MILLRACE_DECL protocol_failure decode_publish_properties(publish_packet& out) noexcept;
MILLRACE_DECL protocol_failure check_publish_topic(const publish_packet& p, version v) noexcept;

}  // namespace detail

/// Decodes a PUBLISH frame. The hot path: no call and no allocation where there are no properties
/// and the topic is ASCII. `out.payload` reaches to the end of the frame.
MILLRACE_ALWAYS_INLINE protocol_failure decode_publish(const frame& from, version v,
                                                       publish_packet& out) noexcept {
  const char* at = from.body.data();
  std::size_t left = from.body.size();
  const unsigned flags = from.header & 0x0fu;
  const auto u16 = [](const char* p) {
    return static_cast<std::uint16_t>((static_cast<std::uint8_t>(p[0]) << 8) |
                                      static_cast<std::uint8_t>(p[1]));
  };
  out.qos = static_cast<std::uint8_t>(flags >> 1 & 3u);
  out.retain = (flags & 1u) != 0;
  out.duplicate = (flags & 8u) != 0;
  out.packet_id = 0;
  out.topic_alias = 0;
  out.properties = {};
  if (MILLRACE_UNLIKELY(out.qos == 3 || (out.qos == 0 && out.duplicate))) {
    return {reason_code::malformed_packet, "the flags of PUBLISH are not valid"};
  }
  const std::size_t id_size = out.qos == 0 ? 0 : 2;
  if (MILLRACE_UNLIKELY(left < 2)) return {reason_code::malformed_packet, "PUBLISH is cut short"};
  const std::size_t topic_size = u16(at);
  if (MILLRACE_UNLIKELY(left < 2 + topic_size + id_size)) {
    return {reason_code::malformed_packet, "PUBLISH is cut short"};
  }
  out.topic = {at + 2, topic_size};
  const bool plain = detail::is_plain_topic(at + 2, topic_size, left - 2);
  at += 2 + topic_size;
  left -= 2 + topic_size;
  if (id_size != 0) {
    out.packet_id = u16(at);
    if (MILLRACE_UNLIKELY(out.packet_id == 0)) {
      return {reason_code::protocol_error, "the packet identifier is 0"};
    }
    at += 2;
    left -= 2;
  }
  out.payload = {at, left};
  if (v == version::v5) {
    if (MILLRACE_LIKELY(left != 0 && *at == 0)) {
      out.payload.remove_prefix(1);
    } else if (const auto failure = detail::decode_publish_properties(out)) {
      return failure;
    }
  }
  if (MILLRACE_UNLIKELY(!plain || topic_size == 0)) return detail::check_publish_topic(out, v);
  return {};
}

/// Decodes any frame. `v` is the version agreed on; CONNECT brings its own. On failure `out` holds
/// nothing useful. O(frame size); allocates only for SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.
MILLRACE_DECL protocol_failure decode(const frame& from, version v, packet& out);

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/mqtt/impl/decode.ipp>
#endif
