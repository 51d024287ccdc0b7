// SPDX-License-Identifier: Apache-2.0
// The tests' main program. Its last line tells the scripts how many test cases passed, failed and
// were skipped; Catch2 v2 knows no skips.
#define CATCH_CONFIG_RUNNER
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include "catch.hpp"

#include <cstdio>
#include <string>

namespace millrace::testing {

namespace {

std::string current_test;  // NOLINT
int skipped = 0;           // NOLINT

#if __has_include(<catch2/catch_all.hpp>)
using listener_base = Catch::EventListenerBase;
#else
using listener_base = Catch::TestEventListenerBase;
#endif

class summary : public listener_base {
 public:
  using listener_base::listener_base;

  void testCaseStarting(const Catch::TestCaseInfo& info) override { current_test = info.name; }

  void testRunEnded(const Catch::TestRunStats& stats) override {
    const auto& cases = stats.totals.testCases;
    int passed = static_cast<int>(cases.passed);
#if !__has_include(<catch2/catch_all.hpp>)
    passed -= skipped;  // v2 counts them as passed
#endif
    std::printf("millrace tests: %d passed, %d failed, %d skipped\n", passed,
                static_cast<int>(cases.failed + cases.failedButOk), skipped);
    std::fflush(stdout);
  }
};

CATCH_REGISTER_LISTENER(summary)

}  // namespace

void skip_test_case(std::string_view reason) {
  ++skipped;
  std::printf("SKIPPED: %s: %.*s\n", current_test.c_str(), static_cast<int>(reason.size()),
              reason.data());
  std::fflush(stdout);
#if __has_include(<catch2/catch_all.hpp>)
  SKIP(std::string(reason));
  throw std::logic_error("SKIP returned");
#else
  throw Catch::TestFailureException();  // ends the test case, records no failure
#endif
}

}  // namespace millrace::testing

int main(int argc, char** argv) {
  const int status = Catch::Session().run(argc, argv);
  constexpr int all_skipped = 4;  // v3's exit status
  return status == all_skipped ? 0 : status;
}
