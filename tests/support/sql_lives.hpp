// SPDX-License-Identifier: Apache-2.0
/// \file
/// A pipeline with state in front of an SQL sink, and what its table must hold in the end however
/// often it was given up on the way: numbers counted by key, of which the table refuses some. Dead
/// letters go to a second sink in the same database.
#pragma once

#include <millrace/millrace.hpp>

#include <boost/describe.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace millrace::testing {

struct entry {
  std::int64_t number = 0;
  std::int64_t key = 0;
  std::int64_t count = 0;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(entry, (), (number, key, count, text))

struct letter {
  std::string payload;
};
BOOST_DESCRIBE_STRUCT(letter, (), (payload))

/// Counts up to an end, some numbers every millisecond. Remembers its position.
struct paced_numbers {
  using value_type = std::int64_t;
  std::int64_t end = 0;
  std::size_t each = 20;

  class reader {
   public:
    reader(source_context& context, std::int64_t end, std::size_t each)
        : context_(context), end_(end), each_(each) {}
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    ~reader() { context_.env().cancel_timer(timer_); }

    poll_status poll(source_output<std::int64_t>& out) {
      if (timer_ != 0) return poll_status::wait;
      for (std::size_t i = 0; i < each_ && next_ < end_; ++i) {
        out.emit(next_, timestamp{std::chrono::seconds{next_}});
        ++next_;
      }
      if (next_ == end_) return poll_status::end;
      timer_ = context_.env().call_after(std::chrono::milliseconds{1}, [this] {
        timer_ = 0;
        context_.wake();
      });
      return poll_status::wait;
    }
    void save(snapshot_writer& to) const { to.number(next_); }
    void restore(snapshot_reader& from) { next_ = from.number<std::int64_t>(); }

   private:
    source_context& context_;
    std::int64_t end_;
    std::size_t each_;
    std::int64_t next_ = 0;
    timer_id timer_ = 0;
  };
  reader open(source_context& context) const { return reader(context, end, each); }
};

/// What the table refuses, by a constraint.
inline constexpr const char* entry_check = "number % 97 <> 13";
inline bool is_refused(std::int64_t number) { return number % 97 == 13; }

struct key_count {
  std::int64_t count = 0;
};
BOOST_DESCRIBE_STRUCT(key_count, (), (count))

template <class Entries, class Letters>
void count_into(pipeline& p, const paced_numbers& numbers, const Entries& entries,
                const Letters& letters) {
  p.source("numbers", numbers)
      .key_by([](std::int64_t n) { return n % 7; })
      .template process<entry>("count",
                               [](std::int64_t n, key_count& state, auto& ctx) {
                                 ++state.count;
                                 ctx.emit(entry{n, n % 7, state.count, "n" + std::to_string(n)});
                               })
      .to("entries", entries);
  p.dead_letters().map([](const dead_letter& d) { return letter{d.payload}; }).to("dead", letters);
}

/// The rows that must be there, as `number|key|count|text`, in the order of the numbers.
inline std::vector<std::string> expected_entries(std::int64_t numbers) {
  std::vector<std::string> all;
  for (std::int64_t n = 0; n < numbers; ++n) {
    if (is_refused(n)) continue;
    all.push_back(std::to_string(n) + "|" + std::to_string(n % 7) + "|" +
                  std::to_string(n / 7 + 1) + "|n" + std::to_string(n));
  }
  return all;
}

/// The first difference to the rows that must be there; empty: none.
inline std::string entries_differ(const std::vector<std::string>& rows, std::int64_t numbers) {
  const auto wanted = expected_entries(numbers);
  for (std::size_t i = 0; i < std::max(rows.size(), wanted.size()); ++i) {
    const std::string is = i < rows.size() ? rows[i] : "nothing";
    const std::string should = i < wanted.size() ? wanted[i] : "nothing";
    if (is != should) {
      return "row " + std::to_string(i) + " is " + is + ", not " + should + "; " +
             std::to_string(rows.size()) + " rows instead of " + std::to_string(wanted.size());
    }
  }
  return {};
}

/// How many of the refused numbers have no dead letter.
inline std::size_t letters_missing(const std::vector<std::string>& payloads, std::int64_t numbers) {
  std::set<std::string> seen(payloads.begin(), payloads.end());
  std::size_t missing = 0;
  for (std::int64_t n = 0; n < numbers; ++n) {
    if (!is_refused(n)) continue;
    const auto text = std::to_string(n);
    missing +=
        seen.contains("{\"number\":" + text + ",\"key\":" + std::to_string(n % 7) +
                      ",\"count\":" + std::to_string(n / 7 + 1) + ",\"text\":\"n" + text + "\"}")
            ? 0
            : 1;
  }
  return missing;
}

}  // namespace millrace::testing
