// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a running demo prints: a line that is updated in place, and at the end a summary in which
/// the counts add up.
#pragma once

#include <millrace/dsl/pipeline.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace bike_stations {

class status_line {
 public:
  explicit status_line(const millrace::pipeline& p) : pipeline_(p) {}

  /// One line about the time since the last call; at most `width` characters.
  std::string next(std::size_t width);

 private:
  const millrace::pipeline& pipeline_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::uint64_t records_ = 0;
};

/// What became of every record, operator by operator. `balanced` says whether it adds up.
std::string summary(const millrace::pipeline& p, bool& balanced);

}  // namespace bike_stations
