// SPDX-License-Identifier: Apache-2.0
// Lesson 50: results into a table, exactly once. Needs the component millrace::sqlite.
//
// Under checkpoints a row appears in the same transaction as the id of the checkpoint that holds
// it. The program gives its pipeline up half way and starts it again: nothing is lost or doubled.

#include <millrace/connectors/memory.hpp>
#include <millrace/connectors/sqlite.hpp>
#include <millrace/millrace.hpp>

#include <boost/describe.hpp>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
namespace sqlite = millrace::sqlite;
namespace sql = millrace::sql;

struct trip {
  std::string station;
  int minutes = 0;
};
BOOST_DESCRIBE_STRUCT(trip, (), (station, minutes))

// The members are the columns.
struct total {
  std::string station;
  std::int64_t trips = 0;
  std::int64_t minutes = 0;
};
BOOST_DESCRIBE_STRUCT(total, (), (station, trips, minutes))

int main() {
  const auto path = (std::filesystem::temp_directory_path() / "millrace_lesson_50.db").string();
  std::filesystem::remove(path);
  std::vector<trip> trips;
  for (int i = 0; i < 100'000; ++i) trips.push_back({"station " + std::to_string(i % 20), i % 30});

  const auto storage = std::make_shared<millrace::memory_checkpoints>();  // or a directory
  for (const bool give_up : {true, false}) {
    millrace::pipeline p("trips");
    p.checkpoint_to(storage, {.every = 5ms});
    p.source("trips", millrace::memory::source<trip>(trips))
        .key_by(&trip::station)
        .process<total>("totals",
                        [](const trip& t, total& sum, auto& ctx) {
                          sum = {t.station, sum.trips + 1, sum.minutes + t.minutes};
                          ctx.emit(sum);
                        })
        .to("table", sqlite::sink<total>{{.path = path,
                                          .table = {.name = "totals",
                                                    .key = {"station"},
                                                    .missing = sql::missing_table::create}}});
    p.start();
    if (give_up) {
      std::this_thread::sleep_for(20ms);
      p.cancel();
    }
    p.wait();
  }
  std::printf("look at it with: sqlite3 %s 'SELECT * FROM totals'\n", path.c_str());
}
