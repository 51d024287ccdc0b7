// SPDX-License-Identifier: Apache-2.0
// All benchmarks that millrace_benchmarks knows, in the order of the table.
#include "operators/programs.hpp"
#include "workloads/programs.hpp"

namespace bench {

std::vector<benchmark> all_benchmarks() {
  return {reference_pipeline(),
          reference_parallel(),
          json_shuffled(),
          json_in_order(),
          fused_chain(),
          fused_chain_predictable(),
          tumbling_statistics(),
          keyed_window(),
          window_length(),
          window_disorder(),
          long_window(),
          count_window(),
          count_window_pause(),
          join_by_arrival(),
          join_by_event_time(),
          hand_off(),
          yahoo(),
          riotbench_etl(),
          riotbench_stats(),
          riotbench_pred(),
          nexmark_q0(),
          nexmark_q1(),
          nexmark_q2(),
          nexmark_q3(),
          nexmark_q4(),
          nexmark_q5(),
          nexmark_q6(),
          nexmark_q7(),
          nexmark_q8(),
          nexmark_q11(),
          theodolite_uc2(),
          theodolite_uc3(),
          theodolite_uc4()};
}

}  // namespace bench
