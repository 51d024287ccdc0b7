// SPDX-License-Identifier: Apache-2.0
// expect: trigger(t): t needs on_record(const T&, timestamp, state&, trigger_context&)
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

void wrong(millrace::pipeline& p) {
  using namespace std::chrono_literals;
  p.source("in", millrace::memory::source<int>({1, 2}))
      .key_by([](int i) { return i; })
      .window(millrace::tumbling{1s})
      .trigger(5)
      .aggregate("count", millrace::count{});
}
