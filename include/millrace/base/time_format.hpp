// SPDX-License-Identifier: Apache-2.0
/// \file
/// Timestamps as text: ISO 8601 / RFC 3339, parsed and printed without locale and without
/// allocation, over the whole range of `timestamp`. All functions are pure and thread safe.
#pragma once

#include <millrace/base/config.hpp>
#include <millrace/base/time.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

/// Digits behind the seconds. `shortest` prints none, three or six, whatever loses nothing; the
/// others cut off what is smaller, towards the past.
enum class time_precision { shortest, seconds, milliseconds, microseconds };

/// The longest text that `format_time` writes.
inline constexpr std::size_t max_time_text = 32;

/// Writes `t` as "2019-08-12T16:04:32.125Z" to `out`, which has room for `max_time_text`
/// characters, and returns the end of the text. Years outside 0 to 9999 are written with a sign and
/// six digits ("-000044-03-15T..."), the expanded form of ISO 8601 that ECMAScript uses. No
/// terminating zero.
MILLRACE_DECL char* format_time(timestamp t, char* out,
                                time_precision precision = time_precision::shortest) noexcept;

/// The same as a string.
MILLRACE_DECL std::string format_time(timestamp t,
                                      time_precision precision = time_precision::shortest);

/// Parses "YYYY-MM-DD", or a date and a time of day separated by 'T', 't' or one space:
/// "hh:mm[:ss[.fraction]]", followed by 'Z', 'z', "+hh:mm", "+hhmm", "+hh" (or '-'), or nothing,
/// which means UTC, too. Years may have the expanded form (see `format_time`); a comma may stand
/// for the point. Digits of the fraction behind the microseconds are cut off, towards the past.
/// Second 60 is the first second of the next minute, since time since the epoch has no leap seconds
/// (RFC 3339, section 5.7); 24:00 is refused. Nothing when `text` is not of that form, names a day
/// that the (proleptic Gregorian) calendar does not have, or lies outside the range of `timestamp`.
MILLRACE_DECL std::optional<timestamp> parse_time(std::string_view text) noexcept;

}  // namespace millrace

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/base/impl/time_format.ipp>
#endif
