// SPDX-License-Identifier: Apache-2.0
/// \file
/// Timestamps as text, against std::chrono's calendar and fixed examples.
#include <millrace/base/time_format.hpp>

#include "catch.hpp"

#include <chrono>
#include <random>
#include <string>

namespace {

using millrace::format_time;
using millrace::parse_time;
using millrace::time_precision;
using millrace::timestamp;
using namespace std::chrono_literals;

timestamp at(int year, unsigned month, unsigned day, std::chrono::microseconds of_day = 0us) {
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month},
                                         std::chrono::day{day}};
  return timestamp{std::chrono::sys_days{date}} + of_day;
}

std::string digits(long long value, int width) {
  std::string text = std::to_string(value < 0 ? -value : value);
  return std::string(static_cast<std::size_t>(width) - text.size(), '0') + text;
}

/// The text by way of std::chrono, for years that it knows.
std::string expected_text(timestamp t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{t - day};
  const int year = static_cast<int>(date.year());
  std::string text = year < 0      ? "-" + digits(year, 6)
                     : year > 9999 ? "+" + digits(year, 6)
                                   : digits(year, 4);
  text += '-' + digits(static_cast<unsigned>(date.month()), 2);
  text += '-' + digits(static_cast<unsigned>(date.day()), 2);
  text += 'T' + digits(time.hours().count(), 2) + ':' + digits(time.minutes().count(), 2) + ':' +
          digits(time.seconds().count(), 2);
  const auto micros = time.subseconds().count();
  if (micros != 0)
    text += micros % 1000 == 0 ? '.' + digits(micros / 1000, 3) : '.' + digits(micros, 6);
  return text + 'Z';
}

}  // namespace

TEST_CASE("times are printed in UTC with as many digits as they need") {
  CHECK(format_time(timestamp{}) == "1970-01-01T00:00:00Z");
  CHECK(format_time(at(2019, 8, 12, 16h + 4min + 32s)) == "2019-08-12T16:04:32Z");
  CHECK(format_time(at(2019, 8, 12, 125ms)) == "2019-08-12T00:00:00.125Z");
  CHECK(format_time(at(2019, 8, 12, 120us)) == "2019-08-12T00:00:00.000120Z");
  CHECK(format_time(timestamp{-1us}) == "1969-12-31T23:59:59.999999Z");
  CHECK(format_time(at(0, 1, 1)) == "0000-01-01T00:00:00Z");
  CHECK(format_time(at(-44, 3, 15)) == "-000044-03-15T00:00:00Z");
  CHECK(format_time(at(10000, 1, 1)) == "+010000-01-01T00:00:00Z");
}

