// SPDX-License-Identifier: Apache-2.0
// Records into a real PostgreSQL: types, tables that fit or do not, batches, dead letters, a server
// that goes away.

#include <millrace/connectors/memory.hpp>
#include <millrace/connectors/postgresql.hpp>
#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "support/postgresql_server.hpp"

#include <boost/describe.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::postgresql_server;
using rows = std::vector<std::string>;

namespace {

enum class colour { red, green };
BOOST_DESCRIBE_ENUM(colour, red, green)

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
  std::vector<int> list;
};
BOOST_DESCRIBE_STRUCT(everything, (),
                      (yes, small, big, real, text, maybe, paint, at, took, raw, list))

struct score {
  std::string station;
  std::int64_t points = 0;
};
BOOST_DESCRIBE_STRUCT(score, (), (station, points))

template <class T>
void run(std::vector<T> values, const postgresql::sink_options& options,
         std::vector<std::string>* dead = nullptr) {
  pipeline p("test");
  p.source("values", memory::source<T>(std::move(values)))
      .to("table", postgresql::sink<T>{options});
  memory::sink<dead_letter> letters;
  if (dead != nullptr) p.dead_letters().to("dead", letters);
  p.run();
  if (dead == nullptr) return;
  for (const auto& d : letters.values()) dead->push_back(d.reason + " " + d.payload);
}

std::string failure_of(const postgresql::sink_options& options) {
  try {
    run<score>({{"a", 1}}, options);
  } catch (const std::exception& e) {
    return e.what();
  }
  return "none";
}

/// One server for all test cases of this file.
postgresql_server& server() {
  if (!postgresql_server::available()) MILLRACE_SKIP(postgresql_server::how_to_get);
  static postgresql_server one;
  return one;
}

}  // namespace

