// SPDX-License-Identifier: Apache-2.0
/// \file
/// Acknowledgements of messages that wait for a checkpoint, and the memory of those that may come
/// again: an acknowledgement can get lost on its way. Not thread safe.
#pragma once

#include <millrace/net/mqtt/session.hpp>
#include <millrace/operators/source.hpp>
#include <millrace/record/key.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string_view>

namespace millrace::mqtt::detail {

/// Bounded by what the server sends without an acknowledgement (receive maximum), and by the
/// 65,535 packet identifiers there are. O(1) per message.
class deferred_acknowledgements {
 public:
  explicit deferred_acknowledgements(session& of) noexcept : session_(of) {}

  /// Notes what has been handed over. False for a message that the restored checkpoint holds
  /// already: same identifier, flagged as repeated, same content.
  bool note(const publish_packet& p, delivery_id id) {
    const auto fingerprint = fingerprint_of(p);
    if (MILLRACE_UNLIKELY(!known_.empty())) {
      const auto it = known_.find(p.packet_id);
      if (it != known_.end()) {
        const bool same = p.duplicate && it->second == fingerprint;
        known_.erase(it);
        if (same) {
          session_.acknowledge(id);
          confirming_.push_back({id, p.packet_id, fingerprint});
          return false;
        }
      }
    }
    waiting_.push_back({id, p.packet_id, fingerprint});
    ++taken_;
    return true;
  }

  void checkpoint(std::uint64_t id) { cuts_.push_back({id, taken_}); }

  /// Acknowledges what was handed over before `checkpoint(id)`.
  void checkpoint_complete(std::uint64_t id, std::chrono::nanoseconds now) {
    for (; !cuts_.empty() && cuts_.front().id <= id; cuts_.pop_front()) {
      for (; taken_ - waiting_.size() < cuts_.front().taken; waiting_.pop_front()) {
        session_.acknowledge(waiting_.front().delivery);
        confirming_.push_back(waiting_.front());
      }
    }
    if (!session_.connected()) return expect_again();
    probes_.push_back({session_.ping(now), confirmed_ + confirming_.size()});
  }

  /// Forgets the acknowledged messages of which the server has been heard to know.
  void confirm() {
    for (; !probes_.empty() && probes_.front().ping <= session_.pings_answered();
         probes_.pop_front()) {
      for (; confirmed_ < probes_.front().until; ++confirmed_) confirming_.pop_front();
    }
  }

  /// The connection is gone: what the server may not know to be acknowledged may come again.
  void expect_again() {
    for (const auto& m : confirming_) known_[m.packet] = m.fingerprint;
    confirmed_ += confirming_.size();
    confirming_.clear();
    probes_.clear();
  }

  /// The server has forgotten the session: identifiers mean other messages now.
  void session_lost() { known_.clear(); }

  void save(snapshot_writer& to) const {
    to.varint(waiting_.size() + confirming_.size() + known_.size());
    const auto put = [&to](std::uint16_t packet, std::uint64_t fingerprint) {
      to.number(packet);
      to.number(fingerprint);
    };
    for (const auto& m : waiting_) put(m.packet, m.fingerprint);
    for (const auto& m : confirming_) put(m.packet, m.fingerprint);
    for (const auto& [packet, fingerprint] : known_) put(packet, fingerprint);
  }

  void restore(snapshot_reader& from) {
    const auto n = from.count(sizeof(std::uint16_t) + sizeof(std::uint64_t));
    for (std::size_t i = 0; i < n; ++i) {
      const auto packet = from.number<std::uint16_t>();
      known_[packet] = from.number<std::uint64_t>();
    }
  }

 private:
  struct message_mark {
    delivery_id delivery;
    std::uint16_t packet;
    std::uint64_t fingerprint;
  };
  struct cut {
    std::uint64_t id;
    std::uint64_t taken;
  };
  struct probe {
    std::uint64_t ping;
    std::uint64_t until;
  };

  static std::uint64_t fingerprint_of(const publish_packet& p) noexcept {
    const key_hash<std::string_view> hash;
    return hash(p.topic) * 31 + hash(p.payload);
  }

  session& session_;
  std::deque<message_mark> waiting_;  // handed over, to be acknowledged under a checkpoint to come
  std::uint64_t taken_ = 0;           // so many have ever been in it
  std::deque<cut> cuts_;
  std::deque<message_mark> confirming_;  // acknowledged, but the acknowledgement may get lost
  std::uint64_t confirmed_ = 0;          // so many have left it
  std::deque<probe> probes_;
  std::map<std::uint16_t, std::uint64_t> known_;  // not yet seen again
};

}  // namespace millrace::mqtt::detail
