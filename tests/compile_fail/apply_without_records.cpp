// SPDX-License-Identifier: Apache-2.0
// expect: apply(name, f): f must be callable as f(key, window, std::span<const window_record<T>>)
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

void wrong(millrace::pipeline& p) {
  using namespace std::chrono_literals;
  p.source("in", millrace::memory::source<int>({1, 2}))
      .key_by([](int i) { return i; })
      .window(millrace::session{1s})
      .apply("all", [](int key) { return key; });
}
