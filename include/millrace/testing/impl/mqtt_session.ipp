// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/mqtt/text.hpp>
#include <millrace/testing/detail/mqtt_session.hpp>

#include <algorithm>
#include <iterator>

namespace millrace::testing::detail {

MILLRACE_DECL subscription_table::change subscription_table::add(broker_session& session,
                                                                 const mqtt::subscription& wanted,
                                                                 std::uint32_t identifier) {
  remembered_.clear();
  auto found = entries_.find(wanted.filter);
  if (found == entries_.end()) {
    const auto split = mqtt::split_shared(wanted.filter);
    found =
        entries_
            .emplace(std::string(wanted.filter), filter_entry{.group = std::string(split.group),
                                                              .filter = std::string(split.filter),
                                                              .members = {}})
            .first;
  }
  const broker_subscription made{.owner = &session,
                                 .qos = wanted.qos,
                                 .no_local = wanted.no_local,
                                 .retain_as_published = wanted.retain_as_published,
                                 .identifier = identifier};
  auto& members = found->second.members;
  const auto old = std::find_if(members.begin(), members.end(),
                                [&](const auto& member) { return member.owner == &session; });
  if (old != members.end()) {
    *old = made;
    return change::replaced;
  }
  members.push_back(made);
  ++size_;
  ++session.subscriptions;
  return change::added;
}

MILLRACE_DECL bool subscription_table::remove(broker_session& session, std::string_view filter) {
  const auto found = entries_.find(filter);
  if (found == entries_.end()) return false;
  auto& members = found->second.members;
  const auto removed =
      std::erase_if(members, [&](const auto& member) { return member.owner == &session; });
  if (removed == 0) return false;
  if (members.empty()) entries_.erase(found);
  remembered_.clear();
  --size_;
  --session.subscriptions;
  return true;
}

MILLRACE_DECL void subscription_table::remove_all(broker_session& session) {
  if (session.subscriptions == 0) return;
  remembered_.clear();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    auto& members = entry->second.members;
    size_ -= std::erase_if(members, [&](const auto& member) { return member.owner == &session; });
    entry = members.empty() ? entries_.erase(entry) : std::next(entry);
  }
  session.subscriptions = 0;
}

MILLRACE_DECL const subscription_table::matches& subscription_table::find(std::string_view topic) {
  const auto known = remembered_.find(topic);
  if (known != remembered_.end()) return known->second;
  if (remembered_.size() >= max_remembered) remembered_.clear();
  return remembered_.emplace(std::string(topic), search(topic)).first->second;
}

MILLRACE_DECL subscription_table::matches subscription_table::search(std::string_view topic) {
  matches all;
  std::unordered_map<const broker_session*, std::size_t> places;
  for (auto& [text, entry] : entries_) {
    if (!mqtt::matches(entry.filter, topic)) continue;
    if (!entry.group.empty()) {
      all.shared.push_back(&entry);
      continue;
    }
    for (const auto& member : entry.members) {
      const auto [place, fresh] = places.emplace(member.owner, all.direct.size());
      if (fresh) all.direct.push_back({member.owner, {}});
      all.direct[place->second].subscriptions.push_back(&member);
    }
  }
  return all;
}

}  // namespace millrace::testing::detail
