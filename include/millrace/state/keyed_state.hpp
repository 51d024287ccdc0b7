// SPDX-License-Identifier: Apache-2.0
/// \file
/// One operator's state per key: a slab addressed by the slots of a shared key table. Keys stay in
/// the table as long as they have state. Not thread safe.
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/state/key_table.hpp>
#include <millrace/state/restore_scope.hpp>
#include <millrace/state/serialize.hpp>
#include <millrace/state/slab.hpp>
#include <millrace/state/type_description.hpp>

#include <memory>
#include <string>
#include <system_error>
#include <typeinfo>
#include <utility>

namespace millrace {

/// How values of these types are stored; empty when one of them cannot be saved. An operator's
/// `static std::string state_type()`: it is saved with the state and compared on restore.
template <class... T>
std::string describe_state() {
  if constexpr ((serializable<T> && ...)) {
    type_describer d;
    d.describe_all<T...>();
    return d.text();
  } else {
    return {};
  }
}

/// Writes a value, or refuses with the type's name where it has no description.
template <class T>
void save_value(snapshot_writer& to, const T& value) {
  if constexpr (serializable<T>) {
    serialize(to, value);
  } else {
    throw std::system_error(make_error_code(errc::not_serializable), typeid(T).name());
  }
}

/// Reads a value written by `save_value`.
template <class T>
void restore_value(snapshot_reader& from, T& value) {
  if constexpr (serializable<T>) {
    deserialize(from, value);
  } else {
    throw std::system_error(make_error_code(errc::not_serializable), typeid(T).name());
  }
}

/// Reads a key and finds, or makes, its slot; `no_slot` when another instance owns the key now, or
/// after a failure.
template <class K>
slot_index restore_slot(snapshot_reader& from, key_table<K>& table) {
  K key{};
  restore_value(from, key);
  if (from.failed()) return no_slot;
  const std::uint64_t hash = table.hash(key);
  if (from.scope() != nullptr && !from.scope()->owns(hash)) return no_slot;
  return table.find_or_insert(key, hash);
}

template <class K, class S>
class keyed_state {
 public:
  explicit keyed_state(std::shared_ptr<key_table<K>> table)
      : table_(std::move(table)), owner_(table_->add_owner()) {}

  /// The state of a key, made on first use. O(1).
  S& obtain(slot_index slot) {
    if (S* present = states_.find(slot); MILLRACE_LIKELY(present != nullptr)) return *present;
    table_->retain(slot, owner_);
    return states_.obtain(slot);
  }

  S* find(slot_index slot) noexcept { return states_.find(slot); }

  /// Drops the state; the key may go, too.
  void reset(slot_index slot) noexcept {
    if (states_.reset(slot)) table_->release(slot, owner_);
  }

  const K& key(slot_index slot) const noexcept { return table_->key(slot); }
  key_table<K>& table() noexcept { return *table_; }
  std::size_t size() const noexcept { return states_.size(); }

  template <class F>
  void for_each(F&& visit) {
    states_.for_each(std::forward<F>(visit));
  }

  /// Writes a slot as its key, and finds the slot again; see `restore_slot`.
  void save_key(snapshot_writer& to, slot_index slot) const { save_value(to, table_->key(slot)); }
  slot_index restore_key(snapshot_reader& from) { return restore_slot(from, *table_); }

  /// All states with their keys. `restore` adds to what is there; states of keys that another
  /// instance owns now are left out.
  void save(snapshot_writer& to) const {
    to.varint(states_.size());
    states_.for_each([&](slot_index slot, const S& state) {
      save_value(to, table_->key(slot));
      save_value(to, state);
    });
  }
  void restore(snapshot_reader& from) {
    const std::size_t n = from.count(1);
    for (std::size_t i = 0; i < n && !from.failed(); ++i) {
      const slot_index slot = restore_key(from);
      if (MILLRACE_LIKELY(slot != no_slot)) {
        restore_value(from, obtain(slot));
      } else if (!from.failed()) {
        S elsewhere{};
        restore_value(from, elsewhere);
      }
    }
  }

 private:
  std::shared_ptr<key_table<K>> table_;
  owner_mask owner_;
  slab<S> states_;
};

}  // namespace millrace
