// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/mqtt/encode.hpp>
#include <millrace/net/mqtt/outbound.hpp>

#include <algorithm>

namespace millrace::mqtt {

MILLRACE_DECL outbound_messages::outbound_messages(std::uint16_t window) {
  window = std::clamp<std::uint16_t>(window, 1, highest_packet_id);
  slot_of_id_.resize(std::size_t{window} + 1, none);
  free_ids_.reserve(window);
  for (std::size_t id = 1; id <= window; ++id) free_ids_.push_back(static_cast<std::uint16_t>(id));
  free_id_count_ = window;
}

MILLRACE_DECL void outbound_messages::push(const publish_request& request) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  message_slot& m = slots_[index];
  m.bytes.assign(request.topic);
  m.bytes.append(request.properties.bytes());
  m.bytes.append(request.payload);
  m.topic_size = request.topic.size();
  m.properties_size = request.properties.bytes().size();
  m.token = request.token;
  m.qos = request.qos;
  m.retain = request.retain;
  m.duplicate = false;
  m.packet_id = 0;
  m.at = stage::waiting;
  m.next = none;
  m.previous = last_;
  (last_ == none ? first_ : slots_[last_].next) = index;
  last_ = index;
  if (cursor_ == none) cursor_ = index;
  ++size_;
  ++waiting_;
}

MILLRACE_DECL void outbound_messages::pump(std::string& out) {
  while (connected_ && cursor_ != none) {
    const std::uint32_t index = cursor_;
    const std::uint32_t next = slots_[index].next;
    if (!send(index, out)) return;
    cursor_ = next;
  }
}

/// A place in the window, and a packet identifier unless the message has one. False if full.
MILLRACE_DECL bool outbound_messages::take_place(std::uint32_t index) {
  message_slot& m = slots_[index];
  if (quota_ == 0) return false;
  if (m.packet_id == 0) {
    const bool many =
        m.qos == 2 && limits_.version == version::v3_1_1 && exactly_once_ >= v3_exactly_once_window;
    if (free_id_count_ == 0 || many) return false;
    m.packet_id = free_ids_[free_id_at_];
    free_id_at_ = (free_id_at_ + 1) % free_ids_.size();
    --free_id_count_;
    slot_of_id_[m.packet_id] = index;
    exactly_once_ += m.qos == 2 ? 1 : 0;
  }
  --quota_;
  return true;
}

/// Writes one message for this connection. False if it must wait for a place in the window.
MILLRACE_DECL bool outbound_messages::send(std::uint32_t index, std::string& out) {
  message_slot& m = slots_[index];
  if (m.at == stage::released) {
    return encode(acknowledge_packet{packet_type::pubrel, m.packet_id, {}, {}}, limits_.version,
                  out);
  }
  if (const reason_code code = refuse(m); is_failure(code)) {
    finish(index, code, "not sent");
    return true;
  }
  if (m.qos != 0 && !take_place(index)) return false;
  const bool written = write_publish(m, out);
  if (m.at == stage::waiting) {
    m.at = stage::published;
    --waiting_;
  }
  if (!written) {
    quota_ += m.qos != 0 ? 1 : 0;
    finish(index, reason_code::packet_too_large, "larger than the server accepts");
  } else if (m.qos == 0) {
    finish(index, reason_code::success, {});
  } else {
    m.duplicate = true;
  }
  return true;
}

MILLRACE_DECL bool outbound_messages::write_publish(const message_slot& m, std::string& out) {
  publish_packet p;
  p.topic = topic(m);
  p.properties = property_view{std::string_view{m.bytes}.substr(m.topic_size, m.properties_size)};
  p.payload = payload(m);
  p.packet_id = m.packet_id;
  p.qos = m.qos;
  p.retain = m.retain;
  p.duplicate = m.duplicate;
  const std::size_t before = out.size();
  constexpr std::size_t fixed_fields = 16;  // header, length, topic length, identifier, alias
  const std::size_t bound = fixed_fields + m.bytes.size();
  if (limits_.topic_alias_maximum != 0 && bound <= limits_.maximum_packet_size) set_alias(p);
  if (encode(p, limits_.version, out) && out.size() - before <= limits_.maximum_packet_size) {
    return true;
  }
  out.resize(before);
  return false;
}

