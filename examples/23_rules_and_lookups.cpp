// SPDX-License-Identifier: Apache-2.0
// Broadcast state: limits that change while the pipeline runs. Lookup join: names of devices from
// an outside table, cached. Guide 20 explains them.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

struct sample {
  int device = 0;
  double value = 0;
  millrace::timestamp at{};
};
struct limit {
  std::string name;
  double most = 0;
  millrace::timestamp from{};
};
using limits = std::map<std::string, double>;
struct alarms {
  int raised = 0;
};
millrace::timestamp second(int s) { return millrace::timestamp{std::chrono::seconds{s}}; }

int main() {
  const std::vector<sample> samples{
      {1, 50, second(1)}, {2, 90, second(2)}, {1, 70, second(11)}, {2, 70, second(12)}};
  const std::vector<limit> changes{{"high", 80, second(0)}, {"strict", 60, second(10)}};
  millrace::memory::sink<std::string> lines;
  millrace::pipeline p("rules");
  auto rules = p.source("limits", millrace::memory::source(changes))
                   .event_time(&limit::from, millrace::monotone_times)
                   .broadcast();
  auto alerts = p.source("samples", millrace::memory::source(samples))
                    .event_time(&sample::at, millrace::monotone_times)
                    .key_by(&sample::device)
                    .connect<millrace::updates::by_event_time>(rules)
                    .process<sample>(
                        "check",
                        [](const sample& s, alarms& a, const limits& all, auto& ctx) {
                          for (const auto& [name, most] : all) {
                            if (s.value > most && ++a.raised > 0) ctx.emit(s);
                          }
                        },
                        [](const limit& l, limits& all) { all[l.name] = l.most; });
  const auto name_of = [](const int& id, millrace::async_reply<std::optional<std::string>> reply) {
    reply(id == 1 ? std::optional<std::string>("roof") : std::nullopt);
  };
  lookup_join(alerts, "names", &sample::device, name_of)
      .map([](const auto& j) { return j.right.value_or("unknown") + " is too high"; })
      .to("lines", lines);
  p.run();
  for (const auto& line : lines.values()) std::printf("%s\n", line.c_str());
  return lines.size() == 3 ? 0 : 1;
}
