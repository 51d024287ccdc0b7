// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/state/journal_log.hpp>

#include <algorithm>

namespace millrace {

MILLRACE_DECL std::uint64_t journal_log::first_offset() const {
  const std::lock_guard lock(mutex_);
  return segments_.empty() ? 0 : segments_.front().what.first_offset;
}

MILLRACE_DECL std::uint64_t journal_log::durable_end() const {
  const std::lock_guard lock(mutex_);
  return segments_.empty() ? 0 : segments_.back().what.end_offset;
}

MILLRACE_DECL std::vector<journal_log::segment> journal_log::segments() const {
  const std::lock_guard lock(mutex_);
  std::vector<segment> all;
  for (const auto& s : segments_) all.push_back(s.what);
  return all;
}

MILLRACE_DECL std::uint64_t journal_log::bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& s : segments_) sum += s.what.bytes;
  return sum;
}

/// The last segment that begins at or before `offset`. Callers hold the lock.
MILLRACE_DECL std::vector<journal_log::entry>::const_iterator journal_log::locate(
    std::uint64_t offset) const {
  const auto behind =
      std::upper_bound(segments_.begin(), segments_.end(), offset,
                       [](std::uint64_t o, const entry& s) { return o < s.what.first_offset; });
  return behind == segments_.begin() ? segments_.end() : behind - 1;
}

MILLRACE_DECL std::optional<journal_log::segment> journal_log::find(std::uint64_t offset) const {
  const std::lock_guard lock(mutex_);
  const auto at = locate(offset);
  if (at == segments_.end() || offset >= at->what.end_offset) return std::nullopt;
  return at->what;
}

MILLRACE_DECL std::optional<journal_log::segment> journal_log::find(timestamp t) const {
  const std::lock_guard lock(mutex_);
  if (segments_.empty()) return std::nullopt;
  const auto behind = std::partition_point(segments_.begin(), segments_.end(),
                                           [t](const entry& s) { return s.what.created < t; });
  return behind == segments_.begin() ? segments_.front().what : (behind - 1)->what;
}

template <class Before>
journal_index_entry journal_log::nearest_where(const segment& in, Before before) const {
  const std::lock_guard lock(mutex_);
  const journal_index_entry start{in.first_offset, in.created, journal_segment_header::bytes};
  const auto at = locate(in.first_offset);
  if (at == segments_.end() || at->what.first_offset != in.first_offset) return start;
  const auto behind = std::partition_point(at->index.begin(), at->index.end(), before);
  return behind == at->index.begin() ? start : *(behind - 1);
}

MILLRACE_DECL journal_index_entry journal_log::nearest(const segment& in,
                                                       std::uint64_t offset) const {
  return nearest_where(in, [&](const journal_index_entry& e) {
    return e.offset <= offset && e.position < in.limit;
  });
}

MILLRACE_DECL journal_index_entry journal_log::nearest(const segment& in, timestamp t) const {
  return nearest_where(
      in, [&](const journal_index_entry& e) { return e.time < t && e.position < in.limit; });
}

MILLRACE_DECL void journal_log::note(std::uint64_t first_offset, const journal_index_entry& frame) {
  const std::lock_guard lock(mutex_);
  const auto at = segments_.begin() + (locate(first_offset) - segments_.begin());
  if (at == segments_.end() || at->what.first_offset != first_offset) return;
  auto& index = at->index;
  const auto behind = std::partition_point(
      index.begin(), index.end(),
      [&](const journal_index_entry& e) { return e.position <= frame.position; });
  const bool far_from_last =
      behind == index.begin() || frame.position - (behind - 1)->position >= journal_index_spacing;
  const bool far_from_next =
      behind == index.end() || behind->position - frame.position >= journal_index_spacing;
  if (far_from_last && far_from_next) index.insert(behind, frame);
}

MILLRACE_DECL void journal_log::add(segment next, std::vector<journal_index_entry> index) {
  const std::lock_guard lock(mutex_);
  if (!segments_.empty()) {
    auto& last = segments_.back().what;
    last.sealed = true;
    last.end_offset = next.first_offset;
    if (last.limit != UINT64_MAX) last.bytes = last.limit;
    last.limit = UINT64_MAX;
  }
  segments_.push_back({std::move(next), std::move(index)});
}

MILLRACE_DECL void journal_log::advance(std::uint64_t durable_end, std::uint64_t position) {
  const std::lock_guard lock(mutex_);
  auto& last = segments_.back().what;
  last.end_offset = durable_end;
  last.limit = position;
  last.bytes = std::max(last.bytes, position);
}

MILLRACE_DECL void journal_log::remove_before(std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const auto kept = std::find_if(segments_.begin(), segments_.end(),
                                 [&](const entry& s) { return s.what.first_offset >= offset; });
  segments_.erase(segments_.begin(), kept);
}

namespace detail {

/// Whether a file that does not begin like a segment was only about to become one: nothing stands
/// behind its header, which is durable before anything is written there.
inline result<bool> is_unfinished_segment(file_system& files, const std::string& path) {
  const auto file = files.open(path, file_access::read);
  if (!file) return file.error();
  std::string bytes(std::size_t{64} << 10, '\0');
  for (std::uint64_t at = journal_segment_header::bytes;; at += bytes.size()) {
    const auto n = (*file)->read_at(at, bytes.data(), bytes.size());
    if (!n) return n.error();
    if (bytes.find_first_not_of('\0') < *n) return false;
    if (*n < bytes.size()) return true;
  }
}

}  // namespace detail

MILLRACE_DECL result<journal_directory> read_journal_directory(file_system& files,
                                                               const std::string& directory) {
  const auto names = files.list(directory);
  if (!names) return names.error();
  std::vector<std::uint64_t> offsets;
  for (const auto& name : *names) {
    if (const auto offset = first_offset_of_name(name)) offsets.push_back(*offset);
  }
  journal_directory found;
  for (const auto offset : offsets) {
    const auto path = path_in(directory, journal_segment_name(offset));
    const auto reader = journal_segment_reader::open(files, path, offset, 4096);
    if (!reader) {
      if (reader.error().code == errc::corrupt && offset == offsets.back()) {
        const auto unfinished = detail::is_unfinished_segment(files, path);
        if (!unfinished) return unfinished.error();
        if (*unfinished) {
          found.begun = offset;
          continue;
        }
      }
      return reader.error();
    }
    const auto& header = (*reader)->header();
    if (!found.segments.empty() && found.segments.front().header.journal != header.journal) {
      return error{errc::incompatible, "'" + path + "' belongs to another journal than '" +
                                           found.segments.front().path + "'"};
    }
    found.segments.push_back({path, header});
  }
  if (!found.segments.empty()) {
    const auto& last = found.segments.back();
    auto scan = scan_segment(files, last.path, last.header.first_offset, found.begun);
    if (!scan) return scan.error();
    found.last = std::move(*scan);
  }
  return found;
}

}  // namespace millrace
