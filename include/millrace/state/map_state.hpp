// SPDX-License-Identifier: Apache-2.0
/// \file
/// A bounded map per key whose entries may expire. Member of the state of a process function. Not
/// thread safe.
#pragma once

#include <millrace/state/serialize.hpp>
#include <millrace/state/ttl.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace millrace {

/// At most `limit` entries, in order of `K`; each has its own time to live. `ctx` is the context of
/// the process function. O(log entries) unless said otherwise.
template <class K, class V, state_options Options = state_options{}>
class map_state {
 public:
  static constexpr state_options options = Options;

  /// The value of an entry, or nullptr when there is none, or not any more. Valid until it is
  /// written or erased.
  template <class Context>
  const V* find(Context& ctx, const K& key) {
    const auto found = items_.find(key);
    return found != items_.end() && visible(ctx, found->second) ? &found->second.value : nullptr;
  }
  template <class Context>
  bool contains(Context& ctx, const K& key) {
    return find(ctx, key) != nullptr;
  }

  /// Writes an entry. False, and nothing happens, when it would be one too many.
  template <class Context>
  bool put(Context& ctx, const K& key, V value) {
    item* i = make_room(ctx, key);
    if (i == nullptr) return false;
    i->value = std::move(value);
    written(ctx, *i);
    return true;
  }

  /// Writes an entry by `f(V&)`, called with its value, or a default-constructed one. False, and
  /// nothing happens, when it would be one too many.
  template <class Context, class F>
  bool update(Context& ctx, const K& key, F&& f) {
    item* i = make_room(ctx, key);
    if (i == nullptr) return false;
    if (!visible(ctx, *i)) i->value = V{};
    f(i->value);
    written(ctx, *i);
    return true;
  }

  bool erase(const K& key) { return items_.erase(key) != 0; }

  /// Calls `visit(const K&, const V&)` for the entries that have not expired. O(entries)
  template <class Context, class F>
  void for_each(Context& ctx, F&& visit) {
    for (auto& [key, i] : items_) {
      if (visible(ctx, i)) visit(key, std::as_const(i.value));
    }
  }

  /// Entries that have not expired. O(entries)
  template <class Context>
  std::size_t size(Context& ctx) {
    std::size_t n = 0;
    for_each(ctx, [&n](const K&, const V&) { ++n; });
    return n;
  }

  void clear() noexcept { items_.clear(); }
  /// Whether nothing is held, expired or not.
  bool empty() const noexcept { return items_.empty(); }

  /// \see expiring_state
  timestamp expire(time_domain clock, timestamp now) {
    timestamp next = max_timestamp;
    if (!Options.expires() || clock != Options.clock) return next;
    std::erase_if(items_, [&](const auto& entry) {
      if (entry.second.until.passed(now)) return true;
      next = std::min(next, entry.second.until.free_at(Options.ttl.ticks));
      return false;
    });
    return next;
  }

  void save(snapshot_writer& to) const
    requires(serializable<K> && serializable<V>)
  {
    to.varint(items_.size());
    for (const auto& [key, i] : items_) {
      serialize(to, key);
      serialize(to, i.value);
      i.until.save(to);
    }
  }
  void restore(snapshot_reader& from)
    requires(serializable<K> && serializable<V>)
  {
    items_.clear();
    const std::size_t n = from.count(2 + sizeof(std::int64_t));
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      K key{};
      deserialize(from, key);
      item& next = items_[std::move(key)];
      deserialize(from, next.value);
      next.until.restore(from);
    }
  }
  static std::string snapshot_description() {
    return "map_state<" + type_description<K>() + "," + type_description<V>() + ">";
  }

 private:
  struct item {
    V value{};
    deadline until{};
  };

  template <class Context>
  static bool visible([[maybe_unused]] Context& ctx, [[maybe_unused]] item& i) {
    if constexpr (Options.expires()) {
      const timestamp now = ctx.clock_time(Options.clock);
      if (i.until.passed(now)) return false;
      if constexpr (Options.refresh == ttl_refresh::on_read) {
        const deadline later(now, Options.ttl.ticks);
        if (later.end() > i.until.end()) i.until = later;
      }
    }
    return true;
  }

  template <class Context>
  void written([[maybe_unused]] Context& ctx, [[maybe_unused]] item& i) {
    if constexpr (Options.expires()) {
      i.until = deadline(ctx.clock_time(Options.clock), Options.ttl.ticks);
      ctx.expire_at(Options.clock, i.until.free_at(Options.ttl.ticks));
    }
  }

  template <class Context>
  item* make_room(Context& ctx, const K& key) {
    const auto found = items_.find(key);
    if (found != items_.end()) return &found->second;
    if (items_.size() >= Options.limit) {
      // Expired entries may still be waiting to be freed.
      expire(Options.clock, ctx.passed_time(Options.clock));
      if (items_.size() >= Options.limit) return nullptr;
    }
    return &items_[key];
  }

  std::map<K, item> items_;
};

}  // namespace millrace
