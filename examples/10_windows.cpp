// SPDX-License-Identifier: Apache-2.0
// Kinds of windows: tumbling, sliding, sessions, counts, and one over all keys together. A shop's
// clicks: guide 10 explains them.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct click {
  std::string user;
  int cents = 0;
  millrace::timestamp at{};
};

std::vector<click> clicks() {
  const auto minute = [](int m) { return millrace::timestamp{std::chrono::minutes{m}}; };
  return {{"ann", 0, minute(0)},  {"ann", 250, minute(3)}, {"bob", 0, minute(4)},
          {"ann", 0, minute(7)},  {"bob", 999, minute(8)}, {"ann", 100, minute(31)},
          {"bob", 0, minute(35)}, {"ann", 50, minute(36)}, {"bob", 1, minute(70)}};
}

int main() {
  millrace::memory::sink<std::string> lines;
  millrace::pipeline p("shop");
  auto all = p.source("clicks", millrace::memory::source(clicks()))
                 .event_time(&click::at, millrace::bounded_lag{1min});
  auto by_user = all.key_by(&click::user);

  const auto print = [](const std::string& kind) {
    return [kind](const std::string& user, const millrace::window& w, std::int64_t cents) {
      return kind + " of " + user + " from minute " +
             std::to_string(w.start.time_since_epoch() / 1min) + ": " + std::to_string(cents);
    };
  };
  const auto spent = millrace::sum(&click::cents);
  by_user.window(millrace::tumbling{.size = 30min})
      .aggregate("half hours", spent, print("half hour"))
      .to("half hours out", lines);
  by_user.window(millrace::session{.gap = 10min})
      .aggregate("visits", spent, print("visit"))
      .to("visits out", lines);
  by_user.window(millrace::count_window{.size = 3, .slide = 2})
      .aggregate("last three", spent)
      .map([](const auto& r) { return "last three of " + r.key + ": " + std::to_string(r.value); })
      .to("last three out", lines);
  all.window_all(millrace::sliding{.size = 60min, .slide = 30min})
      .aggregate("hours", spent)
      .map([](const auto& r) { return "an hour of all: " + std::to_string(r.value); })
      .to("hours out", lines);
  p.run();

  for (const auto& line : lines.values()) std::printf("%s\n", line.c_str());
  return lines.size() == 18 ? 0 : 1;
}
