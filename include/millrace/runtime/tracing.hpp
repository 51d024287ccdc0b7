// SPDX-License-Identifier: Apache-2.0
/// \file
/// The file that tracing writes: Chrome trace events as JSON, which ui.perfetto.dev and
/// chrome://tracing open. What records are followed, and how, is in operators/tracer.hpp.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/file_system.hpp>
#include <millrace/base/log.hpp>
#include <millrace/operators/tracer.hpp>
#include <millrace/runtime/status.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace millrace {

/// What is drawn on the tracks of the workers.
enum class trace_detail : std::uint8_t {
  sampled_records,  ///< only work on sampled records
  all_batches,      ///< all work: who has a worker, when, for how long, with how many records
};

/// Whether traces cross the border of the pipeline.
enum class trace_propagation : std::uint8_t {
  none,      ///< contexts that come are ignored, and none leave
  contexts,  ///< W3C trace context: a record that brings one is sampled if its flag says so, and
             ///< what is sent for a sampled record carries one (MQTT 5, HTTP)
};

struct trace_options {
  /// Written anew at each start, also after a failure. Empty: no file; for `propagation` alone.
  std::string file{};
  /// Each source samples a record, at most that often; zero: none but those with a context.
  std::chrono::nanoseconds every = std::chrono::milliseconds{100};
  /// Samples of one source, of both kinds. Beyond it contexts are ignored.
  std::uint32_t most_per_second = 1000;
  trace_detail detail = trace_detail::all_batches;
  trace_propagation propagation = trace_propagation::none;
  /// When the file has that size, nothing more is written. The pipeline goes on.
  std::uint64_t most_bytes = std::uint64_t{64} << 20;
  file_system* files = nullptr;  ///< by default the real one; outlives the pipeline
};

/// \throws topology_error for options that cannot work
MILLRACE_DECL void validate(const trace_options& options);

/// Collects events from the tracers of all workers and writes them, on a thread of its own. The
/// file is complete JSON after every write. At most 256 blocks of 1,024 events wait; what comes
/// beyond that is lost and counted.
class trace_recorder final : public trace_collector {
 public:
  /// `background`: with a thread; else workers write themselves. `origin`: the monotonic time that
  /// is zero in the file. \throws topology_error when the file cannot be opened
  MILLRACE_DECL trace_recorder(const trace_options& options, std::string pipeline_name,
                               std::size_t workers, bool background,
                               std::chrono::nanoseconds origin, const logger& log);
  MILLRACE_DECL ~trace_recorder();

  tracer& at(std::size_t worker) noexcept { return *tracers_[worker]; }

  bool wanted() const noexcept override { return writing_.load(std::memory_order_relaxed); }
  MILLRACE_DECL void collect(std::uint32_t worker, std::vector<trace_event>& events) override;

  /// Writes what is left and closes the file. No worker may be at work. Idempotent.
  MILLRACE_DECL void finish();

  /// Thread safe.
  MILLRACE_DECL trace_status status() const;

 private:
  struct block {
    std::uint32_t worker;
    std::vector<trace_event> events;
  };

  void run();
  void write(const block& from);
  void write(std::string_view bytes);
  void give_up(const std::string& why);
  std::string head(std::size_t workers) const;

  trace_options options_;
  std::string pipeline_;
  std::chrono::nanoseconds origin_;
  logger log_;
  std::vector<std::unique_ptr<tracer>> tracers_;
  std::unique_ptr<open_file> file_;
  std::string text_;

  std::atomic<bool> writing_{false};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> events_{0};
  std::atomic<std::uint64_t> lost_{0};

  mutable std::mutex mutex_;
  std::condition_variable more_;
  std::deque<block> blocks_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/tracing.ipp>
#endif
