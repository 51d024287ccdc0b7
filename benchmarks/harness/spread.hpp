// SPDX-License-Identifier: Apache-2.0
/// \file
/// Median and spread of a few figures, and the row of two series taken in turns. Pure functions.
#pragma once

#include "harness/rows.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace bench {

/// Median, least and greatest of a few figures.
struct spread {
  double median = 0;
  double least = 0;
  double greatest = 0;
};

inline spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  const double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  return {median, values.front(), values.back()};
}

/// The ratio is taken pair by pair. \pre as many of ours as of its, at least one
inline row compared(const std::string& name, const std::string& measure,
                    const std::vector<double>& ours, const std::string& against,
                    const std::vector<double>& its) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(ours[i] / its[i]);
  const spread s = spread_of(ratios);
  return {name,    measure,   spread_of(ours).median, against, spread_of(its).median, s.median,
          s.least, s.greatest};
}

/// The same row with a target for it.
inline row with_target(row r, const std::string& number, relation wants, double limit) {
  r.target = number;
  r.wants = wants;
  r.limit = limit;
  return r;
}

}  // namespace bench
