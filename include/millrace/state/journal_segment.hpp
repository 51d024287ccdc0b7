// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reading one segment of a journal: frame by frame, and as a whole to find out what of it is
/// sound. One object is used by one thread at a time; reading while another thread appends is fine
/// up to what is known to be durable.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/file_system.hpp>
#include <millrace/record/buffer.hpp>
#include <millrace/state/journal_format.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

/// What to do with damage that is not a torn end, that is, with records that were durable once.
enum class journal_damage : std::uint8_t {
  refuse,  ///< it is an error
  skip,    ///< go on behind it, and count what is lost
};

/// A place in a segment that holds no sound frame, although records were there.
struct journal_gap {
  std::string path;
  std::uint64_t position = 0;  ///< bytes from the beginning of the file
  std::uint64_t bytes = 0;
  std::uint64_t first_offset = 0;  ///< of the records that are lost
  std::uint64_t end_offset = 0;

  /// "'j/000.journal' is damaged at byte 480 (120 bytes): records 17 to 19 are lost".
  MILLRACE_DECL std::string to_string() const;
};

/// One in a few hundred frames, so that seeking does not read everything.
struct journal_index_entry {
  std::uint64_t offset = 0;
  timestamp time{};  ///< of the frame's last record
  std::uint64_t position = 0;
};

/// Bytes of a segment from one index entry to the next, at least.
inline constexpr std::uint64_t journal_index_spacing = std::uint64_t{256} << 10;

/// A segment, read frame by frame through a block of memory that records may keep.
class journal_segment_reader {
 public:
  /// `chunk`: bytes that are read at once.
  static constexpr std::size_t default_chunk = std::size_t{256} << 10;

  /// Opens it and checks its header. `errc::corrupt` if the file's name says another offset.
  static result<std::unique_ptr<journal_segment_reader>> open(file_system& files,
                                                              const std::string& path,
                                                              std::uint64_t first_offset,
                                                              std::size_t chunk = default_chunk);

  const journal_segment_header& header() const noexcept { return header_; }
  const std::string& path() const noexcept { return path_; }
  std::uint64_t position() const noexcept { return position_; }
  result<std::uint64_t> size() { return file_->size(); }

  /// Goes to a position; what was read stays in memory if it lies there.
  void seek(std::uint64_t position) noexcept { position_ = position; }

  /// Forgets what was read: the bytes may have changed.
  void forget() noexcept {
    filled_ = 0;
    checked_.reset();
  }

  /// Whether the frame at the position is good and in memory: `read` will leave views valid.
  bool buffered(std::uint64_t limit) noexcept;

  /// The frame at the position, if it ends before `limit`; the position stays. A damaged one is
  /// read again once: a bit that flipped on the way is no damage. Errors of the disk are errors.
  result<frame_reading> read(std::uint64_t limit);

  /// Some bytes from the position on, before `limit`; none at the end of the file.
  result<std::string_view> bytes(std::uint64_t limit);

  /// The first position from `from` on, before `limit`, with a frame whose header is good; or
  /// `limit`. O(bytes).
  result<std::uint64_t> find(std::uint64_t from, std::uint64_t limit);

  /// The memory that the last frame lies in.
  const shared_buffer& block() const noexcept { return block_; }

 private:
  journal_segment_reader(std::unique_ptr<open_file> file, std::string path,
                         journal_segment_header header, std::size_t chunk)
      : file_(std::move(file)), path_(std::move(path)), header_(header), chunk_(chunk) {}

  result<void> fill(std::uint64_t limit, std::size_t least);
  std::string_view in_memory(std::uint64_t limit) const noexcept;

  std::unique_ptr<open_file> file_;
  std::string path_;
  journal_segment_header header_;
  std::size_t chunk_;
  shared_buffer block_;
  std::uint64_t block_position_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t position_ = journal_segment_header::bytes;
  std::optional<frame_reading> checked_;  // the frame at `checked_position_`
  std::uint64_t checked_position_ = 0;
};

/// What a segment holds.
struct journal_segment_scan {
  journal_segment_header header{};
  std::uint64_t end_offset = 0;    ///< one behind the last sound record
  std::uint64_t end_position = 0;  ///< where the next frame belongs
  std::uint64_t file_size = 0;
  std::uint64_t torn_bytes = 0;  ///< behind the end: written, but not completely
  std::uint64_t records = 0;
  timestamp last_time = min_timestamp;
  std::vector<journal_gap> gaps{};
  std::vector<journal_index_entry> index{};
  std::uint64_t last_durable = 0;       ///< what the last frame says of the records before it
  std::uint64_t unproven_position = 0;  ///< from here to the end nothing says that it is durable
};

/// Reads a whole segment. `end_offset`: where the next segment begins, for one that has a successor
/// and therefore was durable as a whole; nullopt for the last one: there, what is not sound is a
/// torn end, unless a later frame says that it was durable.
MILLRACE_DECL result<journal_segment_scan> scan_segment(file_system& files, const std::string& path,
                                                        std::uint64_t first_offset,
                                                        std::optional<std::uint64_t> end_offset);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/state/impl/journal_segment.ipp>
#endif
