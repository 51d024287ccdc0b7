// SPDX-License-Identifier: Apache-2.0
/// \file
/// The bytes of a journal's segments (docs/formats/journal.md), without any I/O: building frames,
/// and reading them without trusting them. Distinct objects may be used from distinct threads.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/result.hpp>
#include <millrace/base/time.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

inline constexpr std::uint32_t journal_format_version = 1;

/// The beginning of every segment.
struct journal_segment_header {
  static constexpr std::size_t bytes = 48;

  std::uint64_t journal = 0;  ///< random number of the journal; frames are checked against it
  std::uint64_t first_offset = 0;
  timestamp created{};

  friend bool operator==(const journal_segment_header&, const journal_segment_header&) = default;
};

MILLRACE_DECL std::string encode(const journal_segment_header& header);

/// `errc::corrupt`, or `errc::incompatible` when a later version wrote it.
MILLRACE_DECL result<journal_segment_header> decode_segment_header(std::string_view bytes);

/// "00000000000000000042.journal": sorted by name is sorted by offset.
MILLRACE_DECL std::string journal_segment_name(std::uint64_t first_offset);
MILLRACE_DECL std::optional<std::uint64_t> first_offset_of_name(std::string_view name) noexcept;

/// A record as it is stored; the bytes lie in the frame.
struct journal_record {
  std::uint64_t offset = 0;  ///< its number in the journal, from 0
  timestamp time{};          ///< wall clock when it was appended, never going back
  std::string_view bytes;
};

/// Records that were written together.
struct journal_frame {
  static constexpr std::size_t header_bytes = 48;
  static constexpr std::uint32_t most_payload = 256U << 20;

  std::uint64_t first_offset = 0;
  std::uint32_t count = 0;    ///< 0: only says what is durable
  timestamp time{};           ///< of its first record
  std::uint32_t spread = 0;   ///< ticks from the first record's time to the last one's
  std::uint64_t durable = 0;  ///< every record before this one was on the medium already
  std::string_view payload;

  std::uint64_t end_offset() const noexcept { return first_offset + count; }
  /// Bytes in the segment.
  std::size_t size() const noexcept {
    return header_bytes + ((payload.size() + 7) & ~std::size_t{7});
  }
};

/// Where a frame stands; goes into its checksum, so that a copy of it elsewhere (in the bytes of a
/// record, say) is none.
struct journal_place {
  std::uint64_t journal = 0;
  std::uint64_t position = 0;  ///< in the segment; a multiple of 8
};

enum class frame_status : std::uint8_t {
  good,
  none,        ///< zeros, or the end of the bytes: nothing was written here
  incomplete,  ///< the header is good, but the bytes end before the frame does
  damaged,     ///< header or payload are not what was written
};

/// Reads the frame at the beginning of `bytes`. Unless `none`, and unless its header is damaged,
/// `frame` says what the header says (`header_is_good`), and `payload` is cut to what is there.
struct frame_reading {
  frame_status status = frame_status::none;
  bool header_is_good = false;
  journal_frame frame{};
  std::size_t size = 0;  ///< of the whole frame, when the header is good
};
MILLRACE_DECL frame_reading read_frame(std::string_view bytes, const journal_place& place) noexcept;

/// Goes through the records of a frame that is `good`. O(1) a record, no allocation.
class journal_frame_records {
 public:
  explicit journal_frame_records(const journal_frame& frame) noexcept
      : rest_(frame.payload), offset_(frame.first_offset), time_(frame.time), left_(frame.count) {}

  /// False at the end. Where the payload breaks its format, `broken` and the end.
  bool next(journal_record& record) noexcept;

  bool broken() const noexcept { return broken_; }

 private:
  std::string_view rest_;
  std::uint64_t offset_;
  timestamp time_;
  std::uint32_t left_;
  bool broken_ = false;
};

/// Collects records into frames, to be written with one call. Reuses its memory.
class journal_frames {
 public:
  /// A frame is closed when its payload has so many bytes.
  explicit journal_frames(std::size_t frame_bytes = std::size_t{64} << 10) noexcept
      : frame_bytes_(frame_bytes) {}

  /// \pre offsets without gaps, times that do not go back
  void add(const journal_record& record);

  /// A frame without records.
  void add_mark(std::uint64_t offset, timestamp time);

  /// Makes room for so many bytes at once, instead of growing towards them.
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

  bool empty() const noexcept { return frames_.empty(); }
  std::size_t records() const noexcept { return records_; }
  std::size_t size() const noexcept { return bytes_.size(); }
  void clear() noexcept;

  /// Writes the headers. From `place` on the frames are to stand, and `durable` is what is known to
  /// be on the medium. May be called again for another place. The bytes stay valid until a change.
  std::string_view finish(const journal_place& place, std::uint64_t durable);

  /// A frame, for the index.
  struct summary {
    std::size_t at = 0;  // of its header, in the bytes
    std::uint64_t first_offset = 0;
    std::uint32_t count = 0;
    timestamp first{};
    timestamp last{};
  };
  const std::vector<summary>& frames() const noexcept { return frames_; }

 private:
  void open(std::uint64_t offset, timestamp time);
  void close();

  std::size_t frame_bytes_;
  std::string bytes_;
  std::vector<summary> frames_;
  std::size_t records_ = 0;
  bool open_ = false;  // the last frame takes records
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/state/impl/journal_format.ipp>
#endif
