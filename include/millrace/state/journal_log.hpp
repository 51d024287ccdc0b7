// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a journal's writer tells its readers: which segments there are, how far they are durable,
/// and a sparse index. All functions are thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/file_system.hpp>
#include <millrace/state/journal_segment.hpp>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

class journal_log {
 public:
  /// A segment as a reader needs it.
  struct segment {
    std::string path;
    std::uint64_t first_offset = 0;
    timestamp created{};
    std::uint64_t end_offset = 0;  ///< where the next one begins; of the last: what is durable
    std::uint64_t limit = 0;       ///< bytes of the file that may be read; all of a sealed one
    bool sealed = false;
    std::uint64_t bytes = 0;  ///< on the disk, for retention and metrics
  };

  journal_log(file_system& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}

  file_system& files() const noexcept { return files_; }
  const std::string& directory() const noexcept { return directory_; }

  /// The first offset that is still there, and the first one that is not durable yet.
  std::uint64_t first_offset() const;
  std::uint64_t durable_end() const;
  std::vector<segment> segments() const;
  std::uint64_t bytes() const;

  /// The segment with a record; nothing when it is not there (any more, or yet).
  std::optional<segment> find(std::uint64_t offset) const;

  /// The last segment that was begun before `t`, or the first one.
  std::optional<segment> find(timestamp t) const;

  /// A frame at or before a record, or the beginning of the segment. O(log size).
  journal_index_entry nearest(const segment& in, std::uint64_t offset) const;
  /// A frame before all with records of time `t` or later.
  journal_index_entry nearest(const segment& in, timestamp t) const;

  /// Notes a frame that was met while reading, unless there is a near one.
  void note(std::uint64_t first_offset, const journal_index_entry& frame);

  // For the writer.
  void add(segment next, std::vector<journal_index_entry> index);
  void advance(std::uint64_t durable_end, std::uint64_t position);
  void remove_before(std::uint64_t offset);

 private:
  struct entry {
    segment what;
    std::vector<journal_index_entry> index;  // in order
  };

  template <class Before>
  journal_index_entry nearest_where(const segment& in, Before before) const;
  std::vector<entry>::const_iterator locate(std::uint64_t offset) const;

  file_system& files_;
  std::string directory_;
  mutable std::mutex mutex_;
  std::vector<entry> segments_;
};

/// A journal's directory as it stands, without changing it: headers of all segments, and the last
/// one in full.
struct journal_directory {
  struct item {
    std::string path;
    journal_segment_header header;
  };
  std::vector<item> segments{};
  std::optional<journal_segment_scan> last{};  ///< of the last segment
  std::optional<std::uint64_t> begun{};  ///< a segment behind the last that has not been finished
};

/// Reads it. `errc::corrupt` names the file that is damaged; `errc::incompatible` for segments of
/// another journal or of a later version.
MILLRACE_DECL result<journal_directory> read_journal_directory(file_system& files,
                                                               const std::string& directory);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/state/impl/journal_log.ipp>
#endif
