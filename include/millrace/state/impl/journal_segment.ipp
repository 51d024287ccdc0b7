// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/state/detail/journal_bytes.hpp>
#include <millrace/state/journal_segment.hpp>

#include <algorithm>

namespace millrace {

MILLRACE_DECL std::string journal_gap::to_string() const {
  auto text = "'" + path + "' is damaged at byte " + std::to_string(position) + " (" +
              std::to_string(bytes) + " bytes): ";
  if (end_offset == first_offset + 1)
    return text + "record " + std::to_string(first_offset) + " is lost";
  return text + "records " + std::to_string(first_offset) + " to " +
         std::to_string(end_offset - 1) + " are lost";
}

MILLRACE_DECL result<std::unique_ptr<journal_segment_reader>> journal_segment_reader::open(
    file_system& files, const std::string& path, std::uint64_t first_offset, std::size_t chunk) {
  auto file = files.open(path, file_access::read);
  if (!file) return file.error();
  std::string bytes(journal_segment_header::bytes, '\0');
  result<journal_segment_header> header = journal_segment_header{};
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto n = (*file)->read_at(0, bytes.data(), bytes.size());
    if (!n) return n.error();
    header = decode_segment_header(std::string_view(bytes).substr(0, *n));
    if (header) break;
  }
  if (!header) return error{header.error().code, "'" + path + "': " + header.error().message};
  if (header->first_offset != first_offset) {
    return error{errc::corrupt, "'" + path + "' begins with record " +
                                    std::to_string(header->first_offset) +
                                    ", its name says otherwise"};
  }
  return std::unique_ptr<journal_segment_reader>(
      new journal_segment_reader(std::move(*file), path, *header, chunk));
}

MILLRACE_DECL std::string_view journal_segment_reader::in_memory(
    std::uint64_t limit) const noexcept {
  if (position_ < block_position_ || position_ >= block_position_ + filled_) return {};
  const auto end = std::min(limit, block_position_ + filled_);
  if (end <= position_) return {};
  return {block_.data() + (position_ - block_position_), static_cast<std::size_t>(end - position_)};
}

MILLRACE_DECL bool journal_segment_reader::buffered(std::uint64_t limit) noexcept {
  const auto reading = read_frame(in_memory(limit), {header_.journal, position_});
  if (reading.status != frame_status::good) return false;
  checked_ = reading;
  checked_position_ = position_;
  return true;
}

/// Reads from the position on, at least `least` bytes if there are so many.
MILLRACE_DECL result<void> journal_segment_reader::fill(std::uint64_t limit, std::size_t least) {
  const auto rest = limit > position_ ? limit - position_ : 0;
  const auto wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(rest, std::max(least, chunk_)));
  if (!block_.unique() || block_.capacity() < wanted) {
    block_ = shared_buffer::allocate(std::max<std::size_t>(wanted, 4096));
  }
  forget();
  block_position_ = position_;
  const auto n = file_->read_at(position_, block_.data(), wanted);
  if (!n) return n.error();
  filled_ = *n;
  return {};
}

MILLRACE_DECL result<frame_reading> journal_segment_reader::read(std::uint64_t limit) {
  if (checked_ && checked_position_ == position_) return *checked_;
  const journal_place place{header_.journal, position_};
  if (in_memory(limit).size() <
      std::min<std::uint64_t>(journal_frame::header_bytes, limit - std::min(limit, position_))) {
    if (auto filled = fill(limit, journal_frame::header_bytes); !filled) return filled.error();
  }
  auto reading = read_frame(in_memory(limit), place);
  if (reading.status == frame_status::incomplete && limit - position_ >= reading.size) {
    if (auto filled = fill(limit, reading.size); !filled) return filled.error();
    reading = read_frame(in_memory(limit), place);
  }
  if (reading.status == frame_status::damaged) {
    const auto least = reading.header_is_good ? reading.size : journal_frame::header_bytes;
    if (auto filled = fill(limit, least); !filled) return filled.error();
    auto again = read_frame(in_memory(limit), place);
    if (again.status == frame_status::incomplete && limit - position_ >= again.size) {
      if (auto filled = fill(limit, again.size); !filled) return filled.error();
      again = read_frame(in_memory(limit), place);
    }
    reading = again;
  }
  return reading;
}

