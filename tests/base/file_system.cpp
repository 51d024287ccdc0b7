// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/file_system.hpp>

#include "catch.hpp"
#include "support/temporary_directory.hpp"

#include <string>
#include <vector>

using namespace millrace;
using millrace::testing::temporary_directory;

TEST_CASE("what is written to a file is read from it, also with gaps and from the end") {
  const temporary_directory folder;
  auto& files = posix_file_system();
  auto file = files.open(folder.file("a"), file_access::write).value();
  REQUIRE(write_fully(*file, 4, "later"));
  CHECK(file->append(" on").value() == 3);
  REQUIRE(file->sync_data());
  REQUIRE(file->sync());
  CHECK(file->size().value() == 12);
  CHECK(read_exactly(*file, 0, 12).value() == std::string("\0\0\0\0later on", 12));
  char bytes[8];
  CHECK(file->read_at(10, bytes, 8).value() == 2);
  CHECK(file->read_at(100, bytes, 8).value() == 0);
  REQUIRE(file->truncate(6));
  CHECK(read_file(files, folder.file("a"), 6).value() == std::string("\0\0\0\0la", 6));
  CHECK(read_file(files, folder.file("a"), 5).error().code == errc::too_large);
  CHECK(read_exactly(*file, 3, 4).error().code == errc::corrupt);
  CHECK(read_exactly(*file, 0, SIZE_MAX).error().code == errc::corrupt);
}

TEST_CASE("room that was made in a file reads as zeros and keeps what was there") {
  const temporary_directory folder;
  auto file = posix_file_system().open(folder.file("a"), file_access::create).value();
  REQUIRE(write_fully(*file, 0, "x"));
  REQUIRE(file->allocate(100'000));
  CHECK(file->size().value() == 100'000);
  REQUIRE(file->allocate(10));
  CHECK(file->size().value() == 100'000);
  CHECK(read_exactly(*file, 0, 100'000).value() == "x" + std::string(99'999, '\0'));
}

TEST_CASE("errors of the file system name the path") {
  const temporary_directory folder;
  auto& files = posix_file_system();
  const auto missing = files.open(folder.file("missing"), file_access::read);
  REQUIRE(!missing);
  CHECK(missing.error().code == std::errc::no_such_file_or_directory);
  CHECK(missing.error().message.find("missing") != std::string::npos);
  folder.write("there", "");
  CHECK(files.open(folder.file("there"), file_access::create).error().code ==
        std::errc::file_exists);
  CHECK(!files.remove(folder.file("missing")));
  CHECK(!files.rename(folder.file("missing"), folder.file("b")));
  CHECK(!files.list(folder.file("missing")));
  CHECK(!files.create_directories(folder.file("there")));
}

TEST_CASE("names are made, changed, listed and removed") {
  const temporary_directory folder;
  auto& files = posix_file_system();
  const auto deep = folder.file("one/two/three");
  REQUIRE(files.create_directories(deep));
  REQUIRE(files.create_directories(deep));
  REQUIRE(files.open(path_in(deep, "b"), file_access::write));
  REQUIRE(files.open(path_in(deep, "a"), file_access::write));
  CHECK(files.list(deep).value() == std::vector<std::string>{"a", "b"});
  REQUIRE(files.rename(path_in(deep, "a"), path_in(deep, "c")));
  REQUIRE(files.remove(path_in(deep, "b")));
  REQUIRE(files.sync_directory(deep));
  CHECK(files.list(deep).value() == std::vector<std::string>{"c"});
  CHECK(files.exists(path_in(deep, "c")).value());
  CHECK(!files.exists(path_in(deep, "a")).value());
  CHECK(files.space_left(deep).value() > 0);
}

TEST_CASE("a lock is held by one at a time") {
  const temporary_directory folder;
  auto& files = posix_file_system();
  {
    const auto first = files.lock(folder.file("lock"));
    REQUIRE(first);
    CHECK(files.lock(folder.file("lock")).error().code == errc::unavailable);
  }
  CHECK(files.lock(folder.file("lock")));
}

TEST_CASE("only a lack of room counts as a full disk") {
  CHECK(is_disk_full(std::make_error_code(std::errc::no_space_on_device)));
  CHECK(is_disk_full({ENOSPC, std::system_category()}));
  CHECK(!is_disk_full({EIO, std::system_category()}));
  CHECK(!is_disk_full(errc::corrupt));
}
