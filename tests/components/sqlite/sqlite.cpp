// SPDX-License-Identifier: Apache-2.0
// Records into SQLite: types, tables that fit or do not, batches, dead letters, trouble.

#include <millrace/connectors/memory.hpp>
#include <millrace/connectors/sqlite.hpp>
#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "support/sqlite_file.hpp"
#include "support/temporary_directory.hpp"

#include <boost/describe.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::sqlite_file;
using rows = std::vector<std::string>;

namespace {

enum class colour { red, green };
BOOST_DESCRIBE_ENUM(colour, red, green)

struct place {
  double lat = 0;
  double lon = 0;
};
BOOST_DESCRIBE_STRUCT(place, (), (lat, lon))

struct everything {
  bool yes = true;
  std::int8_t small = -1;
  std::uint64_t big = 0;
  double real = 0;
  std::string text;
  std::optional<std::int64_t> maybe;
  colour paint = colour::red;
  timestamp at{};
  std::chrono::milliseconds took{};
  std::vector<std::byte> raw;
  place where;
  std::vector<int> list;
};
BOOST_DESCRIBE_STRUCT(everything, (),
                      (yes, small, big, real, text, maybe, paint, at, took, raw, where, list))

struct score {
  std::string station;
  std::int64_t points = 0;
};
BOOST_DESCRIBE_STRUCT(score, (), (station, points))

template <class T>
void run(std::vector<T> values, const sqlite::sink_options& options,
         std::vector<std::string>* dead = nullptr) {
  pipeline p("test");
  p.source("values", memory::source<T>(std::move(values))).to("table", sqlite::sink<T>{options});
  memory::sink<dead_letter> letters;
  if (dead != nullptr) p.dead_letters().to("dead", letters);
  p.run();
  if (dead == nullptr) return;
  for (const auto& d : letters.values()) dead->push_back(d.reason + " " + d.payload);
}

std::string failure_of(const sqlite::sink_options& options) {
  try {
    run<score>({{"a", 1}}, options);
  } catch (const std::exception& e) {
    return e.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("each type of member becomes a column that keeps its values") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  everything first{.yes = true,
                   .small = -128,
                   .big = 9'223'372'036'854'775'807U,
                   .real = 0.1,
                   .text = "it's \"ü\"",
                   .maybe = 7,
                   .paint = colour::green,
                   .at = timestamp{1'700'000'000'000'001us},
                   .took = 1500ms,
                   .raw = {std::byte{0}, std::byte{255}},
                   .where = {1.5, -2},
                   .list = {1, 2}};
  everything second;
  second.yes = false;
  run<everything>({first, second},
                  {.path = path, .table = {.name = "all", .missing = sql::missing_table::create}});
  sqlite_file file(path);
  CHECK(file.rows("SELECT yes, small, big, real, text, maybe, paint, at, took, hex(raw), "
                  "\"where\", list FROM \"all\"") ==
        rows{"1|-128|9223372036854775807|0.1|it's \"ü\"|7|green|1700000000000001|1500|00FF|"
             "{\"lat\":1.5,\"lon\":-2}|[1,2]",
             "0|-1|0|0.0|||red|0|0||{\"lat\":0,\"lon\":0}|[]"});
  CHECK(file.value("SELECT typeof(raw) || typeof(at) || typeof(real) || typeof(maybe) "
                   "FROM \"all\" WHERE yes = 0") == "blobintegerrealnull");
}

TEST_CASE("with a key the later row replaces the earlier, or is left out") {
  const testing::temporary_directory directory;
  const std::vector<score> values{{"a", 1}, {"b", 2}, {"a", 3}};
  for (const auto existing : {sql::existing_row::replace, sql::existing_row::keep}) {
    const auto path =
        directory.file(existing == sql::existing_row::keep ? "keep.db" : "replace.db");
    run<score>(values, {.path = path,
                        .table = {.name = "scores",
                                  .key = {"station"},
                                  .existing = existing,
                                  .missing = sql::missing_table::create}});
    CHECK(sqlite_file(path).rows("SELECT * FROM scores ORDER BY station") ==
          rows{existing == sql::existing_row::keep ? "a|1" : "a|3", "b|2"});
  }
}

TEST_CASE("the event time can have a column of its own") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  pipeline p("test");
  p.source("values", memory::source<score>(std::vector<score>{{"a", 5}}))
      .event_time([](const score& s) { return timestamp{std::chrono::seconds{s.points}}; },
                  bounded_lag{0s})
      .to("table", sqlite::sink<score>{{.path = path,
                                        .table = {.name = "scores",
                                                  .missing = sql::missing_table::create,
                                                  .time_column = "event_time"}}});
  p.run();
  CHECK(sqlite_file(path).rows("SELECT station, event_time FROM scores") == rows{"a|5000000"});
}

TEST_CASE("a table that does not fit fails with its columns") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  sqlite_file file(path);
  const sqlite::sink_options options{.path = path, .table = {.name = "scores"}};
  CHECK_THAT(failure_of(options), ContainsSubstring("there is no table \"scores\"; make it, or "
                                                    "set table.missing = create"));
  file.run("CREATE TABLE scores (station TEXT, total INTEGER)");
  CHECK_THAT(failure_of(options),
             ContainsSubstring("has no column \"points\"; its columns: station, total"));
  file.run("DROP TABLE scores; CREATE TABLE scores (station TEXT, points VARCHAR(9))");
  CHECK_THAT(failure_of(options), ContainsSubstring("of type VARCHAR(9), which does not keep the "
                                                    "record's integer"));
  file.run("DROP TABLE scores; CREATE TABLE scores (station TEXT, points INT, x INT NOT NULL)");
  CHECK_THAT(failure_of(options), ContainsSubstring("NOT NULL without a default"));
  file.run("DROP TABLE scores; CREATE TABLE scores (station TEXT, points INT AS (1))");
  CHECK_THAT(failure_of(options), ContainsSubstring("computes the column \"points\" itself"));
  file.run("DROP TABLE scores; CREATE TABLE scores (STATION TEXT, points REAL, x INT DEFAULT 1)");
  CHECK(failure_of(options) == "none");
  CHECK(file.rows("SELECT * FROM scores") == rows{"a|1.0|1"});
}

TEST_CASE("options that cannot work are refused before any record flows") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  CHECK_THAT(failure_of({.path = path}), ContainsSubstring("table.name must not be empty"));
  CHECK_THAT(failure_of({.path = path, .table = {.name = "t", .key = {"town"}}}),
             ContainsSubstring("the record has no member \"town\""));
  CHECK_THAT(failure_of({.path = path, .table = {.name = "t", .time_column = "points"}}),
             ContainsSubstring("has a member \"points\" already"));
  CHECK_THAT(failure_of({.path = path, .table = {.name = "t"}, .delivery = {.batch_rows = 0}}),
             ContainsSubstring("must not be 0"));
  CHECK_THAT(failure_of({.path = directory.file("no/such/folder.db"), .table = {.name = "t"}}),
             ContainsSubstring("unable to open database file"));
  directory.write("text.db", std::string(4096, 'x'));
  CHECK_THAT(failure_of({.path = directory.file("text.db"), .table = {.name = "t"}}),
             ContainsSubstring("file is not a database"));
}

