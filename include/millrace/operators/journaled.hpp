// SPDX-License-Identifier: Apache-2.0
/// \file
/// A journal as a part of a source: what a push source receives (MQTT, HTTP, any source of
/// messages) is appended to a journal on disk, and the stream is what the journal holds. Such a
/// source can be replayed, and its sender can forget a message as soon as it is on the disk.
///
///     p.source("bikes", journaled(mqtt::source{{.topic = "bikes/#", .qos = 1,
///                                               .connection = {.session_expiry = 24h}}},
///                                 {.directory = "journal/bikes"}));
#pragma once

#include <millrace/operators/journal_source.hpp>
#include <millrace/operators/journal_tape.hpp>
#include <millrace/operators/source.hpp>
#include <millrace/record/batch.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace millrace {

/// Takes in through a reader, appends, and emits what has become durable.
///
/// Members of the reader that are used, all of them optional:
/// - `checkpoint(offset)`, `checkpoint_complete(offset)`: as under checkpoints, but what makes
///   messages safe is the journal. `offset` is the journal's end behind what was emitted so far.
/// - `save`, `restore`: its position, which is written behind each group of messages; or, for
///   readers that remember single messages,
/// - `recall(offset, const value_type&)`, `recall_note(offset, std::string_view)`: before the first
///   poll, what the journal holds from `memory_begin()` on;
///   `std::uint64_t memory_begin()`: what lies before that offset is of no use to it any more;
///   `bool note(snapshot_writer&)`: whether it has something else to remember; it is written
///   before what was emitted in the same poll.
/// - `stop()`.
template <class S>
class journaled_reader {
 public:
  using value_type = typename S::value_type;
  using inner_type = decltype(std::declval<const S&>().open(std::declval<source_context&>()));

  journaled_reader(source_context& context, const S& inner, const journal_options& options,
                   const journal_start& start)
      : context_(context),
        tape_(context, options, start, [this](std::uint64_t end) { made_durable(end); }),
        inner_(inner.open(context)) {
    tape_.recall(
        [this](std::uint64_t offset, const journal_entry& entry) { recall(offset, entry); });
    restore_inner();
  }
  journaled_reader(const journaled_reader&) = delete;
  journaled_reader& operator=(const journaled_reader&) = delete;

  /// What was appended becomes durable, and the sender hears of it if that can be done at once.
  ~journaled_reader() {
    const auto end = tape_.next_offset();
    if (tape_.close()) made_durable(end);
  }

  poll_status poll(source_output<value_type>& out) {
    if (stopping_) return poll_status::end;
    const bool more_to_take = take_in();
    give_out(out);
    if (exhausted_ && tape_.all_read()) return poll_status::end;
    return more_to_take || tape_.more_to_read() ? poll_status::more : poll_status::wait;
  }

  /// Takes in no more and ends. What is in the journal and has not been read yet stays for the next
  /// start.
  void stop() {
    stopping_ = true;
    if constexpr (requires { inner_.stop(); }) inner_.stop();
  }

  void checkpoint(std::uint64_t id) { tape_.checkpoint(id); }
  void checkpoint_complete(std::uint64_t id) { tape_.checkpoint_complete(id); }
  void save(snapshot_writer& to) const { to.number(tape_.position()); }
  void restore(snapshot_reader& from) {
    const auto position = from.number<std::uint64_t>();
    if (!from.failed()) tape_.seek(position);
  }

 private:
  static constexpr bool recalls =
      requires(inner_type& r, const value_type& v) { r.recall(std::uint64_t{}, v); };
  static constexpr bool has_position =
      !recalls && requires(const inner_type& r, snapshot_writer& to) { r.save(to); };

  /// Whether the inner reader may have more at once.
  bool take_in() {
    if (tape_.waiting() && !append()) return false;
    if (exhausted_) return false;
    source_output<value_type> into(taken_);
    const auto status = inner_.poll(into);
    if constexpr (requires { inner_.note(bytes_); }) {
      bytes_.clear();
      if (inner_.note(bytes_)) add(journal_entry::kind::note);
    }
    for (std::size_t i = 0; i < taken_.size(); ++i) add(taken_.value(i), taken_.time(i));
    if constexpr (has_position) {
      bytes_.clear();
      if (!taken_.empty()) {
        inner_.save(bytes_);
        add(journal_entry::kind::position);
      }
    }
    taken_.clear();
    exhausted_ = status == poll_status::end;
    const bool fits = append();
    if (exhausted_) tape_.commit();
    return status == poll_status::more && fits;
  }

  bool append() {
    if (!tape_.waiting()) return true;
    if (!tape_.append()) return false;
    if constexpr (requires { inner_.checkpoint(std::uint64_t{}); }) {
      inner_.checkpoint(tape_.next_offset());
    }
    return true;
  }

