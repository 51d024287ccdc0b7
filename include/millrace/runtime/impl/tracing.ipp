// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/error.hpp>
#include <millrace/base/time_format.hpp>
#include <millrace/codec/json_writer.hpp>
#include <millrace/runtime/tracing.hpp>

#include <utility>

namespace millrace {

namespace detail {

/// Everything of a trace file but its head and its last bytes. Formats are those of "Trace Event
/// Format" (Google, 2016). One process; a thread is a worker.
class trace_formatter {
 public:
  trace_formatter(std::string& to, std::chrono::nanoseconds origin, std::uint32_t worker)
      : to_(to), origin_(origin), worker_(worker) {}

  void append(const trace_event& e) {
    using kind = trace_event::kind;
    switch (e.what) {
      case kind::slice: return slice(e);
      case kind::wait: return wait(e);
      case kind::begin: return call(e, "b");
      case kind::end: return call(e, "e");
      case kind::flow_out: return flow(e, "s");
      case kind::flow_in: return flow(e, "f");
    }
  }

 private:
  void open(std::string_view phase, std::string_view category, std::string_view name,
            std::string_view behind_name, std::chrono::nanoseconds at) {
    to_ += ",\n{\"ph\":\"";
    to_ += phase;
    to_ += "\",\"cat\":\"";
    to_ += category;
    to_ += "\",\"name\":";
    append_json_string(to_, behind_name.empty() ? std::string(name)
                                                : std::string(name) + std::string(behind_name));
    to_ += ",\"pid\":1,\"tid\":";
    append_json_number(to_, std::uint64_t{worker_} + 1);
    to_ += ",\"ts\":";
    microseconds(at - origin_);
  }

  void slice(const trace_event& e) {
    open("X", e.trace != nullptr ? "record" : "batch", e.name, {}, e.at);
    to_ += ",\"dur\":";
    microseconds(e.length);
    to_ += ",\"args\":{\"records\":";
    append_json_number(to_, std::uint64_t{e.records});
    if (e.trace != nullptr) {
      to_.push_back(',');
      ids(e, e.id);
    }
    to_ += "}}";
  }

  void wait(const trace_event& e) {
    open("b", "wait", e.name, " waits", e.at);
    id(e.id);
    to_ += ",\"args\":{";
    ids(e, e.id);
    to_ += "}}";
    open("e", "wait", e.name, " waits", e.at + e.length);
    id(e.id);
    to_ += "}";
  }

  void call(const trace_event& e, std::string_view phase) {
    open(phase, "call", e.name, {}, e.at);
    id(e.group);
    to_ += ",\"args\":{";
    ids(e, e.id);
    if (phase == "e") {
      to_ += ",\"outcome\":";
      append_json_string(to_, e.text);
    }
    to_ += "}}";
  }

  void flow(const trace_event& e, std::string_view phase) {
    open(phase, "flow", "record", {}, e.at);
    id(e.id);
    if (phase == "f") to_ += ",\"bp\":\"e\"";  // to the slice around it
    to_ += "}";
  }

  void id(std::uint64_t bits) { to_ += ",\"id\":\"0x" + span_id_text(bits) + '"'; }

  void ids(const trace_event& e, std::uint64_t span) {
    to_ += "\"trace\":\"" + trace_id_text({e.trace->high, e.trace->low, 0, true, {}});
    to_ += "\",\"span\":\"" + span_id_text(span);
    if (e.parent != 0) to_ += "\",\"parent\":\"" + span_id_text(e.parent);
    to_.push_back('"');
  }

  /// With three decimals: nanoseconds.
  void microseconds(std::chrono::nanoseconds t) {
    const auto ns = t.count() < 0 ? std::uint64_t{0} : static_cast<std::uint64_t>(t.count());
    append_json_number(to_, ns / 1000);
    const auto rest = ns % 1000;
    to_.push_back('.');
    to_.push_back(static_cast<char>('0' + rest / 100));
    to_.push_back(static_cast<char>('0' + rest / 10 % 10));
    to_.push_back(static_cast<char>('0' + rest % 10));
  }

