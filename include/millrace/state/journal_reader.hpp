// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reads a journal from the earliest record, the latest, an offset or a time. Any number of readers
/// go on independently of each other and of the writer; each is used by one thread at a time. They
/// see what is durable, and nothing else.
///
///     auto reader = log->read_from(journal_start::at(saved_position));
///     std::vector<journal_record> records;
///     while (reader.read(records).value() > 0) { ...; records.clear(); }
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/file_system.hpp>
#include <millrace/state/journal_log.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

/// Where reading begins.
struct journal_start {
  enum class kind : std::uint8_t { earliest, latest, offset, time };
  kind what = kind::earliest;
  std::uint64_t offset = 0;
  timestamp time{};

  static journal_start earliest() noexcept { return {}; }
  /// Behind what is durable now.
  static journal_start latest() noexcept { return {kind::latest}; }
  static journal_start at(std::uint64_t offset) noexcept { return {kind::offset, offset}; }
  /// The first record that was appended at `t` or later.
  static journal_start since(timestamp t) noexcept { return {kind::time, 0, t}; }
};

class journal_reader {
 public:
  explicit journal_reader(std::shared_ptr<journal_log> log,
                          journal_damage damage = journal_damage::refuse);

  /// Reads a journal that nobody writes: what is there when it is opened. Changes nothing.
  static result<journal_reader> open(const std::string& directory, file_system* files = nullptr,
                                     journal_damage damage = journal_damage::refuse);

  /// Goes to a place. `errc::out_of_range` for an offset that was removed by retention, or that
  /// lies behind the end (then a checkpoint knows more than the journal). By offset and by time it
  /// reads up to `journal_index_spacing` bytes, and once for each segment up to all of it.
  result<void> seek(const journal_start& start);

  /// Appends records to `into`; returns how many. 0: no more are durable now. Their bytes stay
  /// valid until the next call, and as long as a copy of `block()` taken now lives.
  result<std::size_t> read(std::vector<journal_record>& into, std::size_t most_records = 512,
                           std::size_t most_bytes = std::size_t{1} << 20);

  /// The offset of the next record. `seek(at(position()))` goes on here.
  std::uint64_t position() const noexcept { return position_; }

  /// Records that are durable and not read yet, damaged ones included.
  std::uint64_t behind() const;

  /// The memory of the records that were read last.
  const shared_buffer& block() const noexcept;

  /// With `journal_damage::skip`: how many records were lost, and where.
  std::uint64_t lost() const noexcept { return lost_; }
  /// The first gaps that were met, at most `most_gaps`.
  const std::vector<journal_gap>& gaps() const noexcept { return gaps_; }
  static constexpr std::size_t most_gaps = 64;

 private:
  result<bool> load();
  result<bool> open_segment(const journal_log::segment& in, const journal_index_entry& start);
  result<bool> enter(const journal_log::segment& in);
  result<bool> pass_damage(const journal_log::segment& in, std::uint64_t limit);
  result<void> lose(const journal_gap& gap);
  result<void> seek_time(timestamp t);
  void leave() noexcept;

  std::shared_ptr<journal_log> log_;
  journal_damage damage_;
  std::unique_ptr<journal_segment_reader> segment_;
  std::uint64_t segment_offset_ = 0;  // where it begins
  journal_frame frame_;
  std::optional<journal_frame_records> records_;  // of `frame_`
  std::uint64_t position_ = 0;
  std::uint64_t lost_ = 0;
  std::vector<journal_gap> gaps_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/state/impl/journal_reader.ipp>
#endif
