// SPDX-License-Identifier: Apache-2.0
/// \file
/// Figures of a run as a table and as JSON, and the committed instruction counts. Not thread safe.
#pragma once

#include "harness/benchmark.hpp"
#include "harness/measure.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// Instructions per event by benchmark and contestant.
using counts = std::map<std::pair<std::string, std::string>, double>;

/// Reads lines "benchmark contestant instructions"; an empty path gives nothing.
counts read_counts(const std::string& path);

/// All there is to say about one benchmark; either part may be empty.
struct figures {
  const benchmark* of = nullptr;
  std::vector<measured> times;
  std::map<std::string, double> instructions;  ///< per event, by contestant
};

/// Prints one line per contestant other than ours.
void print_head();
void print(const figures& f);

std::string to_json(const std::vector<figures>& all);

/// Compares our counts with the baseline, in the form that `baseline_json` gives. Prints what has
/// grown by more than 3 %, and returns how many have.
int compare_with_baseline(const std::vector<figures>& all, const std::string& path);
std::string baseline_json(const std::vector<figures>& all);

}  // namespace bench
