// SPDX-License-Identifier: Apache-2.0
/// \file
/// Replays an archive: what `journaled` has written, as an ordinary source. The description may be
/// copied to any thread; the reader belongs to one worker.
///
///     p.source("again", journal_source<>{{.directory = "journal/bikes",
///                                         .start = journal_start::since(yesterday)}})
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/operators/source.hpp>
#include <millrace/record/message.hpp>
#include <millrace/state/journal_entry.hpp>
#include <millrace/state/journal_reader.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// A record that a journal can hold. It may have more to say than topic and payload:
/// `save_attributes(snapshot_writer&) const` and `restore_attributes(snapshot_reader&)`.
template <class M>
concept journaled_message = payload_record<M> && std::default_initializable<M> && requires(M& m) {
  m.topic = std::string_view{};
  m.received = timestamp{};
};

/// The message of an entry; it points into `block`, or, when that is empty, into what the entry
/// points into.
template <journaled_message M>
M journal_message(const journal_entry& entry, const shared_buffer& block) {
  M m;
  m.owner = block;
  m.topic = entry.topic;
  m.payload = entry.payload;
  m.received = entry.received;
  if constexpr (requires(snapshot_reader& from) { m.restore_attributes(from); }) {
    snapshot_reader from(entry.attributes);
    m.restore_attributes(from);
  }
  return m;
}

struct journal_source_options {
  std::string directory{};
  journal_start start{};  ///< where to begin; earliest, latest, an offset or a time
  journal_damage damage = journal_damage::refuse;
  file_system* files = nullptr;  ///< the real one
};

/// The part of the reader that knows no types.
class journal_archive {
 public:
  /// \throws std::runtime_error when it cannot be read
  MILLRACE_DECL explicit journal_archive(source_context& context,
                                         const journal_source_options& options);

  /// Entries, and whether more follow; an error ends the pipeline.
  MILLRACE_DECL const std::vector<journal_record>& read(std::size_t most);
  bool at_end() const { return failed_ || reader_->behind() == 0; }
  const shared_buffer& block() const noexcept { return reader_->block(); }
  MILLRACE_DECL void fail(const error& why);
  std::uint64_t position() const noexcept { return reader_->position(); }
  MILLRACE_DECL void seek(std::uint64_t position);

 private:
  source_context& context_;
  std::optional<journal_reader> reader_;
  std::vector<journal_record> records_;
  counter& lost_;
  bool failed_ = false;
};

/// Emits the messages of a journal, from `start` to the end it had when the pipeline started; it
/// changes nothing there, and the writer may go on meanwhile. Checkpoints hold its position. `M` is
/// what the journaled source emitted, or `message`. Metric: `lost`, records that were damaged
/// (`journal_damage::skip`). A disk that is slow to read holds up its worker.
template <journaled_message M = message>
class journal_source {
 public:
  using value_type = M;

  explicit journal_source(journal_source_options options) : options_(std::move(options)) {}

  class reader {
   public:
    reader(source_context& context, const journal_source_options& options)
        : archive_(context, options) {}

    poll_status poll(source_output<M>& out) {
      for (const auto& record : archive_.read(out.room())) {
        const auto entry = decode_entry(record.bytes);
        if (!entry) {
          archive_.fail(entry.error());
          break;
        }
        if (entry->what != journal_entry::kind::message) continue;
        out.emit(journal_message<M>(*entry, archive_.block()), entry->time);
      }
      return archive_.at_end() ? poll_status::end : poll_status::more;
    }

    void save(snapshot_writer& to) const { to.number(archive_.position()); }
    void restore(snapshot_reader& from) {
      const auto position = from.number<std::uint64_t>();
      if (!from.failed()) archive_.seek(position);
    }

   private:
    journal_archive archive_;
  };

  reader open(source_context& context) const { return {context, options_}; }

 private:
  journal_source_options options_;
};

journal_source(journal_source_options) -> journal_source<>;

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/operators/impl/journal_source.ipp>
#endif
