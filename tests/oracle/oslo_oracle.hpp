// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the bike-station pipeline must make of recorded reports, as a plain program: two passes
/// over lists, a general JSON parser, no code of the library. Quadratic where that is simplest.
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace oracle {

struct recorded {
  std::string topic;
  std::string payload;
};

struct report {
  std::string topic;
  std::int64_t seconds = 0;
  std::map<std::string, double> numbers;
};

/// Members that are numbers; text, booleans, arrays and the time itself are not measurements.
inline report read_report(const recorded& r) {
  report out{r.topic, 0, {}};
  simdjson::dom::parser parser;
  const simdjson::padded_string text(r.payload);
  for (const auto member : parser.parse(text).get_object()) {
    double value = 0;
    if (member.value.is_number() && member.value.get(value) == simdjson::SUCCESS) {
      out.numbers[std::string(member.key)] = value;
    }
  }
  out.seconds = static_cast<std::int64_t>(out.numbers.at("last_reported"));
  out.numbers.erase("last_reported");
  return out;
}

struct field {
  std::uint64_t count = 0;
  double min = 0;
  double max = 0;
  double sum = 0;
  double mean = 0;
  double squares = 0;
};

inline field two_pass(const std::vector<double>& values) {
  field f;
  f.count = values.size();
  f.min = *std::min_element(values.begin(), values.end());
  f.max = *std::max_element(values.begin(), values.end());
  long double sum = 0;
  for (const double v : values) sum += v;
  f.sum = static_cast<double>(sum);
  const long double mean = sum / static_cast<long double>(values.size());
  f.mean = static_cast<double>(mean);
  long double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  f.squares = static_cast<double>(squares);
  return f;
}

using window_key = std::pair<std::string, std::int64_t>;  // topic, start in seconds
using window_statistics = std::map<std::string, field>;

inline std::map<window_key, window_statistics> statistics(const std::vector<report>& all,
                                                          std::int64_t size, std::int64_t slide) {
  std::map<window_key, std::map<std::string, std::vector<double>>> values;
  for (const auto& r : all) {
    for (std::int64_t start = r.seconds - r.seconds % slide; start > r.seconds - size;
         start -= slide) {
      for (const auto& [name, value] : r.numbers) values[{r.topic, start}][name].push_back(value);
    }
  }
  std::map<window_key, window_statistics> result;
  for (const auto& [key, fields] : values) {
    for (const auto& [name, numbers] : fields) result[key][name] = two_pass(numbers);
  }
  return result;
}

/// For every report the start of the window it is joined with: the last of its station that was
/// complete (its last microsecond not after the report), else the first one after it.
inline std::multimap<window_key, std::int64_t> joined(
    const std::vector<report>& all, const std::map<window_key, window_statistics>& windows,
    std::int64_t size) {
  std::map<std::string, std::vector<std::int64_t>> starts;
  for (const auto& [key, unused] : windows) starts[key.first].push_back(key.second);
  std::multimap<window_key, std::int64_t> result;
  for (const auto& r : all) {
    const auto& of_station = starts.at(r.topic);
    std::int64_t best = of_station.front();
    for (const std::int64_t start : of_station) {
      if (start + size <= r.seconds) best = start;
    }
    result.emplace(window_key{r.topic, r.seconds}, best);
  }
  return result;
}

}  // namespace oracle
