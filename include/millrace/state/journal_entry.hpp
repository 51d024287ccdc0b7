// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a source with a journal writes into it (docs/formats/journal.md, "Entries"): messages, and
/// what the source itself has to remember. Bytes in, bytes out; distinct objects may be used from
/// distinct threads.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>
#include <millrace/base/time.hpp>
#include <millrace/state/snapshot.hpp>

#include <cstdint>
#include <string_view>

namespace millrace {

/// One record of the journal. Views point into it.
struct journal_entry {
  enum class kind : std::uint8_t {
    message = 1,
    note = 2,      ///< of a reader that remembers single messages, see `journaled`
    position = 3,  ///< state of a reader that has a position of its own
  };

  kind what = kind::message;
  /// So many records before this one the source's memory begins: it reads them again when the
  /// journal is opened.
  std::uint64_t reach = 0;
  timestamp received{};  ///< messages only, as all that follows but the payload
  timestamp time{};      ///< event time that the source gave
  std::string_view topic{};
  std::string_view attributes{};  ///< what else the source knows, in its own words
  std::string_view payload{};     ///< of a note or position: its bytes
};

/// Appends an entry.
inline void encode(const journal_entry& entry, snapshot_writer& to) {
  constexpr std::uint8_t has_time = 0x80;
  const bool message = entry.what == journal_entry::kind::message;
  const bool timed = message && entry.time != entry.received;
  to.number(static_cast<std::uint8_t>(static_cast<unsigned>(entry.what) | (timed ? has_time : 0U)));
  to.varint(entry.reach);
  if (message) {
    to.number(entry.received.time_since_epoch().count());
    if (timed) to.number(entry.time.time_since_epoch().count());
    to.text(entry.topic);
    to.text(entry.attributes);
  }
  to.raw(entry.payload.data(), entry.payload.size());
}

/// `errc::corrupt` when the bytes are no entry.
MILLRACE_DECL result<journal_entry> decode_entry(std::string_view bytes);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/state/impl/journal_entry.ipp>
#endif
