// SPDX-License-Identifier: Apache-2.0
#include "harness/measure.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <stdexcept>

namespace bench {

namespace {

double seconds(clock_kind kind) {
  timespec t{};
  clock_gettime(kind == clock_kind::processor ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

}  // namespace

bool agree(const outcome& a, const outcome& b) {
  return a.digest == b.digest && std::abs(a.near - b.near) <= 1e-9 * std::abs(a.near);
}

double time_per_event(const benchmark& b, const contestant& c, std::size_t passes,
                      outcome& result) {
  const double before = seconds(b.clock);
  result = c.run(std::max<std::size_t>(1, passes / c.share));
  if (result.figure != 0) return result.figure;
  return (seconds(b.clock) - before) * 1e9 / static_cast<double>(result.events);
}

time_taken time_of(const contestant& c, std::size_t passes, outcome& result) {
  const double processor = seconds(clock_kind::processor);
  const double wall = seconds(clock_kind::wall);
  result = c.run(passes);
  const auto since = [](clock_kind kind, double before) {
    return static_cast<std::uint64_t>((seconds(kind) - before) * 1e9);
  };
  return {since(clock_kind::processor, processor), since(clock_kind::wall, wall)};
}

std::vector<measured> measure(const benchmark& b, std::size_t repetitions) {
  const auto contestants = b.prepare(scale::full);
  std::vector<std::vector<double>> times(contestants.size());
  std::vector<std::vector<double>> ratios(contestants.size());
  outcome reference;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const auto& c = contestants[i];
    const outcome check = c.run(1);
    if (i == 0) reference = check;
    if (b.compare == results::equal && !agree(check, reference)) {
      throw std::runtime_error(b.name + ": " + contestants[0].name + " and " + c.name +
                               " do not give the same result");
    }
  }
  for (std::size_t r = 0; r <= repetitions; ++r) {
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      outcome result;
      const double t = time_per_event(b, contestants[i], b.passes, result);
      if (i == 0 || (contestants[i].share == 1 && b.compare == results::equal)) {
        if (i == 0) reference = result;
        if (!agree(result, reference)) {
          throw std::runtime_error(b.name + ": results of " + contestants[i].name + " differ");
        }
      }
      if (r == 0) continue;  // warms up
      times[i].push_back(t);
      ratios[i].push_back(times[0].back() / t);
    }
  }
  std::vector<measured> all;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    all.push_back(
        {contestants[i].name, spread_of(times[i]), spread_of(ratios[i]), reference.figure != 0});
    if (reference.figure == 0) continue;
    auto& ratio = all.back().ratio;
    ratio.median = all[0].nanoseconds.least / all[i].nanoseconds.least;
  }
  return all;
}

}  // namespace bench