TEST_CASE("a row that the table refuses is a dead letter with the reason, the others are written") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  sqlite_file file(path);
  file.run("CREATE TABLE scores (station TEXT UNIQUE, points INTEGER CHECK (points < 50))");
  std::vector<score> values;
  for (int i = 0; i < 100; ++i) values.push_back({"s" + std::to_string(i % 80), i % 60});
  std::vector<std::string> dead;
  run<score>(values, {.path = path, .table = {.name = "scores"}, .delivery = {.batch_rows = 7}},
             &dead);
  // An oracle of the two constraints.
  std::map<std::string, std::int64_t> kept;
  std::size_t refused = 0;
  for (const auto& v : values) {
    refused += v.points >= 50 || !kept.emplace(v.station, v.points).second ? 1 : 0;
  }
  CHECK(file.value("SELECT count(*) FROM scores") == std::to_string(kept.size()));
  CHECK(dead.size() == refused);
  CHECK_THAT(dead.front(), ContainsSubstring("CHECK constraint failed"));
  CHECK_THAT(dead.front(), ContainsSubstring("{\"station\":\"s50\",\"points\":50}"));
  CHECK_THAT(dead.back(), ContainsSubstring("UNIQUE constraint failed: scores.station"));
}

TEST_CASE("what SQLite has no number for is a dead letter") {
  const testing::temporary_directory directory;
  everything large;
  large.big = std::numeric_limits<std::uint64_t>::max();
  everything none;
  none.real = std::nan("");
  std::vector<std::string> dead;
  const auto path = directory.file("t.db");
  run<everything>({large, none},
                  {.path = path, .table = {.name = "t", .missing = sql::missing_table::create}},
                  &dead);
  REQUIRE(dead.size() == 1);
  CHECK_THAT(dead[0], ContainsSubstring("big: 18446744073709551615 is more than an INTEGER"));
  CHECK(sqlite_file(path).rows("SELECT real IS NULL FROM t") == rows{"1"});
}

