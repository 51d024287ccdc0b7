// SPDX-License-Identifier: Apache-2.0
// Aggregates: several at once over a struct, in windows per key; and alone, without a pipeline.
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/windows/aggregates/distinct.hpp>
#include <millrace/windows/aggregates/quantiles.hpp>

#include <cstdio>
using namespace std::chrono_literals;

struct call {
  std::string service;
  int user = 0;
  double bytes = 0, milliseconds = 0;
  millrace::timestamp at{};
};
// What a window comes to: one member per aggregate, in their order.
struct summary {
  std::uint64_t calls, users;
  std::vector<double> median_and_p99;
  millrace::regression_result time_by_size;
  double lately;
  std::vector<millrace::scored<double, int>> slowest;
};

int main() {
  std::vector<call> calls;
  for (int i = 0; i < 2000; ++i) {
    const double bytes = 100 + 10 * (i % 97), milliseconds = 3 + 0.02 * bytes;
    calls.push_back({i % 2 == 0 ? "search" : "cart", i % 150, bytes,
                     milliseconds + (i % 100 == 7 ? 250 : 0), millrace::timestamp{100ms * i}});
  }
  const auto summarize = millrace::compose_as<summary>(
      millrace::count{}, millrace::count_distinct(&call::user),
      millrace::quantiles({0.5, 0.99}, &call::milliseconds),
      millrace::where([](const call& c) { return c.milliseconds < 100; },
                      millrace::linear_regression{&call::bytes, &call::milliseconds}),
      millrace::exponential_mean(10s, &call::milliseconds),
      millrace::top_k(2, &call::milliseconds, &call::user));
  millrace::memory::sink<millrace::window_result<std::string, summary>> results;
  millrace::pipeline p("calls");
  p.source("calls", millrace::memory::source(calls))
      .event_time(&call::at, millrace::bounded_lag{1s})
      .key_by(&call::service)
      .window(millrace::tumbling{100s})
      .aggregate("summary", summarize)
      .to("results", results);
  p.run();
  for (const auto& [service, window, s] : results.values()) {
    std::printf("%-6s %d calls, %d users, median %.1f ms, p99 %.1f ms, %.3f ms per byte\n",
                service.c_str(), static_cast<int>(s.calls), static_cast<int>(s.users),
                s.median_and_p99[0], s.median_and_p99[1], s.time_by_size.slope);
  }
  const millrace::skewness skew{&call::milliseconds};  // alone: add, merge, result
  millrace::moments_state even, odd;
  for (std::size_t i = 0; i < calls.size(); ++i) skew.add(i % 2 == 0 ? even : odd, calls[i]);
  skew.merge(even, odd);
  std::printf("skewness %.2f\n", skew.result(even));
  return results.size() == 4 ? 0 : 1;
}
