// SPDX-License-Identifier: Apache-2.0
// expect: map(f): f must be callable as f(const T&) and return a value
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

void wrong(millrace::pipeline& p) {
  p.source("in", millrace::memory::source<int>({1, 2})).map([](int) {});
}
