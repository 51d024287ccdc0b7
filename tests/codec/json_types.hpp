// SPDX-License-Identifier: Apache-2.0
/// \file
/// Described types that the tests of the JSON codec read and write.
#pragma once

#include <millrace/codec/json.hpp>

#include <array>
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace json_types {

enum class state : std::uint8_t { idle, running, broken = 7 };
BOOST_DESCRIBE_ENUM(state, idle, running, broken)

struct position {
  double lat;
  double lon;
};
BOOST_DESCRIBE_STRUCT(position, (), (lat, lon))

/// The bike-station report.
struct reading {
  std::string station;
  int bikes;
  millrace::timestamp at;
};
BOOST_DESCRIBE_STRUCT(reading, (), (station, bikes, at))

struct integers {
  std::int8_t i8;
  std::int16_t i16;
  std::int32_t i32;
  std::int64_t i64;
  std::uint8_t u8;
  std::uint16_t u16;
  std::uint32_t u32;
  std::uint64_t u64;
};
BOOST_DESCRIBE_STRUCT(integers, (), (i8, i16, i32, i64, u8, u16, u32, u64))

/// One member of every kind.
struct everything {
  bool flag;
  std::int32_t small;
  std::int64_t large;
  std::uint64_t natural;
  double real;
  float narrow;
  std::string text;
  state mode;
  millrace::timestamp at;
  std::chrono::milliseconds lasted;
  std::optional<std::string> note;
  std::optional<position> place;
  std::vector<double> samples;
  std::vector<std::string> tags;
  std::array<int, 3> triple;
  std::map<std::string, int> counts;
  std::unordered_map<std::string, position> places;
  std::vector<everything> parts;
  int level = 5;
  std::string unit = "C";
  int secret = 42;
};
BOOST_DESCRIBE_STRUCT(everything, (),
                      (flag, small, large, natural, real, narrow, text, mode, at, lasted, note,
                       place, samples, tags, triple, counts, places, parts, level, unit, secret))

}  // namespace json_types

template <>
struct millrace::json_fields<json_types::everything> {
  static constexpr json_rule rules[] = {
      {.member = "at", .time = json_time::milliseconds},
      {.member = "lasted", .time = json_time::seconds},
      {.member = "level", .presence = json_presence::defaulted},
      {.member = "unit", .name = "the \"unit\"", .presence = json_presence::defaulted},
      {.member = "secret", .ignored = true}};
};

template <>
struct millrace::json_fields<json_types::reading> {
  static constexpr json_rule rules[] = {
      {.member = "station", .name = "station_id"},
      {.member = "bikes", .name = "num_bikes_available"},
      {.member = "at", .name = "last_reported", .time = json_time::seconds}};
};
