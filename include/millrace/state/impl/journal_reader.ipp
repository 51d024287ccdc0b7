// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/state/journal_reader.hpp>

#include <algorithm>
#include <utility>

namespace millrace {

MILLRACE_DECL journal_reader::journal_reader(std::shared_ptr<journal_log> log,
                                             journal_damage damage)
    : log_(std::move(log)), damage_(damage), position_(log_->first_offset()) {}

MILLRACE_DECL result<journal_reader> journal_reader::open(const std::string& directory,
                                                          file_system* files,
                                                          journal_damage damage) {
  auto& disk = file_system_or_default(files);
  auto found = read_journal_directory(disk, directory);
  if (!found) return found.error();
  auto log = std::make_shared<journal_log>(disk, directory);
  for (std::size_t i = 0; i < found->segments.size(); ++i) {
    const auto& [path, header] = found->segments[i];
    const bool is_last = i + 1 == found->segments.size();
    const auto end = is_last ? found->last->end_offset : header.first_offset;
    const auto limit = is_last ? found->last->end_position : UINT64_MAX;
    log->add({path, header.first_offset, header.created, end, limit, !is_last, 0},
             is_last ? std::move(found->last->index) : std::vector<journal_index_entry>{});
  }
  return journal_reader(std::move(log), damage);
}

MILLRACE_DECL const shared_buffer& journal_reader::block() const noexcept {
  static const shared_buffer none;
  return segment_ != nullptr ? segment_->block() : none;
}

MILLRACE_DECL std::uint64_t journal_reader::behind() const {
  const auto end = log_->durable_end();
  return end > position_ ? end - position_ : 0;
}

MILLRACE_DECL void journal_reader::leave() noexcept {
  segment_.reset();
  records_.reset();
}

MILLRACE_DECL result<void> journal_reader::seek(const journal_start& start) {
  leave();
  const auto first = log_->first_offset();
  const auto end = log_->durable_end();
  switch (start.what) {
    case journal_start::kind::earliest: position_ = first; return {};
    case journal_start::kind::latest: position_ = end; return {};
    case journal_start::kind::time: return seek_time(start.time);
    case journal_start::kind::offset: break;
  }
  if (start.offset < first || start.offset > end) {
    return error{errc::out_of_range,
                 "the journal '" + log_->directory() + "' has no position " +
                     std::to_string(start.offset) + ": it holds records " + std::to_string(first) +
                     " up to " + std::to_string(end) +
                     (start.offset < first ? "; older ones were removed by retention"
                                           : "; what wrote down that position knew more than is "
                                             "stored here")};
  }
  position_ = start.offset;
  return {};
}

MILLRACE_DECL result<void> journal_reader::seek_time(timestamp t) {
  const auto in = log_->find(t);
  position_ = in ? in->first_offset : 0;
  if (!in || in->first_offset == in->end_offset) return {};
  const auto start = log_->nearest(*in, t);
  position_ = start.offset;
  while (true) {
    const auto more = load();
    if (!more) return more.error();
    if (!*more) return {};
    if (saturating_add(frame_.time, duration{frame_.spread}) < t) {
      position_ = frame_.end_offset();
      records_.reset();
      continue;
    }
    auto records = journal_frame_records(frame_);
    journal_record record;
    while (records.next(record) && record.time < t) {
    }
    position_ = record.offset;
    records_.reset();
    return {};
  }
}

/// Opens the segment and goes to a frame at or before the position.
MILLRACE_DECL result<bool> journal_reader::open_segment(const journal_log::segment& in,
                                                        const journal_index_entry& start) {
  auto opened = journal_segment_reader::open(log_->files(), in.path, in.first_offset);
  if (!opened) {
    if (damage_ == journal_damage::refuse || opened.error().code != errc::corrupt) {
      return opened.error();
    }
    if (auto passed = lose({in.path, 0, 0, position_, in.end_offset}); !passed) {
      return passed.error();
    }
    return false;
  }
  segment_ = std::move(*opened);
  segment_offset_ = in.first_offset;
  segment_->seek(start.position);
  return true;
}

MILLRACE_DECL result<void> journal_reader::lose(const journal_gap& gap) {
  if (damage_ == journal_damage::refuse) return error{errc::corrupt, gap.to_string()};
  if (gaps_.size() < most_gaps) gaps_.push_back(gap);
  lost_ += gap.end_offset - gap.first_offset;
  position_ = gap.end_offset;
  return {};
}

/// Finds the next frame behind a place where none is. \pre `segment_`
MILLRACE_DECL result<bool> journal_reader::pass_damage(const journal_log::segment& in,
                                                       std::uint64_t limit) {
  const auto start = segment_->position();
  for (auto from = start;; from += 8) {
    const auto next = segment_->find(from, limit);
    if (!next) return next.error();
    from = *next;
    const auto at = from;
    if (at >= limit) break;
    segment_->seek(at);
    const auto reading = segment_->read(limit);
    if (!reading) return reading.error();
    // The frame here did not fit; it does if it only leaves out records.
    const auto& frame = reading->frame;
    const bool fits = at != start
                          ? frame.first_offset >= position_
                          : frame.first_offset > position_ && frame.end_offset() <= in.end_offset;
    if (reading->status == frame_status::good && fits) {
      const auto first = frame.first_offset;
      segment_->seek(start);
      if (first > position_) {
        const journal_gap gap{in.path, start, at - start, position_,
                              std::min(first, in.end_offset)};
        if (auto passed = lose(gap); !passed) return passed.error();
      }
      segment_->seek(at);
      return true;
    }
  }
  segment_->seek(start);
  const auto bytes = limit > start ? limit - start : 0;
  if (auto passed = lose({in.path, start, bytes, position_, in.end_offset}); !passed) {
    return passed.error();
  }
  leave();
  return true;
}

/// Reads on in a segment until `records_` stand at the position. \return false when another segment
/// is to be looked at
MILLRACE_DECL result<bool> journal_reader::enter(const journal_log::segment& in) {
  if (segment_ == nullptr || segment_offset_ != in.first_offset) {
    leave();
    const auto opened = open_segment(in, log_->nearest(in, position_));
    if (!opened) return opened.error();
    if (!*opened) return false;
  }
  auto limit = in.limit;
  if (limit == UINT64_MAX) {
    const auto size = segment_->size();
    if (!size) return size.error();
    limit = *size;
  }
  while (segment_ != nullptr && position_ < in.end_offset) {
    const auto reading = segment_->read(limit);
    if (!reading) return reading.error();
    const auto& frame = reading->frame;
    const bool fits = reading->status == frame_status::good && frame.first_offset <= position_ &&
                      frame.end_offset() <= in.end_offset;
    if (!fits) {
      const auto passed = pass_damage(in, limit);
      if (!passed) return passed.error();
      continue;
    }
    const auto last = saturating_add(frame.time, duration{frame.spread});
    if (frame.count > 0) {
      log_->note(in.first_offset, {frame.first_offset, last, segment_->position()});
    }
    if (frame.end_offset() > position_) {
      frame_ = frame;
      records_.emplace(frame);
      return true;
    }
    segment_->seek(segment_->position() + reading->size);
  }
  leave();
  return false;
}

/// Makes sure that `records_` can give the record at the position; false at the end.
MILLRACE_DECL result<bool> journal_reader::load() {
  if (records_) return true;
  while (true) {
    const auto in = log_->find(position_);
    if (!in) {
      const auto first = log_->first_offset();
      if (position_ >= first) return false;
      return error{errc::out_of_range, "record " + std::to_string(position_) + " of the journal '" +
                                           log_->directory() +
                                           "' was removed by retention before it was read; the "
                                           "earliest one left is " +
                                           std::to_string(first)};
    }
    const auto entered = enter(*in);
    if (!entered) return entered.error();
    if (*entered) return true;
  }
}

MILLRACE_DECL result<std::size_t> journal_reader::read(std::vector<journal_record>& into,
                                                       std::size_t most_records,
                                                       std::size_t most_bytes) {
  std::size_t records = 0;
  std::size_t bytes = 0;
  while (records < most_records && bytes < most_bytes) {
    if (!records_ && records > 0) {
      // Loading the next frame must not move the memory that this batch lies in.
      if (segment_ == nullptr) break;
      const auto in = log_->find(position_);
      if (!in || in->first_offset != segment_offset_ || !segment_->buffered(in->limit)) break;
    }
    const auto more = load();
    if (!more) {
      if (records > 0) break;  // what was read is good; the error comes again
      return more.error();
    }
    if (!*more) break;
    journal_record record;
    while (records < most_records && bytes < most_bytes) {
      if (!records_->next(record)) {
        const bool broken = records_->broken();
        records_.reset();
        if (broken && records > 0) return records;
        if (broken && position_ < frame_.end_offset()) {
          const journal_gap gap{segment_->path(), segment_->position(), frame_.size(), position_,
                                frame_.end_offset()};
          if (auto passed = lose(gap); !passed) return passed.error();
        }
        segment_->seek(segment_->position() + frame_.size());
        break;
      }
      if (record.offset < position_) continue;
      into.push_back(record);
      position_ = record.offset + 1;
      ++records;
      bytes += record.bytes.size();
    }
  }
  return records;
}

}  // namespace millrace
