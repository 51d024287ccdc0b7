// SPDX-License-Identifier: Apache-2.0
/// \file
/// How the JSON codec reads and writes: options of a codec, and rules for the members of a type.
/// Plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace {

/// What a number means where a time is expected.
enum class json_time : std::uint8_t {
  unspecified,  ///< as the codec's options say
  seconds,      ///< since the Unix epoch; a fraction is read exactly
  milliseconds,
  microseconds,
  nanoseconds,  ///< cut off to microseconds, towards the past
};

/// Whether a member has to be there. A member of type `std::optional` never has to.
enum class json_presence : std::uint8_t {
  required,   ///< its absence is an error
  defaulted,  ///< when absent or null, it has the value that a value-initialized object gives it
};

/// Which way the codec writes timestamps. It reads both.
enum class json_time_output : std::uint8_t {
  text,    ///< ISO 8601 in UTC, with three or six digits behind the seconds if needed
  number,  ///< in the unit in which numbers are read
};

/// What is done with an optional member that is empty.
enum class json_absent : std::uint8_t { omit, null };

/// What is done with members that the type does not describe. They are checked in any case.
enum class json_unknown : std::uint8_t { skip, reject };

struct json_options {
  json_time timestamp_unit = json_time::seconds;  ///< of numbers without a rule of their own
  json_time_output timestamps = json_time_output::text;
  json_absent absent = json_absent::omit;
  json_unknown unknown = json_unknown::skip;
  std::size_t max_bytes = std::size_t{16} << 20;  ///< longer documents are refused
  std::size_t max_depth = 64;     ///< documents nested more deeply are refused; at most 512
  std::size_t flatten_depth = 4;  ///< objects nested more deeply are left out of dynamic records
};

/// A rule for one member, named as it is described; what is not set stays as it is.
struct json_rule {
  std::string_view member;
  std::string_view name = {};  ///< its name in JSON, when that differs
  json_time time = json_time::unspecified;
  json_presence presence = json_presence::required;
  bool ignored = false;  ///< never read (it gets its default) and never written
};

/// Specialize to refine what the description of `T` says:
///
///     template <>
///     struct millrace::json_fields<reading> {
///       static constexpr millrace::json_rule rules[] = {
///           {.member = "bikes", .name = "num_bikes_available"},
///           {.member = "at", .name = "last_reported", .time = millrace::json_time::seconds}};
///     };
///
/// With `static constexpr auto presence = json_presence::defaulted` no member is required. (Whether
/// a member has an initializer cannot be seen from outside, so the default is: all are required.)
template <class T>
struct json_fields {};

}  // namespace millrace
