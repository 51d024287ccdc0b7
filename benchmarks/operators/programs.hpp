// SPDX-License-Identifier: Apache-2.0
/// \file
/// The benchmarks of operators.
#pragma once

#include "harness/benchmark.hpp"

namespace bench {

benchmark reference_pipeline();
benchmark reference_parallel();
benchmark json_shuffled();
benchmark json_in_order();
benchmark fused_chain();
benchmark fused_chain_predictable();
benchmark tumbling_statistics();
benchmark keyed_window();
benchmark window_length();
benchmark window_disorder();
benchmark long_window();
benchmark count_window();
benchmark count_window_pause();
benchmark join_by_arrival();
benchmark join_by_event_time();
benchmark hand_off();

}  // namespace bench
