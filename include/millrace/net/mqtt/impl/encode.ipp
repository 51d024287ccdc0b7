// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/mqtt/encode.hpp>
#include <millrace/net/mqtt/wire.hpp>

namespace millrace::mqtt {

namespace detail {

/// Writes a packet whose body is appended after construction; `finish` puts the remaining length
/// in front of it.
class packet_writer {
 public:
  packet_writer(std::string& to, packet_type type, unsigned flags = 0)
      : to_(&to), start_(to.size() + 1) {
    append_u8(to, (static_cast<unsigned>(type) << 4) | flags);
  }

  bool finish() {
    const std::size_t size = to_->size() - start_;
    if (size > maximum_remaining_length) {
      to_->resize(start_ - 1);
      return false;
    }
    char bytes[4];
    std::size_t count = 0;
    for (std::size_t rest = size;; rest >>= 7) {
      bytes[count++] = static_cast<char>((rest & 0x7f) | (rest >= 0x80 ? 0x80 : 0));
      if (rest < 0x80) break;
    }
    to_->insert(start_, bytes, count);
    return true;
  }

 private:
  std::string* to_;
  std::size_t start_;
};

inline void append_section(std::string& to, version v, property_view p) {
  if (v != version::v5) return;
  append_variable(to, static_cast<std::uint32_t>(p.bytes().size()));
  to.append(p.bytes());
}

/// Reason code and properties, left out where they say nothing (3.4.2.1, 3.14.2.1).
inline void append_reason(std::string& to, version v, reason_code code, property_view p) {
  if (v != version::v5 || (code == reason_code::success && p.empty())) return;
  append_u8(to, static_cast<unsigned>(code));
  if (!p.empty()) append_section(to, v, p);
}

constexpr unsigned connack_code_for_v3(reason_code code) noexcept {
  switch (code) {
    case reason_code::success: return 0;
    case reason_code::unsupported_protocol_version: return 1;
    case reason_code::client_identifier_not_valid: return 2;
    case reason_code::bad_user_name_or_password: return 4;
    case reason_code::not_authorized:
    case reason_code::banned: return 5;
    default: return 3;
  }
}

}  // namespace detail

MILLRACE_DECL bool encode(const connect_packet& p, std::string& to) {
  detail::packet_writer writer{to, packet_type::connect};
  detail::append_field(to, "MQTT");
  detail::append_u8(to, static_cast<unsigned>(p.version));
  unsigned flags = p.clean_start ? 2u : 0u;
  if (p.will) flags |= 4u | static_cast<unsigned>(p.will->qos) << 3 | (p.will->retain ? 0x20u : 0u);
  if (p.user_name) flags |= 0x80u;
  if (p.password) flags |= 0x40u;
  detail::append_u8(to, flags);
  detail::append_u16(to, p.keep_alive);
  detail::append_section(to, p.version, p.properties);
  detail::append_field(to, p.client_id);
  if (p.will) {
    detail::append_section(to, p.version, p.will->properties);
    detail::append_field(to, p.will->topic);
    detail::append_field(to, p.will->payload);
  }
  if (p.user_name) detail::append_field(to, *p.user_name);
  if (p.password) detail::append_field(to, *p.password);
  return writer.finish();
}

MILLRACE_DECL bool encode(const connack_packet& p, version v, std::string& to) {
  detail::packet_writer writer{to, packet_type::connack};
  detail::append_u8(to, p.session_present ? 1 : 0);
  detail::append_u8(
      to, v == version::v5 ? static_cast<unsigned>(p.code) : detail::connack_code_for_v3(p.code));
  detail::append_section(to, v, p.properties);
  return writer.finish();
}

MILLRACE_DECL bool encode(const publish_packet& p, version v, std::string& to) {
  const std::size_t alias_size = v == version::v5 && p.topic_alias != 0 ? 3 : 0;
  const std::size_t section = p.properties.bytes().size() + alias_size;
  const std::size_t size = 2 + p.topic.size() + (p.qos == 0 ? 0 : 2) + p.payload.size() +
                           (v == version::v5 ? detail::variable_size(section) + section : 0);
  if (size > maximum_remaining_length || p.topic.size() > maximum_field_length) return false;
  detail::append_u8(to, 0x30u | (p.duplicate ? 8u : 0u) | static_cast<unsigned>(p.qos) << 1 |
                            (p.retain ? 1u : 0u));
  detail::append_variable(to, static_cast<std::uint32_t>(size));
  detail::append_field(to, p.topic);
  if (p.qos != 0) detail::append_u16(to, p.packet_id);
  if (v == version::v5) {
    detail::append_variable(to, static_cast<std::uint32_t>(section));
    if (alias_size != 0) {
      append_property({property_id::topic_alias, p.topic_alias, {}, {}}, to);
    }
    to.append(p.properties.bytes());
  }
  to.append(p.payload);
  return true;
}

MILLRACE_DECL bool encode(const acknowledge_packet& p, version v, std::string& to) {
  const unsigned header =
      static_cast<unsigned>(p.type) << 4 | (p.type == packet_type::pubrel ? 2u : 0u);
  if (v != version::v5 || (p.code == reason_code::success && p.properties.empty())) {
    const char bytes[4] = {static_cast<char>(header), 2, static_cast<char>(p.packet_id >> 8),
                           static_cast<char>(p.packet_id)};
    to.append(bytes, 4);
    return true;
  }
  detail::packet_writer writer{to, p.type, header & 0x0fu};
  detail::append_u16(to, p.packet_id);
  detail::append_reason(to, v, p.code, p.properties);
  return writer.finish();
}

MILLRACE_DECL bool encode(const subscribe_packet& p, version v, std::string& to) {
  detail::packet_writer writer{to, packet_type::subscribe, 2};
  detail::append_u16(to, p.packet_id);
  detail::append_section(to, v, p.properties);
  for (const auto& s : p.subscriptions) {
    detail::append_field(to, s.filter);
    unsigned options = s.qos;
    if (v == version::v5) {
      options |= (s.no_local ? 4u : 0u) | (s.retain_as_published ? 8u : 0u) |
                 static_cast<unsigned>(s.retained) << 4;
    }
    detail::append_u8(to, options);
  }
  return writer.finish();
}

MILLRACE_DECL bool encode(const suback_packet& p, version v, std::string& to) {
  detail::packet_writer writer{to, packet_type::suback};
  detail::append_u16(to, p.packet_id);
  detail::append_section(to, v, p.properties);
  for (const auto code : p.codes) {
    const bool plain = v == version::v5 || !is_failure(code);
    detail::append_u8(to, plain ? static_cast<unsigned>(code) : 0x80u);
  }
  return writer.finish();
}

MILLRACE_DECL bool encode(const unsubscribe_packet& p, version v, std::string& to) {
  detail::packet_writer writer{to, packet_type::unsubscribe, 2};
  detail::append_u16(to, p.packet_id);
  detail::append_section(to, v, p.properties);
  for (const auto filter : p.filters) detail::append_field(to, filter);
  return writer.finish();
}

MILLRACE_DECL bool encode(const unsuback_packet& p, version v, std::string& to) {
  detail::packet_writer writer{to, packet_type::unsuback};
  detail::append_u16(to, p.packet_id);
  detail::append_section(to, v, p.properties);
  if (v == version::v5) {
    for (const auto code : p.codes) detail::append_u8(to, static_cast<unsigned>(code));
  }
  return writer.finish();
}

MILLRACE_DECL bool encode(const pingreq_packet&, version, std::string& to) {
  return detail::packet_writer{to, packet_type::pingreq}.finish();
}

MILLRACE_DECL bool encode(const pingresp_packet&, version, std::string& to) {
  return detail::packet_writer{to, packet_type::pingresp}.finish();
}

MILLRACE_DECL bool encode(const disconnect_packet& p, version v, std::string& to) {
  detail::packet_writer writer{to, packet_type::disconnect};
  detail::append_reason(to, v, p.code, p.properties);
  return writer.finish();
}

MILLRACE_DECL bool encode(const auth_packet& p, version v, std::string& to) {
  detail::packet_writer writer{to, packet_type::auth};
  detail::append_reason(to, v, p.code, p.properties);
  return writer.finish();
}

MILLRACE_DECL bool encode(const packet& p, version v, std::string& to) {
  return std::visit(
      [v, &to](const auto& which) {
        if constexpr (requires { encode(which, to); }) {
          return encode(which, to);
        } else {
          return encode(which, v, to);
        }
      },
      p);
}

}  // namespace millrace::mqtt