/// What the wire cannot carry, and what the server has ruled out (3.2.2.3.4, 3.2.2.3.5).
MILLRACE_DECL reason_code outbound_messages::refuse(const message_slot& m) const noexcept {
  if (m.topic_size == 0 || m.topic_size > maximum_field_length) {
    return reason_code::topic_name_invalid;
  }
  if (m.qos > limits_.maximum_qos) return reason_code::qos_not_supported;
  if (m.retain && !limits_.retain_available) return reason_code::retain_not_supported;
  return reason_code::success;
}

/// Topics get aliases in order of appearance until the server's maximum is reached.
MILLRACE_DECL void outbound_messages::set_alias(publish_packet& p) {
  if (const auto found = aliases_.find(p.topic); found != aliases_.end()) {
    p.topic_alias = found->second;
    p.topic = {};
  } else if (aliases_.size() < limits_.topic_alias_maximum) {
    p.topic_alias = static_cast<std::uint16_t>(aliases_.size() + 1);
    aliases_.emplace(p.topic, p.topic_alias);
  }
}

MILLRACE_DECL bool outbound_messages::acknowledged(const acknowledge_packet& p, std::string& out) {
  const std::uint32_t index = p.packet_id < slot_of_id_.size() ? slot_of_id_[p.packet_id] : none;
  if (index == none) return false;
  message_slot& m = slots_[index];
  const bool known = p.type == packet_type::puback   ? m.qos == 1
                     : p.type == packet_type::pubrec ? m.qos == 2
                                                     : m.qos == 2 && m.at == stage::released;
  if (!known) return false;
  if (p.type == packet_type::pubrec && !is_failure(p.code)) {
    m.at = stage::released;
    return encode(acknowledge_packet{packet_type::pubrel, p.packet_id, {}, {}}, limits_.version,
                  out);
  }
  quota_ = std::min<std::size_t>(quota_ + 1, limits_.receive_maximum);
  // PUBCOMP with a failure says that the server does not know the identifier: it has the message.
  const bool refused = is_failure(p.code) && p.type != packet_type::pubcomp;
  finish(index, refused ? p.code : reason_code::success,
         refused ? p.properties.text(property_id::reason_string) : std::string_view{});
  pump(out);
  return true;
}

MILLRACE_DECL void outbound_messages::finish(std::uint32_t index, reason_code code,
                                             std::string_view words) {
  message_slot& m = slots_[index];
  auto& outcome = outcomes_.emplace_back();
  outcome.token = m.token;
  outcome.code = code;
  if (is_failure(code)) {
    outcome.words = words;
    outcome.payload = payload(m);
  }
  if (m.at == stage::waiting) --waiting_;
  if (m.packet_id != 0) {
    slot_of_id_[m.packet_id] = none;
    free_ids_[(free_id_at_ + free_id_count_) % free_ids_.size()] = m.packet_id;
    ++free_id_count_;
    exactly_once_ -= m.qos == 2 ? 1 : 0;
  }
  unlink(index);
  free_slots_.push_back(index);
  --size_;
}

MILLRACE_DECL void outbound_messages::unlink(std::uint32_t index) noexcept {
  const message_slot& m = slots_[index];
  (m.previous == none ? first_ : slots_[m.previous].next) = m.next;
  (m.next == none ? last_ : slots_[m.next].previous) = m.previous;
  if (cursor_ == index) cursor_ = m.next;
}

MILLRACE_DECL void outbound_messages::connected(const server_limits& limits, bool session_present) {
  limits_ = limits;
  quota_ = limits.receive_maximum;
  connected_ = true;
  aliases_.clear();
  for (std::uint32_t index = first_; index != none; index = slots_[index].next) {
    message_slot& m = slots_[index];
    m.duplicate = m.duplicate && session_present;
    if (m.at != stage::released) continue;
    if (session_present) {
      quota_ -= quota_ > 0 ? 1 : 0;  // a server counts them, although 4.9 does not ask us to
    } else {
      m.at = stage::published;
    }
  }
  cursor_ = first_;
}

}  // namespace millrace::mqtt
