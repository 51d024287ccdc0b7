// SPDX-License-Identifier: Apache-2.0
// What metrics and time accounting cost: the fused chain and a window, in a program compiled with
// them and in one without (MILLRACE_NO_METRICS). Both are header-only, so that nothing else
// differs; benchmarks/run.sh counts the instructions of both.
#include "operators/programs.hpp"

namespace bench {

std::vector<benchmark> all_benchmarks() {
  return {fused_chain(), fused_chain_predictable(), tumbling_statistics(), keyed_window()};
}

}  // namespace bench
