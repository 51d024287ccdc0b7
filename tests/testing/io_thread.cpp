// SPDX-License-Identifier: Apache-2.0
#include <millrace/testing/io_thread.hpp>

#include "catch.hpp"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using testing::io_thread;

TEST_CASE("actions run on the thread, one after the other, and are waited for") {
  io_thread thread;
  std::thread::id seen;
  int nested = 0;
  CHECK_FALSE(thread.env().on_worker());
  thread.run([&] {
    seen = std::this_thread::get_id();
    CHECK(thread.env().on_worker());
    thread.run([&] { nested = 1; });
  });
  CHECK(seen != std::this_thread::get_id());
  CHECK(nested == 1);
}

TEST_CASE("the exception of an action reaches who waits for it") {
  io_thread thread;
  CHECK_THROWS_AS(thread.run([] { throw std::runtime_error("x"); }), std::runtime_error);
  bool alive = false;
  thread.run([&] { alive = true; });
  CHECK(alive);
}

TEST_CASE("timers run in their order unless they are cancelled") {
  io_thread thread;
  std::atomic<int> order{0};
  std::atomic<bool> end{false};
  thread.run([&] {
    auto& env = thread.env();
    env.call_after(20ms, [&] {
      order = order * 10 + 2;
      end = true;
    });
    env.call_after(1ms, [&] { order = order * 10 + 1; });
    const auto never = env.call_after(2ms, [&] { order = 9; });
    env.cancel_timer(never);
    env.cancel_timer(0);
  });
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!end && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
  CHECK(order == 12);
}

TEST_CASE("a thread stops although timers are pending, and then runs actions on the caller's") {
  io_thread thread;
  thread.run([&] { thread.env().call_after(1h, [] {}); });
  thread.stop();
  thread.stop();
  std::thread::id seen;
  thread.run([&] { seen = std::this_thread::get_id(); });
  CHECK(seen == std::this_thread::get_id());
}
