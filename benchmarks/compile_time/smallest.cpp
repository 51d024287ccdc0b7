// SPDX-License-Identifier: Apache-2.0
// The smallest useful pipeline: numbers in memory, keyed, summed up per window, printed.
#include <millrace/connectors/console.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates/sum.hpp>

int main() {
  using namespace std::chrono_literals;
  millrace::pipeline p{"smallest"};
  p.source("numbers", millrace::memory::source<int>({1, 2, 3, 4}))
      .event_time([](int i) { return millrace::timestamp{1s * i}; }, millrace::monotone_times)
      .key_by([](int i) { return i % 2; })
      .window(millrace::tumbling{10s})
      .aggregate("sums", millrace::sum([](int i) { return i; }))
      .map([](const auto& r) { return r.value; })
      .to("out", millrace::console::sink{});
  p.run();
}
