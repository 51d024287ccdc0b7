// SPDX-License-Identifier: Apache-2.0
// Coroutines as asynchronous functions, in whole pipelines.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/operators/awaitable.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

std::vector<int> count_to(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

/// Goes through the executor once before it answers.
boost::asio::awaitable<int> doubled(int value) {
  co_await boost::asio::post(co_await boost::asio::this_coro::executor, boost::asio::use_awaitable);
  if (value % 10 == 7) throw std::runtime_error("seven");
  co_return 2 * value;
}

}  // namespace

TEST_CASE("a coroutine's value is the result, its exception the reason of a dead letter") {
  for (const std::size_t workers : {1U, 3U}) {
    pipeline p("coroutines");
    p.parallelism(workers);
    memory::sink<int> out;
    memory::sink<dead_letter> dead;
    p.source("in", memory::source<int>(count_to(1000)))
        .key_by([](int i) { return i % 10; })
        .async_map("double", [](const int& i) { return doubled(i); }, {.in_flight = 8})
        .to("out", out);
    p.dead_letters().to("dead", dead);
    p.run();
    const auto values = out.values();
    CHECK(values.size() == 900);
    CHECK(std::accumulate(values.begin(), values.end(), 0) == 2 * (499'500 - 50'200));
    REQUIRE(dead.size() == 100);
    CHECK(dead.values()[0].reason == "seven: aborted");
  }
}

TEST_CASE("async_flat_map emits the elements of a coroutine's range, in order if asked for") {
  pipeline p("flat");
  memory::sink<int> out;
  p.source("in", memory::source<int>(count_to(100)))
      .async_flat_map("twice",
                      [](const int& i) -> boost::asio::awaitable<std::vector<int>> {
                        co_return std::vector<int>{i, i};
                      },
                      {.in_flight = 4, .order = async_order::ordered})
      .to("out", out);
  p.run();
  const auto values = out.values();
  CHECK(values.size() == 200);
  CHECK(std::is_sorted(values.begin(), values.end()));
}

TEST_CASE("async_sleep waits in virtual time, and a timeout cancels the coroutine") {
  testing::simulation sim;
  memory::sink<int> out;
  memory::sink<dead_letter> dead;
  environment* env = nullptr;
  struct grab {
    using output_type = int;
    environment** env;
    void open(operator_context<int>& c) { *env = &c.env(); }
    void process(int value, operator_context<int>& c) { c.emit(value); }
  };
  pipeline p("sleep");
  p.source("in", memory::source<int>(std::vector<int>{1, 30}))
      .apply("grab", grab{&env})
      .async_map("wait",
                 [&env](const int& seconds) -> boost::asio::awaitable<int> {
                   co_await async_sleep(*env, std::chrono::seconds{seconds},
                                        boost::asio::use_awaitable);
                   co_return seconds;
                 },
                 {.timeout = 10s})
      .to("out", out);
  p.dead_letters().to("dead", dead);
  p.start(sim);
  p.wait();
  CHECK(out.values() == std::vector<int>{1});
  REQUIRE(dead.size() == 1);
  CHECK(dead.values()[0].reason == "timed out");
}
