// SPDX-License-Identifier: Apache-2.0
// expect: to(name, sink): the sink must have open(sink_context&) returning a writer
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

void wrong(millrace::pipeline& p) {
  p.source("in", millrace::memory::source<int>({1, 2})).to("out", 5);
}
