// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a journal consists of: its hand on the disk (segments are made, written, made durable, and
/// ended), a group of records on its way, counters, and who wants to be told.
#pragma once

#include <millrace/state/journal.hpp>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace millrace {

/// Writes at the end of the last segment. One thread at a time.
class journal::segment_writer {
 public:
  segment_writer(file_system& files, const journal_options& options, std::uint64_t journal_id)
      : files_(files), options_(options), journal_(journal_id) {}

  const std::string& path() const noexcept { return path_; }
  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t first_offset() const noexcept { return first_offset_; }
  bool is_full() const noexcept { return position_ >= options_.segment_bytes; }

  /// Begins a segment. Durable with its name before anything else is written into it.
  result<void> make(std::uint64_t first_offset, timestamp created) {
    auto path = path_in(options_.directory, journal_segment_name(first_offset));
    auto file = files_.open(path, file_access::write);
    if (!file) return file.error();
    auto done = begin(**file, {journal_, first_offset, created});
    if (!done) {
      file->reset();
      // Opening a journal knows what to do with such a file, should this fail, too.
      static_cast<void>(files_.remove(path));
      return done;
    }
    file_ = std::move(*file);
    path_ = std::move(path);
    first_offset_ = first_offset;
    position_ = journal_segment_header::bytes;
    return {};
  }

  /// Goes on in a segment that was read. What nobody has confirmed to be durable is written once
  /// more: after a failed fsync reading shows bytes that the disk does not have.
  result<void> adopt(const journal_directory::item& segment, const journal_segment_scan& scan) {
    auto file = files_.open(segment.path, file_access::write);
    if (!file) return file.error();
    if (scan.torn_bytes > 0) {
      if (auto cut = (*file)->truncate(scan.end_position); !cut) return cut;
    }
    if (auto again = write_again(**file, segment, scan); !again) return again;
    if (auto synced = (*file)->sync(); !synced) return synced;
    if (auto synced = files_.sync_directory(options_.directory); !synced) return synced;
    file_ = std::move(*file);
    path_ = segment.path;
    first_offset_ = segment.header.first_offset;
    position_ = scan.end_position;
    return {};
  }

  /// Gives back the room behind the last frame.
  result<void> seal() {
    if (auto cut = file_->truncate(position_); !cut) return cut;
    auto synced = file_->sync();
    if (synced) file_.reset();
    return synced;
  }

  result<void> write(journal_frames& frames, std::uint64_t durable) {
    return write_fully(*file_, position_, frames.finish({journal_, position_}, durable));
  }

  result<void> sync() { return file_->sync_data(); }
  void advance(std::size_t bytes) noexcept { position_ += bytes; }

  /// Notes behind the last frame that all before it is durable; the next frame replaces the note.
  /// It makes the difference between a torn end and damage, but nothing depends on it.
  void mark(std::uint64_t end, timestamp time) {
    journal_frames note;
    note.add_mark(end, time);
    static_cast<void>(write(note, end));
  }

 private:
  result<void> begin(open_file& file, const journal_segment_header& header) {
    if (auto cleared = file.truncate(0); !cleared) return cleared;
    // Room taken at once: later syncs have less to do, and a full disk shows early. A disk with
    // less room than a segment is used up to its end.
    if (auto room = file.allocate(options_.segment_bytes);
        !room && !is_disk_full(room.error().code)) {
      return room;
    }
    if (auto written = write_fully(file, 0, encode(header)); !written) return written;
    if (auto synced = file.sync(); !synced) return synced;
    return files_.sync_directory(options_.directory);
  }

  /// Frame by frame, so that what is written has a good checksum in memory: a bit that flips while
  /// reading must not get onto the disk.
  result<void> write_again(open_file& file, const journal_directory::item& segment,
                           const journal_segment_scan& scan) {
    const auto reader =
        journal_segment_reader::open(files_, segment.path, segment.header.first_offset);
    if (!reader) return reader.error();
    auto at = scan.unproven_position;
    while (at < scan.end_position) {
      (*reader)->seek(at);
      const auto frame = (*reader)->read(scan.end_position);
      if (!frame) return frame.error();
      if (frame->status != frame_status::good) {
        return error{errc::corrupt, "'" + segment.path + "' changes while it is read"};
      }
      const auto bytes = (*reader)->bytes(scan.end_position);
      if (!bytes) return bytes.error();
      if (auto written = write_fully(file, at, bytes->substr(0, frame->size)); !written) {
        return written;
      }
      at += frame->size;
    }
    return {};
  }

  file_system& files_;
  const journal_options& options_;
  std::uint64_t journal_;
  std::unique_ptr<open_file> file_;
  std::string path_;
  std::uint64_t first_offset_ = 0;
  std::uint64_t position_ = 0;
};

struct journal::counters {
  counters(metric_group& group, const std::string& prefix)
      : appended(group.counter(prefix + "appended")),
        appended_bytes(group.counter(prefix + "appended_bytes")),
        commits(group.counter(prefix + "commits")),
        refused(group.counter(prefix + "refused")),
        retries(group.counter(prefix + "retries")),
        segments_made(group.counter(prefix + "segments_made")),
        segments_removed(group.counter(prefix + "segments_removed")),
        pending_bytes(group.gauge(prefix + "pending_bytes")),
        durable_end(group.gauge(prefix + "durable_end")),
        bytes(group.gauge(prefix + "bytes")),
        last_commit_us(group.gauge(prefix + "last_commit_us")),
        most_commit_us(group.gauge(prefix + "most_commit_us")),
        status(group.gauge(prefix + "status")) {}

  counter& appended;
  counter& appended_bytes;
  counter& commits;
  counter& refused;
  counter& retries;
  counter& segments_made;
  counter& segments_removed;
  gauge& pending_bytes;
  gauge& durable_end;
  gauge& bytes;
  gauge& last_commit_us;
  gauge& most_commit_us;
  gauge& status;
};

struct journal::observers {
  std::uint64_t last_id = 0;
  std::map<std::uint64_t, std::function<void(std::uint64_t)>> durable{};
  std::map<std::uint64_t, std::function<void(journal_status, const error&)>> status{};

  /// Callbacks may add and forget observers.
  template <class Map, class... Args>
  static void call(const Map& all, const Args&... args) {
    std::vector<std::uint64_t> ids;
    for (const auto& [id, f] : all) ids.push_back(id);
    for (const auto id : ids) {
      const auto at = all.find(id);
      if (at == all.end()) continue;
      const auto f = at->second;
      f(args...);
    }
  }
};

/// A group of records on its way to the disk.
struct journal::job {
  enum class outcome : std::uint8_t { done, full, failed };

  journal_frames frames{};
  std::uint64_t end_offset = 0;
  std::uint64_t durable = 0;  // before this job
  std::size_t bytes = 0;      // about; the frames belong to the journal's thread
  timestamp first_time{};
  timestamp last_time{};
  bool last = false;  // the journal is being closed
  std::vector<std::string> remove{};
  std::uint64_t remove_before = 0;

  bool handled = false;  // by the worker
  outcome result = outcome::done;
  error problem{};
  bool sealed = false;  // progress that a retry does not repeat
  std::optional<journal_log::segment> made{};
  std::uint64_t position = 0;
  std::chrono::nanoseconds started{};
  std::size_t removed = 0;
};

}  // namespace millrace