  void add(const value_type& value, timestamp time) {
    attributes_.clear();
    if constexpr (requires { value.save_attributes(attributes_); }) {
      value.save_attributes(attributes_);
    }
    const journal_entry entry{.received = value.received,
                              .time = time,
                              .topic = value.topic,
                              .attributes = attributes_.view(),
                              .payload = value.payload};
    if (tape_.add(entry, memory_begin())) return;
    context_.dead_letter("larger than journal_options::most_record_bytes", value.topic,
                         value.payload);
  }

  void add(journal_entry::kind what) {
    if (tape_.add({.what = what, .payload = bytes_.view()}, memory_begin())) return;
    tape_.fail({errc::too_large,
                "what the source remembers is larger than "
                "journal_options::most_record_bytes"});
  }

  std::uint64_t memory_begin() const {
    if constexpr (requires { inner_.memory_begin(); }) {
      return inner_.memory_begin();
    } else if constexpr (has_position) {
      return last_position_;
    } else {
      return UINT64_MAX;
    }
  }

  void made_durable(std::uint64_t end) {
    if constexpr (requires { inner_.checkpoint_complete(end); }) inner_.checkpoint_complete(end);
  }

  void recall(std::uint64_t offset, const journal_entry& entry) {
    if constexpr (recalls) {
      if (entry.what == journal_entry::kind::message) {
        inner_.recall(offset, journal_message<value_type>(entry, shared_buffer{}));
      } else if (entry.what == journal_entry::kind::note) {
        inner_.recall_note(offset, entry.payload);
      }
    } else if constexpr (has_position) {
      if (entry.what != journal_entry::kind::position) return;
      last_position_ = offset;
      inner_state_ = std::string(entry.payload);
    }
  }

  void restore_inner() {
    if constexpr (has_position) {
      if (inner_state_.empty()) return;
      snapshot_reader from(inner_state_);
      inner_.restore(from);
      if (from.failed()) throw std::runtime_error(from.status().error().message);
      inner_state_.clear();
    }
  }

  void give_out(source_output<value_type>& out) {
    const auto& records = tape_.read(out.room());
    for (const auto& record : records) {
      const auto entry = decode_entry(record.bytes);
      if (!entry) return tape_.fail(entry.error());
      if (entry->what != journal_entry::kind::message) continue;
      out.emit(journal_message<value_type>(*entry, tape_.block()), entry->time);
    }
  }

  source_context& context_;
  journal_tape tape_;
  inner_type inner_;
  batch<value_type> taken_;
  snapshot_writer attributes_;
  snapshot_writer bytes_;
  std::string inner_state_;
  std::uint64_t last_position_ = 0;
  bool exhausted_ = false;
  bool stopping_ = false;
};

/// See `journaled`.
template <class S>
class journaled_source {
 public:
  using value_type = typename S::value_type;
  static_assert(journaled_message<value_type>,
                "journaled(source, options): the source must emit messages: a default "
                "constructible type with owner, topic, payload and received, as millrace::message");

  journaled_source(S inner, journal_options options, journal_start start)
      : inner_(prepared(std::move(inner))), options_(std::move(options)), start_(start) {}

  /// \throws topology_error for options that cannot work; `part` is named in it.
  void validate(const std::string& part = "journaled source") const {
    if constexpr (requires { inner_.validate(part); }) inner_.validate(part);
    auto options = options_;
    options.name = part;
    options.validate();
  }

  /// What comes into the journal is replayable; what does not is lost or comes again, as without.
  delivery delivered() const { return delivery_of_source(inner_); }

  journaled_reader<S> open(source_context& context) const {
    validate(context.name());
    return journaled_reader<S>(context, inner_, options_, start_);
  }

 private:
  static S prepared(S inner) {
    if constexpr (requires { inner.under_journal(); }) {
      return inner.under_journal();
    } else {
      return inner;
    }
  }

  S inner_;
  journal_options options_;
  journal_start start_;
};

/// Puts a journal between a source and the pipeline. Messages are acknowledged when they are on the
/// disk (MQTT: `acknowledge_mode::on_journal`, the default here), the stream is read from what is
/// durable, and checkpoints hold the place in the journal: after a crash the pipeline goes on from
/// there, whatever the sender has forgotten. A message that is sent again, because its
/// acknowledgement got lost, is recognised and dropped, also after a crash: what identifies it
/// stands in the journal. One journal for one source.
///
/// Without a checkpoint to start from the stream begins at `start`. Latency: that of an fsync, and
/// `journal_options::commit_after`. A full disk: nothing is taken in and nothing acknowledged until
/// there is room (metric `journal_status` 1, an error in the log); the sender's bounds apply. A
/// failed fsync ends the pipeline. Retention leaves what the last three checkpoints need. A message
/// larger than `most_record_bytes` is a dead letter. Metrics: those of the source, of the journal
/// with the prefix `journal_`, and `journal_behind`, records that were appended and not handed out.
template <class S>
journaled_source<S> journaled(S source, journal_options options,
                              journal_start start = journal_start::earliest()) {
  return {std::move(source), std::move(options), start};
}

}  // namespace millrace
