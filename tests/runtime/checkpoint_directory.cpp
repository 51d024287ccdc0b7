// SPDX-License-Identifier: Apache-2.0
#include <millrace/runtime/checkpoint_directory.hpp>
#include <millrace/testing/faulty_file_system.hpp>

#include "catch.hpp"

#include <string>
#include <system_error>

using namespace millrace;
using millrace::testing::faulty_file_system;

namespace {

checkpoint_store_options on(faulty_file_system& disk) { return {.directory = "s", .files = &disk}; }

checkpoint some(std::uint64_t id, std::string first, std::string second) {
  return {id,
          timestamp{duration{static_cast<std::int64_t>(id)}},
          "pipeline",
          2,
          {{"a", 0, std::move(first)}, {"b", 1, std::move(second)}}};
}

}  // namespace

TEST_CASE("the newest checkpoint of a directory is what was stored, after a restart, too") {
  faulty_file_system disk;
  {
    checkpoint_directory storage(on(disk));
    CHECK(!storage.newest());
    storage.store(some(7, "one", "two"));
    storage.store(some(9, "three", "two"));
  }
  checkpoint_directory storage(on(disk));
  const auto found = storage.newest();
  REQUIRE(found);
  CHECK(found->id == 9);
  CHECK(found->taken == timestamp{duration{9}});
  CHECK(found->pipeline == "pipeline");
  CHECK(found->workers == 2);
  CHECK(found->states == some(9, "three", "two").states);
  CHECK(storage.refused().empty());
}

TEST_CASE("state that is the same as before is not written again") {
  faulty_file_system disk;
  checkpoint_directory storage(on(disk));
  const std::string large(100'000, 'x');
  storage.store(some(1, large, "a"));
  const auto before = storage.files().bytes();
  for (std::uint64_t id = 2; id < 20; ++id) storage.store(some(id, large, std::to_string(id)));
  CHECK(storage.files().bytes() < before + 5'000);
  CHECK(storage.newest()->states == some(19, large, "19").states);
}

TEST_CASE("a broken newest checkpoint is passed over, and a disk that is full is said to be") {
  faulty_file_system disk;
  checkpoint_directory storage(on(disk));
  storage.store(some(1, "old", "b"));
  storage.store(some(2, "new", "b"));
  disk.flip("s/" + checkpoint_data_name(2), 33);
  CHECK(storage.newest()->id == 1);
  REQUIRE(storage.refused().size() == 1);
  CHECK(storage.refused()[0].find("operator 'a'") != std::string::npos);
  storage.store(some(2, "again", "b"));
  CHECK(storage.newest()->states == some(2, "again", "b").states);
  disk.set_capacity(0);
  CHECK_THROWS_AS(storage.store(some(3, "more", "c")), std::system_error);
  disk.set_capacity(UINT64_MAX);
  CHECK(storage.newest()->id == 2);
  storage.store(some(3, "more", "c"));
  CHECK(storage.newest()->id == 3);
}

TEST_CASE("a saved checkpoint is a directory to restore from") {
  faulty_file_system disk;
  checkpoint_directory storage(on(disk));
  CHECK_THROWS_AS(storage.save_newest("saved"), std::system_error);
  storage.store(some(1, "one", "two"));
  storage.store(some(2, "one", "three"));
  storage.save_newest("saved");
  CHECK_THROWS_AS(storage.save_newest("saved"), std::system_error);
  auto options = on(disk);
  options.directory = "saved";
  options.access = store_access::read;
  checkpoint_directory copy(options);
  CHECK(copy.newest()->states == some(2, "one", "three").states);
}