TEST_CASE("a chosen precision cuts off towards the past") {
  const timestamp t = at(2019, 8, 12, 1s + 999'999us);
  CHECK(format_time(t, time_precision::seconds) == "2019-08-12T00:00:01Z");
  CHECK(format_time(t, time_precision::milliseconds) == "2019-08-12T00:00:01.999Z");
  CHECK(format_time(t, time_precision::microseconds) == "2019-08-12T00:00:01.999999Z");
  CHECK(format_time(timestamp{-1us}, time_precision::seconds) == "1969-12-31T23:59:59Z");
  CHECK(format_time(timestamp{}, time_precision::milliseconds) == "1970-01-01T00:00:00.000Z");
}

TEST_CASE("the forms of RFC 3339 and ISO 8601 are read") {
  const timestamp t = at(2019, 8, 12, 16h + 4min + 32s);
  CHECK(parse_time("2019-08-12T16:04:32Z") == t);
  CHECK(parse_time("2019-08-12t16:04:32z") == t);
  CHECK(parse_time("2019-08-12 16:04:32Z") == t);
  CHECK(parse_time("2019-08-12T16:04:32") == t);
  CHECK(parse_time("2019-08-12T16:04:32+00:00") == t);
  CHECK(parse_time("2019-08-12T18:04:32+02:00") == t);
  CHECK(parse_time("2019-08-12T18:04:32+0200") == t);
  CHECK(parse_time("2019-08-12T18:04:32+02") == t);
  CHECK(parse_time("2019-08-12T11:34:32-04:30") == t);
  CHECK(parse_time("2019-08-12T16:04Z") == t - 32s);
  CHECK(parse_time("2019-08-12") == at(2019, 8, 12));
  CHECK(parse_time("2019-12-31T23:30:00-01:00") == at(2020, 1, 1, 30min));
  CHECK(parse_time("2019-08-12T16:04:32.5Z") == t + 500ms);
  CHECK(parse_time("2019-08-12T16:04:32,25Z") == t + 250ms);
  CHECK(parse_time("2019-08-12T16:04:32.123456789Z") == t + 123'456us);
  CHECK(parse_time("1969-12-31T23:59:59.9999999Z") == timestamp{-1us});
  CHECK(parse_time("-000044-03-15T00:00:00Z") == at(-44, 3, 15));
  CHECK(parse_time("+002019-08-12") == at(2019, 8, 12));
}

TEST_CASE("a leap second is the first second of the next minute") {
  CHECK(parse_time("2016-12-31T23:59:60Z") == at(2017, 1, 1));
  CHECK(parse_time("2017-01-01T00:59:60+01:00") == at(2017, 1, 1));
  CHECK_FALSE(parse_time("2016-12-31T23:58:60Z"));
  CHECK_FALSE(parse_time("2016-12-31T23:59:61Z"));
}

TEST_CASE("what is no time is refused") {
  for (const char* text : {"",
                           "2019",
                           "2019-08",
                           "2019-8-12",
                           "2019-08-12T",
                           "2019-08-12T16",
                           "2019-08-12T16:4:32Z",
                           "2019-08-12T16:04:32.Z",
                           "2019-08-12T16:04:32 Z",
                           "2019-08-12T16:04:32Zx",
                           "2019-08-12x",
                           "2019-08-12  16:04:32",
                           "2019-08-12T24:00:00Z",
                           "2019-08-12T16:60:00Z",
                           "2019-13-01",
                           "2019-00-01",
                           "2019-04-31",
                           "2019-02-29",
                           "1900-02-29",
                           "2019-08-00",
                           "2019-08-12T16:04:32+24:00",
                           "2019-08-12T16:04:32+02:60",
                           "2019-08-12T16:04:32+2",
                           "2019-08-12T16:04:32+",
                           "-000000-01-01",
                           "+2019-08-12",
                           "02019-08-12",
                           "20190812T160432Z",
                           "\xff\xff\xff\xff-08-12",
                           "2019-08-12T16:04:32.12a",
                           "+294247-01-10T04:00:54.775808Z",
                           "+999999-01-01",
                           "-290308-12-21T19:59:05.224191Z",
                           "-999999-12-31"}) {
    INFO(text);
    CHECK_FALSE(parse_time(text));
  }
}

TEST_CASE("leap days exist exactly in leap years") {
  for (int year = 1600; year <= 2400; ++year) {
    const bool leap = std::chrono::year{year}.is_leap();
    CHECK(parse_time(digits(year, 4) + "-02-29").has_value() == leap);
  }
}

TEST_CASE("every day from the year -400 to 12000 is that of std::chrono, both ways") {
  std::size_t wrong = 0;
  for (auto day = std::chrono::floor<std::chrono::days>(at(-400, 1, 1)); day < at(12000, 1, 1);
       day += std::chrono::days{1}) {
    const timestamp t{day};
    const std::string text = format_time(t);
    wrong += text != expected_text(t) || parse_time(text) != t;
  }
  CHECK(wrong == 0);
}

TEST_CASE("random times agree with std::chrono and survive a round trip") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  // std::chrono's years end at 32767.
  std::uniform_int_distribution<std::int64_t> known(at(-32000, 1, 1).time_since_epoch().count(),
                                                    at(32000, 1, 1).time_since_epoch().count());
  for (int i = 0; i < 20'000; ++i) {
    const timestamp t{millrace::duration{known(random)}};
    REQUIRE(format_time(t) == expected_text(t));
    REQUIRE(parse_time(format_time(t)) == t);
    const timestamp any{millrace::duration{static_cast<std::int64_t>(random())}};
    REQUIRE(parse_time(format_time(any)) == any);
    const int minutes = static_cast<int>(random() % 1440);
    const std::string offset = digits(minutes / 60, 2) + ':' + digits(minutes % 60, 2);
    std::string local = format_time(t);
    local.pop_back();
    REQUIRE(parse_time(local + '+' + offset) == t - std::chrono::minutes{minutes});
    REQUIRE(parse_time(local + '-' + offset) == t + std::chrono::minutes{minutes});
  }
}

TEST_CASE("the ends of the range survive a round trip") {
  CHECK(format_time(millrace::max_timestamp) == "+294247-01-10T04:00:54.775807Z");
  CHECK(format_time(millrace::min_timestamp) == "-290308-12-21T19:59:05.224192Z");
  CHECK(parse_time(format_time(millrace::max_timestamp)) == millrace::max_timestamp);
  CHECK(parse_time(format_time(millrace::min_timestamp)) == millrace::min_timestamp);
  CHECK(parse_time("+294247-01-10T05:00:54.775807+01:00") == millrace::max_timestamp);
}
