// SPDX-License-Identifier: Apache-2.0
/// \file
/// Published benchmarks of stream processors, as programs in the DSL.
#pragma once

#include "harness/benchmark.hpp"

namespace bench {

benchmark yahoo();
benchmark riotbench_etl();
benchmark riotbench_stats();
benchmark riotbench_pred();
benchmark nexmark_q0();
benchmark nexmark_q1();
benchmark nexmark_q2();
benchmark nexmark_q3();
benchmark nexmark_q4();
benchmark nexmark_q5();
benchmark nexmark_q6();
benchmark nexmark_q7();
benchmark nexmark_q8();
benchmark nexmark_q11();
benchmark theodolite_uc2();
benchmark theodolite_uc3();
benchmark theodolite_uc4();

}  // namespace bench