  std::string& to_;
  std::chrono::nanoseconds origin_;
  std::uint32_t worker_;
};

inline constexpr std::string_view trace_file_tail = "\n]}\n";

inline trace_settings settings_of(const trace_options& options) {
  const bool contexts = options.propagation == trace_propagation::contexts;
  return {options.every, options.most_per_second, options.detail == trace_detail::all_batches,
          contexts, contexts};
}

}  // namespace detail

MILLRACE_DECL void validate(const trace_options& options) {
  if (!metrics_enabled) {
    throw topology_error("trace_to: built with MILLRACE_NO_METRICS, which leaves tracing out, too");
  }
  if (options.file.empty() && options.propagation == trace_propagation::none) {
    throw topology_error("trace_to: set a file, or propagation");
  }
  if (options.every.count() < 0) throw topology_error("trace_to: every must not be negative");
  if (options.most_per_second == 0) {
    throw topology_error("trace_to: most_per_second must be at least 1");
  }
  if (options.most_bytes < 65536) {
    throw topology_error("trace_to: most_bytes must be at least 65,536");
  }
}

MILLRACE_DECL trace_recorder::trace_recorder(const trace_options& options,
                                             std::string pipeline_name, std::size_t workers,
                                             bool background, std::chrono::nanoseconds origin,
                                             const logger& log)
    : options_(options), pipeline_(std::move(pipeline_name)), origin_(origin), log_(log) {
  for (std::size_t w = 0; w < workers; ++w) {
    tracers_.push_back(std::make_unique<tracer>(static_cast<std::uint32_t>(w),
                                                detail::settings_of(options), *this));
  }
  if (options_.file.empty()) return;
  auto opened = file_system_or_default(options_.files).open(options_.file, file_access::write);
  if (opened) {
    if (auto emptied = (*opened)->truncate(0); !emptied) opened = emptied.error();
  }
  if (!opened) {
    throw topology_error("trace_to: the file cannot be written: " + opened.error().to_string());
  }
  file_ = *std::move(opened);
  writing_ = true;
  write(head(workers));
  if (background) thread_ = std::thread([this] { run(); });
}

MILLRACE_DECL trace_recorder::~trace_recorder() { finish(); }

MILLRACE_DECL std::string trace_recorder::head(std::size_t workers) const {
  std::string text = "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"pipeline\":";
  append_json_string(text, pipeline_);
  text +=
      "},\"traceEvents\":[\n{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":";
  append_json_string(text, pipeline_);
  text += "}}";
  for (std::size_t w = 0; w < workers; ++w) {
    const std::string tid = std::to_string(w + 1);
    text += ",\n{\"ph\":\"M\",\"pid\":1,\"tid\":" + tid;
    text += ",\"name\":\"thread_name\",\"args\":{\"name\":\"worker " + std::to_string(w) + "\"}}";
    text += ",\n{\"ph\":\"M\",\"pid\":1,\"tid\":" + tid;
    text += ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":" + tid + "}}";
  }
  return text;
}

MILLRACE_DECL void trace_recorder::collect(std::uint32_t worker, std::vector<trace_event>& events) {
  constexpr std::size_t most_blocks = 256;
  if (!wanted()) return;
  block b{worker, std::exchange(events, {})};
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable()) return write(b);
  if (blocks_.size() >= most_blocks) {
    lost_.fetch_add(b.events.size(), std::memory_order_relaxed);
    return;
  }
  blocks_.push_back(std::move(b));
  more_.notify_one();
}

MILLRACE_DECL void trace_recorder::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    more_.wait(lock, [this] { return closing_ || !blocks_.empty(); });
    if (blocks_.empty()) return;
    const block next = std::move(blocks_.front());
    blocks_.pop_front();
    lock.unlock();
    write(next);
    lock.lock();
  }
}

MILLRACE_DECL void trace_recorder::write(const block& from) {
  text_.clear();
  detail::trace_formatter format(text_, origin_, from.worker);
  std::uint64_t count = 0;
  bool full = false;
  for (const auto& event : from.events) {
    const std::size_t before = text_.size();
    format.append(event);
    full = bytes_ + text_.size() + detail::trace_file_tail.size() > options_.most_bytes;
    if (full) {
      text_.resize(before);
      break;
    }
    ++count;
  }
  write(text_);
  if (!wanted()) return;
  events_.fetch_add(count, std::memory_order_relaxed);
  if (full) {
    give_up(options_.file + " has its greatest size, " + std::to_string(bytes_) + " bytes");
  }
}

/// The end of the file is written each time, and overwritten by what follows.
MILLRACE_DECL void trace_recorder::write(std::string_view bytes) {
  if (!wanted()) return;
  const std::uint64_t at = bytes_;
  auto written = write_fully(*file_, at, std::string(bytes).append(detail::trace_file_tail));
  if (written) {
    bytes_ = at + bytes.size();
    return;
  }
  const std::string why = written.error().to_string();
  auto repaired = file_->truncate(at);
  if (repaired && at > 0) repaired = write_fully(*file_, at, detail::trace_file_tail);
  give_up(repaired ? why : why + "; its last bytes are missing");
}

MILLRACE_DECL void trace_recorder::give_up(const std::string& why) {
  writing_ = false;
  log_.warning("trace", "no more events are written: " + why);
}

MILLRACE_DECL void trace_recorder::finish() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    more_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  writing_ = false;
  file_.reset();
}

MILLRACE_DECL trace_status trace_recorder::status() const {
  trace_status s{true, wanted(), 0, 0, events_, lost_, bytes_};
  for (const auto& t : tracers_) {
    s.records += t->samples().value();
    s.bad_contexts += t->bad_contexts().value();
  }
  return s;
}

}  // namespace millrace
