// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/testing/detail/mqtt_broker_core.hpp>

#include <algorithm>
#include <utility>

namespace millrace::testing::detail {

/// One subscription identifier as it lies in a PUBLISH.
inline void append_identifier(std::uint32_t identifier, std::string& to) {
  if (identifier == 0) return;
  mqtt::append_property({mqtt::property_id::subscription_identifier, identifier, {}, {}}, to);
}

MILLRACE_DECL broker_core::broker_core(environment& env, mqtt_broker_options options)
    : env_(env), options_(std::move(options)) {
  // The wire's "never" (3.1.2.11.2), 136 years, is the longest that nanoseconds can hold anyway.
  constexpr std::chrono::seconds longest{0xffff'ffff};
  options_.session_expiry = std::min(options_.session_expiry, longest);
  schedule_sweep();
}

MILLRACE_DECL broker_core::~broker_core() {
  env_.cancel_timer(sweep_timer_);
  acceptors_.clear();
  for (const auto& c : connections_) c->abandon();
}

MILLRACE_DECL result<void> broker_core::start() {
  if (is_running()) return {};
  for (auto& listener : options_.listeners) {
    auto made = net::listen(env_, listener, [this](std::unique_ptr<net::transport> stream) {
      on_accept(std::move(stream));
    });
    if (!made) {
      acceptors_.clear();
      return made.error();
    }
    listener.port = (*made)->port();
    acceptors_.push_back(std::move(*made));
  }
  return {};
}

MILLRACE_DECL void broker_core::stop() {
  acceptors_.clear();
  cut_connections({});
}

MILLRACE_DECL void broker_core::on_accept(std::unique_ptr<net::transport> stream) {
  auto made = std::make_shared<broker_connection>(*this, std::move(stream));
  connections_.push_back(made);
  made->start();
}

MILLRACE_DECL void broker_core::cut_connections(std::string_view client_id) {
  const auto all = connections_;
  for (const auto& c : all) {
    const bool meant =
        client_id.empty() || (c->session() != nullptr && c->session()->client_id == client_id);
    if (meant) c->cut();
  }
  flush();
}

MILLRACE_DECL void broker_core::forget(broker_connection& c) {
  std::erase_if(connections_, [&c](const auto& open) { return open.get() == &c; });
  std::erase_if(paused_, [&c](const auto& paused) { return paused.get() == &c; });
}

MILLRACE_DECL void broker_core::change_congestion(int by) {
  congested_ = static_cast<std::size_t>(static_cast<std::int64_t>(congested_) + by);
  if (congested_ != 0) return;
  for (const auto& c : std::exchange(paused_, {})) c->resume();
}

MILLRACE_DECL bool broker_core::swallow(mqtt::packet_type type) noexcept {
  auto& left = swallowed_[static_cast<std::size_t>(type)];
  if (left == 0) return false;
  --left;
  ++statistics_.acknowledgements_dropped;
  return true;
}

MILLRACE_DECL void broker_core::flush() {
  for (const auto& c : std::exchange(touched_, {})) c->flush();
}

MILLRACE_DECL bool broker_core::route(publication& p) {
  if (p.retain) retain(p);
  const auto& matches = subscriptions_.find(p.topic);
  for (const auto& target : matches.direct) deliver_direct(target, p);
  for (auto* entry : matches.shared) deliver_shared(*entry, p);
  return !matches.empty();
}

MILLRACE_DECL void broker_core::deliver_direct(const subscription_table::target& to,
                                               publication& p) {
  // Overlapping subscriptions bring one copy, at the highest quality of all (3.3.4).
  std::string identifiers;
  std::uint8_t qos = 0;
  bool retain = false;
  bool wanted = false;
  for (const auto* s : to.subscriptions) {
    if (s->no_local && p.origin == to.session) continue;
    wanted = true;
    qos = std::max(qos, s->qos);
    retain = retain || (p.retain && s->retain_as_published);
    append_identifier(s->identifier, identifiers);
  }
  if (wanted) deliver(*to.session, p, std::min(qos, p.qos), retain, identifiers);
}

MILLRACE_DECL void broker_core::deliver_shared(subscription_table::filter_entry& entry,
                                               publication& p) {
  auto& members = entry.members;
  const auto at = [&members, &entry](std::size_t i) -> broker_subscription& {
    return members[(entry.turn + i) % members.size()];
  };
  std::size_t chosen = 0;
  while (chosen < members.size() && at(chosen).owner->connection == nullptr) ++chosen;
  if (chosen == members.size()) chosen = 0;  // all are away: the next in turn keeps it
  const auto& member = at(chosen);
  entry.turn = (entry.turn + chosen + 1) % members.size();
  std::string identifiers;
  append_identifier(member.identifier, identifiers);
  deliver(*member.owner, p, std::min(member.qos, p.qos), p.retain && member.retain_as_published,
          identifiers);
}

MILLRACE_DECL void broker_core::deliver(broker_session& session, publication& p, std::uint8_t qos,
                                        bool retain, std::string_view identifiers) {
  auto* c = session.connection;
  if (qos != 0) {
    enqueue(session, {p.keep(), std::string(identifiers), qos, retain});
    if (c == nullptr) return;
    c->pump();
  } else {
    if (c == nullptr) return;
    const bool patient = options_.overflow == mqtt_overflow::block;
    const bool sent =
        !c->is_full(patient ? 2 : 1) && c->send(p, {.retain = retain, .identifiers = identifiers});
    if (!sent) ++statistics_.dropped;
  }
  c->update_congestion();
}

MILLRACE_DECL void broker_core::enqueue(broker_session& session, broker_delivery delivery) {
  // While publishers are held back, what they had sent before still has to go somewhere.
  const bool patient = options_.overflow == mqtt_overflow::block && session.connection != nullptr;
  const std::size_t times = patient ? 2 : 1;
  const auto size = delivery.message->size();
  const auto is_full = [&] {
    return session.queue.size() >= times * options_.max_queued_messages ||
           session.queued_bytes + size > times * options_.max_queued_bytes;
  };
  if (options_.overflow == mqtt_overflow::drop_oldest) {
    while (!session.queue.empty() && is_full()) {
      session.queued_bytes -= session.queue.front().message->size();
      session.queue.pop_front();
      ++statistics_.dropped;
    }
  }
  if (is_full()) {
    ++statistics_.dropped;
    return;
  }
  session.queued_bytes += size;
  session.queue.push_back(std::move(delivery));
}

MILLRACE_DECL void broker_core::retain(publication& p) {
  const auto known = retained_.find(p.topic);
  if (p.payload.empty()) {
    if (known != retained_.end()) retained_.erase(known);
  } else if (known != retained_.end()) {
    known->second = p.keep();
  } else if (retained_.size() < options_.max_retained) {
    retained_.emplace(p.topic, p.keep());
  } else {
    ++statistics_.dropped;
  }
}

MILLRACE_DECL void broker_core::send_retained(broker_session& session,
                                              const mqtt::subscription& wanted,
                                              std::uint32_t identifier) {
  // Shared subscriptions get no retained messages (4.8.2).
  if (retained_.empty() || !mqtt::split_shared(wanted.filter).group.empty()) return;
  std::string identifiers;
  append_identifier(identifier, identifiers);
  const auto now = env_.monotonic();
  const auto send = [&](const broker_message_pointer& m) {
    if (m->expires_at.count() != 0 && m->expires_at <= now) return;
    auto p = publication_of(m);
    deliver(session, p, std::min(wanted.qos, m->qos), true, identifiers);
  };
  if (wanted.filter.find_first_of("+#") == std::string_view::npos) {
    const auto found = retained_.find(wanted.filter);
    if (found != retained_.end()) send(found->second);
    return;
  }
  for (const auto& [topic, message] : retained_) {
    if (mqtt::matches(wanted.filter, topic)) send(message);
  }
}

MILLRACE_DECL broker_core::opened_session broker_core::open_session(std::string_view client_id,
                                                                    bool clean) {
  auto found = sessions_.find(client_id);
  if (found != sessions_.end() && found->second->connection != nullptr) {
    const auto old = found->second->connection->shared_from_this();
    old->disconnect(mqtt::reason_code::session_taken_over);
    found = sessions_.find(client_id);  // it may have ended with its connection
  }
  if (found != sessions_.end() && clean) {
    remove_session(*found->second);
    found = sessions_.end();
  }
  if (found != sessions_.end()) {
    found->second->will.reset();
    return {found->second.get(), true};
  }
  if (sessions_.size() >= options_.max_sessions) return {nullptr, false};
  auto made = std::make_unique<broker_session>();
  made->client_id = client_id;
  auto* session = made.get();
  sessions_.emplace(client_id, std::move(made));
  return {session, false};
}

MILLRACE_DECL void broker_core::close_session(broker_session& session,
                                              std::optional<broker_will> will) {
  session.connection = nullptr;
  const auto now = env_.monotonic();
  session.expires_at = now + session.expiry;
  const bool ends = session.expiry.count() == 0;
  if (will && (ends || will->delay.count() == 0)) {
    publish_will(std::move(*will));
  } else if (will) {
    session.will_at = now + std::min(will->delay, session.expiry);
    session.will = std::move(will);
  }
  if (ends) remove_session(session);
}

MILLRACE_DECL void broker_core::remove_session(broker_session& session) {
  if (session.will) publish_will(std::move(*std::exchange(session.will, std::nullopt)));
  subscriptions_.remove_all(session);
  sessions_.erase(sessions_.find(session.client_id));
}

MILLRACE_DECL void broker_core::publish_will(broker_will will) {
  auto p = publication_of(will.message);
  p.retain = will.retain;
  route(p);
}

MILLRACE_DECL void broker_core::schedule_sweep() {
  constexpr std::chrono::milliseconds interval{100};
  sweep_timer_ = env_.call_after(interval, [this] {
    sweep();
    schedule_sweep();
  });
}

MILLRACE_DECL void broker_core::sweep() {
  const auto now = env_.monotonic();
  const auto all = connections_;
  for (const auto& c : all) c->check_time(now);
  std::vector<std::string> due;
  for (const auto& [id, session] : sessions_) {
    if (session->connection != nullptr) continue;
    if (session->will && session->will_at <= now) {
      publish_will(std::move(*std::exchange(session->will, std::nullopt)));
    }
    if (session->expires_at <= now) due.push_back(id);
  }
  for (const auto& id : due) remove_session(*sessions_.find(id)->second);
  std::erase_if(retained_, [now](const auto& entry) {
    return entry.second->expires_at.count() != 0 && entry.second->expires_at <= now;
  });
  flush();
}

MILLRACE_DECL mqtt_broker_statistics broker_core::statistics() const {
  auto present = statistics_;
  present.connections = connections_.size();
  present.sessions = sessions_.size();
  present.subscriptions = subscriptions_.size();
  present.retained = retained_.size();
  return present;
}

MILLRACE_DECL bool broker_core::is_connected(std::string_view client_id) const {
  const auto found = sessions_.find(client_id);
  return found != sessions_.end() && found->second->connection != nullptr;
}

MILLRACE_DECL std::string broker_core::make_client_id() {
  std::string id;
  do {
    id = "anonymous-" + std::to_string(++last_client_id_);
  } while (sessions_.contains(id));
  return id;
}

}  // namespace millrace::testing::detail
