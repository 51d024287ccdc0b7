// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/http_retry.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace millrace::net {

namespace detail {

/// Reads the fixed parts of an HTTP-date one after the other; any mismatch makes it fail for good.
class date_reader {
 public:
  explicit date_reader(std::string_view text) : rest_(text) {}

  bool failed() const { return failed_; }
  bool at_end() const { return !failed_ && rest_.empty(); }

  void literal(std::string_view text) {
    if (!rest_.starts_with(text)) return fail();
    rest_.remove_prefix(text.size());
  }

  void weekday() {
    const auto end = std::min(rest_.find_first_of(", "), rest_.size());
    if (end < 3 || end > 9) return fail();
    rest_.remove_prefix(end);
  }

  int number(std::size_t digits) {
    int value = 0;
    if (failed_ || rest_.size() < digits) return fail(), 0;
    if (digits == 2 && rest_[0] == ' ') {  // asctime pads the day with a space
      rest_.remove_prefix(1);
      digits = 1;
    }
    const auto [end, code] = std::from_chars(rest_.data(), rest_.data() + digits, value);
    if (code != std::errc{} || end != rest_.data() + digits || value < 0) return fail(), 0;
    rest_.remove_prefix(digits);
    return value;
  }

  unsigned month() {
    constexpr std::string_view names = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const auto name = rest_.substr(0, 3);
    const auto at = name.size() == 3 ? names.find(name) : std::string_view::npos;
    if (at == std::string_view::npos || at % 3 != 0) return fail(), 1U;
    rest_.remove_prefix(3);
    return static_cast<unsigned>(at / 3 + 1);
  }

  std::chrono::seconds time_of_day() {
    const int h = number(2);
    literal(":");
    const int m = number(2);
    literal(":");
    const int s = number(2);
    if (h > 23 || m > 59 || s > 60) fail();
    return std::chrono::hours{h} + std::chrono::minutes{m} + std::chrono::seconds{s};
  }

 private:
  void fail() { failed_ = true; }

  std::string_view rest_;
  bool failed_ = false;
};

inline int full_year(int two_digits, timestamp now) {
  const std::chrono::year_month_day today{std::chrono::floor<std::chrono::days>(now)};
  const int this_year = static_cast<int>(today.year());
  int year = this_year - this_year % 100 + two_digits;
  if (year > this_year + 50) year -= 100;
  return year;
}

}  // namespace detail

MILLRACE_DECL std::optional<timestamp> parse_http_date(std::string_view text, timestamp now) {
  detail::date_reader in(text);
  int year = 0;
  int day = 0;
  unsigned month = 0;
  std::chrono::seconds time{};
  const auto comma = text.find(',');
  in.weekday();
  if (comma == std::string_view::npos) {  // asctime
    in.literal(" ");
    month = in.month();
    in.literal(" ");
    day = in.number(2);
    in.literal(" ");
    time = in.time_of_day();
    in.literal(" ");
    year = in.number(4);
  } else {
    const bool rfc_850 = comma != 3;
    const std::string_view separator = rfc_850 ? "-" : " ";
    in.literal(", ");
    day = in.number(2);
    in.literal(separator);
    month = in.month();
    in.literal(separator);
    year = rfc_850 ? detail::full_year(in.number(2), now) : in.number(4);
    in.literal(" ");
    time = in.time_of_day();
    in.literal(" GMT");
  }
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!in.at_end() || !date.ok()) return std::nullopt;
  return timestamp{std::chrono::sys_days{date} + time};
}

MILLRACE_DECL std::optional<std::chrono::nanoseconds> parse_retry_after(std::string_view text,
                                                                        timestamp now) {
  using std::chrono::nanoseconds;
  constexpr nanoseconds longest = std::chrono::hours{24};
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return std::nullopt;
  text = text.substr(first, text.find_last_not_of(" \t") - first + 1);
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    std::uint64_t seconds = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (code != std::errc{} || seconds >= 86400) return longest;
    return nanoseconds{std::chrono::seconds{seconds}};
  }
  const auto date = parse_http_date(text, now);
  if (!date) return std::nullopt;
  if (*date <= now) return nanoseconds{0};
  return std::min<nanoseconds>(std::min<duration>(*date - now, std::chrono::hours{24}), longest);
}

MILLRACE_DECL bool is_retriable_error(const error& reason) noexcept {
  return reason.code == errc::timeout || reason.code == errc::connection_closed ||
         reason.code == errc::unavailable;
}

MILLRACE_DECL error status_error(const http_response& response) {
  constexpr std::size_t longest = 300;
  std::string words = "HTTP " + std::to_string(response.status);
  if (!response.body.empty()) {
    words += ": ";
    auto start = std::string_view{response.body}.substr(0, longest);
    if (response.body.size() > longest) {  // not in the middle of a UTF-8 character
      const auto continues = [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
      };
      while (!start.empty() && continues(response.body[start.size()])) start.remove_suffix(1);
    }
    for (const char c : start) {
      words += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    if (response.body.size() > longest) words += "...";
  }
  return {is_retriable_status(response.status) ? errc::unavailable : errc::rejected, words};
}

MILLRACE_DECL std::optional<std::chrono::nanoseconds> http_retry::next(
    http_method method, const result<http_response>& outcome, std::uint64_t random_bits) {
  ++attempts_;
  if (attempts_ >= policy_.attempts) return std::nullopt;
  if (outcome) {
    if (!policy_.retriable_status(outcome->status)) return std::nullopt;
    const auto wait = backoff_.next(random_bits);
    if (!outcome->retry_after) return wait;
    if (*outcome->retry_after > policy_.longest_retry_after) return std::nullopt;
    return *outcome->retry_after;
  }
  // Without a connection nothing has been sent: harmless for every method.
  const bool harmless = outcome.error().code == errc::unavailable || is_idempotent(method) ||
                        policy_.methods == retry_methods::all;
  if (!harmless || !is_retriable_error(outcome.error())) return std::nullopt;
  return backoff_.next(random_bits);
}

}  // namespace millrace::net