TEST_CASE("a locked database is waited for") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  sqlite_file file(path);
  file.run("CREATE TABLE scores (station TEXT, points INTEGER); BEGIN IMMEDIATE");
  pipeline p("test");
  std::vector<score> values(5000, score{"a", 1});
  p.source("values", memory::source<score>(values))
      .to("table", sqlite::sink<score>{{.path = path,
                                        .table = {.name = "scores"},
                                        .delivery = {.batch_rows = 10, .max_bytes = 2000}}});
  p.start();
  const auto metric = [&](std::string_view name) {
    for (const auto& o : p.status().operators) {
      for (const auto& m : o.metrics) {
        if (m.name == name) return m.value;
      }
    }
    return std::int64_t{0};
  };
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (metric("retries") < 2 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(2ms);
  }
  CHECK(metric("retries") >= 2);
  CHECK(metric("failing") == 1);
  CHECK(metric("pending_bytes") < 2000 + 512 * 64);  // one batch of the pipeline above the bound
  CHECK(metric("delivered") == 0);
  file.run("COMMIT");
  p.wait();
  CHECK(file.value("SELECT count(*) FROM scores") == "5000");
}

TEST_CASE("a full disk is waited for, and written to when there is room again") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  sqlite_file file(path);
  file.run(
      "CREATE TABLE old (x); CREATE TABLE scores (station TEXT, points INTEGER); "
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) "
      "INSERT INTO old SELECT zeroblob(4000) FROM n");
  const auto pages = file.value("PRAGMA page_count");
  std::vector<std::string> log;
  std::mutex mutex;
  pipeline p("test");
  p.log_to([&](const log_record& line) {
    const std::lock_guard lock(mutex);
    log.emplace_back(line.message);
  });
  std::vector<score> values(2000, score{std::string(50, 'a'), 1});
  p.source("values", memory::source<score>(values))
      .to("table", sqlite::sink<score>{{.path = path,
                                        .table = {.name = "scores"},
                                        .on_connect = {"PRAGMA max_page_count = " + pages}}});
  p.start();
  const auto full = [&] {
    const std::lock_guard lock(mutex);
    for (const auto& line : log) {
      if (line.find("database or disk is full") != std::string::npos) return true;
    }
    return false;
  };
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!full() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(2ms);
  REQUIRE(full());
  CHECK(file.value("SELECT count(*) FROM scores") == "0");
  file.run("DELETE FROM old");
  p.wait();
  CHECK(file.value("SELECT count(*) FROM scores") == "2000");
}
