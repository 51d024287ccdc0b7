// SPDX-License-Identifier: Apache-2.0
/// \file
/// Saving and restoring a slice_store. Part of slices.hpp; include that.
///
/// Format: size, slide and offset, the watermark (microseconds, 64 bits each); the number of keys;
/// per key: what `write_key` wrote, the number of states, and each with the number of its slice.
#pragma once

#include <millrace/windows/slices.hpp>

#include <string>

namespace millrace {

template <class Aggregate>
template <class WriteKey>
void slice_store<Aggregate>::save(snapshot_writer& writer, WriteKey&& write_key) const
  requires serializable<state>
{
  MILLRACE_ASSERT(!busy());
  for (const duration d : {spec_.size, spec_.slide, spec_.offset}) writer.number(d.count());
  writer.number(watermark_.time_since_epoch().count());
  std::size_t keys = 0;
  for (const std::uint32_t n : states_of_) keys += n != 0 ? 1 : 0;
  writer.varint(keys);

  std::vector<std::pair<index, typename states::page>> column;
  for (std::size_t page = 0; page * page_slots < states_of_.size(); ++page) {
    column.clear();
    std::uint64_t present = 0;
    for (const auto& [i, slice] : table_) {
      if (const auto p = slice.page_at(page); p.present() != 0) {
        column.emplace_back(i, p);
        present |= p.present();
      }
    }
    for (std::uint64_t bits = present; bits != 0; bits &= bits - 1) {
      const auto b = static_cast<unsigned>(std::countr_zero(bits));
      const auto slot = static_cast<slot_index>(page * page_slots + b);
      write_key(writer, slot);
      writer.varint(states_of_[slot]);
      for (const auto& [i, p] : column) {
        if ((p.present() >> b & 1) == 0) continue;
        writer.number(i);
        serialize(writer, p.at(b));
      }
    }
  }
}

template <class Aggregate>
template <class ReadKey>
void slice_store<Aggregate>::restore(snapshot_reader& reader, ReadKey&& read_key)
  requires serializable<state>
{
  sliding saved{};
  for (duration* d : {&saved.size, &saved.slide, &saved.offset}) {
    *d = duration{reader.number<std::int64_t>()};
  }
  const auto words = [](const sliding& w) {
    return std::to_string(w.size.count()) + " us by " + std::to_string(w.slide.count()) +
           " us, offset " + std::to_string(w.offset.count()) + " us";
  };
  if (!reader.failed() &&
      (saved.size != spec_.size || saved.slide != spec_.slide || saved.offset != spec_.offset)) {
    reader.fail("windows of " + words(saved) + " were saved, windows of " + words(spec_) +
                    " are to be restored",
                errc::incompatible);
  }
  const timestamp watermark{duration{reader.number<std::int64_t>()}};
  const std::size_t keys = reader.count();
  if (reader.failed()) return;
  watermark_ = std::exchange(restored_, true) ? std::min(watermark_, watermark) : watermark;
  update_fired();
  for (std::size_t k = 0; k < keys && !reader.failed(); ++k) {
    const slot_index slot = read_key(reader);
    const std::size_t n = reader.count(sizeof(index) + 1);
    for (std::size_t j = 0; j < n; ++j) {
      const index slice = reader.number<index>();
      state value{};
      deserialize(reader, value);
      if (reader.failed()) return;
      if (slot != no_slot) put(slot, slice, std::move(value));
    }
  }
}

template <class Aggregate>
void slice_store<Aggregate>::put(slot_index slot, index slice, state value) {
  if (grid_.first_window(slice) > grid_.last_window(slice)) return;
  if (grid_.last_window(slice) < live_) return;
  obtain(table_.obtain(slice), slot) = std::move(value);
}

}  // namespace millrace