TEST_CASE("each type of member becomes a column of PostgreSQL that keeps its values") {
  auto& db = server();
  everything first{.yes = true,
                   .small = -128,
                   .big = 18'446'744'073'709'551'615U,
                   .real = 0.1,
                   .text = "it's \"ü\" \\ {,} NULL",
                   .maybe = 7,
                   .paint = colour::green,
                   .at = timestamp{1'700'000'000'000'001us},
                   .took = 1500ms,
                   .raw = {std::byte{0}, std::byte{255}},
                   .list = {1, 2}};
  everything second;
  second.yes = false;
  second.real = -std::numeric_limits<double>::infinity();
  second.text = "NULL";
  second.at = min_timestamp;
  run<everything>({first, second},
                  {.connection = db.url(),
                   .table = {.name = "everything", .missing = sql::missing_table::create}});
  CHECK(db.rows("SET timezone = 'UTC'; SELECT yes, small, big, \"real\", text, maybe, paint, at, "
                "took, raw, list FROM everything") ==
        rows{"t|-128|18446744073709551615|0.1|it's \"ü\" \\ {,} NULL|7|green|"
             "2023-11-14 22:13:20.000001+00|1500|\\x00ff|[1, 2]",
             "f|-1|0|-Infinity|NULL||red|-infinity|0|\\x|[]"});
  CHECK(db.value("SELECT maybe IS NULL FROM everything WHERE NOT yes") == "t");
}

TEST_CASE("values are cast to the types of the table's columns") {
  auto& db = server();
  db.run_statement(
      "CREATE TYPE paint AS ENUM ('red', 'green'); CREATE TABLE typed "
      "(yes int, small smallint, big bigint, \"real\" numeric, text uuid, maybe text, "
      "paint paint, at bigint, took real, raw bytea, list json, more int DEFAULT 5)");
  everything good;
  good.text = "00112233-4455-6677-8899-aabbccddeeff";
  good.maybe = 9;
  good.real = 1.5;
  good.at = timestamp{5us};
  auto bad = good;
  bad.text = "no uuid";
  auto large = good;
  large.big = std::numeric_limits<std::uint64_t>::max();
  std::vector<std::string> dead;
  run<everything>({good, bad, large}, {.connection = db.url(), .table = {.name = "typed"}}, &dead);
  CHECK(db.rows("SELECT * FROM typed") ==
        rows{"1|-1|0|1.5|00112233-4455-6677-8899-aabbccddeeff|9|red|5|0|\\x|[]|5"});
  REQUIRE(dead.size() == 2);
  CHECK_THAT(dead[0], ContainsSubstring("invalid input syntax for type uuid: \"no uuid\""));
  CHECK_THAT(dead[1], ContainsSubstring("out of range for type bigint"));
}

TEST_CASE("with a key the later row of PostgreSQL replaces the earlier, or is left out") {
  auto& db = server();
  std::vector<score> values;
  std::map<std::string, std::int64_t> last;
  std::map<std::string, std::int64_t> first;
  for (int i = 0; i < 3000; ++i) {
    values.push_back({"s" + std::to_string(i * 7 % 41), i});
    last[values.back().station] = i;
    first.emplace(values.back().station, i);
  }
  for (const bool keep : {false, true}) {
    const std::string name = keep ? "kept" : "replaced";
    run<score>(values,
               {.connection = db.url(),
                .table = {.name = "public." + name,
                          .key = {"station"},
                          .existing = keep ? sql::existing_row::keep : sql::existing_row::replace,
                          .missing = sql::missing_table::create},
                .delivery = {.batch_rows = 700},
                .rows_per_insert = 100});
    rows wanted;
    for (const auto& [station, points] : keep ? first : last) {
      wanted.push_back(station + "|" + std::to_string(points));
    }
    CHECK(db.rows("SELECT station, points FROM " + name + " ORDER BY station") == wanted);
  }
}

TEST_CASE("a table of PostgreSQL that does not fit fails with its columns") {
  auto& db = server();
  const postgresql::sink_options options{.connection = db.url(), .table = {.name = "unfit"}};
  CHECK_THAT(failure_of(options), ContainsSubstring("there is no table \"unfit\"; make it, or set "
                                                    "table.missing = create"));
  const auto with = [&](const std::string& columns) {
    db.run_statement("DROP TABLE IF EXISTS unfit; CREATE TABLE unfit (" + columns + ")");
    return failure_of(options);
  };
  CHECK_THAT(with("station text, total int"),
             ContainsSubstring("has no column \"points\"; its columns: station, total"));
  CHECK_THAT(with("station text, points bytea"),
             ContainsSubstring("of type bytea, which does not take the record's integer"));
  CHECK_THAT(with("station text, points int, x int NOT NULL"),
             ContainsSubstring("column \"x\" that is NOT NULL without a default"));
  CHECK_THAT(with("station text, points int GENERATED ALWAYS AS (1) STORED"),
             ContainsSubstring("computes the column \"points\" itself"));
  CHECK(with("station varchar(3), points real, x serial") == "none");
  CHECK_THAT(failure_of({.connection = "host=127.0.0.1 nonsense=1", .table = {.name = "t"}}),
             ContainsSubstring("invalid connection option \"nonsense\""));
}

TEST_CASE("rows that PostgreSQL refuses are found in their batch, with the reason") {
  auto& db = server();
  db.run_statement(
      "CREATE TABLE strict (station varchar(4) UNIQUE DEFERRABLE INITIALLY DEFERRED, "
      "points int CHECK (points < 50))");
  std::vector<score> values;
  for (int i = 0; i < 400; ++i) values.push_back({"s" + std::to_string(i % 300), i % 60});
  values.push_back({std::string("n\0l", 3), 1});
  values.push_back({"\xff\xfe", 1});
  values.push_back({"sixsix", 1});
  values.push_back({"big", 3'000'000'000});
  std::vector<std::string> dead;
  run<score>(values, {.connection = db.url(), .table = {.name = "strict"}}, &dead);
  // An oracle of the two constraints.
  std::map<std::string, std::int64_t> kept;
  std::size_t refused = 4;
  for (std::size_t i = 0; i + 4 < values.size(); ++i) {
    const auto& v = values[i];
    refused += v.points >= 50 || !kept.emplace(v.station, v.points).second ? 1 : 0;
  }
  rows wanted;
  for (const auto& [station, points] : kept)
    wanted.push_back(station + "|" + std::to_string(points));
  CHECK(db.rows("SELECT station, points FROM strict ORDER BY station COLLATE \"C\"") == wanted);
  CHECK(dead.size() == refused);
  const auto count = [&](const std::string& reason) {
    return std::count_if(dead.begin(), dead.end(),
                         [&](const std::string& d) { return d.find(reason) != std::string::npos; });
  };
  CHECK(count("violates check constraint \"strict_points_check\"") > 30);
  CHECK(count("duplicate key value violates unique constraint") > 30);
  CHECK(count("the text contains a null character") == 1);
  CHECK(count("invalid byte sequence for encoding") == 1);
  CHECK(count("value too long for type character varying(4)") == 1);
  CHECK(count("out of range for type integer") == 1);
}

TEST_CASE("a server that goes away and comes back gets all rows, with bounded memory meanwhile") {
  auto& db = server();
  db.run_statement("CREATE TABLE away (station text, points bigint PRIMARY KEY)");
  std::vector<score> values;
  for (int i = 0; i < 20'000; ++i) values.push_back({"a", i});
  pipeline p("test");
  p.source("values", memory::source<score>(values))
      .to("table", postgresql::sink<score>{{.connection = db.url(),
                                            .table = {.name = "away", .key = {"points"}},
                                            .delivery = {.batch_rows = 100, .max_bytes = 20'000}}});
  db.stop(SIGQUIT);
  p.start();
  const auto metric = [&](std::string_view name) {
    for (const auto& o : p.status().operators) {
      for (const auto& m : o.metrics) {
        if (m.name == name) return m.value;
      }
    }
    return std::int64_t{0};
  };
  const auto wait_for = [&](auto&& condition) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (!condition() && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(2ms);
    }
    return condition();
  };
  CHECK(wait_for([&] { return metric("retries") >= 3; }));
  CHECK(metric("failing") == 1);
  CHECK(metric("pending_bytes") < 20'000 + 512 * 64);
  db.start();
  CHECK(wait_for([&] { return metric("delivered") >= 1000; }));
  db.stop(SIGQUIT);  // in the middle
  CHECK(wait_for([&] { return metric("failing") == 1 || p.ended(); }));
  db.start();
  p.wait();
  CHECK(db.value("SELECT count(*) FROM away") == "20000");
}

TEST_CASE("a pipeline that is cancelled does not wait for a server that does not answer") {
  auto& db = server();
  db.run_statement("CREATE TABLE held (station text, points bigint)");
  PGconn* other = PQconnectdb(db.url().c_str());
  PQclear(PQexec(other, "BEGIN; LOCK TABLE held"));
  pipeline p("test");
  std::vector<score> values(1000, score{"a", 1});
  p.source("values", memory::source<score>(values))
      .to("table", postgresql::sink<score>{{.connection = db.url(), .table = {.name = "held"}}});
  p.start();
  const auto waits = [&] {
    return db.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") != "0";
  };
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!waits() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(5ms);
  CHECK(waits());
  const auto begun = std::chrono::steady_clock::now();
  p.cancel();
  p.wait();
  CHECK(std::chrono::steady_clock::now() - begun < 20s);
  PQfinish(other);
}
