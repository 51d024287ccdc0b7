// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/mqtt/inbound.hpp>

#include <functional>
#include <string_view>

namespace millrace::mqtt {

namespace detail {

inline std::size_t content_hash(const publish_packet& p) noexcept {
  const std::hash<std::string_view> hash;
  return hash(p.payload) * 31 + hash(p.topic);
}

}  // namespace detail

MILLRACE_DECL void inbound_deliveries::set_state(std::uint16_t packet_id, id_state state) {
  if (states_.empty()) states_.resize(65'536, id_state::unknown);
  id_state& now = states_[packet_id];
  received_ += static_cast<std::size_t>(state == id_state::received);
  received_ -= static_cast<std::size_t>(now == id_state::received);
  now = state;
}

MILLRACE_DECL inbound_deliveries::admission inbound_deliveries::admit(const publish_packet& p,
                                                                      std::string& out) {
  if (!detached_.empty() && reattach(p, out)) return {verdict::duplicate, 0};
  if (p.qos == 2 && state(p.packet_id) != id_state::unknown) {
    if (state(p.packet_id) == id_state::received) {
      order_.push_back({no_entry, p.packet_id, p.qos});
      ++repeated_;
      flush(out);
    }
    return {verdict::duplicate, 0};
  }
  if (order_.size() - repeated_ + received_ >= receive_maximum_) return {verdict::excess, 0};
  if (mode_ == acknowledge_mode::on_receive) return {verdict::deliver, 0};
  return {verdict::deliver, remember(p)};
}

MILLRACE_DECL delivery_id inbound_deliveries::remember(const publish_packet& p) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  entry& e = entries_[slot];
  e.packet_id = p.packet_id;
  e.qos = p.qos;
  e.acknowledged = false;
  e.content = detail::content_hash(p);
  if (p.qos == 2) set_state(p.packet_id, id_state::delivered);
  order_.push_back({slot, p.packet_id, p.qos});
  return delivery_id{e.generation} << 32 | slot;
}

/// A repetition of what the application has already and the server has no acknowledgement for. The
/// content is compared as well: a server that lost part of its state may use the identifier for
/// another message.
MILLRACE_DECL bool inbound_deliveries::reattach(const publish_packet& p, std::string& out) {
  const auto found = detached_.find(p.packet_id);
  if (found == detached_.end()) {
    if (!p.duplicate) forget_detached_qos_1();
    return false;
  }
  const std::uint32_t slot = found->second;
  entry& e = entries_[slot];
  detached_.erase(found);
  if (e.qos != p.qos || e.content != detail::content_hash(p)) {
    if (e.qos == 2) set_state(p.packet_id, id_state::unknown);
    forget(slot);
    return false;
  }
  order_.push_back({slot, p.packet_id, p.qos});
  flush(out);
  return true;
}

MILLRACE_DECL void inbound_deliveries::forget(std::uint32_t slot) {
  ++entries_[slot].generation;
  free_.push_back(slot);
}

/// Repetitions come first (4.4, 4.6): what the server has not repeated before a new message, it
/// does not have any more, and its identifier may come back with a message that looks the same.
MILLRACE_DECL void inbound_deliveries::forget_detached_qos_1() {
  std::erase_if(detached_, [this](const auto& each) {
    if (entries_[each.second].qos == 2) return false;
    forget(each.second);
    return true;
  });
}

MILLRACE_DECL void inbound_deliveries::acknowledge(delivery_id id, std::string& out) {
  const std::size_t slot = id & 0xffff'ffff;
  if (slot >= entries_.size() || entries_[slot].generation != id >> 32) return;
  entries_[slot].acknowledged = true;
  flush(out);
}

MILLRACE_DECL void inbound_deliveries::flush(std::string& out) {
  while (!order_.empty()) {
    const turn next = order_.front();
    if (next.slot != no_entry) {
      if (!entries_[next.slot].acknowledged) return;
      forget(next.slot);
    } else {
      --repeated_;
    }
    if (next.qos == 2) set_state(next.packet_id, id_state::received);
    write(next.qos == 1 ? packet_type::puback : packet_type::pubrec, next.packet_id, out);
    order_.pop_front();
  }
}

MILLRACE_DECL bool inbound_deliveries::release(std::uint16_t packet_id) {
  if (state(packet_id) != id_state::received) return false;
  set_state(packet_id, id_state::unknown);
  return true;
}

MILLRACE_DECL void inbound_deliveries::connection_lost() {
  for (const turn& t : order_) {
    if (t.slot == no_entry) continue;
    detached_.emplace(t.packet_id, t.slot);
  }
  order_.clear();
  repeated_ = 0;
}

MILLRACE_DECL void inbound_deliveries::session_lost() {
  connection_lost();
  for (const auto& [packet_id, slot] : detached_) forget(slot);
  detached_.clear();
  states_.clear();
  received_ = 0;
}

}  // namespace millrace::mqtt
