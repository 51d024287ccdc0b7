// SPDX-License-Identifier: Apache-2.0
// Journals against any bytes on the disk. The first byte chooses what is made of the others: a
// segment as it is, what stands behind a good header, or the same with all checksums made good, so
// that what they protect is reached. Reading must account for every record; a journal that opens
// must take one more, and have it when it is opened again.
#include <millrace/base/crc32c.hpp>
#include <millrace/state/detail/journal_bytes.hpp>
#include <millrace/state/journal.hpp>
#include <millrace/testing/faulty_file_system.hpp>

#include "../support/manual_environment.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace millrace;

void check(bool good) {
  if (!good) std::abort();
}

constexpr std::uint64_t journal_id = 42;

/// Makes frames out of whatever stands there: magic numbers and checksums fit, lengths are cut to
/// what is left.
void repair(std::string& bytes) {
  std::size_t at = journal_segment_header::bytes;
  while (at + journal_frame::header_bytes <= bytes.size()) {
    char* frame = bytes.data() + at;
    const auto left = bytes.size() - at - journal_frame::header_bytes;
    const auto wanted = detail::load_number<std::uint32_t>(frame + 12) % 512;
    auto length = static_cast<std::size_t>(wanted);
    if (((length + 7) & ~std::size_t{7}) > left) length = left & ~std::size_t{7};
    const auto padded = (length + 7) & ~std::size_t{7};
    detail::store_number(frame, detail::frame_magic);
    detail::store_number(frame + 12, static_cast<std::uint32_t>(length));
    detail::store_number(frame + 8, crc32c({frame + journal_frame::header_bytes, padded}));
    detail::store_number(frame + 4, detail::frame_header_checksum(frame, journal_id, at));
    at += journal_frame::header_bytes + padded;
  }
}

void read_all(journal_reader& reader, bool lenient) {
  std::vector<journal_record> records;
  const auto first = reader.position();
  const auto expected = reader.behind();
  std::uint64_t next = first;
  std::uint64_t count = 0;
  while (true) {
    const auto n = reader.read(records, 3);
    for (const auto& r : records) {
      check(r.offset >= next);
      next = r.offset + 1;
      volatile char sum = 0;
      for (const char c : r.bytes) sum = static_cast<char>(sum + c);
    }
    count += records.size();
    records.clear();
    check(n || !lenient);
    if (!n || *n == 0) break;
  }
  if (lenient) check(count + reader.lost() == expected);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string segment(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 3 != 0) segment.insert(0, encode(journal_segment_header{journal_id, 0, {}}));
  if (data[0] % 3 == 2) repair(segment);
  testing::faulty_file_system disk;
  disk.put("j/" + journal_segment_name(0), segment);
  for (const auto damage : {journal_damage::refuse, journal_damage::skip}) {
    auto reader = journal_reader::open("j", &disk, damage);
    if (!reader) continue;
    read_all(*reader, damage == journal_damage::skip);
    static_cast<void>(reader->seek(journal_start::since(timestamp{duration{1'000}})));
  }
  testing::manual_environment env;
  const journal_options options{.directory = "j",
                                .commit_bytes = 4096,
                                .segment_bytes = 4096,
                                .keep_free_bytes = 0,
                                .damage = journal_damage::skip,
                                .place = job_place::caller,
                                .files = &disk};
  std::uint64_t end = 0;
  {
    auto opened = journal::open(options, env);
    if (!opened) return 0;
    end = (*opened)->next_offset();
    if (end == UINT64_MAX) return 0;
    check((*opened)->append("one more").value() == end);
    check((*opened)->close().has_value());
  }
  auto again = journal::open(options, env).value();
  check(again->next_offset() == end + 1);
  auto reader = again->read_from(journal_start::at(end)).value();
  std::vector<journal_record> records;
  check(reader.read(records).value() == 1);
  check(records[0].bytes == "one more");
  return 0;
}
