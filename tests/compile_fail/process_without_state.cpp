// SPDX-License-Identifier: Apache-2.0
// expect: process<Out>(name, f): f must be callable as f(const T&, State&, auto& ctx)
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

void wrong(millrace::pipeline& p) {
  p.source("in", millrace::memory::source<int>({1, 2}))
      .key_by([](int i) { return i; })
      .process<int>("count", [](const int&) {});
}
