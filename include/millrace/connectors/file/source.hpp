// SPDX-License-Identifier: Apache-2.0
/// \file
/// A source of the lines of a file, as messages that point into the blocks that were read (256 KiB
/// at once): JSON lines, or recordings with a topic and a time in front of each payload. The
/// description may be copied to any thread; the reader belongs to one worker.
#pragma once

#include <millrace/operators/source.hpp>
#include <millrace/record/message.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::file {

/// What stands in a line; columns are separated by one TAB, the payload may contain more of them.
enum class layout : std::uint8_t {
  payload,             ///< the whole line; the topic is the file's path
  topic_payload,       ///< topic, payload
  time_topic_payload,  ///< seconds since 1970 with up to six decimals, topic, payload
};

/// What the end of the file means.
enum class at_end : std::uint8_t {
  stop,    ///< the source ends
  follow,  ///< more may be appended; renamed and truncated files are followed, as `tail -F` does
};

struct source_options {
  std::string path{};
  file::layout layout = file::layout::payload;
  file::at_end at_end = file::at_end::stop;
  std::chrono::nanoseconds look_every = std::chrono::milliseconds{250};  ///< when following
  std::size_t block_bytes = 256 * 1024;  ///< read at once; lives until its last message is gone
  std::size_t max_line = 1024 * 1024;    ///< a longer line is a dead letter (its first KiB)
};

/// Reads blocks, cuts them into lines. Blocking reads: meant for files, not for terminals.
class line_reader {
 public:
  /// A path that is no readable file is reported to the context, unless the file is followed: then
  /// it may appear later. \throws topology_error for options that cannot work
  MILLRACE_DECL line_reader(source_context& context, source_options options);
  line_reader(const line_reader&) = delete;
  line_reader& operator=(const line_reader&) = delete;
  MILLRACE_DECL ~line_reader();

  MILLRACE_DECL poll_status poll(source_output<message>& out);
  MILLRACE_DECL void stop();

  /// The position is the offset of the first line that has not been emitted.
  template <class Writer>
  void save(Writer& out) const {
    out.varint(offset_);
  }
  template <class Reader>
  void restore(Reader& in) {
    seek(in.varint());
  }

  /// Goes on at an offset where a line begins; at 0 if the file is shorter. \pre nothing was polled
  MILLRACE_DECL void seek(std::uint64_t offset);

  std::uint64_t offset() const noexcept { return offset_; }

 private:
  enum class filled : std::uint8_t { data, end, later, failed };

  bool open();
  void close();
  void fail(const char* what, int code);
  filled fill();
  filled at_file_end();
  void make_room();
  bool replaced();
  void skip_line();
  void too_long(std::string_view line);
  void emit_line(source_output<message>& out, std::size_t end);
  void emit(source_output<message>& out, timestamp time, std::string_view topic,
            std::string_view payload);
  std::string_view view(std::size_t from, std::size_t to) const noexcept {
    return {block_.data() + from, to - from};
  }

  source_context& context_;
  source_options options_;
  shared_buffer block_;
  std::size_t text_ = 0;    // where the text begins: behind a copy of the path
  std::size_t begin_ = 0;   // of the line under way
  std::size_t scan_ = 0;    // no line feed before
  std::size_t end_ = 0;     // of what was read
  std::size_t credit_ = 0;  // references taken for messages to come
  std::uint64_t offset_ = 0;
  timestamp received_{};
  int descriptor_ = -1;
  timer_id timer_ = 0;
  bool skipping_ = false;  // inside a line that is too long
  bool stopped_ = false;
  bool failed_ = false;
  counter& lines_;
  counter& bytes_;
};

/// Lines of a file as messages, without their line feed (and carriage return); empty lines and a
/// byte order mark are skipped. A last line without a line feed counts at `at_end::stop`. The time
/// of a record is the one in its line, else the wall clock's when it was read. Can be replayed.
///
///     p.source("recording", file::source{{.path = "feed.tsv",
///                                         .layout = file::layout::time_topic_payload}})
class source {
 public:
  using value_type = message;

  explicit source(source_options options) : options_(std::move(options)) {}

  line_reader open(source_context& context) const { return line_reader(context, options_); }

 private:
  source_options options_;
};

}  // namespace millrace::file

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/file_source.ipp>
#endif
