// SPDX-License-Identifier: Apache-2.0
#include "harness/report.hpp"

#include <fmt/core.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

namespace bench {

namespace {

std::string times_of(const spread& s) {
  return fmt::format("{:.2f} ({:.2f}..{:.2f})", s.median, s.least, s.greatest);
}

std::optional<double> instruction_ratio(const figures& f, const std::string& against) {
  const auto mine = f.instructions.find("ours");
  const auto other = f.instructions.find(against);
  if (mine == f.instructions.end() || other == f.instructions.end()) return std::nullopt;
  return mine->second / other->second;
}

/// "<= 1.05 met", or what is known; empty when there is no goal.
std::string verdict(const figures& f, const std::string& against) {
  std::string text;
  for (const goal& g : f.of->goals) {
    if (g.against != against) continue;
    std::optional<double> value;
    if (g.measure == goal::of::instructions) value = instruction_ratio(f, against);
    for (const measured& m : f.times) {
      if (m.contestant != against) continue;
      if (g.measure == goal::of::time) value = m.ratio.median;
      if (g.measure == goal::of::speed) value = 1 / m.ratio.median;
    }
    const bool least = g.measure == goal::of::speed;
    const char* what = g.measure == goal::of::instructions ? "Ir" : least ? "speed" : "time";
    const char* how = !value                                            ? "not measured"
                      : (least ? *value >= g.limit : *value <= g.limit) ? "pass"
                                                                        : "FAIL";
    text += fmt::format("{}#{} {} {} {}: {}", text.empty() ? "" : ", ", g.number, what,
                        least ? ">=" : "<=", g.limit, how);
  }
  return text;
}

std::string per_event(double value) {
  return value < 100 ? fmt::format("{:.2f}", value) : fmt::format("{:.0f}", value);
}

}  // namespace

counts read_counts(const std::string& path) {
  counts all;
  std::ifstream in(path);
  std::string benchmark;
  std::string contestant;
  double value = 0;
  while (in >> benchmark >> contestant >> value) all[{benchmark, contestant}] = value;
  return all;
}

void print_head() {
  fmt::print("{:<24} {:<11} {:>9} {:>9}  {:<20} {:>7} {:>7} {:>6}  {}\n", "benchmark", "against",
             "ours ns", "its ns", "time ratio", "ours Ir", "its Ir", "ratio", "target");
}

void print(const figures& f) {
  const auto prepared_names = [&] {
    std::vector<std::string> names;
    for (const measured& m : f.times) names.push_back(m.contestant);
    if (names.empty()) {
      for (const auto& [name, value] : f.instructions) names.push_back(name);
    }
    return names;
  }();
  for (const std::string& name : prepared_names) {
    if (name == "ours") continue;
    std::string ours_ns = "-";
    std::string its_ns = "-";
    std::string ratio = "-";
    for (const measured& m : f.times) {
      if (m.contestant == "ours") ours_ns = per_event(m.nanoseconds.median);
      if (m.contestant != name) continue;
      its_ns = per_event(m.nanoseconds.median);
      ratio = times_of(m.ratio);
    }
    std::string ours_ir = "-";
    std::string its_ir = "-";
    std::string ir_ratio = "-";
    if (const auto r = instruction_ratio(f, name)) {
      ours_ir = per_event(f.instructions.at("ours"));
      its_ir = per_event(f.instructions.at(name));
      ir_ratio = fmt::format("{:.2f}", *r);
    }
    fmt::print("{:<24} {:<11} {:>9} {:>9}  {:<20} {:>7} {:>7} {:>6}  {}\n", f.of->name, name,
               ours_ns, its_ns, ratio, ours_ir, its_ir, ir_ratio, verdict(f, name));
  }
  std::fflush(stdout);
}

std::string to_json(const std::vector<figures>& all) {
  std::string out = "{\"benchmarks\": [";
  const char* comma = "\n";
  for (const figures& f : all) {
    out += fmt::format(
        "{}  {{\"name\": \"{}\", \"what\": \"{}\", \"clock\": \"{}\",\n   \"times\": [", comma,
        f.of->name, f.of->what, f.of->clock == clock_kind::processor ? "processor" : "wall");
    comma = ",\n";
    const char* inner = "";
    for (const measured& m : f.times) {
      out += fmt::format(
          "{}{{\"contestant\": \"{}\", \"ns\": {:.3f}, \"ns_least\": {:.3f}, \"ns_greatest\": "
          "{:.3f}, \"ratio\": {:.4f}, \"ratio_least\": {:.4f}, \"ratio_greatest\": {:.4f}}}",
          inner, m.contestant, m.nanoseconds.median, m.nanoseconds.least, m.nanoseconds.greatest,
          m.ratio.median, m.ratio.least, m.ratio.greatest);
      inner = ", ";
    }
    out += "],\n   \"instructions\": {";
    inner = "";
    for (const auto& [name, value] : f.instructions) {
      out += fmt::format("{}\"{}\": {:.2f}", inner, name, value);
      inner = ", ";
    }
    out += "}}";
  }
  return out + "\n]}\n";
}

std::string baseline_json(const std::vector<figures>& all) {
  std::string out = "{";
  const char* comma = "\n";
  for (const figures& f : all) {
    for (const auto& [name, value] : f.instructions) {
      out += fmt::format("{}  \"{}/{}\": {:.2f}", comma, f.of->name, name, value);
      comma = ",\n";
    }
  }
  return out + "\n}\n";
}

int compare_with_baseline(const std::vector<figures>& all, const std::string& path) {
  std::ifstream in(path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  int worse = 0;
  for (const figures& f : all) {
    const auto ours = f.instructions.find("ours");
    if (ours == f.instructions.end()) continue;
    const std::string key = "\"" + f.of->name + "/ours\":";
    const auto found = text.find(key);
    if (found == std::string::npos) {
      fmt::print("{}: not in the baseline\n", f.of->name);
      continue;
    }
    double before = 0;
    std::istringstream(text.substr(found + key.size(), 32)) >> before;
    const double change = 100 * (ours->second / before - 1);
    if (change > 3) ++worse;
    fmt::print("{:<24} {:>9.2f} Ir per event, baseline {:>9.2f}: {:+.1f} %{}\n", f.of->name,
               ours->second, before, change, change > 3 ? "  WORSE by more than 3 %" : "");
  }
  return worse;
}

}  // namespace bench
