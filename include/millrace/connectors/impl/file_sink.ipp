// SPDX-License-Identifier: Apache-2.0
/// \file
/// Buffering, rotation and failures of the file sink.
#pragma once

#include <millrace/connectors/file/sink.hpp>

#include <cerrno>
#include <string_view>

namespace millrace::file {

namespace detail {

/// Whether a disk may recover from this by itself or by an operator's hand.
inline bool may_pass(const std::error_code& code) noexcept {
  return code == std::errc::no_space_on_device || code == std::errc::io_error ||
         code.value() == EDQUOT;
}

inline const sink_options& checked(const sink_options& options, const std::string& name) {
  if (options.path.empty()) throw topology_error(name + ": file::sink needs a path");
  if (options.retry_every.count() <= 0 || options.flush_after.count() <= 0) {
    throw topology_error(name + ": retry_every and flush_after of file::sink must be positive");
  }
  return options;
}

}  // namespace detail

MILLRACE_DECL line_writer::line_writer(sink_context& context, sink_options options)
    : context_(context),
      options_(detail::checked(options, context.name())),
      device_(options_.make_device ? options_.make_device() : make_posix_device()),
      records_(context.metrics().counter("records")),
      bytes_(context.metrics().counter("bytes")),
      flushes_(context.metrics().counter("flushes")),
      rotations_(context.metrics().counter("rotations")),
      retries_(context.metrics().counter("retries")) {
  buffer_.reserve(options_.flush_bytes + options_.flush_bytes / 4);
  number_ = device_->last_number(options_.path);
  if (!open(context.restoring() ? open_mode::append : options_.existing)) return;
  const int last = device_->last_byte();
  if (last >= 0 && last != '\n') {  // a crash tore the last line: do not glue ours to it
    buffer_.push_back('\n');
    committed_ = 1;
  }
}

MILLRACE_DECL line_writer::~line_writer() {
  for (const auto timer : {flush_timer_, rotation_timer_, retry_timer_}) {
    context_.env().cancel_timer(timer);
  }
  if (broken_ || ending_ || rotation_ != rotation::none) return;
  while (written_ < committed_) {
    const auto n =
        device_->write(std::string_view(buffer_).substr(written_, committed_ - written_));
    if (!n) return;
    written_ += *n;
  }
}

MILLRACE_DECL void line_writer::commit(timestamp time) {
  if (broken_) return;
  const std::string_view line = std::string_view(buffer_).substr(committed_);
  if (MILLRACE_UNLIKELY(line.find('\n') != std::string_view::npos)) {
    context_.dead_letter("file::sink: a record with a line feed does not fit in one line", line,
                         time);
    return;
  }
  buffer_.push_back('\n');
  committed_ = buffer_.size();
  records_.add();
  if (retry_timer_ != 0) return;
  const auto pending = committed_ - written_;
  const bool rotates =
      options_.rotate_bytes != 0 && file_size_ + committed_ >= options_.rotate_bytes;
  if (rotates) rotation_ = rotation::close;
  if (rotates || pending >= options_.flush_bytes) return advance();
  if (flush_timer_ == 0) arm_flush();
}

MILLRACE_DECL void line_writer::checkpoint() {
  checkpointing_ = true;
  if (retry_timer_ == 0) advance();
}

MILLRACE_DECL void line_writer::report_checkpoint() {
  if (!std::exchange(checkpointing_, false)) return;
  if (const auto code = device_->sync()) {
    options_.on_error = on_write_error::fail;
    return failed(code, "cannot force to the medium:");
  }
  context_.checkpointed();
}

/// While the disk is full the place is where the lines will end when it takes them: they are still
/// in the buffer, and the checkpoint is reported when they are in the file.
MILLRACE_DECL void line_writer::save(snapshot_writer& to) const {
  const bool goes_to_next = rotation_ == rotation::rename;
  const bool fresh = goes_to_next || rotation_ == rotation::open;
  to.varint(number_ + (goes_to_next ? 1 : 0));
  to.varint((fresh ? 0 : file_size_) + committed_);
}

MILLRACE_DECL void line_writer::restore(snapshot_reader& from) {
  const auto number = from.varint();
  const auto size = from.varint();
  if (from.failed() || broken_) return;
  std::error_code code;
  if (number_ > number) {  // it was rotated since: the next number is the file of then
    device_->close();
    code = device_->rename(numbered(number + 1), options_.path);
    for (auto later = number + 2; !code && later <= number_; ++later) {
      device_->remove(numbered(later));
    }
    number_ = number;
    if (!code && !open(open_mode::append)) return;
  }
  if (!code && file_size_ < size) {
    return from.fail("the file " + options_.path + " has " + std::to_string(file_size_) +
                     " bytes, the checkpoint was taken behind " + std::to_string(size));
  }
  if (!code) code = device_->truncate(size);
  if (code) return from.fail("cannot cut " + options_.path + ": " + code.message());
  file_size_ = size;
  buffer_.clear();
  committed_ = 0;
}

MILLRACE_DECL void line_writer::end() {
  ending_ = true;
  if (retry_timer_ == 0) advance();
}

/// Does all there is to do, in order, until something has to wait.
MILLRACE_DECL void line_writer::advance() {
  context_.env().cancel_timer(std::exchange(flush_timer_, 0));
  if (broken_) return;
  const bool file_is_open = rotation_ == rotation::none || rotation_ == rotation::close;
  if (file_is_open && !write_out()) return;
  if (rotation_ != rotation::none && !rotate()) return;
  if (!write_out()) return;  // what came while a rotation had to wait
  report_checkpoint();
  if (broken_) return;
  context_.unblock();
  if (!ending_) return;
  context_.env().cancel_timer(std::exchange(rotation_timer_, 0));
  if (!finish_file()) return;
  broken_ = true;  // nothing to write to any more
  context_.done();
}

MILLRACE_DECL bool line_writer::write_out() {
  if (written_ == committed_) return true;
  while (written_ < committed_) {
    const auto n =
        device_->write(std::string_view(buffer_).substr(written_, committed_ - written_));
    if (!n) {
      failed(n.error().code, "cannot write to");
      return false;
    }
    written_ += *n;
  }
  bytes_.add(written_);
  flushes_.add();
  file_size_ += std::exchange(written_, 0);
  buffer_.clear();
  committed_ = 0;
  if (options_.sync != sync_policy::on_flush) return true;
  const auto code = device_->sync();
  if (!code) return true;
  // Never tried again: the kernel drops dirty pages after a failed fsync and reports success next.
  options_.on_error = on_write_error::fail;
  failed(code, "cannot force to the medium:");
  return false;
}

MILLRACE_DECL bool line_writer::rotate() {
  if (rotation_ == rotation::close) {
    if (!finish_file()) return false;
    rotation_ = rotation::rename;
  }
  if (rotation_ == rotation::rename) {
    if (const auto code = device_->rename(options_.path, numbered(number_ + 1))) {
      failed(code, "cannot rename, to rotate it,");
      return false;
    }
    ++number_;
    rotations_.add();
    if (options_.keep != 0 && number_ > options_.keep) {
      device_->remove(numbered(number_ - options_.keep));  // missing already: just as well
    }
    rotation_ = rotation::open;
  }
  if (!open(open_mode::truncate)) return false;
  rotation_ = rotation::none;
  return true;
}

MILLRACE_DECL bool line_writer::finish_file() {
  std::error_code code;
  if (options_.sync != sync_policy::never) code = device_->sync();
  const auto closed = device_->close();
  if (!code) code = closed;
  if (!code) return true;
  options_.on_error = on_write_error::fail;  // closed: what is lost cannot be written again
  failed(code, "cannot finish");
  return false;
}

MILLRACE_DECL bool line_writer::open(open_mode mode) {
  if (const auto code = device_->open(options_.path, mode)) {
    if (rotation_ == rotation::none) options_.on_error = on_write_error::fail;
    failed(code, "cannot open");
    return false;
  }
  const auto size = device_->size();
  file_size_ = size ? *size : 0;
  arm_rotation();
  return true;
}

MILLRACE_DECL void line_writer::failed(const std::error_code& code, const char* what) {
  auto message = std::string(what) + " " + options_.path;
  if (options_.on_error == on_write_error::wait && detail::may_pass(code)) {
    if (retry_timer_ == 0) {
      if (retries_.value() == 0) {
        context_.env().log().warning(
            context_.name(), error{code, message}.to_string() + "; trying again until it works");
      }
      retries_.add();
      retry_timer_ = context_.env().call_after(options_.retry_every, [this] {
        retry_timer_ = 0;
        advance();
      });
    }
    context_.block();
    return;
  }
  broken_ = true;
  if (written_ != 0) {  // end the file with a whole line
    const auto whole = std::string_view(buffer_).substr(0, written_).rfind('\n');
    const auto kept = whole == std::string_view::npos ? 0 : whole + 1;
    device_->truncate(file_size_ + kept);
  }
  context_.fail({code, std::move(message)});
}

MILLRACE_DECL void line_writer::arm_flush() {
  flush_timer_ = context_.env().call_after(options_.flush_after, [this] {
    flush_timer_ = 0;
    if (retry_timer_ == 0) advance();
  });
}

MILLRACE_DECL void line_writer::arm_rotation() {
  context_.env().cancel_timer(std::exchange(rotation_timer_, 0));
  if (options_.rotate_every.count() == 0) return;
  rotation_timer_ = context_.env().call_after(options_.rotate_every, [this] {
    rotation_timer_ = 0;
    if (broken_) return;
    if (file_size_ + committed_ == 0) return arm_rotation();
    if (rotation_ == rotation::none) rotation_ = rotation::close;
    if (retry_timer_ == 0) advance();
  });
}

MILLRACE_DECL std::string line_writer::numbered(std::uint64_t number) const {
  auto digits = std::to_string(number);
  digits.insert(0, digits.size() < 6 ? 6 - digits.size() : 0, '0');
  return options_.path + "." + digits;
}

}  // namespace millrace::file
