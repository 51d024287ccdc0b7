// SPDX-License-Identifier: Apache-2.0
/// \file
/// Catch2 under one name: v2 (Debian 12) or v3 (Debian 13, Ubuntu 24.04), and skips that are seen.
/// Not thread safe: assert, and skip, on the thread that runs the test case.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)

#include <catch2/catch_all.hpp>
using Catch::Approx;  // NOLINT: v2 has it globally

#else

#include <catch2/catch.hpp>
namespace Catch::Matchers {
/// v3's name.
inline auto ContainsSubstring(const std::string& text) { return Contains(text); }
}  // namespace Catch::Matchers

#endif

#include <string_view>

namespace millrace::testing {

/// Reports and counts the skip, then ends the test case.
[[noreturn]] void skip_test_case(std::string_view reason);

}  // namespace millrace::testing

/// Ends the test case because what it needs is not there. The reason is listed at the end of
/// tests/run.sh; it should say what to install.
#define MILLRACE_SKIP(reason) ::millrace::testing::skip_test_case(reason)
