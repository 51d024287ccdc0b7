// SPDX-License-Identifier: Apache-2.0
// As-of join: torque and speed of a machine are measured at different times; each torque is joined
// with the speed closest to it, at most two seconds away. Guide 20 explains it.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct reading {
  std::string machine;
  bool torque = false;
  double value = 0;
  millrace::timestamp at{};
};

std::vector<reading> readings() {
  const auto ms = [](int t) { return millrace::timestamp{std::chrono::milliseconds{t}}; };
  return {{"lathe", false, 100, ms(1000)}, {"lathe", true, 2.5, ms(1400)},
          {"lathe", false, 120, ms(1500)}, {"lathe", true, 2.6, ms(2500)},
          {"mill", true, 7.0, ms(3000)},   {"lathe", true, 2.7, ms(9000)},
          {"mill", false, 50, ms(2900)}};
}

int main() {
  millrace::memory::sink<std::string> lines;
  millrace::pipeline p("machines");
  auto all = p.source("readings", millrace::memory::source(readings()))
                 .event_time(&reading::at, millrace::bounded_lag{5s})
                 .key_by(&reading::machine);
  auto torque = all.filter([](const reading& r) { return r.torque; });
  auto speed = all.filter([](const reading& r) { return !r.torque; });

  auto power = torque.as_of_join<millrace::join_kind::left>(
      "power", speed, {.direction = millrace::as_of::nearest, .tolerance = 2s});
  using pair = decltype(power)::value_type;
  power
      .map([](const pair& j) {
        if (!j.right) return j.left.machine + ": no speed";
        return j.left.machine + ": " + std::to_string(std::lround(j.left.value * j.right->value));
      })
      .to("lines", lines);
  p.run();
  for (const auto& line : lines.values()) std::printf("%s\n", line.c_str());
  return lines.size() == 4 ? 0 : 1;
}
