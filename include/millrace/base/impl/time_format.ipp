// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/time_format.hpp>

#include <cstdint>

namespace millrace {

namespace detail {

inline constexpr std::int64_t microseconds_per_second = 1'000'000;
inline constexpr std::int64_t seconds_per_day = 86'400;

/// A day of the proleptic Gregorian calendar. `std::chrono::year` ends at 32767, event time at
/// 294247, hence the 64-bit versions of the two conversions below (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
struct civil_date {
  std::int64_t year;
  unsigned month;
  unsigned day;
};

constexpr std::int64_t days_from_civil(civil_date d) noexcept {
  const std::int64_t year = d.year - (d.month <= 2 ? 1 : 0);
  const std::int64_t era = floor_div(year, 400);
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t month = d.month > 2 ? d.month - 3 : d.month + 9;
  const std::int64_t day_of_year = (153 * month + 2) / 5 + d.day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

constexpr civil_date civil_from_days(std::int64_t days) noexcept {
  days += 719'468;
  const std::int64_t era = floor_div(days, 146'097);
  const std::int64_t doe = days - era * 146'097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36'524 - doe / 146'096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const std::int64_t mp = (5 * doy + 2) / 153;
  const auto day = static_cast<unsigned>(doy - (153 * mp + 2) / 5 + 1);
  const auto month = static_cast<unsigned>(mp < 10 ? mp + 3 : mp - 9);
  return {yoe + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

constexpr unsigned days_in_month(std::int64_t year, unsigned month) noexcept {
  if (month == 2) return (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

inline char* write_padded(char* out, std::int64_t value, int width) noexcept {
  for (int i = width - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return out + width;
}

/// Reads time text from left to right; every function returns false when the text differs.
class time_reader {
 public:
  explicit time_reader(std::string_view text) noexcept
      : at_(text.data()), end_(text.data() + text.size()) {}

  bool done() const noexcept { return at_ == end_; }

  bool accept(char c) noexcept {
    if (done() || *at_ != c) return false;
    ++at_;
    return true;
  }

  bool digit() const noexcept { return !done() && *at_ >= '0' && *at_ <= '9'; }

  bool number(int width, std::int64_t& out) noexcept {
    if (end_ - at_ < width) return false;
    out = 0;
    for (int i = 0; i < width; ++i) {
      if (!digit()) return false;
      out = out * 10 + (*at_++ - '0');
    }
    return true;
  }

  bool date(std::int64_t& days) noexcept {
    std::int64_t year = 0, month = 0, day = 0;
    const bool minus = accept('-');
    const bool expanded = minus || accept('+');
    if (!number(expanded ? 6 : 4, year)) return false;
    if (!accept('-') || !number(2, month) || !accept('-') || !number(2, day)) return false;
    if (minus && year == 0) return false;
    if (minus) year = -year;
    if (month < 1 || month > 12 || day < 1) return false;
    if (day > days_in_month(year, static_cast<unsigned>(month))) return false;
    days = days_from_civil({year, static_cast<unsigned>(month), static_cast<unsigned>(day)});
    return true;
  }

  bool time_of_day(std::int64_t& seconds, std::int64_t& micros) noexcept {
    std::int64_t hour = 0, minute = 0, second = 0;
    if (!number(2, hour) || !accept(':') || !number(2, minute)) return false;
    if (accept(':')) {
      if (!number(2, second)) return false;
      if ((accept('.') || accept(',')) && !fraction(micros)) return false;
    }
    if (hour > 23 || minute > 59 || second > 60) return false;
    seconds = hour * 3600 + minute * 60 + second;
    return second < 60 || minute == 59;
  }

  bool offset(std::int64_t& seconds) noexcept {
    seconds = 0;
    if (done() || accept('Z') || accept('z')) return true;
    const bool minus = accept('-');
    std::int64_t hour = 0, minute = 0;
    if ((!minus && !accept('+')) || !number(2, hour)) return false;
    if (!done()) {
      accept(':');
      if (!number(2, minute)) return false;
    }
    if (hour > 23 || minute > 59) return false;
    seconds = (hour * 3600 + minute * 60) * (minus ? -1 : 1);
    return true;
  }

 private:
  bool fraction(std::int64_t& micros) noexcept {
    if (!digit()) return false;
    std::int64_t unit = 100'000;
    for (; digit(); ++at_) {
      micros += (*at_ - '0') * unit;
      unit /= 10;
    }
    return true;
  }

  const char* at_;
  const char* end_;
};

}  // namespace detail

MILLRACE_DECL char* format_time(timestamp t, char* out, time_precision precision) noexcept {
  using namespace detail;
  const std::int64_t ticks = t.time_since_epoch().count();
  const std::int64_t seconds = floor_div(ticks, microseconds_per_second);
  const std::int64_t micros = floor_mod(ticks, microseconds_per_second);
  const std::int64_t days = floor_div(seconds, seconds_per_day);
  const std::int64_t second_of_day = floor_mod(seconds, seconds_per_day);
  const civil_date date = civil_from_days(days);
  if (date.year >= 0 && date.year <= 9999) {
    out = write_padded(out, date.year, 4);
  } else {
    *out++ = date.year < 0 ? '-' : '+';
    out = write_padded(out, date.year < 0 ? -date.year : date.year, 6);
  }
  *out++ = '-';
  out = write_padded(out, date.month, 2);
  *out++ = '-';
  out = write_padded(out, date.day, 2);
  *out++ = 'T';
  out = write_padded(out, second_of_day / 3600, 2);
  *out++ = ':';
  out = write_padded(out, second_of_day / 60 % 60, 2);
  *out++ = ':';
  out = write_padded(out, second_of_day % 60, 2);
  if (precision == time_precision::shortest && micros != 0) {
    precision = micros % 1000 == 0 ? time_precision::milliseconds : time_precision::microseconds;
  }
  if (precision == time_precision::milliseconds || precision == time_precision::microseconds) {
    const bool milli = precision == time_precision::milliseconds;
    *out++ = '.';
    out = write_padded(out, milli ? micros / 1000 : micros, milli ? 3 : 6);
  }
  *out++ = 'Z';
  return out;
}

MILLRACE_DECL std::string format_time(timestamp t, time_precision precision) {
  char text[max_time_text];
  return {text, format_time(t, text, precision)};
}

MILLRACE_DECL std::optional<timestamp> parse_time(std::string_view text) noexcept {
  using namespace detail;
  time_reader reader(text);
  std::int64_t days = 0, seconds = 0, micros = 0, offset = 0;
  if (!reader.date(days)) return std::nullopt;
  if (!reader.done()) {
    if (!reader.accept('T') && !reader.accept('t') && !reader.accept(' ')) return std::nullopt;
    if (!reader.time_of_day(seconds, micros)) return std::nullopt;
    if (!reader.offset(offset) || !reader.done()) return std::nullopt;
  }
  // Negative multiples are moved up by one second first, or the earliest second would overflow.
  std::int64_t total = days * seconds_per_day + seconds - offset;
  if (total < 0) {
    total += 1;
    micros -= microseconds_per_second;
  }
  std::int64_t ticks = 0;
  if (__builtin_mul_overflow(total, microseconds_per_second, &ticks)) return std::nullopt;
  if (__builtin_add_overflow(ticks, micros, &ticks)) return std::nullopt;
  return timestamp{duration{ticks}};
}

}  // namespace millrace
