// SPDX-License-Identifier: Apache-2.0
/// \file
/// Keys of records that an operator holds back. Not thread safe.
#pragma once

#include <millrace/state/keyed_state.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace millrace {

/// Records without keys: nothing to keep.
struct no_held_keys {
  void hold(slot_index) noexcept {}
  void let_go(slot_index) noexcept {}
  void save(snapshot_writer&, slot_index) const {}
  slot_index restore(snapshot_reader&) noexcept { return no_slot; }
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
  slot_index restore(snapshot_reader& from) { return counts_.restore_key(from); }

 private:
  keyed_state<K, std::uint32_t> counts_;
};

}  // namespace millrace
