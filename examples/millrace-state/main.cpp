// SPDX-License-Identifier: Apache-2.0
#include "commands.hpp"

#include <cstdio>

int main(int argc, char** argv) {
  const auto done = state_tool::run({argv + 1, argv + argc});
  std::fputs(done.text.c_str(), done.status == 2 ? stderr : stdout);
  return done.status;
}
