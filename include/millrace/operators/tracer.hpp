// SPDX-License-Identifier: Apache-2.0
/// \file
/// Follows sampled records through a worker. A sampled record travels in a batch of its own; what
/// parts do with that batch while they are called belongs to its trace, so nothing has to be
/// written into records. Where work goes on later (a queue between workers, a window, a call) the
/// trace waits as a `trace_handle`. Without tracing there is no tracer: one branch per batch.
/// A tracer belongs to its worker.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/environment.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/base/trace_context.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

/// What all steps of one trace share.
struct trace_root {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::string state;  ///< tracestate of who began it
};
using trace_pointer = std::shared_ptr<const trace_root>;

inline constexpr auto no_time = std::chrono::nanoseconds::min();

/// A trace that waits to go on elsewhere, or later.
struct trace_link {
  trace_pointer trace;
  std::uint64_t span = 0;                    ///< the step it left
  std::uint64_t flow = 0;                    ///< names the arrow from there
  std::chrono::nanoseconds since = no_time;  ///< monotonic; or the wait is shown by other means
};
using trace_handle = std::unique_ptr<trace_link>;

/// What is written down.
struct trace_event {
  enum class kind : std::uint8_t {
    slice,     ///< a part at work on a batch, from `at` for `length`
    wait,      ///< a record that waited in a part, from `at` for `length`
    begin,     ///< a call, or an attempt of it
    end,       ///< its end
    flow_out,  ///< an arrow leaves the slice around it
    flow_in,   ///< and arrives in this one
  };
  kind what = kind::slice;
  std::string_view name;  ///< of the part; lives as long as the pipeline
  std::chrono::nanoseconds at{};
  std::chrono::nanoseconds length{};
  std::uint64_t id = 0;  ///< of the span, the wait or the arrow
  std::uint64_t parent = 0;
  std::uint64_t group = 0;  ///< of a begin and an end: the call they belong to
  trace_pointer trace{};    ///< null: no sampled record
  std::size_t records = 0;
  std::string text{};  ///< outcome of a call
};

/// Takes events from workers. `collect` is called on the workers' threads and does not block.
class trace_collector {
 public:
  /// Whether events are still written; contexts are handed on in any case. Any thread.
  virtual bool wanted() const noexcept = 0;

  /// Takes the events out of `events`.
  virtual void collect(std::uint32_t worker, std::vector<trace_event>& events) = 0;

 protected:
  ~trace_collector() = default;
};

/// What a tracer needs to know of the options.
struct trace_settings {
  std::chrono::nanoseconds every{};   ///< between two samples of a source; zero: none
  std::uint32_t most_per_second = 0;  ///< samples of a source
  bool all_batches = false;           ///< also those without a sampled record
  bool accepts_contexts = false;      ///< records that bring a context are sampled
  bool propagates = false;            ///< `environment::trace` tells connectors
};

/// One per worker.
class tracer {
 public:
  MILLRACE_DECL tracer(std::uint32_t worker, const trace_settings& settings, trace_collector& to);
  tracer(const tracer&) = delete;
  tracer& operator=(const tracer&) = delete;
  MILLRACE_DECL ~tracer();

  /// On the worker, before any record. Span ids come from a generator seeded by the environment.
  MILLRACE_DECL void start(environment& env);

  /// Hands over what has been recorded.
  MILLRACE_DECL void flush();

  /// A part begins with so many records; 0 with a control element, which belongs to no trace.
  MILLRACE_DECL void begin(std::string_view part, std::size_t records);
  MILLRACE_DECL void end() noexcept;

  /// A new trace begins in a part, below `parent` if there is one. Ended by `end`.
  MILLRACE_DECL void begin_trace(std::string_view part, const trace_context* parent);

  /// A trace goes on in a part. Ended by `end`. A null link is followed as no trace.
  MILLRACE_DECL void resume(std::string_view part, trace_handle link, std::size_t records = 1);

  /// A trace comes to where another one is followed: an arrow leads here, and that is its end.
  MILLRACE_DECL void join(trace_handle link);

  /// Whether a sampled record is being worked on.
  bool following() const noexcept { return !frames_.empty() && frames_.back().trace != nullptr; }

  /// The trace being followed, to go on elsewhere; null without one.
  MILLRACE_DECL trace_handle hand_over();

  /// A span that is no call of a function: begun now, ended by `end_span`.
  MILLRACE_DECL std::uint64_t begin_span(std::string_view name, const trace_link& below,
                                         std::uint64_t group);
  MILLRACE_DECL void end_span(std::string_view name, const trace_link& below, std::uint64_t id,
                              std::uint64_t group, std::string outcome);

  /// The context to hand on to other programs; null without a trace.
  const trace_context* outgoing() const noexcept { return following() ? &outgoing_ : nullptr; }

  const trace_settings& settings() const noexcept { return settings_; }
  std::chrono::nanoseconds now() const { return env_->monotonic(); }

  /// Records sampled, and contexts that came and were not valid.
  void note_sample() noexcept { samples_.add(); }
  void note_bad_context() noexcept { bad_contexts_.add(); }
  const counter& samples() const noexcept { return samples_; }
  const counter& bad_contexts() const noexcept { return bad_contexts_; }

 private:
  struct frame {
    std::string_view part;
    std::chrono::nanoseconds began;
    std::size_t records;
    trace_pointer trace;
    std::uint64_t span;
    std::uint64_t parent;
    bool worth_keeping;  // something within it was
  };

  std::uint64_t next_id() noexcept;
  void add(trace_event event);
  void push(frame f);
  void update_outgoing();

  std::uint32_t worker_;
  trace_settings settings_;
  trace_collector& to_;
  environment* env_ = nullptr;
  std::uint64_t random_ = 0;
  std::vector<frame> frames_;
  std::vector<trace_event> events_;
  trace_context outgoing_;
  counter samples_;
  counter bad_contexts_;
};

/// Ends what it was made for; does nothing without a tracer.
class trace_scope {
 public:
  explicit trace_scope(tracer* t) noexcept : tracer_(t) {}
  trace_scope(tracer* t, std::string_view part, trace_handle link, std::size_t records = 1)
      : tracer_(link != nullptr ? t : nullptr) {
    if (tracer_ != nullptr) tracer_->resume(part, std::move(link), records);
  }
  trace_scope(const trace_scope&) = delete;
  trace_scope& operator=(const trace_scope&) = delete;
  ~trace_scope() {
    if (tracer_ != nullptr) tracer_->end();
  }

 private:
  tracer* tracer_;
};

/// When a source takes samples.
class trace_sampler {
 public:
  /// Whether the time for one has come.
  bool due(std::chrono::nanoseconds now, const trace_settings& settings) noexcept {
    if (settings.every.count() <= 0 || now < next_ || !admits(now, settings)) return false;
    next_ = now + settings.every;
    return true;
  }

  /// Whether one more is allowed in this second; counts it.
  bool admits(std::chrono::nanoseconds now, const trace_settings& settings) noexcept {
    if (now - second_ >= std::chrono::seconds{1}) {
      second_ = now;
      used_ = 0;
    }
    if (used_ >= settings.most_per_second) return false;
    ++used_;
    return true;
  }

 private:
  std::chrono::nanoseconds next_ = std::chrono::nanoseconds::min();
  std::chrono::nanoseconds second_ = -std::chrono::hours{1};
  std::uint32_t used_ = 0;
};

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/operators/impl/tracer.ipp>
#endif
