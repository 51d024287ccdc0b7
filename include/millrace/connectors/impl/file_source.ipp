// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reading files by blocks and lines.
#pragma once

#include <millrace/connectors/file/source.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace millrace::file {

namespace detail {

/// "-12.345" as seconds since the epoch; more than six decimals are cut off.
inline std::optional<timestamp> parse_seconds(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::int64_t seconds = 0;
  const char* end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, seconds);
  if (problem != std::errc{} || seconds < 0 || seconds > INT64_MAX / 2'000'000) return std::nullopt;
  std::int64_t micros = 0;
  if (stop != end) {
    if (*stop != '.' || stop + 1 == end) return std::nullopt;
    std::int64_t unit = 100'000;
    for (const char* digit = stop + 1; digit != end; ++digit, unit /= 10) {
      if (*digit < '0' || *digit > '9') return std::nullopt;
      micros += unit * (*digit - '0');
    }
  }
  const std::int64_t total = seconds * 1'000'000 + micros;
  return timestamp{duration{negative ? -total : total}};
}

}  // namespace detail

MILLRACE_DECL line_reader::line_reader(source_context& context, source_options options)
    : context_(context),
      options_(std::move(options)),
      lines_(context.metrics().counter("lines")),
      bytes_(context.metrics().counter("bytes")) {
  if (options_.path.empty()) throw topology_error(context.name() + ": file::source needs a path");
  if (options_.block_bytes == 0 || options_.max_line == 0 || options_.look_every.count() <= 0) {
    throw topology_error(context.name() +
                         ": block_bytes, max_line and look_every of file::source must be positive");
  }
  open();
}

MILLRACE_DECL line_reader::~line_reader() {
  context_.env().cancel_timer(timer_);
  block_.drop_references(credit_);
  close();
}

MILLRACE_DECL bool line_reader::open() {
  descriptor_ = ::open(options_.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ >= 0) return true;
  if (options_.at_end != at_end::follow || errno != ENOENT) fail("cannot open", errno);
  return false;
}

MILLRACE_DECL void line_reader::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

MILLRACE_DECL void line_reader::fail(const char* what, int code) {
  failed_ = true;
  context_.fail({{code, std::system_category()}, std::string(what) + " " + options_.path});
}

MILLRACE_DECL void line_reader::seek(std::uint64_t offset) {
  struct stat status {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) return;
  if (offset > static_cast<std::uint64_t>(status.st_size)) offset = 0;
  if (::lseek(descriptor_, static_cast<off_t>(offset), SEEK_SET) < 0) {
    return fail("cannot go to a saved position of", errno);
  }
  offset_ = offset;
}

MILLRACE_DECL void line_reader::stop() {
  stopped_ = true;
  context_.wake();
}

MILLRACE_DECL poll_status line_reader::poll(source_output<message>& out) {
  while (out.room() > 0) {
    if (stopped_) return poll_status::end;
    if (failed_) return poll_status::wait;
    if (scan_ < end_) {
      const char* from = block_.data() + scan_;
      const auto* feed = static_cast<const char*>(std::memchr(from, '\n', end_ - scan_));
      if (feed != nullptr) {
        emit_line(out, static_cast<std::size_t>(feed - block_.data()));
        continue;
      }
      scan_ = end_;
      if (end_ - begin_ > options_.max_line) skip_line();
    }
    switch (fill()) {
      case filled::data: break;
      case filled::later: return poll_status::wait;
      case filled::failed: return poll_status::wait;
      case filled::end:
        if (begin_ < end_) emit_line(out, end_);
        stopped_ = true;
        break;
    }
  }
  return stopped_ ? poll_status::end : poll_status::more;
}

MILLRACE_DECL void line_reader::too_long(std::string_view line) {
  context_.dead_letter("line longer than " + std::to_string(options_.max_line) + " bytes",
                       options_.path, line.substr(0, 1024));
}

/// Drops what is known of a line that is too long; the rest goes when it comes.
MILLRACE_DECL void line_reader::skip_line() {
  if (!std::exchange(skipping_, true)) too_long(view(begin_, end_));
  offset_ += end_ - begin_;
  begin_ = end_;
}

