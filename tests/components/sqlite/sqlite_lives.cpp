// SPDX-License-Identifier: Apache-2.0
// Exactly once into SQLite: pipelines that are given up at random moments and go on from their last
// checkpoint leave each row once, whatever was half done.

#include <millrace/connectors/sqlite.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "support/sql_lives.hpp"
#include "support/sqlite_file.hpp"
#include "support/temporary_directory.hpp"

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::entry;
using testing::letter;
using testing::sqlite_file;

namespace {

constexpr const char* all_entries = "SELECT number, key, count, text FROM entries ORDER BY number";

sqlite::sink_options into(const std::string& path, const char* table, job_place place) {
  return {.path = path,
          .table = {.name = table, .missing = sql::missing_table::create},
          .delivery = {.place = place},
          .journal = sqlite::journal_mode::as_it_is,
          .on_connect = {"PRAGMA synchronous = OFF"}};  // a process that ends loses nothing by it
}

void assemble(pipeline& p, const testing::paced_numbers& numbers, const std::string& path,
              job_place place) {
  testing::count_into(p, numbers, sqlite::sink<entry>{into(path, "entries", place)},
                      sqlite::sink<letter>{into(path, "letters", place)});
}

void make_tables(sqlite_file& file) {
  file.run(std::string("CREATE TABLE entries (number INT UNIQUE, key INT, count INT, text TEXT, "
                       "CHECK (") +
           testing::entry_check + "))");
}

std::string failure_of(pipeline& p) {
  try {
    p.run();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("simulated pipelines that crash at random steps leave each row once") {
  const auto seed = static_cast<std::uint32_t>(Catch::rngSeed());
  INFO("seed " << seed);
  std::mt19937 random(seed);
  std::uint64_t checkpoints = 0;
  int crashes = 0;
  for (int round = 0; round < 30; ++round) {
    const testing::temporary_directory directory;
    const auto path = directory.file("t.db");
    sqlite_file file(path);
    make_tables(file);
    INFO("round " << round);
    const testing::paced_numbers numbers{.end = 1500, .each = 5 + random() % 20};
    auto storage = std::make_shared<memory_checkpoints>();
    for (int life = 0;; ++life) {
      const std::size_t workers = 1 + random() % 3;  // each life has its own
      testing::simulation sim({.workers = workers, .seed = random()});
      pipeline p("lives");
      p.parallelism(workers).checkpoint_to(storage, {.every = 5ms});
      assemble(p, numbers, path, job_place::caller);
      p.start(sim);
      const bool last = life == 5;
      if (last) {
        sim.run_to_end();
      } else {
        for (auto steps = random() % 160; steps > 0; --steps) {
          if (random() % 16 == 0) p.checkpoint_now();
          if (!sim.step() && !sim.step()) sim.advance(1ms);
          if (sim.ended()) break;
        }
      }
      checkpoints += p.status().checkpoints.completed;
      if (sim.ended()) break;
      ++crashes;
      p.cancel();
      sim.run_to_end();
    }
    REQUIRE(testing::entries_differ(file.rows(all_entries), numbers.end) == "");
    REQUIRE(testing::letters_missing(file.rows("SELECT payload FROM letters"), numbers.end) == 0);
  }
  CHECK(crashes > 30);
  CHECK(checkpoints > 100);
}

TEST_CASE("a pipeline on threads that is given up again and again leaves each row once") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (const std::size_t workers : {1U, 2U}) {
    INFO(workers << " workers");
    const testing::temporary_directory directory;
    const auto path = directory.file("t.db");
    sqlite_file file(path);
    make_tables(file);
    const testing::paced_numbers numbers{.end = 6000};
    auto storage = std::make_shared<memory_checkpoints>();
    for (int life = 0; life <= 12; ++life) {
      pipeline p("lives");
      p.parallelism(workers).checkpoint_to(storage, {.every = 3ms});
      assemble(p, numbers, path, job_place::own_thread);
      p.start();
      if (life < 12) {
        std::this_thread::sleep_for(std::chrono::milliseconds{random() % 40});
        p.cancel();
      }
      p.wait();
    }
    CHECK(testing::entries_differ(file.rows(all_entries), numbers.end) == "");
    CHECK(testing::letters_missing(file.rows("SELECT payload FROM letters"), numbers.end) == 0);
  }
}

TEST_CASE("rows appear with the checkpoint that holds them, not before") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  sqlite_file file(path);
  make_tables(file);
  testing::simulation sim({.workers = 1, .seed = 1});
  pipeline p("lives");
  p.checkpoint_to(std::make_shared<memory_checkpoints>(), {.every = 1h});
  assemble(p, {.end = 1000, .each = 10}, path, job_place::caller);
  p.start(sim);
  sim.advance(20ms);
  CHECK(file.rows(all_entries).empty());
  p.checkpoint_now();
  sim.run_until_idle();
  const auto rows = file.rows(all_entries).size();
  CHECK(rows > 100);
  sim.advance(20ms);
  CHECK(file.rows(all_entries).size() == rows);
  // The first one was taken before any record.
  CHECK(file.value("SELECT id FROM millrace_checkpoint WHERE sink = 'entries'") == "2");
  sim.run_to_end();
  CHECK(testing::entries_differ(file.rows(all_entries), 1000) == "");
}

TEST_CASE("when many rows wait, a checkpoint is asked for, and memory stays bounded") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  for (const std::size_t workers : {1U, 3U}) {
    INFO(workers << " workers");
    sqlite_file file(path);
    file.run("DROP TABLE IF EXISTS entries");
    make_tables(file);
    testing::simulation sim({.workers = workers, .seed = 3});
    pipeline p("lives");
    p.parallelism(workers).ring_batches(2);
    p.checkpoint_to(std::make_shared<memory_checkpoints>(), {.every = 1h});
    auto options = into(path, "entries", job_place::caller);
    options.delivery.max_bytes = 4000;
    testing::count_into(p, {.end = 5000, .each = 50}, sqlite::sink<entry>{options},
                        sqlite::sink<letter>{into(path, "letters", job_place::caller)});
    p.start(sim);
    std::int64_t most = 0;
    while (!sim.ended()) {
      if (!sim.step() && !sim.step()) sim.advance(1ms);
      for (const auto& o : p.status().operators) {
        for (const auto& m : o.metrics) {
          if (m.name == "pending_bytes") most = std::max(most, m.value);
        }
      }
    }
    CHECK(testing::entries_differ(file.rows(all_entries), 5000) == "");
    CHECK(p.status().checkpoints.completed > 10);
    CHECK(most < 40'000);  // 5000 rows are 300,000 bytes
  }
}

TEST_CASE("a checkpoint and a database that do not belong together are refused, or taken over") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  auto file = std::make_unique<sqlite_file>(path);
  make_tables(*file);
  auto storage = std::make_shared<memory_checkpoints>();
  std::optional<checkpoint> early;
  {
    testing::simulation sim({.workers = 1, .seed = 1});
    pipeline p("lives");
    p.checkpoint_to(storage, {.every = 3ms});
    assemble(p, {.end = 1000, .each = 10}, path, job_place::caller);
    p.start(sim);
    sim.advance(20ms);
    early = storage->newest();
    sim.advance(20ms);
    p.cancel();
    sim.run_to_end();
  }
  REQUIRE(early);
  const auto run_from = [&](const checkpoint& from, sql::position_conflict conflict) {
    auto at = std::make_shared<memory_checkpoints>();
    at->store(from);
    pipeline p("lives");
    p.checkpoint_to(at, {.every = 20ms});
    auto options = into(path, "entries", job_place::own_thread);
    options.delivery.conflict = conflict;
    auto letters = into(path, "letters", job_place::own_thread);
    letters.delivery.conflict = conflict;
    testing::count_into(p, {.end = 1000, .each = 50}, sqlite::sink<entry>{options},
                        sqlite::sink<letter>{letters});
    return failure_of(p);
  };
  CHECK_THAT(run_from(*early, sql::position_conflict::fail),
             ContainsSubstring("the position in the database is not that of checkpoint " +
                               std::to_string(early->id) + ": it stands at checkpoint"));
  file->run("UPDATE millrace_checkpoint SET lineage = 'x'");
  CHECK_THAT(run_from(*storage->newest(), sql::position_conflict::fail),
             ContainsSubstring("it is that of another run of the pipeline"));
  file->run("DELETE FROM millrace_checkpoint");
  CHECK_THAT(run_from(*storage->newest(), sql::position_conflict::fail),
             ContainsSubstring("there is none of this pipeline and sink"));
  // The unique numbers turn the rows that come again into dead letters here.
  CHECK(run_from(*early, sql::position_conflict::take_over) == "none");
  CHECK(testing::entries_differ(file->rows(all_entries), 1000) == "");
}

