// SPDX-License-Identifier: Apache-2.0
#include <millrace/runtime/checkpoint_directory.hpp>
#include <millrace/runtime/worker.hpp>
#include <millrace/testing/faulty_file_system.hpp>

#include "catch.hpp"
#include "support/manual_environment.hpp"

#include <chrono>
#include <exception>
#include <memory>

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

TEST_CASE("a coordinator tells of its checkpoints: sizes, failures, age, and what they wait for") {
  struct stateful final : subtask {
    void* input(std::size_t) override { return nullptr; }
    void* main_output() override { return nullptr; }
  };
  testing::manual_environment env;
  worker host(
      env, "p", [] {}, [](const std::exception_ptr&) {});
  stateful a;
  stateful b;
  a.attach(host, "a", 0);
  b.attach(host, "b", 1);
  faulty_file_system disk;
  auto storage = std::make_shared<checkpoint_directory>(on(disk));
  checkpoint_coordinator all(storage, {.every = std::chrono::seconds{5}}, "p", 0, false, env.log());
  all.send_barriers = [](std::uint64_t, bool) {};
  all.announce = [](std::uint64_t) {};
  all.add(a, 0, false);
  all.add(b, 1, false);
  CHECK(all.status().every == std::chrono::seconds{5});
  CHECK(all.status().under_way.count() == 0);
  REQUIRE(all.trigger(timestamp{}));
  CHECK(all.status().waits_for == "a");
  CHECK(all.status().under_way.count() > 0);
  all.acknowledge(a, 1, "12345");
  CHECK(all.status().waits_for == "b");
  all.acknowledge(b, 1, "123");
  auto s = all.status();
  CHECK(s.completed == 1);
  CHECK(s.last_id == 1);
  CHECK(s.last_bytes == 8);
  CHECK(s.under_way.count() == 0);
  CHECK(s.waits_for.empty());
  REQUIRE(s.parts.size() == 2);
  CHECK(s.parts[1].name == "b");
  CHECK(s.parts[1].instance == 1);
  CHECK(s.parts[1].bytes == 3);
  const auto stored = [&](const std::string& name) {
    for (const auto& m : s.of_storage) {
      if (m.name == name) return m.value;
    }
    return std::int64_t{-1};
  };
  CHECK(stored("completed") == 1);
  CHECK(stored("written_bytes") > 8);
  disk.set_capacity(0);
  for (std::uint64_t id = 2; id < 4; ++id) {
    const auto age = s.age;
    REQUIRE(all.trigger(timestamp{}));
    all.acknowledge(a, id, std::string(5000, 'a'));
    all.acknowledge(b, id, "b");
    s = all.status();
    CHECK(s.failed == id - 1);
    CHECK(s.failed_since == id - 1);
    CHECK_FALSE(s.last_failure.empty());
    CHECK(s.last_id == 1);
    CHECK(s.age > age);
  }
  disk.set_capacity(UINT64_MAX);
  REQUIRE(all.trigger(timestamp{}));
  all.acknowledge(a, 4, "a");
  all.acknowledge(b, 4, "");
  s = all.status();
  CHECK(s.completed == 2);
  CHECK(s.failed == 2);
  CHECK(s.failed_since == 0);
  CHECK(s.parts.size() == 1);
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
