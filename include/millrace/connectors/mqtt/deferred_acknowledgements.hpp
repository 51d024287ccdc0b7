// SPDX-License-Identifier: Apache-2.0
/// \file
/// Acknowledgements of messages that wait for a checkpoint or for the journal, and the memory of
/// those that may come again: an acknowledgement can get lost on its way. Not thread safe.
#pragma once

#include <millrace/connectors/mqtt/message.hpp>
#include <millrace/net/mqtt/session.hpp>
#include <millrace/operators/source.hpp>
#include <millrace/record/key.hpp>

#include <algorithm>
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

  /// Notes what has been handed over. False for a message that the restored checkpoint, or the
  /// journal, holds already: same identifier, flagged as repeated, same content.
  bool note(const publish_packet& p, delivery_id id) {
    const auto fingerprint = fingerprint_of(p.topic, p.payload);
    if (MILLRACE_UNLIKELY(!known_.empty())) {
      const auto it = known_.find(p.packet_id);
      const bool same = it != known_.end() && p.duplicate && it->second.fingerprint == fingerprint;
      if (it != known_.end()) known_.erase(it);
      if (same) {
        session_.acknowledge(id);
        confirming_.push_back({id, p.packet_id, fingerprint, floor_, true});
        ++repeated_;
        return false;
      }
      // Repetitions come first, in their order (4.4, 4.6): what the server has not repeated before
      // a new message, it has not to repeat; its identifier may come back with equal content.
      if (!p.duplicate) forget_known();
    }
    waiting_.push_back({id, p.packet_id, fingerprint, last_cut_, false});
    ++taken_;
    return true;
  }

  /// The server will not send that message (QoS 2) again.
  void release(std::uint16_t packet_id) {
    known_.erase(packet_id);
    released_.push_back(packet_id);
    ++ever_released_;
    ++unnoted_;
  }

  void checkpoint(std::uint64_t id) {
    cuts_.push_back({id, taken_, ever_released_});
    last_cut_ = id;
  }

  /// Acknowledges what was handed over before `checkpoint(id)`, and completes what was released.
  void checkpoint_complete(std::uint64_t id, std::chrono::nanoseconds now) {
    for (; !cuts_.empty() && cuts_.front().id <= id; cuts_.pop_front()) {
      for (; taken_ - waiting_.size() < cuts_.front().taken; waiting_.pop_front()) {
        session_.acknowledge(waiting_.front().delivery);
        confirming_.push_back(waiting_.front());
      }
      while (!released_.empty() && ever_released_ - released_.size() < cuts_.front().released) {
        session_.complete(released_.front());
        released_.pop_front();
      }
    }
    if (!session_.connected()) return expect_again();
    probe_now(now);
  }

  /// Forgets the acknowledged messages of which the server has been heard to know.
  void confirm(std::chrono::nanoseconds now) {
    for (; !probes_.empty() && probes_.front().ping <= session_.pings_answered();
         probes_.pop_front()) {
      for (; confirmed_ < probes_.front().until; ++confirmed_) forget_first();
    }
    if (probes_.empty() && !confirming_.empty() && session_.connected()) probe_now(now);
  }

  /// The connection is gone: what the server may not know to be acknowledged may come again.
  void expect_again() {
    floor_ = memory_begin();
    for (const auto& m : confirming_) known_[m.packet] = {m.fingerprint, true};
    confirmed_ += confirming_.size();
    confirming_.clear();
    repeated_ = 0;
    probes_.clear();
    released_.clear();  // the server says it again
    unnoted_ = 0;
  }

  /// The server has forgotten the session: identifiers mean other messages now.
  void session_lost() {
    known_.clear();
    lost_ = true;
  }

  void save(snapshot_writer& to) const {
    to.varint(waiting_.size() + confirming_.size() + known_.size());
    const auto put = [&to](std::uint16_t packet, std::uint64_t fingerprint) {
      to.number(packet);
      to.number(fingerprint);
    };
    for (const auto& m : waiting_) put(m.packet, m.fingerprint);
    for (const auto& m : confirming_) put(m.packet, m.fingerprint);
    for (const auto& [packet, m] : known_) put(packet, m.fingerprint);
  }

  void restore(snapshot_reader& from) {
    const auto n = from.count(sizeof(std::uint16_t) + sizeof(std::uint64_t));
    for (std::size_t i = 0; i < n; ++i) {
      const auto packet = from.number<std::uint16_t>();
      known_[packet] = {from.number<std::uint64_t>(), false};
    }
  }

  // With a journal the memory stands there instead of in `save`; cuts are offsets.

  /// Messages below that offset will not come again.
  std::uint64_t memory_begin() const noexcept {
    if (repeated_ > 0 || !known_.empty()) return floor_;
    if (!confirming_.empty()) return confirming_.front().begin;
    return waiting_.empty() ? last_cut_ : waiting_.front().begin;
  }

  /// What was released since the last note, and whether the session was lost before that.
  bool note(snapshot_writer& to) {
    if (unnoted_ == 0 && !lost_) return false;
    to.number(std::exchange(lost_, false));
    to.varint(unnoted_);
    for (; unnoted_ > 0; --unnoted_) to.number(released_[released_.size() - unnoted_]);
    return true;
  }

  void recall(std::uint64_t offset, const message& m) {
    begin_recall(offset);
    if (m.qos != 0) known_[m.packet_id] = {fingerprint_of(m.topic, m.payload), false};
  }

  void recall_note(std::uint64_t offset, std::string_view bytes) {
    begin_recall(offset);
    snapshot_reader from(bytes);
    if (from.number<bool>()) known_.clear();
    for (auto n = from.count(sizeof(std::uint16_t)); n > 0; --n) {
      known_.erase(from.number<std::uint16_t>());
    }
  }

 private:
  struct message_mark {
    delivery_id delivery;
    std::uint16_t packet;
    std::uint64_t fingerprint;
    std::uint64_t begin;  // of what must be remembered while it is not confirmed: a cut
    bool repeated;        // known from before
  };
  struct known_message {
    std::uint64_t fingerprint;
    bool of_session;  // acknowledged in this life: the session answers its repetition by itself
  };
  struct cut {
    std::uint64_t id;
    std::uint64_t taken;
    std::uint64_t released;
  };
  struct probe {
    std::uint64_t ping;
    std::uint64_t until;
  };

  static std::uint64_t fingerprint_of(std::string_view topic, std::string_view payload) noexcept {
    const key_hash<std::string_view> hash;
    return hash(topic) * 31 + hash(payload);
  }

  /// One PINGREQ at a time: what is acknowledged meanwhile goes with the next one.
  void probe_now(std::chrono::nanoseconds now) {
    if (confirming_.empty() || !probes_.empty()) return;
    probes_.push_back({session_.ping(now), confirmed_ + confirming_.size()});
  }

  // What the session has answered by itself has to be confirmed as every acknowledgement.
  void forget_known() {
    for (const auto& [packet, m] : known_) {
      if (!m.of_session) continue;
      confirming_.push_back({0, packet, m.fingerprint, floor_, true});
      ++repeated_;
    }
    known_.clear();
  }

  void forget_first() {
    repeated_ -= confirming_.front().repeated ? 1 : 0;
    confirming_.pop_front();
  }

  void begin_recall(std::uint64_t offset) noexcept {
    if (!recalled_) floor_ = offset;
    recalled_ = true;
    last_cut_ = std::max(last_cut_, offset + 1);
  }

  session& session_;
  std::deque<message_mark> waiting_;  // handed over, to be acknowledged under a checkpoint to come
  std::uint64_t taken_ = 0;           // so many have ever been in it
  std::deque<cut> cuts_;
  std::uint64_t last_cut_ = 0;
  std::deque<message_mark> confirming_;  // acknowledged, but the acknowledgement may get lost
  std::uint64_t confirmed_ = 0;          // so many have left it
  std::size_t repeated_ = 0;             // of them, known from before: they came again
  std::deque<probe> probes_;
  std::map<std::uint16_t, known_message> known_;  // not yet seen again
  std::uint64_t floor_ = 0;                       // where `known_` begins in the journal
  bool recalled_ = false;
  std::deque<std::uint16_t> released_;  // to be completed under a cut to come
  std::uint64_t ever_released_ = 0;
  std::size_t unnoted_ = 0;  // of them, not in the journal yet
  bool lost_ = false;
};

}  // namespace millrace::mqtt::detail
