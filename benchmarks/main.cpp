// SPDX-License-Identifier: Apache-2.0
// millrace_benchmarks: the library against hand-written floors. benchmarks/run.sh calls it.
//
//   list                            a line per benchmark whose instructions are to be counted:
//                                   name, two numbers of passes, quick or slow, contestants (_ for
//                                   spaces)
//   count NAME CONTESTANT PASSES    one run, for callgrind; prints the number of events
//   once NAME CONTESTANT PASSES     a timed run after a short one: events, digest, ns of processor
//                                   and of the wall clock; for peers in other processes
//   run [--repetitions N] [--no-times] [--counts FILE] [NAME...]    rows, see harness/rows.hpp
//   table ROWS [JSON]               the table of a file of rows; the same as JSON
//   compare COUNTS BASELINE         fails when a count has grown by more than 3 %
//   baseline COUNTS BASELINE        writes the counts into the baseline
#include "harness/measure.hpp"
#include "harness/report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>

namespace bench {
namespace {

struct arguments {
  std::size_t repetitions = 7;
  bool times = true;
  std::string counts;
  std::vector<std::string> names;
};

arguments parse(const std::vector<std::string>& given) {
  arguments a;
  for (std::size_t i = 1; i < given.size(); ++i) {
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
    } else {
      a.names.push_back(given[i]);
    }
  }
  return a;
}

const benchmark& find(const std::vector<benchmark>& all, const std::string& name) {
  for (const benchmark& b : all) {
    if (b.name == name) return b;
  }
  throw std::runtime_error("there is no benchmark called " + name);
}

int list() {
  for (const benchmark& b : all_benchmarks()) {
    fmt::print("{} {} {} {}", b.name, b.few, b.many, b.quick ? "quick" : "slow");
    for (const std::string& name : b.counted) fmt::print(" {}", without_spaces(name));
    fmt::print("\n");
  }
  return 0;
}

int count(const std::string& of, const std::string& name, std::size_t passes) {
  const auto all = all_benchmarks();
  for (const contestant& c : find(all, of).prepare(scale::small)) {
    if (without_spaces(c.name) != name) continue;
    fmt::print("{}\n", c.run(passes).events);
    return 0;
  }
  throw std::runtime_error(of + " has no contestant called " + name);
}

int once(const std::string& of, const std::string& name, std::size_t passes) {
  const auto all = all_benchmarks();
  for (const contestant& c : find(all, of).prepare(scale::full)) {
    if (without_spaces(c.name) != name) continue;
    outcome result;
    c.run(1);
    const time_taken took = time_of(c, passes, result);
    fmt::print("{} {} {} {}\n", result.events, result.digest, took.processor_ns, took.wall_ns);
    return 0;
  }
  throw std::runtime_error(of + " has no contestant called " + name);
}

int run(const arguments& a) {
  const auto all = all_benchmarks();
  const counts counted = read_counts(a.counts);
  int failed = 0;
  for (const benchmark& b : all) {
    if (!a.names.empty() && std::count(a.names.begin(), a.names.end(), b.name) == 0) continue;
    fmt::print(stderr, "{}: {}\n", b.name, b.what);
    figures f{&b, {}, {}};
    try {
      if (a.times) f.times = measure(b, a.repetitions);
    } catch (const std::exception& e) {  // the others are still worth measuring
      fmt::print(stderr, "error: {}\n", e.what());
      print_row({.name = b.name, .measure = "FAILED", .note = e.what()});
      ++failed;
    }
    for (const auto& [key, value] : counted) {
      if (key.first == b.name) f.instructions[key.second] = value;
    }
    for (const row& r : rows_of(f)) print_row(r);
  }
  return failed;
}

void write(const std::string& path, const std::string& text) {
  if (!(std::ofstream(path) << text)) throw std::runtime_error("cannot write to " + path);
}

int table(const std::string& path, const std::string& json) {
  std::vector<row> rows;
  std::ifstream in(path);
  row r;
  for (std::string line; std::getline(in, line);) {
    if (from_line(line, r)) rows.push_back(r);
  }
  print_table(rows);
  if (!json.empty()) write(json, to_json(rows));
  return 0;
}

int dispatch(const std::vector<std::string>& given) {
  const std::string what = given.empty() ? "run" : given[0];
  if (what == "list") return list();
  if (what == "count" && given.size() == 4) return count(given[1], given[2], std::stoul(given[3]));
  if (what == "once" && given.size() == 4) return once(given[1], given[2], std::stoul(given[3]));
  if (what == "run") return run(parse(given));
  if (what == "table" && given.size() >= 2) {
    return table(given[1], given.size() > 2 ? given[2] : "");
  }
  if (what == "compare" && given.size() == 3) {
    return compare_with_baseline(read_counts(given[1]), given[2]);
  }
  if (what == "baseline" && given.size() == 3) {
    write(given[2], baseline_json(read_counts(given[1]), given[2]));
    return 0;
  }
  throw std::runtime_error("arguments: see the first lines of main.cpp");
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    return bench::dispatch({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 2;
  }
}
