// SPDX-License-Identifier: Apache-2.0
// Looks at a running pipeline from outside: the plan, the page in a browser, what Prometheus would
// scrape, and the bottleneck in one sentence.

#include <millrace/connectors/memory.hpp>
#include <millrace/dashboard/dashboard.hpp>
#include <millrace/dashboard/prometheus.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>
#include <thread>

using namespace std::chrono_literals;

int main() {
  millrace::pipeline p("orders");
  millrace::memory::queue<int> orders;
  millrace::memory::sink<int> priced;
  const auto slow_price = [](int order) {
    std::this_thread::sleep_for(100us);
    return order * 3;
  };
  p.source("orders", orders).map(slow_price).to("priced", priced);
  std::printf("%s\n", p.explain().c_str());

  p.start();
  millrace::dashboard board(p, {.port = 0});  // 0: a free port; by default 8080
  std::printf("%s\n\n", board.url().c_str());

  for (int i = 0; i < 10'000; ++i) orders.push(i);
  orders.close();

  millrace::diagnostician doctor({.busy_share = 0.5});  // of a worker, to be called too busy
  doctor.look(p.status(), p.plan());
  std::this_thread::sleep_for(500ms);
  const millrace::diagnosis found = doctor.look(p.status(), p.plan());
  std::printf("%s\n%s\n", found.summary.c_str(), found.bottleneck.c_str());

  const std::string metrics = millrace::to_prometheus(p.status());
  p.wait();
  const bool named = found.bottleneck_operator.find("map") != std::string::npos;
  const bool counted =
      metrics.find("millrace_operator_records_in_total{pipeline=\"orders\"") != std::string::npos;
  return named && counted && priced.values().size() == 10'000 ? 0 : 1;
}
