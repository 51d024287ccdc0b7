// SPDX-License-Identifier: Apache-2.0
/// \file
/// What is wrong with a running pipeline, in one sentence: the part that holds the others up, and
/// the part whose time everybody waits for. Computed from samples of the status; plain values.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/runtime/plan.hpp>
#include <millrace/runtime/status.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace millrace {

/// Sentences for people, empty when there is nothing to say, and the parts they are about by name.
struct diagnosis {
  std::string summary;  ///< always: how it is doing
  std::string bottleneck;
  std::string bottleneck_operator;
  std::string stall;
  std::string stall_operator;  ///< the one that waits
  std::string stall_cause;     ///< the one it waits for
  std::string checkpoint;      ///< why a crash would cost more than it should
};

struct diagnosis_options {
  double blocked_share = 0.2;  ///< of the time, from which on a part is called a bottleneck
  double busy_share = 0.85;    ///< of a worker's time
  std::chrono::nanoseconds still = std::chrono::seconds{10};  ///< without progress: a stall
  unsigned checkpoint_periods =
      3;  ///< without a complete checkpoint, and `still` at least: too old
};

/// Looks at one pipeline again and again. It remembers since when each part has made no progress.
/// Not thread safe. Memory and time are linear in the parts of the pipeline.
class diagnostician {
 public:
  explicit diagnostician(diagnosis_options options = {}) : options_(options) {}

  /// The first look knows no rates and finds no bottleneck. `status` must not be older than the one
  /// before.
  MILLRACE_DECL diagnosis look(const pipeline_status& status, const pipeline_plan& plan);

  /// How long an operator, by its place in `pipeline_status::operators`, has made no progress.
  struct standstill {
    std::uint64_t records = 0;
    timestamp watermark = min_timestamp;
    std::chrono::nanoseconds records_since{};    ///< age of the pipeline at the last record out
    std::chrono::nanoseconds watermark_since{};  ///< and at the last move of the watermark
    std::uint64_t records_at_watermark = 0;      ///< records in at that time
  };

 private:
  diagnosis_options options_;
  pipeline_status before_;
  std::vector<standstill> still_;
};

/// The same from two samples alone: silence is as long as the time between them, at least.
MILLRACE_DECL diagnosis diagnose(const pipeline_status& before, const pipeline_status& now,
                                 const pipeline_plan& plan, diagnosis_options options = {});

/// "1.9 s", "340 ms", "3 min 20 s": two or three digits are enough for people.
MILLRACE_DECL std::string duration_text(std::chrono::nanoseconds time);

/// "12,300".
MILLRACE_DECL std::string count_text(std::uint64_t count);

/// "calls{lane=B}" as name and lane; without a lane as it is.
MILLRACE_DECL std::pair<std::string, std::string> split_metric_name(const std::string& name);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/dashboard/impl/bottleneck.ipp>
#include <millrace/dashboard/impl/checkpoint_trouble.ipp>
#include <millrace/dashboard/impl/diagnosis.ipp>
#include <millrace/dashboard/impl/stall.ipp>
#endif
