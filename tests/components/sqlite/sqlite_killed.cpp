// SPDX-License-Identifier: Apache-2.0
// Exactly once into SQLite through SIGKILL: processes that are killed at random moments, with
// checkpoints in a directory, leave each row once.

#include <millrace/connectors/sqlite.hpp>
#include <millrace/millrace.hpp>
#include <millrace/runtime/checkpoint_directory.hpp>

#include "catch.hpp"
#include "support/sql_lives.hpp"
#include "support/sqlite_file.hpp"
#include "support/temporary_directory.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using testing::entry;
using testing::letter;

namespace {

constexpr std::int64_t numbers = 4000;

/// The pipeline's process. \returns its exit status
int run_to_end(const testing::temporary_directory& directory, std::size_t workers) {
  try {
    pipeline p("killed");
    p.parallelism(workers).checkpoint_to(
        std::make_shared<checkpoint_directory>(
            checkpoint_store_options{.directory = directory.file("checkpoints")}),
        {.every = 5ms});
    const auto into = [&](const char* table) {
      return sqlite::sink_options{
          .path = directory.file("t.db"),
          .table = {.name = table, .missing = sql::missing_table::create},
          .on_connect = {"PRAGMA synchronous = OFF"}};  // a killed process loses nothing by it
    };
    testing::count_into(p, {.end = numbers, .each = 15}, sqlite::sink<entry>{into("entries")},
                        sqlite::sink<letter>{into("letters")});
    p.run();
    return 0;
  } catch (const std::exception& e) {
    std::ofstream(directory.file("failure")) << e.what();
    return 1;
  }
}

}  // namespace

TEST_CASE("processes that are killed at random moments leave each row once") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (const std::size_t workers : {1U, 2U}) {
    INFO(workers << " workers");
    const testing::temporary_directory directory;
    testing::sqlite_file(directory.file("t.db"))
        .run(std::string("CREATE TABLE entries (number INT UNIQUE, key INT, count INT, text TEXT, "
                         "CHECK (") +
             testing::entry_check + "))");
    int kills = 0;
    for (int life = 0; life <= 15; ++life) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) ::_exit(run_to_end(directory, workers));
      if (life < 15) {
        std::this_thread::sleep_for(std::chrono::milliseconds{random() % 120});
        ::kill(child, SIGKILL);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      kills += WIFSIGNALED(status) ? 1 : 0;
      INFO(directory.read("failure"));
      REQUIRE((WIFSIGNALED(status) || WEXITSTATUS(status) == 0));
    }
    testing::sqlite_file file(directory.file("t.db"));
    CHECK(testing::entries_differ(
              file.rows("SELECT number, key, count, text FROM entries ORDER BY number"), numbers) ==
          "");
    CHECK(testing::letters_missing(file.rows("SELECT payload FROM letters"), numbers) == 0);
    CHECK(kills > 0);
  }
}
