// SPDX-License-Identifier: Apache-2.0
/// \file
/// Figures of a run as rows, rows as a table and as JSON, and the committed instruction counts. Not
/// thread safe.
#pragma once

#include "harness/benchmark.hpp"
#include "harness/measure.hpp"
#include "harness/rows.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// Instructions per event by benchmark and contestant (its name as a word).
using counts = std::map<std::pair<std::string, std::string>, double>;

/// A contestant's name as a word, for shells.
std::string without_spaces(std::string name);

/// Reads lines "benchmark contestant instructions", names being words; an empty path gives nothing.
counts read_counts(const std::string& path);

/// All there is to say about one benchmark; either part may be empty.
struct figures {
  const benchmark* of = nullptr;
  std::vector<measured> times;
  std::map<std::string, double> instructions;  ///< per event, by contestant
};

/// One row per contestant other than ours and kind of figure.
std::vector<row> rows_of(const figures& f);

/// The table on standard output, with a summary of the targets.
void print_table(const std::vector<row>& rows);

std::string to_json(const std::vector<row>& rows);

/// Compares our counts with the baseline, in the form that `baseline_json` gives. Prints them, and
/// returns how many have grown by more than 3 %.
int compare_with_baseline(const counts& counted, const std::string& path);

/// `before`, as read from the file, with what has been counted now.
std::string baseline_json(const counts& counted, const std::string& before);

}  // namespace bench
