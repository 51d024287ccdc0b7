// SPDX-License-Identifier: Apache-2.0
/// \file
/// Opening a journal: what a crash has left is made sound and durable.
#pragma once

#include <millrace/state/impl/journal_writer.ipp>
#include <millrace/state/journal.hpp>

#include <algorithm>

namespace millrace {

MILLRACE_DECL void journal_options::validate() const {
  const auto wrong = [this](const std::string& what) {
    throw topology_error(name + ": journal_options::" + what);
  };
  if (directory.empty()) wrong("directory is empty; name the directory to write to");
  if (commit_bytes == 0) wrong("commit_bytes is 0; 1 makes every append durable by itself");
  if (commit_records == 0) wrong("commit_records is 0; 1 makes every append durable by itself");
  if (commit_after.count() < 0) wrong("commit_after is negative");
  if (most_pending_bytes == 0) wrong("most_pending_bytes is 0: nothing could be appended");
  if (most_record_bytes == 0) wrong("most_record_bytes is 0: nothing could be appended");
  if (most_record_bytes > journal_frame::most_payload / 2) {
    wrong("most_record_bytes is more than " + std::to_string(journal_frame::most_payload / 2));
  }
  if (segment_bytes < 4096) wrong("segment_bytes is less than 4096");
  if (retry_when_full.count() <= 0) wrong("retry_when_full must be positive");
}

MILLRACE_DECL result<std::unique_ptr<journal>> journal::open(journal_options options,
                                                             environment& env) {
  options.validate();
  std::unique_ptr<journal> opened(new journal(std::move(options), env));
  if (auto begun = opened->begin(); !begun) {
    opened->status_ = journal_status::closed;  // nothing to be closed
    return error{begun.error().code, "the journal cannot be opened: " + begun.error().message};
  }
  return opened;
}

MILLRACE_DECL result<void> journal::begin() {
  auto& files = log_->files();
  if (auto made = files.create_directories(options_.directory); !made) return made;
  auto lock = files.lock(path_in(options_.directory, "lock"));
  if (!lock) return lock.error();
  lock_ = std::move(*lock);
  auto found = read_journal_directory(files, options_.directory);
  if (!found) return found.error();
  if (found->begun) {
    // Nothing has ever been written into it.
    const auto path = path_in(options_.directory, journal_segment_name(*found->begun));
    if (auto removed = files.remove(path); !removed) return removed;
    if (auto synced = files.sync_directory(options_.directory); !synced) return synced;
  }
  if (auto recovered = recover(*found); !recovered) return recovered;
  counters_->durable_end.set(static_cast<std::int64_t>(next_offset_));
  counters_->bytes.set(static_cast<std::int64_t>(log_->bytes()));
  return {};
}

MILLRACE_DECL result<void> journal::recover(const journal_directory& found) {
  auto& files = log_->files();
  if (found.segments.empty()) {
    writer_ = std::make_unique<segment_writer>(files, options_, env_.random());
    next_offset_ = found.begun.value_or(0);
    const auto now = time_of_append();
    if (auto made = writer_->make(next_offset_, now); !made) return made;
    const auto start = writer_->position();
    log_->add({writer_->path(), next_offset_, now, next_offset_, start, false, start}, {});
    counters_->segments_made.add();
    return {};
  }
  const auto& scan = *found.last;
  if (!scan.gaps.empty() && options_.damage == journal_damage::refuse) {
    return error{errc::corrupt, scan.gaps.front().to_string()};
  }
  writer_ = std::make_unique<segment_writer>(files, options_, scan.header.journal);
  if (auto adopted = writer_->adopt(found.segments.back(), scan); !adopted) return adopted;
  for (std::size_t i = 0; i < found.segments.size(); ++i) {
    const auto& [path, header] = found.segments[i];
    const auto file = files.open(path, file_access::read);
    const auto bytes = file ? (*file)->size() : result<std::uint64_t>(file.error());
    if (!bytes) return bytes.error();
    const bool is_last = i + 1 == found.segments.size();
    log_->add(
        {path, header.first_offset, header.created, is_last ? scan.end_offset : header.first_offset,
         is_last ? scan.end_position : UINT64_MAX, !is_last, is_last ? scan.end_position : *bytes},
        is_last ? scan.index : std::vector<journal_index_entry>{});
  }
  next_offset_ = scan.end_offset;
  last_time_ = std::max(scan.last_time, scan.header.created);
  if (scan.torn_bytes > 0) {
    repaired_ = "'" + writer_->path() + "': " + std::to_string(scan.torn_bytes) +
                " bytes behind record " + std::to_string(scan.end_offset) +
                " had not been written completely and were cut off";
    env_.log().warning(options_.name, repaired_);
  }
  for (const auto& gap : scan.gaps) env_.log().error(options_.name, gap.to_string());
  return {};
}

}  // namespace millrace
