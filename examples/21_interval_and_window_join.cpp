// SPDX-License-Identifier: Apache-2.0
// Interval join: an order and its payment, which comes up to an hour later; orders without one come
// out alone. Window join: all pairs of the same hour. Guide 20 explains them.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using millrace::join_kind;

struct event {
  int order = 0;
  std::string what;
  millrace::timestamp at{};
};

millrace::timestamp minute(int m) { return millrace::timestamp{std::chrono::minutes{m}}; }

int main() {
  const std::vector<event> orders{
      {1, "order", minute(0)}, {2, "order", minute(10)}, {3, "order", minute(50)}};
  const std::vector<event> payments{
      {1, "payment", minute(20)}, {3, "payment", minute(65)}, {2, "payment", minute(75)}};
  millrace::memory::sink<std::string> lines;
  millrace::pipeline p("shop");
  const auto timed = [&p](const char* name, const std::vector<event>& events) {
    return p.source(name, millrace::memory::source(events))
        .event_time(&event::at, millrace::bounded_lag{5min})
        .key_by(&event::order);
  };
  auto ordered = timed("orders", orders);
  auto paid = timed("payments", payments);

  const auto print = [](const char* join) {
    return [join](const auto& j) {
      return std::string(join) + " " + std::to_string(j.left.order) +
             (j.right ? " with its " + j.right->what : " alone");
    };
  };
  ordered.interval_join<join_kind::left>("soon paid", paid, {.lower = 0s, .upper = 1h})
      .map(print("interval:"))
      .to("intervals", lines);
  ordered.window_join<join_kind::left>("same hour", paid, millrace::tumbling{.size = 1h})
      .map(print("window:"))
      .to("windows", lines);
  p.run();
  for (const auto& line : lines.values()) std::printf("%s\n", line.c_str());
  return lines.size() == 6 ? 0 : 1;
}
