// SPDX-License-Identifier: Apache-2.0
/// \file
/// The part of a source with a journal that knows no types: it groups entries, appends them, reads
/// what has become durable, and keeps what checkpoints need. Used on the worker's thread.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/operators/source.hpp>
#include <millrace/record/buffer.hpp>
#include <millrace/state/journal.hpp>
#include <millrace/state/journal_entry.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace millrace {

class journal_tape {
 public:
  /// Opens the journal. `on_durable` is called with the offset below which everything is durable.
  /// \throws topology_error for wrong options, std::runtime_error when it cannot be opened
  MILLRACE_DECL journal_tape(source_context& context, journal_options options,
                             const journal_start& start,
                             std::function<void(std::uint64_t)> on_durable);
  journal_tape(const journal_tape&) = delete;
  journal_tape& operator=(const journal_tape&) = delete;
  ~journal_tape() = default;

  /// Hands out what the newest entry reaches back to, oldest first: what the source remembers.
  /// O(reach). \throws std::runtime_error when it cannot be read
  MILLRACE_DECL void recall(
      const std::function<void(std::uint64_t offset, const journal_entry&)>& each);

  /// Adds an entry to the group; `reach` is computed from `memory_begin`. False if it is larger
  /// than the journal takes. \pre `!waiting()`
  MILLRACE_DECL bool add(journal_entry entry, std::uint64_t memory_begin);

  /// Appends the group, all or nothing. False: not now; the source is woken when it may be tried
  /// again. O(bytes).
  MILLRACE_DECL bool append();

  /// Whether a group waits to be appended.
  bool waiting() const noexcept { return !group_.empty(); }

  /// The offset of the next entry that is added.
  std::uint64_t next_offset() const noexcept { return log_->next_offset() + group_.size(); }

  void commit() { log_->commit(); }

  /// Reads up to `most` durable entries; they stay valid until the next call, and as long as a copy
  /// of `block()` lives. Empty: none now, or a failure that ends the pipeline.
  MILLRACE_DECL const std::vector<journal_record>& read(std::size_t most);
  const shared_buffer& block() const noexcept { return reader_->block(); }

  /// Something that was read cannot be used: ends the pipeline.
  MILLRACE_DECL void fail(const error& why);

  bool all_read() const { return !waiting() && position() == log_->next_offset(); }
  bool more_to_read() const { return position() < log_->durable_end(); }

  /// Where the stream stands: the offset of the first entry that was not handed out.
  std::uint64_t position() const noexcept { return reader_->position(); }
  /// \throws std::runtime_error when the journal has no such position
  MILLRACE_DECL void seek(std::uint64_t position);

  MILLRACE_DECL void checkpoint(std::uint64_t id);
  MILLRACE_DECL void checkpoint_complete(std::uint64_t id);

  /// Makes everything durable that was appended and ends. Whether it is.
  MILLRACE_DECL bool close();

 private:
  struct cut {
    std::uint64_t id;
    std::uint64_t position;
  };
  /// A checkpoint may be unreadable, and then an older one is used: `checkpoint_store_options::
  /// retain` is as large by default.
  static constexpr std::size_t kept_checkpoints = 3;

  void keep_what_is_needed();

  source_context& context_;
  std::size_t most_entry_bytes_;
  std::unique_ptr<journal> log_;
  std::optional<journal_reader> reader_;
  std::vector<journal_record> records_;
  snapshot_writer bytes_;           // of the group
  std::vector<std::size_t> group_;  // ends of its entries
  std::vector<std::string_view> views_;
  std::uint64_t memory_begin_ = UINT64_MAX;
  std::deque<cut> cuts_;                  // checkpoints under way
  std::deque<std::uint64_t> restorable_;  // positions of complete ones
  gauge& behind_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/operators/impl/journal_tape.ipp>
#endif
