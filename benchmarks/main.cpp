// SPDX-License-Identifier: Apache-2.0
// millrace_benchmarks: the library against hand-written floors. benchmarks/run.sh calls it.
//
//   list                            names, and passes at which instructions are to be counted
//   count NAME CONTESTANT PASSES    one run, for callgrind; prints the number of events
//   run [OPTION...] [NAME...]       times and the table
//     --repetitions N   pairs of runs (7)       --no-times         only the counts that are given
//     --counts FILE     instructions per event  --json FILE        all figures
//     --baseline FILE   compare the counts      --new-baseline FILE  write them
#include "harness/measure.hpp"
#include "harness/report.hpp"
#include "operators/programs.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>

namespace bench {

std::vector<benchmark> all_benchmarks() {
  return {fused_chain(),       fused_chain_predictable(), tumbling_statistics(), keyed_window(),
          long_window(),       join_by_arrival(),         join_by_event_time(),  hand_off(),
          reference_pipeline()};
}

namespace {

struct arguments {
  std::size_t repetitions = 7;
  bool times = true;
  std::string counts, json, baseline, new_baseline;
  std::vector<std::string> names;
};

arguments parse(const std::vector<std::string>& given) {
  arguments a;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto value = [&]() -> const std::string& {
      if (i + 1 == given.size()) throw std::runtime_error(given[i] + " needs a value");
      return given[++i];
    };
    if (given[i] == "--repetitions") {
      a.repetitions = std::max<std::size_t>(1, std::stoul(value()));
    } else if (given[i] == "--no-times") {
      a.times = false;
    } else if (given[i] == "--counts") {
      a.counts = value();
    } else if (given[i] == "--json") {
      a.json = value();
    } else if (given[i] == "--baseline") {
      a.baseline = value();
    } else if (given[i] == "--new-baseline") {
      a.new_baseline = value();
    } else {
      a.names.push_back(given[i]);
    }
  }
  return a;
}

void write(const std::string& path, const std::string& text) {
  if (!path.empty() && !(std::ofstream(path) << text)) {
    throw std::runtime_error("cannot write to " + path);
  }
}

const benchmark& find(const std::vector<benchmark>& all, const std::string& name) {
  for (const benchmark& b : all) {
    if (b.name == name) return b;
  }
  throw std::runtime_error("there is no benchmark called " + name);
}

void list(const std::vector<benchmark>& all) {
  for (const benchmark& b : all) fmt::print("{} {} {}\n", b.name, b.few, b.many);
}

void count(const benchmark& b, const std::string& name, std::size_t passes) {
  for (const contestant& c : b.prepare(scale::small)) {
    if (c.name == name) fmt::print("{}\n", c.run(passes).events);
  }
}

int run(const std::vector<benchmark>& all, const arguments& a) {
  for (const std::string& name : a.names) find(all, name);
  const counts counted = read_counts(a.counts);
  std::vector<figures> results;
  print_head();
  for (const benchmark& b : all) {
    if (!a.names.empty() && std::count(a.names.begin(), a.names.end(), b.name) == 0) continue;
    figures f{&b, {}, {}};
    if (a.times) f.times = measure(b, a.repetitions);
    for (const auto& [key, value] : counted) {
      if (key.first == b.name) f.instructions[key.second] = value;
    }
    print(f);
    results.push_back(std::move(f));
  }
  write(a.json, to_json(results));
  write(a.new_baseline, baseline_json(results));
  return a.baseline.empty() ? 0 : compare_with_baseline(results, a.baseline);
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> given(argv + 1, argv + argc);
    const auto all = bench::all_benchmarks();
    const std::string what = given.empty() ? "run" : given[0];
    if (what == "list") {
      bench::list(all);
      return 0;
    }
    if (what == "count" && given.size() == 4) {
      bench::count(bench::find(all, given[1]), given[2], std::stoul(given[3]));
      return 0;
    }
    if (what != "run") throw std::runtime_error("arguments: see the first lines of main.cpp");
    return bench::run(all, bench::parse({given.begin() + (given.empty() ? 0 : 1), given.end()}));
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 2;
  }
}
