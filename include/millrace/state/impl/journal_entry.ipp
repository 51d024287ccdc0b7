// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/state/journal_entry.hpp>

namespace millrace {

MILLRACE_DECL result<journal_entry> decode_entry(std::string_view bytes) {
  snapshot_reader from(bytes);
  journal_entry entry;
  const auto first = from.number<std::uint8_t>();
  const auto what = first & 0x7fU;
  entry.what = static_cast<journal_entry::kind>(what);
  const bool message = entry.what == journal_entry::kind::message;
  if (what < 1 || what > 3 || (first >= 0x80 && !message)) from.fail("no entry of a source");
  entry.reach = from.varint();
  if (message) {
    const auto time = [&from] { return timestamp{duration{from.number<std::int64_t>()}}; };
    entry.received = time();
    entry.time = first >= 0x80 ? time() : entry.received;
    entry.topic = from.text();
    entry.attributes = from.text();
  }
  entry.payload = from.raw(from.remaining());
  if (from.failed()) {
    return error{errc::corrupt,
                 "not written by a source with a journal: " + from.status().error().message};
  }
  return entry;
}

}  // namespace millrace
