// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/background_jobs.hpp>

#include "catch.hpp"

#include <thread>
#include <vector>

using namespace millrace;

TEST_CASE("background jobs run in order, and all of them before the end") {
  std::vector<int> done;
  {
    background_jobs jobs(job_place::own_thread);
    for (int i = 0; i < 100; ++i) jobs.submit([&done, i] { done.push_back(i); });
    jobs.wait();
    CHECK(done.size() == 100);
    for (int i = 100; i < 200; ++i) jobs.submit([&done, i] { done.push_back(i); });
  }
  REQUIRE(done.size() == 200);
  for (int i = 0; i < 200; ++i) CHECK(done[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("background jobs on the caller's thread are done when submit returns") {
  background_jobs jobs(job_place::caller);
  std::thread::id where;
  jobs.submit([&where] { where = std::this_thread::get_id(); });
  CHECK(where == std::this_thread::get_id());
  jobs.wait();
}