MILLRACE_DECL result<std::string_view> journal_segment_reader::bytes(std::uint64_t limit) {
  if (in_memory(limit).empty()) {
    if (auto filled = fill(limit, 1); !filled) return filled.error();
  }
  return in_memory(limit);
}

MILLRACE_DECL result<std::uint64_t> journal_segment_reader::find(std::uint64_t from,
                                                                 std::uint64_t limit) {
  const auto before = std::exchange(position_, (from + 7) & ~std::uint64_t{7});
  while (position_ < limit) {
    const auto bytes = in_memory(limit);
    if (bytes.size() < journal_frame::header_bytes) {
      if (limit - position_ < journal_frame::header_bytes) break;
      if (auto filled = fill(limit, journal_frame::header_bytes); !filled) {
        position_ = before;
        return filled.error();
      }
      if (in_memory(limit).size() < journal_frame::header_bytes) break;
      continue;
    }
    // Most places hold no magic number: look for that before the checksum.
    std::size_t at = 0;
    while (true) {
      at = bytes.find(detail::frame_magic_text, at);
      if (at == std::string_view::npos || at + journal_frame::header_bytes > bytes.size()) break;
      if (at % 8 == 0 && read_frame(bytes.substr(at, journal_frame::header_bytes),
                                    {header_.journal, position_ + at})
                             .header_is_good) {
        const auto found = position_ + at;
        position_ = before;
        return found;
      }
      ++at;
    }
    // A header may begin in what is left.
    at = (bytes.size() - journal_frame::header_bytes + 8) & ~std::size_t{7};
    position_ += at;
  }
  position_ = before;
  return limit;
}

namespace detail {

inline bool records_are_sound(const journal_frame& frame) noexcept {
  journal_frame_records records(frame);
  journal_record record;
  while (records.next(record)) {
  }
  return !records.broken();
}

/// Walks over a segment; see `scan_segment`.
class segment_scanner {
 public:
  segment_scanner(journal_segment_reader& reader, std::optional<std::uint64_t> end_offset)
      : reader_(reader), sealed_end_(end_offset) {}

  result<journal_segment_scan> run() {
    const auto size = reader_.size();
    if (!size) return size.error();
    scan_.header = reader_.header();
    scan_.file_size = *size;
    scan_.end_offset = scan_.header.first_offset;
    scan_.end_position = journal_segment_header::bytes;
    scan_.unproven_position = scan_.end_position;
    while (!sealed_end_ || scan_.end_offset < *sealed_end_) {
      reader_.seek(scan_.end_position);
      const auto reading = reader_.read(*size);
      if (!reading) return reading.error();
      if (is_next(*reading)) {
        if (reading->frame.count == 0 && !sealed_end_) {
          // The next frame replaces the mark: what stands behind it has never been complete.
          prove(reading->frame.durable);
          if (auto rest = torn(scan_.end_position + reading->size); !rest) return rest.error();
          break;
        }
        take(reading->frame, reading->size);
        continue;
      }
      const auto more = behind_damage();
      if (!more) return more.error();
      if (!*more) break;
    }
    if (sealed_end_) scan_.unproven_position = scan_.end_position;
    return std::move(scan_);
  }

 private:
  bool is_next(const frame_reading& reading) const noexcept {
    return reading.status == frame_status::good && reading.frame.first_offset == scan_.end_offset &&
           records_are_sound(reading.frame);
  }

  bool leaves_out(const frame_reading& reading) const noexcept {
    return reading.status == frame_status::good && reading.frame.first_offset > scan_.end_offset &&
           records_are_sound(reading.frame);
  }

