// SPDX-License-Identifier: Apache-2.0
/// \file
/// Lets each id of a key pass once within a time. Functions and state for `process_operator`. Not
/// thread safe.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/operators/context.hpp>
#include <millrace/record/key.hpp>
#include <millrace/state/serialize.hpp>
#include <millrace/state/ttl.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace millrace {

struct deduplicate_options {
  duration within{};  ///< a record is a duplicate if its id has passed less than this before
  time_domain clock = time_domain::event_time;
  ttl_refresh refresh = ttl_refresh::on_write;  ///< on_read: duplicates prolong the time, too
  std::size_t most_ids = 65536;  ///< per key; beyond them ids pass and are not remembered

  /// \throws topology_error
  void validate(const std::string& name) const {
    if (within <= duration::zero()) {
      throw topology_error(name + ": deduplicate needs a time within which ids are remembered");
    }
  }
};

/// What `seen_ids::look_at` says of an id.
enum class id_seen : std::uint8_t { first, again, not_remembered };

/// The ids of one key that have passed lately. O(1) per record.
template <class Id>
class seen_ids {
 public:
  template <class Context>
  id_seen look_at(const Id& id, const deduplicate_options& options, Context& ctx) {
    clock_ = options.clock;
    within_ = options.within.count();
    const timestamp now = ctx.clock_time(clock_);
    auto found = ids_.find(id);
    const bool again = found != ids_.end() && !found->second.passed(now);
    if (again && options.refresh == ttl_refresh::on_write) return id_seen::again;
    if (found == ids_.end()) {
      if (ids_.size() >= options.most_ids) expire(clock_, ctx.passed_time(clock_));
      if (ids_.size() >= options.most_ids) return id_seen::not_remembered;
      found = ids_.emplace(id, deadline{}).first;
      found->second = deadline(now, within_);
    } else if (const deadline later(now, within_); !again || later.end() > found->second.end()) {
      found->second = later;
    }
    ctx.expire_at(clock_, found->second.free_at(within_));
    return again ? id_seen::again : id_seen::first;
  }

  bool empty() const noexcept { return ids_.empty(); }

  /// \see expiring_state
  timestamp expire(time_domain clock, timestamp now) {
    timestamp next = max_timestamp;
    if (clock != clock_) return next;
    std::erase_if(ids_, [&](const auto& entry) {
      if (entry.second.passed(now)) return true;
      next = std::min(next, entry.second.free_at(within_));
      return false;
    });
    return next;
  }

  void save(snapshot_writer& to) const
    requires serializable<Id>
  {
    serialize(to, clock_);
    to.number(within_);
    to.varint(ids_.size());
    for (const auto& [id, until] : ids_) {
      serialize(to, id);
      until.save(to);
    }
  }
  void restore(snapshot_reader& from)
    requires serializable<Id>
  {
    deserialize(from, clock_);
    within_ = from.number<std::int64_t>();
    ids_.clear();
    const std::size_t n = from.count(1 + sizeof(std::int64_t));
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      Id id{};
      deserialize(from, id);
      ids_[std::move(id)].restore(from);
    }
  }
  static std::string snapshot_description() { return "seen_ids<" + type_description<Id>() + ">"; }

 private:
  struct hash {
    std::size_t operator()(const Id& id) const noexcept {
      return static_cast<std::size_t>(key_hash<Id>{}(id));
    }
  };

  std::unordered_map<Id, deadline, hash> ids_;
  time_domain clock_ = time_domain::event_time;
  std::int64_t within_ = 0;
};

/// In place of a function that names the id: the key is the id.
struct key_is_id {
  template <class T>
  std::uint8_t operator()(const T&) const noexcept {
    return 0;
  }
};

/// Whether a key has passed lately, where the key is the id: 24 bytes.
class seen_key {
 public:
  template <class Context>
  id_seen look_at(std::uint8_t, const deduplicate_options& options, Context& ctx) {
    const timestamp now = ctx.clock_time(options.clock);
    const bool again = seen_ && !until_.passed(now);
    if (again && options.refresh == ttl_refresh::on_write) return id_seen::again;
    const deadline later(now, options.within.count());
    if (!again || later.end() > until_.end()) until_ = later;
    seen_ = true;
    clock_ = options.clock;
    ctx.expire_at(clock_, until_.free_at(0));
    return again ? id_seen::again : id_seen::first;
  }

  bool empty() const noexcept { return !seen_; }

  /// \see expiring_state
  timestamp expire(time_domain clock, timestamp now) noexcept {
    if (!seen_ || clock != clock_) return max_timestamp;
    if (!until_.passed(now)) return until_.free_at(0);
    seen_ = false;
    return max_timestamp;
  }

 private:
  deadline until_;
  time_domain clock_ = time_domain::event_time;
  bool seen_ = false;

  BOOST_DESCRIBE_CLASS(seen_key, (), (), (), (until_, clock_, seen_))
};

/// Emits the first record of an id; others are counted as filtered, and go to the side output.
template <class T, class IdOf>
struct deduplicate_function {
  using id_type = std::decay_t<std::invoke_result_t<const IdOf&, const T&>>;
  using state = std::conditional_t<std::is_same_v<IdOf, key_is_id>, seen_key, seen_ids<id_type>>;

  IdOf id_of;
  deduplicate_options options;
  side_output<T> duplicates;

  template <class Context>
  void operator()(const T& value, state& ids, Context& ctx) const {
    switch (ids.look_at(std::invoke(id_of, value), options, ctx)) {
      case id_seen::again:
        ctx.counters().filtered.add();
        ctx.emit_to(duplicates, value);
        return;
      case id_seen::not_remembered: ctx.metrics().counter("ids_not_remembered").add(); break;
      case id_seen::first: break;
    }
    ctx.emit(value);
  }
};

}  // namespace millrace
