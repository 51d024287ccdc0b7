// SPDX-License-Identifier: Apache-2.0
/// \file
/// A line of the final table. Every program of the benchmarks prints its rows on its standard
/// output, as text with tabs; `millrace_benchmarks table` reads them all. Light: standard headers
/// only, so that peers without the library can use it. Not thread safe.
#pragma once

#include <cmath>
#include <cstdio>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace bench {

/// What the target says about the ratio (or, where there is no other side, about the figure).
enum class relation { none, at_most, at_least };

inline constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

struct row {
  std::string name;
  std::string measure;  ///< with its unit: "ns/event", "Ir/event", "MiB"
  double ours = unknown;
  std::string against = "-";  ///< floor, peer, or "-": the figure stands alone
  double its = unknown;
  double ratio = unknown;  ///< the median
  double least = unknown;
  double greatest = unknown;
  std::string target = "-";  ///< number in docs/performance.md
  relation wants = relation::none;
  double limit = unknown;
  std::string note = "-";

  /// What the target is about.
  double judged() const { return against == "-" ? ours : ratio; }
  bool met() const { return wants == relation::at_most ? judged() <= limit : judged() >= limit; }
  const char* verdict() const {
    if (wants == relation::none) return "";
    if (std::isnan(judged())) return "not measured";
    return met() ? "pass" : "FAIL";
  }
};

inline std::string to_line(const row& r) {
  std::ostringstream out;
  out.precision(10);
  const char* wants = r.wants == relation::none ? "-" : r.wants == relation::at_most ? "<=" : ">=";
  out << r.name << '\t' << r.measure << '\t' << r.ours << '\t' << r.against << '\t' << r.its << '\t'
      << r.ratio << '\t' << r.least << '\t' << r.greatest << '\t' << r.target << '\t' << wants
      << '\t' << r.limit << '\t' << r.note;
  return out.str();
}

inline void print_row(const row& r) {
  std::printf("%s\n", to_line(r).c_str());
  std::fflush(stdout);
}

/// The row of a line; false if it is none.
inline bool from_line(const std::string& line, row& r) {
  std::vector<std::string> parts;
  std::istringstream in(line);
  for (std::string part; std::getline(in, part, '\t');) parts.push_back(part);
  if (parts.size() != 12) return false;
  const auto number = [&](std::size_t i) { return std::strtod(parts[i].c_str(), nullptr); };
  r.name = parts[0];
  r.measure = parts[1];
  r.ours = number(2);
  r.against = parts[3];
  r.its = number(4);
  r.ratio = number(5);
  r.least = number(6);
  r.greatest = number(7);
  r.target = parts[8];
  r.wants = parts[9] == "-"    ? relation::none
            : parts[9] == "<=" ? relation::at_most
                               : relation::at_least;
  r.limit = number(10);
  r.note = parts[11];
  return true;
}

}  // namespace bench
