// SPDX-License-Identifier: Apache-2.0
/// \file
/// Packets to bytes. Every function appends one packet to `to` and keeps what was there; memory is
/// only allocated where the string grows. The caller has validated topics and sizes: a packet of
/// more than `maximum_remaining_length` or a field above 65,535 bytes is cut or not encoded at all
/// (returns false). Thread safe on distinct strings.
#pragma once

#include <millrace/net/mqtt/packet.hpp>
#include <millrace/net/mqtt/types.hpp>

#include <string>

namespace millrace::mqtt {

MILLRACE_DECL bool encode(const connect_packet& p, std::string& to);  ///< version of the packet
MILLRACE_DECL bool encode(const connack_packet& p, version v, std::string& to);
/// `topic_alias`, unless 0, is written as a property before `properties`.
MILLRACE_DECL bool encode(const publish_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const acknowledge_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const subscribe_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const suback_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const unsubscribe_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const unsuback_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const pingreq_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const pingresp_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const disconnect_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const auth_packet& p, version v, std::string& to);
MILLRACE_DECL bool encode(const packet& p, version v, std::string& to);

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/mqtt/impl/encode.ipp>
#endif