TEST_CASE("an instance that was replaced cannot write any more") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  sqlite_file file(path);
  make_tables(file);
  testing::simulation sim({.workers = 1, .seed = 1});
  pipeline p("lives");
  p.checkpoint_to(std::make_shared<memory_checkpoints>(), {.every = 3ms});
  assemble(p, {.end = 1000, .each = 10}, path, job_place::caller);
  p.start(sim);
  sim.advance(20ms);
  file.run("UPDATE millrace_checkpoint SET owner = 'another' WHERE sink = 'entries'");
  const auto rows = file.rows(all_entries).size();
  sim.advance(20ms);
  CHECK(file.rows(all_entries).size() == rows);
  CHECK(sim.ended());
  try {
    p.wait();
    FAIL("it should have failed");
  } catch (const pipeline_error& e) {
    CHECK(e.operator_name() == "entries");
    CHECK_THAT(e.what(), ContainsSubstring("another instance of this pipeline has taken over"));
  }
}

TEST_CASE("at least once under checkpoints: a checkpoint waits until its rows are written") {
  const testing::temporary_directory directory;
  const auto path = directory.file("t.db");
  sqlite_file file(path);
  make_tables(file);
  testing::simulation sim({.workers = 1, .seed = 1});
  pipeline p("lives");
  auto storage = std::make_shared<memory_checkpoints>();
  p.checkpoint_to(storage, {.every = 1h});
  auto options = into(path, "entries", job_place::caller);
  options.delivery.mode = sql::delivery::at_least_once;
  options.delivery.batch_rows = 100'000;
  options.delivery.batch_age = 1h;
  testing::count_into(p, {.end = 1000, .each = 10}, sqlite::sink<entry>{options},
                      sqlite::sink<letter>{into(path, "letters", job_place::caller)});
  p.start(sim);
  sim.advance(20ms);
  CHECK(file.rows(all_entries).empty());
  const auto first = storage->newest()->id;  // taken before any record
  p.checkpoint_now();
  while (storage->newest()->id == first) {
    if (!sim.step() && !sim.step()) sim.advance(1ms);
  }
  CHECK(file.rows(all_entries).size() > 100);
  CHECK(file.value("SELECT count(*) FROM millrace_checkpoint WHERE sink = 'entries'") == "0");
  sim.run_to_end();
  CHECK(testing::entries_differ(file.rows(all_entries), 1000) == "");
}
