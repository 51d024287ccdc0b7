// SPDX-License-Identifier: Apache-2.0
/// \file
/// Keys of records that an operator holds back. `restore` returns nothing for a record that goes to
/// another instance. Not thread safe.
#pragma once

#include <millrace/state/keyed_state.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace millrace {

/// Records without keys: nothing to keep.
struct no_held_keys {
  void hold(slot_index) noexcept {}
  void let_go(slot_index) noexcept {}
  void save(snapshot_writer&, slot_index) const {}
  std::optional<slot_index> restore(snapshot_reader& from) noexcept {
    if (from.scope() != nullptr && !from.scope()->heir) return std::nullopt;
    return no_slot;
  }
};

/// Keeps the keys of records that wait in the key table, and saves them with the records.
template <class K>
class held_keys {
 public:
  explicit held_keys(std::shared_ptr<key_table<K>> table) : counts_(std::move(table)) {}

  void hold(slot_index slot) { ++counts_.obtain(slot); }
  void let_go(slot_index slot) noexcept {
    if (--*counts_.find(slot) == 0) counts_.reset(slot);
  }
  void save(snapshot_writer& to, slot_index slot) const { counts_.save_key(to, slot); }
  std::optional<slot_index> restore(snapshot_reader& from) {
    const slot_index slot = counts_.restore_key(from);
    return slot == no_slot ? std::nullopt : std::optional(slot);
  }

 private:
  keyed_state<K, std::uint32_t> counts_;
};

}  // namespace millrace
