// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/operators/journal_tape.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace millrace {

MILLRACE_DECL journal_tape::journal_tape(source_context& context, journal_options options,
                                         const journal_start& start,
                                         std::function<void(std::uint64_t)> on_durable)
    : context_(context),
      most_entry_bytes_(options.most_record_bytes),
      behind_(context.metrics().gauge("journal_behind")) {
  if (options.metrics == nullptr) {
    options.metrics = &context.metrics();
    options.metric_prefix = "journal_";
  }
  options.name = context.name();
  auto opened = journal::open(std::move(options), context.env());
  if (!opened) throw std::runtime_error(opened.error().message);
  log_ = std::move(*opened);
  auto reader = log_->read_from(start);
  if (!reader) throw std::runtime_error(reader.error().message);
  reader_ = std::move(*reader);
  // Until there are checkpoints a restart begins here.
  if (context.takes_checkpoints()) restorable_.push_back(position());
  log_->on_durable([this, tell = std::move(on_durable)](std::uint64_t end) {
    tell(end);
    keep_what_is_needed();
    context_.wake();
  });
  log_->on_status([this](journal_status status, const error& why) {
    if (status == journal_status::failed) context_.fail(why);
    if (status == journal_status::open) context_.wake();
  });
}

MILLRACE_DECL void journal_tape::recall(
    const std::function<void(std::uint64_t, const journal_entry&)>& each) {
  const auto end = log_->next_offset();
  const auto first = log_->first_offset();
  memory_begin_ = end;
  if (first == end) return;
  std::vector<journal_record> records;
  const auto read_at = [&](journal_reader& from, std::uint64_t offset) {
    auto found = from.seek(journal_start::at(offset));
    if (!found) throw std::runtime_error(found.error().message);
  };
  const auto decoded = [](const journal_record& record) {
    auto entry = decode_entry(record.bytes);
    if (!entry) throw std::runtime_error(entry.error().message);
    return *entry;
  };
  auto from = log_->read_from(journal_start::at(end - 1));
  auto n = from ? from->read(records, 1) : result<std::size_t>(from.error());
  if (!n) throw std::runtime_error(n.error().message);
  if (*n == 0) return;  // damaged, and to be skipped
  const auto reach = decoded(records.front()).reach;
  memory_begin_ = std::max(first, end - 1 - std::min(reach, end - 1));
  read_at(*from, memory_begin_);
  while (from->position() < end) {
    records.clear();
    n = from->read(records);
    if (!n) throw std::runtime_error(n.error().message);
    if (*n == 0) break;
    for (const auto& record : records) each(record.offset, decoded(record));
  }
}

MILLRACE_DECL bool journal_tape::add(journal_entry entry, std::uint64_t memory_begin) {
  const auto offset = next_offset();
  entry.reach = offset - std::min(memory_begin, offset);
  const auto before = bytes_.size();
  encode(entry, bytes_);
  if (bytes_.size() - before > most_entry_bytes_) {
    bytes_.truncate(before);
    return false;
  }
  memory_begin_ = std::min(memory_begin, offset);
  group_.push_back(bytes_.size());
  return true;
}

MILLRACE_DECL bool journal_tape::append() {
  if (group_.empty()) return true;
  if (log_->status() != journal_status::open) return false;
  views_.clear();
  std::size_t begin = 0;
  for (const auto end : group_) {
    views_.push_back(bytes_.view().substr(begin, end - begin));
    begin = end;
  }
  const auto done = log_->append(views_);
  if (!done) {
    if (done.error().code != errc::overloaded) context_.fail(done.error());
    return false;
  }
  bytes_.clear();
  group_.clear();
  return true;
}

MILLRACE_DECL const std::vector<journal_record>& journal_tape::read(std::size_t most) {
  records_.clear();
  if (most == 0 || !more_to_read()) return records_;
  const auto done = reader_->read(records_, most);
  if (!done) {
    records_.clear();
    context_.fail(done.error());
  }
  behind_.set(static_cast<std::int64_t>(log_->next_offset() - position()));
  return records_;
}

MILLRACE_DECL void journal_tape::fail(const error& why) { context_.fail(why); }

MILLRACE_DECL void journal_tape::seek(std::uint64_t position) {
  if (auto found = reader_->seek(journal_start::at(position)); !found) {
    throw std::runtime_error(found.error().message);
  }
  restorable_.assign(1, position);
  keep_what_is_needed();
}

MILLRACE_DECL void journal_tape::checkpoint(std::uint64_t id) { cuts_.push_back({id, position()}); }

MILLRACE_DECL void journal_tape::checkpoint_complete(std::uint64_t id) {
  for (; !cuts_.empty() && cuts_.front().id <= id; cuts_.pop_front()) {
    if (cuts_.front().id == id) restorable_.push_back(cuts_.front().position);
  }
  while (restorable_.size() > kept_checkpoints) restorable_.pop_front();
  keep_what_is_needed();
}

MILLRACE_DECL void journal_tape::keep_what_is_needed() {
  auto needed = std::min(position(), memory_begin_);
  if (!restorable_.empty()) needed = std::min(needed, restorable_.front());
  log_->need_from(needed);
}

MILLRACE_DECL bool journal_tape::close() {
  const bool whole = append();
  return log_->close().has_value() && whole;
}

}  // namespace millrace
