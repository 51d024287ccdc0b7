// SPDX-License-Identifier: Apache-2.0
// A journal in front of any source of messages, and the archive that it leaves.
#include <millrace/millrace.hpp>
#include <millrace/operators/journaled.hpp>
#include <millrace/runtime/checkpoint.hpp>

#include "catch.hpp"
#include "support/temporary_directory.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

timestamp at(int n) { return timestamp{std::chrono::seconds{n}}; }

/// Gives messages `from` to `to`, and remembers how far it came.
struct numbers {
  using value_type = message;
  int to = 0;

  struct reader {
    int next;
    int to;
    poll_status poll(source_output<message>& out) {
      for (; next < to && out.room() > 0; ++next) {
        out.emit(message::copy_of("t/" + std::to_string(next % 3), std::to_string(next), at(next)),
                 at(next + 1'000));
      }
      return next < to ? poll_status::more : poll_status::end;
    }
    void save(snapshot_writer& w) const { w.number(next); }
    void restore(snapshot_reader& r) { next = r.number<int>(); }
  };
  reader open(source_context&) const { return {0, to}; }
};

/// Calls a function for every message.
struct call {
  std::function<void(const message&, timestamp)> f;
  struct writer {
    const std::function<void(const message&, timestamp)>& f;
    void write(const message& m, timestamp t) { f(m, t); }
  };
  writer open(sink_context&) const { return {f}; }
};

struct text_and_time {
  std::string text;
  timestamp time;
};

/// Runs a pipeline that ends by itself; every message as "topic payload received", and its time.
template <class S>
std::vector<text_and_time> all_of(S source) {
  std::vector<text_and_time> seen;
  pipeline p("journaled");
  const auto keep = [&](const message& m, timestamp t) {
    seen.push_back({std::string(m.topic) + " " + std::string(m.payload) + " " +
                        std::to_string(m.received.time_since_epoch().count()),
                    t});
  };
  p.source("in", std::move(source)).to("out", call{keep});
  p.run();
  return seen;
}

std::string expected(int n) {
  return "t/" + std::to_string(n % 3) + " " + std::to_string(n) + " " +
         std::to_string(at(n).time_since_epoch().count());
}

void check_numbers(const std::vector<text_and_time>& seen, int from, int to) {
  REQUIRE(seen.size() == static_cast<std::size_t>(to - from));
  for (int i = from; i < to; ++i) {
    const auto& each = seen[static_cast<std::size_t>(i - from)];
    REQUIRE(each.text == expected(i));
    REQUIRE(each.time == at(i + 1'000));
  }
}

}  // namespace

TEST_CASE("journaled: a source with a position of its own comes into the journal exactly once") {
  const testing::temporary_directory directory;
  const journal_options options{.directory = directory.file("journal"), .keep_free_bytes = 0};
  check_numbers(all_of(journaled(numbers{1'000}, options)), 0, 1'000);
  // Without checkpoints the stream begins at the start of the archive; the source goes on.
  check_numbers(all_of(journaled(numbers{1'500}, options)), 0, 1'500);
  check_numbers(all_of(journaled(numbers{2'000}, options, journal_start::latest())), 1'500, 2'000);
}

TEST_CASE("journaled: a checkpoint holds the place in the journal") {
  const testing::temporary_directory directory;
  const journal_options options{.directory = directory.file("journal"), .keep_free_bytes = 0};
  const auto storage = std::make_shared<memory_checkpoints>();
  const auto run = [&](int to, bool takes_one) {
    std::vector<std::string> seen;
    pipeline p("journaled");
    p.checkpoint_to(storage, {.every = 1h});
    const auto keep = [&](const message& m, timestamp) {
      if (takes_one && seen.empty()) p.checkpoint_now();
      seen.emplace_back(m.payload);
    };
    p.source("in", journaled(numbers{to}, options)).to("out", call{keep});
    p.run();
    return seen;
  };
  const auto first = run(3'000, true);
  REQUIRE(first.size() == 3'000);
  const auto newest = storage->newest();
  REQUIRE(newest);
  const auto second = run(4'000, false);
  REQUIRE_FALSE(second.empty());
  const auto from = std::stoul(second.front());
  CHECK(from > 0);
  CHECK(from <= 3'000);
  CHECK(second.size() == 4'000 - from);
  CHECK(second.back() == "3999");
}

TEST_CASE("journaled: the archive is a source, from the earliest record, an offset or a time") {
  const testing::temporary_directory directory;
  const auto path = directory.file("journal");
  check_numbers(all_of(journaled(numbers{1'000}, {.directory = path, .keep_free_bytes = 0})), 0,
                1'000);
  const auto archive = [&](const journal_start& start) {
    return all_of(journal_source{{.directory = path, .start = start}});
  };
  check_numbers(archive(journal_start::earliest()), 0, 1'000);
  CHECK(archive(journal_start::latest()).empty());
  // Positions of the source are records, too: one behind each group of up to 512 messages.
  check_numbers(archive(journal_start::at(300)), 300, 1'000);
  CHECK(archive(journal_start::since(at(1))).size() == 1'000);  // the time of appending
  CHECK(archive(journal_start::since(max_timestamp)).empty());
  CHECK_THROWS_WITH(archive(journal_start::at(1'000'000)), ContainsSubstring("in"));
  CHECK_THROWS_AS(all_of(journal_source{{}}), std::exception);
}

TEST_CASE("journaled: one journal has one writer") {
  const testing::temporary_directory directory;
  const journal_options options{.directory = directory.file("journal"), .keep_free_bytes = 0};
  pipeline p("two");
  p.source("a", journaled(numbers{10}, options)).to("x", call{[](const message&, timestamp) {}});
  p.source("b", journaled(numbers{10}, options)).to("y", call{[](const message&, timestamp) {}});
  CHECK_THROWS_AS(p.run(), pipeline_error);
}

TEST_CASE("journaled: bytes that are no entry are refused") {
  CHECK_FALSE(decode_entry(""));
  CHECK_FALSE(decode_entry(std::string_view("\x00\x00", 2)));
  CHECK_FALSE(decode_entry("\x01\x05"));
  CHECK_FALSE(decode_entry("\x82\x05"));
  snapshot_writer bytes;
  encode({.reach = 300,
          .received = at(5),
          .time = at(6),
          .topic = "t",
          .attributes = "a",
          .payload = "p"},
         bytes);
  const auto entry = decode_entry(bytes.view());
  REQUIRE(entry);
  CHECK(entry->reach == 300);
  CHECK(entry->received == at(5));
  CHECK(entry->time == at(6));
  CHECK(entry->topic == "t");
  CHECK(entry->attributes == "a");
  CHECK(entry->payload == "p");
  for (std::size_t n = 0; n + 1 < bytes.size(); ++n) {
    CHECK_FALSE(decode_entry(bytes.view().substr(0, n)));
  }
}
