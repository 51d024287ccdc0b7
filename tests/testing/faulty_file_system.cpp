// SPDX-License-Identifier: Apache-2.0
#include <millrace/testing/faulty_file_system.hpp>

#include "catch.hpp"

#include <set>
#include <string>

using namespace millrace;
using millrace::testing::disk_fault;
using millrace::testing::disk_operation;
using millrace::testing::faulty_file_system;

namespace {

/// A file with "old", durable with its name.
std::unique_ptr<open_file> durable_file(faulty_file_system& disk) {
  REQUIRE(disk.create_directories("d"));
  auto file = disk.open("d/f", file_access::write).value();
  REQUIRE(write_fully(*file, 0, "old"));
  REQUIRE(file->sync());
  REQUIRE(disk.sync_directory("d"));
  return file;
}

}  // namespace

TEST_CASE("a power cut loses any part of what was not made durable, and nothing else") {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    faulty_file_system disk;
    const auto file = durable_file(disk);
    REQUIRE(write_fully(*file, 0, "new"));
    REQUIRE(write_fully(*file, 1000, "tail"));
    disk.cut_power();
    CHECK(!write_fully(*file, 0, "x"));
    CHECK(!disk.exists("d/f"));
    disk.restart(seed);
    CHECK(!write_fully(*file, 0, "x"));  // the handle is of the time before
    const auto content = disk.content("d/f");
    CHECK((content.substr(0, 3) == "old" || content.substr(0, 3) == "new"));
    seen.insert(content.substr(0, 3) + (content.size() > 1000 ? "+" : "-"));
  }
  CHECK(seen == std::set<std::string>{"old-", "old+", "new-", "new+"});
}

TEST_CASE("a name lasts after the directory was synced, not after the file was") {
  bool lost = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    faulty_file_system disk;
    durable_file(disk);
    auto other = disk.open("d/g", file_access::create).value();
    REQUIRE(other->sync());
    REQUIRE(disk.rename("d/g", "d/f"));
    disk.cut_power();
    disk.restart(seed);
    const auto content = disk.content("d/f");
    CHECK((content == "old" || content.empty()));
    lost = lost || content == "old";
  }
  CHECK(lost);
}

TEST_CASE("after a failed sync what was written is shown, and gone after a power cut") {
  faulty_file_system disk;
  const auto file = durable_file(disk);
  REQUIRE(write_fully(*file, 0, "new"));
  disk.plan(disk.operations(), disk_fault::io_error);
  CHECK(!file->sync());
  CHECK(file->sync());
  CHECK(disk.content("d/f") == "new");
  disk.cut_power();
  disk.restart(1);
  CHECK(disk.content("d/f") == "old");
}

TEST_CASE("every fault is injected once, where it was planned") {
  faulty_file_system disk;
  const auto file = durable_file(disk);
  disk.plan(disk.operations(), disk_fault::no_space);
  CHECK(is_disk_full(file->write_at(0, "abcd").error().code));
  disk.plan(disk.operations(), disk_fault::short_write);
  CHECK(file->write_at(0, "abcd").value() == 2);
  disk.plan(disk.operations(), disk_fault::bit_flip);
  CHECK(read_exactly(*file, 0, 3).value() == "abd");  // the size was asked first: not a read
  disk.plan(disk.operations() + 1, disk_fault::bit_flip);
  CHECK(read_exactly(*file, 0, 3).value() != "abd");
  CHECK(read_exactly(*file, 0, 3).value() == "abd");
  disk.plan(disk.operations(), disk_fault::torn_write);
  CHECK(!file->write_at(0, "xyz"));
  CHECK(disk.history().back().operation == disk_operation::write);
}

TEST_CASE("a full disk takes what fits, and more after something was removed") {
  faulty_file_system disk;
  const auto file = durable_file(disk);
  disk.put("d/other", "123456");
  disk.set_capacity(12);
  CHECK(disk.space_left("d").value() == 3);
  CHECK(file->write_at(3, "abcdef").value() == 3);
  CHECK(is_disk_full(file->write_at(6, "def").error().code));
  CHECK(is_disk_full(file->allocate(10).error().code));
  REQUIRE(disk.remove("d/other"));
  CHECK(file->write_at(6, "def").value() == 3);
}

TEST_CASE("a lock in memory is held by one, and is free after a restart") {
  faulty_file_system disk;
  auto held = disk.lock("d/lock").value();
  CHECK(disk.lock("d/lock").error().code == errc::unavailable);
  disk.restart_process();
  auto next = disk.lock("d/lock");
  CHECK(next);
  held.reset();  // of the dead process: takes nothing from the living one
  CHECK(disk.lock("d/lock").error().code == errc::unavailable);
}
