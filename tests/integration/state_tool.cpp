// SPDX-License-Identifier: Apache-2.0
// The tool for looking at checkpoints and journals, on directories that were made for it.
#include "../../examples/millrace-state/commands.cpp"  // an example is no library to link

#include <millrace/state/checkpoint_store.hpp>
#include <millrace/state/journal.hpp>

#include "catch.hpp"
#include "support/manual_environment.hpp"
#include "support/temporary_directory.hpp"

#include <string>
#include <vector>

using namespace millrace;
using millrace::testing::manual_environment;
using millrace::testing::temporary_directory;
using state_tool::run;

namespace {

bool contains(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("the state tool lists, verifies, inspects and compares checkpoints") {
  const temporary_directory folder;
  const auto where = folder.file("state");
  manual_environment env;
  {
    auto store = checkpoint_store::open({.directory = where}).value();
    std::vector<state_chunk> base;
    for (int i = 0; i < 2; ++i) {
      auto writer = store->begin({.pipeline = "bikes", .time = env.now()});
      REQUIRE(writer->add({.operator_name = "stats", .type = "f64", .chunks = base}, "bytes"));
      if (i == 0) REQUIRE(writer->add({.operator_name = "gone"}, "x"));
      if (i == 1) REQUIRE(writer->add({.operator_name = "new"}, "y"));
      bool ended = false;
      writer->finish(env, [&](result<checkpoint_manifest> done) {
        base = done.value().parts.back().chunks;
        ended = true;
      });
      REQUIRE(env.run_until([&] { return ended; }));
    }
  }
  const auto list = run({"list", where});
  CHECK(list.status == 0);
  CHECK(contains(list.text, "checkpoint 2  2023-11-14T22:13:20.000Z  bikes"));
  CHECK(run({"verify", where}).status == 0);
  const auto inspected = run({"inspect", where, "2"});
  CHECK(inspected.status == 0);
  CHECK(contains(inspected.text, "operator 'stats', instance 0: 10 B in 2 chunks"));
  CHECK(contains(inspected.text, "62 79 74 65 73  bytes"));
  const auto compared = run({"diff", where, "1", "2"});
  CHECK(compared.status == 1);
  CHECK(contains(compared.text, "- operator 'gone', instance 0: 1 B\n"));
  CHECK(contains(compared.text, "+ operator 'new', instance 0: 1 B\n"));
  CHECK(contains(compared.text, "5 B -> 10 B, 5 B written anew"));
  CHECK(run({"diff", where, "1", "1"}).status == 0);
  CHECK(run({"inspect", where, "77"}).status == 1);

  folder.write("state/" + checkpoint_data_name(2), "not what was written");
  const auto damaged = run({"verify", where});
  CHECK(damaged.status == 1);
  CHECK(contains(damaged.text, "checkpoint 2, operator 'new', instance 0"));
  CHECK(contains(damaged.text, "DAMAGED"));
}

TEST_CASE("the state tool lists and verifies a journal") {
  const temporary_directory folder;
  const auto where = folder.file("journal");
  manual_environment env;
  {
    auto log = journal::open({.directory = where,
                              .commit_records = 1,
                              .segment_bytes = 4096,
                              .keep_free_bytes = 0,
                              .place = job_place::caller},
                             env)
                   .value();
    for (int i = 0; i < 60; ++i) {
      REQUIRE(log->append(std::string(200, 'x')));
      env.settle();
    }
  }
  CHECK(contains(run({"list", where}).text, "records 0 up to 60\n"));
  const auto verified = run({"verify", where});
  CHECK(verified.status == 0);
  CHECK(contains(verified.text, "records 0 up to 60, all sound"));
  const auto name = "journal/" + journal_segment_name(0);
  auto bytes = folder.read(name);
  bytes[300] = static_cast<char>(bytes[300] ^ 1);
  folder.write(name, bytes);
  const auto damaged = run({"verify", where});
  CHECK(damaged.status == 1);
  CHECK(contains(damaged.text, "record 0 is lost"));
}

TEST_CASE("the state tool explains itself") {
  CHECK(run({}).status == 2);
  CHECK(contains(run({"fly"}).text, "usage:"));
  CHECK(run({"list", "/nowhere/at/all"}).status == 1);
}
