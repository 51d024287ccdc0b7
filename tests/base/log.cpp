// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/log.hpp>

#include "catch.hpp"

#include <chrono>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;

TEST_CASE("a logger hands on lines from its least level up, with the part that speaks") {
  std::vector<std::string> lines;
  const logger log(
      [&](const log_record& r) {
        lines.push_back(std::to_string(static_cast<int>(r.level)) + " " + std::string(r.component) +
                        ": " + std::string(r.message));
      },
      log_level::warning);
  log.debug("a", "one");
  log.info("a", "two");
  log.warning("b", "three");
  log.error("c", "four");
  CHECK(lines == std::vector<std::string>{"2 b: three", "3 c: four"});
  CHECK_FALSE(log.enabled(log_level::info));
  CHECK(log.enabled(log_level::error));
}

TEST_CASE("a logger without a function drops everything") {
  const logger log;
  CHECK_FALSE(log.enabled(log_level::error));
  log.error("a", "nobody hears it");
}

TEST_CASE("a rate limit lets its burst through per period and counts the rest") {
  rate_limit limit(3, 10s);
  std::vector<int> passed;
  // One line each second, from a clock that does not begin at zero.
  for (int second = 0; second < 30; ++second) {
    if (limit.allow(1000s + second * 1s)) passed.push_back(second);
  }
  CHECK(passed == std::vector<int>{0, 1, 2, 10, 11, 12, 20, 21, 22});
  CHECK(limit.take_suppressed() == 21);
  CHECK(limit.take_suppressed() == 0);
}

TEST_CASE("a period begins with its first line, also at the clock's zero") {
  rate_limit limit(2, 10s);
  CHECK(limit.allow(0s));
  CHECK(limit.allow(9s));
  CHECK_FALSE(limit.allow(9999ms));
  CHECK(limit.allow(10s));
  CHECK(limit.allow(500s));  // long after: a new period
  CHECK(limit.allow(509s));
  CHECK_FALSE(limit.allow(509s));
  CHECK(limit.take_suppressed() == 2);
}
