// SPDX-License-Identifier: Apache-2.0
/// \file
/// The benchmarks of operators, one function per file.
#pragma once

#include "harness/benchmark.hpp"

namespace bench {

benchmark fused_chain();
benchmark fused_chain_predictable();
benchmark tumbling_statistics();
benchmark keyed_window();
benchmark long_window();
benchmark join_by_arrival();
benchmark join_by_event_time();
benchmark hand_off();
benchmark reference_pipeline();

}  // namespace bench