  void prove(std::uint64_t durable) {
    scan_.last_durable = std::max(scan_.last_durable, durable);
    if (durable >= scan_.end_offset) scan_.unproven_position = scan_.end_position;
  }

  void take(const journal_frame& frame, std::size_t size) {
    prove(frame.durable);
    const auto last = saturating_add(frame.time, duration{frame.spread});
    if (scan_.index.empty() ||
        scan_.end_position - scan_.index.back().position >= journal_index_spacing) {
      scan_.index.push_back({frame.first_offset, last, scan_.end_position});
    }
    scan_.last_time = std::max(scan_.last_time, last);
    scan_.records += frame.count;
    scan_.end_offset = frame.end_offset();
    scan_.end_position += size;
  }

  /// Where the next frame does not stand: finds the frame to go on with, if what lies between was
  /// durable. That may be the one here, if it is sound and only leaves out records. False at the
  /// end of the segment.
  result<bool> behind_damage() {
    const auto start = scan_.end_position;
    std::uint64_t go_on = 0;
    bool found_any = false;
    for (auto from = start;; from += 8) {
      const auto next = reader_.find(from, scan_.file_size);
      if (!next) return next.error();
      if (*next >= scan_.file_size) break;
      from = *next;
      const auto at = from;
      reader_.seek(at);
      const auto reading = reader_.read(scan_.file_size);
      if (!reading) return reading.error();
      if (!reading->header_is_good || reading->frame.first_offset < scan_.end_offset) continue;
      if (at == start && !leaves_out(*reading)) continue;
      if (!std::exchange(found_any, true)) go_on = at;
      const bool was_durable = sealed_end_ || reading->frame.durable > scan_.end_offset;
      if (was_durable) return resume(start, go_on);
    }
    if (sealed_end_) {
      add_gap(start, scan_.file_size, *sealed_end_);
      return false;
    }
    return torn(start);
  }

  result<bool> resume(std::uint64_t start, std::uint64_t at) {
    reader_.seek(at);
    const auto reading = reader_.read(scan_.file_size);
    if (!reading) return reading.error();
    if (reading->frame.first_offset > scan_.end_offset) {
      add_gap(start, at, reading->frame.first_offset);
    } else {
      scan_.end_position = at;  // nothing is lost: padding, or a mark
    }
    return true;
  }

  void add_gap(std::uint64_t from, std::uint64_t to, std::uint64_t end_offset) {
    scan_.gaps.push_back({reader_.path(), from, to - from, scan_.end_offset, end_offset});
    scan_.end_offset = end_offset;
    scan_.end_position = (to + 7) & ~std::uint64_t{7};
  }

  /// Bytes behind the last that is not zero count as not written.
  result<bool> torn(std::uint64_t start) {
    auto end = start;
    for (auto at = start; at < scan_.file_size;) {
      reader_.seek(at);
      const auto bytes = reader_.bytes(scan_.file_size);
      if (!bytes) return bytes.error();
      if (bytes->empty()) break;
      // Compared with itself one byte further: much faster than looking at each byte.
      const bool zeros =
          bytes->front() == '\0' && bytes->substr(1) == bytes->substr(0, bytes->size() - 1);
      if (!zeros) end = at + bytes->find_last_not_of('\0') + 1;
      at += bytes->size();
    }
    scan_.torn_bytes = end - start;
    return false;
  }

  journal_segment_reader& reader_;
  std::optional<std::uint64_t> sealed_end_;
  journal_segment_scan scan_;
};

}  // namespace detail

MILLRACE_DECL result<journal_segment_scan> scan_segment(file_system& files, const std::string& path,
                                                        std::uint64_t first_offset,
                                                        std::optional<std::uint64_t> end_offset) {
  constexpr std::size_t chunk = std::size_t{1} << 20;
  const auto reader = journal_segment_reader::open(files, path, first_offset, chunk);
  if (!reader) return reader.error();
  return detail::segment_scanner(**reader, end_offset).run();
}

}  // namespace millrace
