// SPDX-License-Identifier: Apache-2.0
// Exactly once into a real PostgreSQL: pipelines that are given up at random moments, while the
// server is stopped in the middle of its work, too, leave each row once.

#include <millrace/connectors/postgresql.hpp>
#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "support/postgresql_server.hpp"
#include "support/sql_lives.hpp"

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using testing::entry;
using testing::letter;
using testing::postgresql_server;

namespace {

constexpr const char* all_entries = "SELECT number, key, count, text FROM entries ORDER BY number";

postgresql::sink_options into(const postgresql_server& db, const char* table) {
  return {.connection = db.url(),
          .table = {.name = table, .missing = sql::missing_table::create},
          .delivery = {.backoff = {.shortest = 5ms, .initial = 10ms, .longest = 50ms}}};
}

void assemble(pipeline& p, const testing::paced_numbers& numbers, const postgresql_server& db) {
  testing::count_into(p, numbers, postgresql::sink<entry>{into(db, "entries")},
                      postgresql::sink<letter>{into(db, "letters")});
}

void make_tables(const postgresql_server& db) {
  db.run_statement(
      std::string("DROP TABLE IF EXISTS entries, letters, millrace_checkpoint, millrace_rejected; "
                  "CREATE TABLE entries (number bigint PRIMARY KEY, key int, count int, text text, "
                  "CHECK (") +
      testing::entry_check + "))");
}

/// One life after the other on the same checkpoints; `disturb(life)` goes on beside each.
template <class Disturb>
void live(const postgresql_server& db, std::size_t workers, std::int64_t end, int lives,
          std::mt19937& random, Disturb&& disturb) {
  auto storage = std::make_shared<memory_checkpoints>();
  for (int life = 0; life <= lives; ++life) {
    pipeline p("lives");
    p.parallelism(workers).checkpoint_to(storage, {.every = 5ms});
    assemble(p, {.end = end, .each = 15}, db);
    p.start();
    disturb(life);
    if (life < lives) {
      std::this_thread::sleep_for(std::chrono::milliseconds{random() % 60});
      p.cancel();
    }
    p.wait();
  }
}

}  // namespace

TEST_CASE("pipelines that are given up at random moments leave each row in PostgreSQL once") {
  if (!postgresql_server::available()) MILLRACE_SKIP(postgresql_server::how_to_get);
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  postgresql_server db;
  for (const std::size_t workers : {1U, 2U}) {
    INFO(workers << " workers");
    make_tables(db);
    live(db, workers, 5000, 12, random, [](int) {});
    CHECK(testing::entries_differ(db.rows(all_entries), 5000) == "");
    CHECK(testing::letters_missing(db.rows("SELECT payload FROM letters"), 5000) == 0);
  }
}

TEST_CASE("a server that is stopped in the middle of its work neither loses nor repeats a row") {
  if (!postgresql_server::available()) MILLRACE_SKIP(postgresql_server::how_to_get);
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  postgresql_server db;
  make_tables(db);
  live(db, 1, 6000, 5, random, [&](int) {
    std::this_thread::sleep_for(std::chrono::milliseconds{random() % 80});
    db.stop(SIGQUIT);
    std::this_thread::sleep_for(std::chrono::milliseconds{random() % 40});
    db.start();
  });
  CHECK(testing::entries_differ(db.rows(all_entries), 6000) == "");
  CHECK(testing::letters_missing(db.rows("SELECT payload FROM letters"), 6000) == 0);
}

TEST_CASE("connections that are cut again and again, at commits too, repeat no row") {
  if (!postgresql_server::available()) MILLRACE_SKIP(postgresql_server::how_to_get);
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  postgresql_server db;
  make_tables(db);
  pipeline p("lives");
  p.checkpoint_to(std::make_shared<memory_checkpoints>(), {.every = 2ms});
  assemble(p, {.end = 8000, .each = 10}, db);
  p.start();
  int cut = 0;
  // Not for ever: between two cuts there may be too little time to get anything done.
  for (int round = 0; round < 60 && !p.ended(); ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds{random() % 60});
    cut +=
        std::stoi(db.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                           "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"));
  }
  p.wait();
  CHECK(cut > 10);
  CHECK(testing::entries_differ(db.rows(all_entries), 8000) == "");
  CHECK(testing::letters_missing(db.rows("SELECT payload FROM letters"), 8000) == 0);
}
