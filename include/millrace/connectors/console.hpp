// SPDX-License-Identifier: Apache-2.0
/// \file
/// A sink that prints, for applications that ask for it: one line per record to a C stream, by
/// default standard output. The description may be copied to any thread; the writer belongs to one
/// worker, and other users of the same stream see whole lines.
#pragma once

#include <millrace/codec/json.hpp>
#include <millrace/connectors/detail/record_printer.hpp>
#include <millrace/operators/sink.hpp>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>

namespace millrace::console {

struct sink_options {
  std::FILE* stream = nullptr;          ///< not closed; nullptr: standard output
  std::string prefix{};                 ///< in front of every line
  std::size_t flush_bytes = 16 * 1024;  ///< printed at the end of each batch, or at this size
};

/// `Format` is a codec, or a function: `f(const T&)` or `f(const T&, timestamp)` returning text, or
/// `f(const T&, std::string& out)` appending it. Printing blocks while the reader of the stream (a
/// terminal, a pipe) does not take it. A stream that fails, fails the pipeline.
///
///     p.to("show", console::sink{[](const alert& a) { return a.station + " is empty"; }});
template <class Format = json_codec>
class sink {
 public:
  explicit sink(sink_options options, Format format = {})
      : options_(std::move(options)), format_(std::move(format)) {}
  explicit sink(Format format = {}) : format_(std::move(format)) {}

  class writer {
   public:
    writer(sink_context& context, const sink_options& options, const Format& format)
        : context_(&context),
          options_(options),
          printer_(format),
          records_(&context.metrics().counter("records")) {
      if (options_.stream == nullptr) options_.stream = stdout;
    }

    template <class T>
    void write(const T& value, timestamp time) {
      lines_.resize(whole_);  // what an encoder that threw has left
      lines_.append(options_.prefix);
      printer_.print(value, time, lines_);
      lines_.push_back('\n');
      whole_ = lines_.size();
      records_->add();
      if (whole_ >= options_.flush_bytes) batch_end();
    }

    void batch_end() {
      if (whole_ == 0) return;
      errno = 0;
      const bool printed = std::fwrite(lines_.data(), 1, whole_, options_.stream) == whole_ &&
                           std::fflush(options_.stream) == 0;
      lines_.clear();
      whole_ = 0;
      if (printed || failed_) return;
      failed_ = true;
      context_->fail({{errno == 0 ? EIO : errno, std::system_category()}, "console: cannot print"});
    }

    void end() {
      batch_end();
      if (!failed_) context_->done();
    }

   private:
    sink_context* context_;
    sink_options options_;
    millrace::detail::record_printer<Format> printer_;
    counter* records_;
    std::string lines_;
    std::size_t whole_ = 0;  // so much of lines_ is whole lines
    bool failed_ = false;
  };

  writer open(sink_context& context) const { return writer(context, options_, format_); }

 private:
  sink_options options_;
  Format format_;
};

sink() -> sink<>;
sink(sink_options) -> sink<>;

}  // namespace millrace::console
