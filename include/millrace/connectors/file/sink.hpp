// SPDX-License-Identifier: Apache-2.0
/// \file
/// A sink that writes one line per record to a file: JSON lines by default, or any codec or format
/// function. Buffered, rotated by renaming. The description may be copied to any thread; the writer
/// belongs to one worker.
#pragma once

#include <millrace/codec/json.hpp>
#include <millrace/connectors/detail/record_printer.hpp>
#include <millrace/connectors/file/device.hpp>
#include <millrace/operators/sink.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace millrace::file {

/// When bytes are forced to the medium. A call costs about 0.1 to 10 ms of the worker's time.
enum class sync_policy : std::uint8_t {
  never,     ///< when the operating system likes
  on_close,  ///< when a file is finished: at the end, and before a rotation
  on_flush,  ///< at every flush: survives a loss of power up to there
};

/// What a disk that is full (ENOSPC, EDQUOT) or fails (EIO) means. Other errors always fail.
enum class on_write_error : std::uint8_t {
  fail,  ///< the pipeline fails, saying why; the file ends with a whole line
  wait,  ///< back-pressure; tried again every `retry_every` until it works
};

struct sink_options {
  /// The file being written has always this name. A finished one is renamed to `path` + "." + a
  /// number of at least six digits that counts up: out.jsonl.000001, out.jsonl.000002, ...
  std::string path{};
  open_mode existing = open_mode::append;

  std::size_t flush_bytes = 64 * 1024;  ///< written out when so much is buffered ...
  std::chrono::nanoseconds flush_after = std::chrono::seconds{1};  ///< ... or it is so old

  std::uint64_t rotate_bytes = 0;  ///< rotated behind the line that reaches it; 0: never
  std::chrono::nanoseconds
      rotate_every{};      ///< rotated when open for so long, unless empty; 0: never
  std::uint64_t keep = 0;  ///< rotated files to keep, oldest go first; 0: all

  sync_policy sync = sync_policy::on_close;
  on_write_error on_error = on_write_error::fail;
  std::chrono::nanoseconds retry_every = std::chrono::seconds{1};

  /// Makes what is written to; empty: the file system.
  std::function<std::unique_ptr<device>()> make_device{};
};

/// The part of the writer that knows no types: a buffer of whole lines, and the file behind it.
class line_writer {
 public:
  /// Opens the file; a failure is reported to the context.
  MILLRACE_DECL line_writer(sink_context& context, sink_options options);
  line_writer(const line_writer&) = delete;
  line_writer& operator=(const line_writer&) = delete;

  /// Writes what is buffered, once, if the file takes it.
  MILLRACE_DECL ~line_writer();

  /// Where to append the next line. What was appended without a `commit` (an encoder that threw)
  /// is dropped.
  std::string& begin() {
    buffer_.resize(committed_);
    return buffer_;
  }

  /// The line is complete. One that contains a line feed is a dead letter.
  MILLRACE_DECL void commit(timestamp time);

  /// Brings all lines so far to the medium, then tells the context. `save` gives the place behind
  /// them; `restore` cuts off what was written after it, rotated files included.
  MILLRACE_DECL void checkpoint();
  MILLRACE_DECL void save(snapshot_writer& to) const;
  MILLRACE_DECL void restore(snapshot_reader& from);

  MILLRACE_DECL void end();

 private:
  enum class rotation : std::uint8_t { none, close, rename, open };

  void advance();
  void report_checkpoint();
  bool write_out();
  bool rotate();
  bool finish_file();
  bool open(open_mode mode);
  void failed(const std::error_code& code, const char* what);
  void arm_flush();
  void arm_rotation();
  std::string numbered(std::uint64_t number) const;

  sink_context& context_;
  sink_options options_;
  std::unique_ptr<device> device_;
  std::string buffer_;
  std::size_t committed_ = 0;    // buffer_[0, committed_) are whole lines
  std::size_t written_ = 0;      // of which so much is in the file already
  std::uint64_t file_size_ = 0;  // without what is counted in written_
  std::uint64_t number_ = 0;     // of the last rotated file
  timer_id flush_timer_ = 0;
  timer_id rotation_timer_ = 0;
  timer_id retry_timer_ = 0;
  rotation rotation_ = rotation::none;  // the next step of a rotation under way
  bool checkpointing_ = false;          // to be reported when everything is written
  bool ending_ = false;
  bool broken_ = false;
  counter& records_;
  counter& bytes_;
  counter& flushes_;
  counter& rotations_;
  counter& retries_;
};

/// Lines to a file. `Format` is a codec, or a function: `f(const T&)` or `f(const T&, timestamp)`
/// returning text, or `f(const T&, std::string& out)` appending it. At least once: with
/// `sync_policy::on_flush`, after a crash the lines of the last `flush_after` may be missing, and
/// the last one may be torn; a sink that appends starts on a line of its own. With checkpoints: a
/// restart cuts the file where the checkpoint stood, so that it holds every line exactly once.
///
///     p.to("log", file::sink{{.path = "scores.jsonl", .rotate_bytes = 100'000'000}});
///     p.to("raw", file::sink{{.path = "raw.txt"}, millrace::plain_text});
template <class Format = json_codec>
class sink {
 public:
  explicit sink(sink_options options, Format format = {})
      : options_(std::move(options)), format_(std::move(format)) {}

  class writer {
   public:
    writer(sink_context& context, const sink_options& options, const Format& format)
        : lines_(context, options), printer_(format) {}

    template <class T>
    void write(const T& value, timestamp time) {
      printer_.print(value, time, lines_.begin());
      lines_.commit(time);
    }
    void checkpoint(std::uint64_t) { lines_.checkpoint(); }
    void save(snapshot_writer& to) const { lines_.save(to); }
    void restore(snapshot_reader& from) { lines_.restore(from); }
    void end() { lines_.end(); }

   private:
    line_writer lines_;
    millrace::detail::record_printer<Format> printer_;
  };

  writer open(sink_context& context) const { return writer(context, options_, format_); }

  delivery delivered() const {
    return {guarantee::exactly_once, "cuts the file where the checkpoint stands", {}};
  }

 private:
  sink_options options_;
  Format format_;
};

sink(sink_options) -> sink<>;

}  // namespace millrace::file

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/file_sink.ipp>
#endif
