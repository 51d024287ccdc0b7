// SPDX-License-Identifier: Apache-2.0
// expect: window(w): w must be tumbling{...}, sliding{...}, session{...}, count_window{...} or
// global{}
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

void wrong(millrace::pipeline& p) {
  using namespace std::chrono_literals;
  p.source("in", millrace::memory::source<int>({1, 2}))
      .key_by([](int i) { return i; })
      .window(5s)
      .aggregate("count", millrace::count{});
}
