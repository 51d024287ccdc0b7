// SPDX-License-Identifier: Apache-2.0
/// \file
/// A running pipeline as seen from outside: plain values, copied at one moment from counters that
/// the workers write. Taking them costs the workers nothing.
#pragma once

#include <millrace/base/metrics.hpp>
#include <millrace/base/time.hpp>
#include <millrace/operators/activity.hpp>
#include <millrace/record/message.hpp>
#include <millrace/runtime/checkpoint.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace millrace {

/// One operator instance as it stands. Counts are since the start.
struct operator_status {
  std::string name;
  std::size_t node = 0;    ///< index in `pipeline_plan::nodes`
  std::size_t worker = 0;  ///< on which it runs
  std::uint64_t records_in = 0;
  std::uint64_t records_out = 0;
  std::uint64_t batches_in = 0;
  std::uint64_t filtered = 0;
  std::uint64_t late = 0;
  std::uint64_t dead_letters = 0;
  timestamp watermark = min_timestamp;  ///< min_timestamp: none yet
  bool blocked = false;                 ///< it takes no more now, and holds up what feeds it
  bool held_up = false;                 ///< something behind it takes no more
  bool finished = false;
  std::chrono::nanoseconds busy{};         ///< processor's time spent in it, without what it called
  std::chrono::nanoseconds blocked_for{};  ///< in all, in which it took no more
  std::chrono::nanoseconds held_up_for{};  ///< in all, in which something behind it took no more
  double queue_fill = -1;         ///< 0 to 1, of the fullest ring into it; negative: it has no ring
  std::int64_t state_bytes = -1;  ///< as last measured; negative: unknown
  std::int64_t checkpoint_bytes = -1;  ///< its part of the last checkpoint; negative: it has none
  latency_histogram::reading latency;  ///< from source to here, one sample per source and 100 ms
  std::vector<metric_group::reading> metrics;  ///< those of its own: retries, in flight, ...
};

struct worker_status {
  std::chrono::nanoseconds busy{};  ///< in operators
  std::chrono::nanoseconds idle{};  ///< asleep; what is missing to the pipeline's age went to I/O
};

/// What tracing has done so far.
struct trace_status {
  bool on = false;                 ///< the pipeline is traced
  bool writing = false;            ///< events are still written to the file
  std::uint64_t records = 0;       ///< sampled
  std::uint64_t bad_contexts = 0;  ///< trace contexts that came and were not valid
  std::uint64_t events = 0;        ///< written
  std::uint64_t lost = 0;   ///< not written, because they came faster than the file took them
  std::uint64_t bytes = 0;  ///< of the file
};

struct pipeline_status {
  std::string name;
  timestamp at{};                  ///< the wall clock
  std::chrono::nanoseconds age{};  ///< since the start; zero before
  bool started = false;
  bool stopping = false;
  bool ended = false;
  std::string failure;         ///< the error that ended it, in words; empty: none
  std::uint64_t restarts = 0;  ///< after failures, by the restart policy
  std::string last_restart;    ///< the error that was the reason of the last one
  std::vector<worker_status> workers;
  std::vector<operator_status> operators;  ///< worker by worker, in the order of the graph
  checkpoint_status checkpoints;
  trace_status trace;
  std::vector<dead_letter> last_dead_letters;  ///< at most 32, oldest first; payloads are cut
};

}  // namespace millrace
