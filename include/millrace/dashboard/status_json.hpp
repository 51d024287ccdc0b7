// SPDX-License-Identifier: Apache-2.0
/// \file
/// Status, plan and history of a pipeline as JSON, for the page and for whoever else asks. Times
/// are seconds as numbers, unknown values null. Pure functions, thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/dashboard/diagnosis.hpp>
#include <millrace/runtime/plan.hpp>
#include <millrace/runtime/stalls.hpp>
#include <millrace/runtime/status.hpp>

#include <string>
#include <vector>

namespace millrace {

/// `nodes` sums up the instances of each node of the plan, with rates and shares over the time
/// between both samples; `operators` has all instances and the queues between, with their counts;
/// `stalls` what `pipeline::explain_stall` says.
MILLRACE_DECL std::string status_json(const pipeline_status& before, const pipeline_status& now,
                                      const pipeline_plan& plan, const diagnosis& found,
                                      const std::vector<stall>& stalls = {});

MILLRACE_DECL std::string plan_json(const pipeline_plan& plan);

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/dashboard/impl/status_json.ipp>
#endif
