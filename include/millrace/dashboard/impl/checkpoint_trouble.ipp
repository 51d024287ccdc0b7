// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/dashboard/detail/findings.hpp>

#include <algorithm>

namespace millrace {

namespace detail {

/// Checkpoints that fail, or do not come: what has been processed since the last one would be
/// processed again after a crash. While a pipeline drains, none need come.
MILLRACE_DECL void find_checkpoint_trouble(const pipeline_status& now,
                                           const diagnosis_options& options, diagnosis& out) {
  const auto& s = now.checkpoints;
  if (s.every.count() == 0 || now.stopping) return;
  const std::string last = s.completed == 0 ? "there is none yet, after " + duration_text(s.age)
                                            : "the last one, number " + count_text(s.last_id) +
                                                  ", is " + duration_text(s.age) + " old";
  if (s.failed_since > 0) {
    const std::string how = s.failed_since == 1 ? "the last attempt to take a checkpoint failed"
                                                : "the last " + count_text(s.failed_since) +
                                                      " attempts to take a checkpoint failed";
    out.checkpoint = how + " (" + s.last_failure + "); " + last;
    return;
  }
  const auto patience =
      std::max(options.still, (s.every + s.last_took) * std::int64_t{options.checkpoint_periods});
  if (s.age <= patience) return;
  out.checkpoint = "a checkpoint is due every " + duration_text(s.every) + ", but " + last;
  if (s.under_way.count() == 0) return;
  out.checkpoint += "; one has been under way for " + duration_text(s.under_way);
  out.checkpoint += s.waits_for.empty() ? " and is being stored" : ", it waits for " + s.waits_for;
}

}  // namespace detail

}  // namespace millrace