/// Handles the line [begin_, end); a line feed, or nothing, stands at `end`.
MILLRACE_DECL void line_reader::emit_line(source_output<message>& out, std::size_t end) {
  std::string_view line = view(begin_, end);
  const std::size_t next = std::min(end + 1, end_);
  if (offset_ == 0 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  if (line.size() > options_.max_line && !skipping_) {
    too_long(line);
    line = {};
  }
  offset_ += next - begin_;
  begin_ = scan_ = next;
  if (std::exchange(skipping_, false)) return;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return;
  lines_.add();
  if (options_.layout == layout::payload) return emit(out, received_, view(0, text_), line);

  const std::string_view whole = line;
  std::optional<timestamp> time = received_;
  if (options_.layout == layout::time_topic_payload) {
    const auto tab = line.find('\t');
    time = detail::parse_seconds(line.substr(0, tab));
    line.remove_prefix(tab == std::string_view::npos ? line.size() : tab + 1);
  }
  const auto tab = line.find('\t');
  if (!time || tab == std::string_view::npos) {
    context_.dead_letter(time ? "line without a TAB between topic and payload"
                              : "line that does not begin with a number of seconds",
                         options_.path, whole.substr(0, 1024));
    return;
  }
  emit(out, *time, line.substr(0, tab), line.substr(tab + 1));
}

MILLRACE_DECL void line_reader::emit(source_output<message>& out, timestamp time,
                                     std::string_view topic, std::string_view payload) {
  if (credit_ == 0) {
    credit_ = 256;  // one atomic operation per so many messages
    block_.add_references(credit_);
  }
  --credit_;
  out.emit(message{block_.adopt(), topic, payload, time}, time);
}

/// Makes room behind `end_`: in this block if nothing refers to it or it has room, else in a new
/// one that begins with the line under way.
MILLRACE_DECL void line_reader::make_room() {
  const std::size_t carry = end_ - begin_;
  const std::size_t prefix = options_.layout == layout::payload ? options_.path.size() : 0;
  if (block_ && end_ < block_.capacity()) return;
  block_.drop_references(std::exchange(credit_, 0));
  const std::size_t wanted = prefix + std::max(options_.block_bytes, 2 * carry);
  shared_buffer old = block_;
  const std::size_t from = begin_;
  const bool reusable = block_ && block_.capacity() >= wanted && [&] {
    old = {};
    return block_.unique();
  }();
  if (!reusable) {
    old = block_;
    block_ = shared_buffer::allocate(wanted);
    options_.path.copy(block_.data(), prefix);
  }
  if (carry != 0) {
    std::memmove(block_.data() + prefix, (reusable ? block_ : old).data() + from, carry);
  }
  text_ = begin_ = prefix;
  scan_ = end_ = prefix + carry;
}

MILLRACE_DECL line_reader::filled line_reader::fill() {
  if (descriptor_ < 0) {  // not there yet, or replaced: all of the old one has been emitted
    offset_ = 0;
    skipping_ = false;
    if (!open()) return failed_ ? filled::failed : at_file_end();
  }
  make_room();
  while (true) {
    const auto n = ::read(descriptor_, block_.data() + end_, block_.capacity() - end_);
    if (n == 0) return at_file_end();
    if (n > 0) {
      end_ += static_cast<std::size_t>(n);
      bytes_.add(static_cast<std::uint64_t>(n));
      received_ = context_.env().now();
      return filled::data;
    }
    if (errno == EINTR) continue;
    fail("cannot read", errno);
    return filled::failed;
  }
}

/// Whether the path leads to another file than the one that is open, or this one became shorter.
MILLRACE_DECL bool line_reader::replaced() {
  struct stat named {};
  struct stat opened {};
  if (descriptor_ < 0 || ::stat(options_.path.c_str(), &named) != 0) return false;
  if (::fstat(descriptor_, &opened) != 0) return false;
  return named.st_ino != opened.st_ino || named.st_dev != opened.st_dev ||
         static_cast<std::uint64_t>(opened.st_size) < offset_ + (end_ - begin_);
}

MILLRACE_DECL line_reader::filled line_reader::at_file_end() {
  if (options_.at_end == at_end::stop) return filled::end;
  if (replaced()) {
    close();
    if (begin_ < end_) {  // nobody will finish the old file's last line: it counts as it is
      if (end_ == block_.capacity()) make_room();
      block_.data()[end_++] = '\n';
    }
    return filled::data;
  }
  if (timer_ == 0) {
    timer_ = context_.env().call_after(options_.look_every, [this] {
      timer_ = 0;
      context_.wake();
    });
  }
  return filled::later;
}

}  // namespace millrace::file
