// SPDX-License-Identifier: Apache-2.0
// expect: filter(f): f must be callable as f(const T&) and return a bool
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <string>

void wrong(millrace::pipeline& p) {
  p.source("in", millrace::memory::source<int>({1, 2})).filter([](const std::string&) {
    return true;
  });
}
