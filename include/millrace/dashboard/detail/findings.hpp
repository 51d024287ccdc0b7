// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the rules of the diagnosis find. Pure functions.
#pragma once

#include <millrace/dashboard/detail/interval.hpp>

#include <span>

namespace millrace::detail {

MILLRACE_DECL void find_bottleneck(const status_interval& time, const diagnosis_options& options,
                                   diagnosis& out);

MILLRACE_DECL void find_stall(const status_interval& time,
                              std::span<const diagnostician::standstill> still,
                              const diagnosis_options& options, diagnosis& out);

MILLRACE_DECL void find_checkpoint_trouble(const pipeline_status& now,
                                           const diagnosis_options& options, diagnosis& out);

}  // namespace millrace::detail
