// SPDX-License-Identifier: Apache-2.0
// What compile times are compared with: a file that includes what nearly every program does.
#include <chrono>
#include <functional>
#include <string>
#include <vector>

int main() {
  const std::vector<std::function<std::string()>> all{[] { return std::string("nothing"); }};
  const std::chrono::seconds time{all.size()};
  return time.count() == 1 ? 0 : 1;
}
