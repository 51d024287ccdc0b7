// SPDX-License-Identifier: Apache-2.0
#include "harness/report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>

namespace bench {

namespace {

/// The goals for one contestant and one kind of figure; a row holds one goal.
void judge(const figures& f, row r, bool instructions, std::vector<row>& out) {
  bool judged = false;
  for (const goal& g : f.of->goals) {
    const bool counts =
        g.measure == goal::of::instructions || g.measure == goal::of::instructions_saved;
    if (g.against != r.against || counts != instructions) continue;
    row with_goal = r;
    const bool inverse = g.measure == goal::of::speed || g.measure == goal::of::instructions_saved;
    if (inverse) {
      with_goal.ratio = 1 / r.ratio;
      with_goal.least = 1 / r.greatest;
      with_goal.greatest = 1 / r.least;
      with_goal.measure += ", its/ours";
    }
    with_goal.target = g.number;
    with_goal.wants = inverse ? relation::at_least : relation::at_most;
    with_goal.limit = g.limit;
    out.push_back(with_goal);
    judged = true;
  }
  if (!judged) out.push_back(r);
}

std::string shown(double value) {
  if (std::isnan(value)) return "-";
  const double size = std::abs(value);
  if (size >= 1e6) return fmt::format("{:.3g} M", value / 1e6);
  if (size >= 100) return fmt::format("{:.0f}", value);
  if (size >= 10) return fmt::format("{:.1f}", value);
  return size == 0 || size >= 0.1 ? fmt::format("{:.2f}", value) : fmt::format("{:.3g}", value);
}

std::string shown_ratio(const row& r) {
  if (std::isnan(r.ratio)) return "-";
  std::string text = shown(r.ratio);
  if (!std::isnan(r.least) && r.least != r.greatest) {
    text += fmt::format(" ({}..{})", shown(r.least), shown(r.greatest));
  }
  return text;
}

std::string shown_target(const row& r) {
  if (r.wants == relation::none) return {};
  return fmt::format("#{} {} {}", r.target, r.wants == relation::at_most ? "<=" : ">=", r.limit);
}

std::string json_number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

std::map<std::string, double> read_baseline(const std::string& path) {
  std::map<std::string, double> all;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const auto from = line.find('"');
    const auto to = line.find('"', from + 1);
    const auto colon = line.find(':', to);
    if (from == std::string::npos || colon == std::string::npos) continue;
    all[line.substr(from + 1, to - from - 1)] = std::stod(line.substr(colon + 1));
  }
  return all;
}

}  // namespace

std::string without_spaces(std::string name) {
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

counts read_counts(const std::string& path) {
  counts all;
  std::ifstream in(path);
  std::string benchmark;
  std::string contestant;
  double value = 0;
  while (in >> benchmark >> contestant >> value) all[{benchmark, contestant}] = value;
  return all;
}

std::vector<row> rows_of(const figures& f) {
  std::vector<row> out;
  const char* clock = f.of->clock == clock_kind::processor ? "ns/event" : "wall ns/event";
  for (const measured& m : f.times) {
    if (m.contestant == f.times.front().contestant) continue;
    judge(f,
          {f.of->name, m.pause ? "ns, longest pause" : clock, f.times.front().nanoseconds.median,
           m.contestant, m.nanoseconds.median, m.ratio.median, m.ratio.least, m.ratio.greatest},
          false, out);
  }
  const auto mine = f.instructions.find(without_spaces(f.of->counted.front()));
  if (mine == f.instructions.end()) return out;
  for (const std::string& name : f.of->counted) {
    const auto its = f.instructions.find(without_spaces(name));
    if (its == mine || its == f.instructions.end()) continue;
    judge(f, {f.of->name, "Ir/event", mine->second, name, its->second, mine->second / its->second},
          true, out);
  }
  return out;
}

void print_table(const std::vector<row>& rows) {
  fmt::print("{:<26} {:<20} {:>9} {:<18} {:>9} {:<20} {:<13} {}\n", "benchmark", "measure", "ours",
             "against", "its", "ratio (spread)", "target", "");
  std::set<std::string> met;
  std::set<std::string> missed;
  for (const row& r : rows) {
    fmt::print("{:<26} {:<20} {:>9} {:<18} {:>9} {:<20} {:<13} {}{}\n", r.name, r.measure,
               shown(r.ours), r.against, shown(r.its), shown_ratio(r), shown_target(r), r.verdict(),
               r.note == "-" ? "" : "  " + r.note);
    if (r.wants != relation::none) (r.met() ? met : missed).insert(r.target);
  }
  std::string open;
  for (int i = 1; i <= 16; ++i) {
    const std::string number = std::to_string(i);
    if (met.count(number) + missed.count(number) == 0) open += " " + number;
  }
  std::string wholly;
  for (const std::string& number : met) {
    if (missed.count(number) == 0) wholly += " " + number;
  }
  std::string failed;
  for (const std::string& number : missed) failed += " " + number;
  fmt::print("\ntargets met:{}\nmissed, or measured in part:{}\nnot measured in this run:{}\n",
             wholly, failed, open);
}

std::string to_json(const std::vector<row>& rows) {
  std::string out = "{\"rows\": [";
  const char* comma = "\n";
  for (const row& r : rows) {
    out += fmt::format(
        "{}  {{\"name\": \"{}\", \"measure\": \"{}\", \"ours\": {}, \"against\": \"{}\", \"its\": "
        "{}, \"ratio\": {}, \"least\": {}, \"greatest\": {}, \"target\": \"{}\", \"relation\": "
        "\"{}\", \"limit\": {}, \"verdict\": \"{}\", \"note\": \"{}\"}}",
        comma, r.name, r.measure, json_number(r.ours), r.against, json_number(r.its),
        json_number(r.ratio), json_number(r.least), json_number(r.greatest), r.target,
        r.wants == relation::none      ? ""
        : r.wants == relation::at_most ? "<="
                                       : ">=",
        json_number(r.limit), r.verdict(), r.note);
    comma = ",\n";
  }
  return out + "\n]}\n";
}

std::string baseline_json(const counts& counted, const std::string& before) {
  auto all = read_baseline(before);
  for (const auto& [of, value] : counted) all[of.first + "/" + of.second] = value;
  std::string out = "{";
  const char* comma = "\n";
  for (const auto& [name, value] : all) {
    out += fmt::format("{}  \"{}\": {:.2f}", comma, name, value);
    comma = ",\n";
  }
  return out + "\n}\n";
}

int compare_with_baseline(const counts& counted, const std::string& path) {
  const auto baseline = read_baseline(path);
  int worse = 0;
  for (const auto& [of, value] : counted) {
    const std::string name = of.first + "/" + of.second;
    const auto before = baseline.find(name);
    if (before == baseline.end()) {
      fmt::print("{:<40} {:>9.2f} Ir per event, not in the baseline\n", name, value);
      continue;
    }
    const double change = 100 * (value / before->second - 1);
    if (change > 3) ++worse;
    fmt::print("{:<40} {:>9.2f} Ir per event, baseline {:>9.2f}: {:+.1f} %{}\n", name, value,
               before->second, change, change > 3 ? "  WORSE by more than 3 %" : "");
  }
  return worse;
}

}  // namespace bench
