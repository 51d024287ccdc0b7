// SPDX-License-Identifier: Apache-2.0
// A program of somebody else.
#include <millrace/base/error.hpp>
#include <millrace/base/version.hpp>

#include <cstdio>

int main() {
  const std::error_code code = millrace::errc::timeout;
  std::printf("millrace %s: %s\n", MILLRACE_VERSION_STRING, code.message().c_str());
  return code.message() == "timed out" ? 0 : 1;
}
