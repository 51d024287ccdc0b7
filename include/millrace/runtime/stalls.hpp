// SPDX-License-Identifier: Apache-2.0
/// \file
/// Why nothing comes out: for every operator that holds data back, which input holds its watermark,
/// since when, and what would release it. Read from what the workers publish; any thread may ask at
/// any time, also while a worker is stuck.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace {

class execution;

enum class stall_reason : std::uint8_t {
  no_event_time,  ///< there is no event_time step on the way: the end of the source is waited for
  no_records,     ///< not one record has come
  standing,       ///< no record has come that is late enough in event time
  partition,      ///< one part of the stream is behind the others
  back_pressure,  ///< the source is not asked, because something behind it takes no more
  alignment,      ///< the source is not asked, because its group waits for another one
  held_by_operator,  ///< an operator on the way has the watermark, and work to do before it
  all_silent,        ///< all inputs are silent or ended
};

/// One operator that holds data back.
struct stall {
  std::string name;                     ///< the operator's
  std::size_t worker = 0;               ///< on which it runs
  timestamp watermark = min_timestamp;  ///< up to which it has given everything; min: nothing yet
  stall_reason reason = stall_reason::standing;
  std::size_t input = 0;                  ///< of the operator, which holds its watermark
  std::vector<std::string> way;           ///< from there to the part that causes it, which is last
  std::vector<std::string> sources;       ///< that feed that part
  std::string partition;                  ///< of the source, if it has several
  std::string connection;                 ///< between workers: "worker 1 to worker 0"
  std::string blocked_by;                 ///< the part that takes no more, or the stream waited for
  std::optional<timestamp> since;         ///< wall clock; nothing: since the start, or not known
  std::chrono::nanoseconds lasting{};     ///< zero when `since` is nothing
  std::optional<timestamp> next_time;     ///< a record with a greater event time releases it
  std::chrono::nanoseconds idle_after{};  ///< so does that much silence; zero: never
  std::string release;                    ///< what would release it, in words
  std::string sentence;                   ///< all of it, in words
};

/// All operators whose watermark has stood still for at least that long, and that have had records;
/// and those that have work to finish before they hand a watermark on. O(operators squared).
std::vector<stall> explain_stalls(const execution& running, std::chrono::nanoseconds at_least);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/runtime/impl/stalls.ipp>
#endif
