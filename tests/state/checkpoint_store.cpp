// SPDX-License-Identifier: Apache-2.0
#include <millrace/state/checkpoint_store.hpp>
#include <millrace/testing/faulty_file_system.hpp>

#include "catch.hpp"
#include "support/manual_environment.hpp"
#include "support/temporary_directory.hpp"

#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using millrace::testing::disk_fault;
using millrace::testing::disk_operation;
using millrace::testing::faulty_file_system;
using millrace::testing::manual_environment;
using millrace::testing::temporary_directory;

namespace {

checkpoint_store_options on(faulty_file_system& disk, std::size_t retain = 3) {
  return {.directory = "s", .retain = retain, .place = job_place::caller, .files = &disk};
}

using store_ptr = std::unique_ptr<checkpoint_store>;

/// Completes a writer and returns what it says.
result<checkpoint_manifest> finish(checkpoint_writer& writer, manual_environment& env) {
  std::optional<result<checkpoint_manifest>> outcome;
  writer.finish(env, [&](result<checkpoint_manifest> done) { outcome = std::move(done); });
  REQUIRE(env.run_until([&] { return outcome.has_value(); }));
  return std::move(*outcome);
}

/// A checkpoint with one operator, "op", whose state builds on that of `base`.
checkpoint_manifest one(checkpoint_store& store, manual_environment& env, std::string bytes,
                        const checkpoint_manifest* base = nullptr) {
  auto writer = store.begin({.pipeline = "p", .time = env.now()});
  checkpoint_part part{.operator_name = "op", .type = "i32"};
  if (base != nullptr) part.chunks = base->parts.at(0).chunks;
  REQUIRE(writer->add(std::move(part), std::move(bytes)));
  return finish(*writer, env).value();
}

std::string content(const checkpoint_store& store, const checkpoint_part& part) {
  std::string all;
  for (const auto& chunk : part.chunks) all += store.read(chunk).value();
  return all;
}

std::string latest(const checkpoint_store& store) {
  const auto choice = store.latest_complete().value();
  return choice ? content(store, choice->manifest.parts.at(0)) : "nothing";
}

}  // namespace

TEST_CASE("a checkpoint is there after opening the store again, with all it was given") {
  faulty_file_system disk;
  manual_environment env;
  checkpoint_manifest made;
  {
    auto store = checkpoint_store::open(on(disk)).value();
    CHECK(!store->latest_complete().value());
    auto writer = store->begin({.pipeline = "bikes",
                                .time = env.now(),
                                .parallelism = 2,
                                .max_parallelism = 64,
                                .properties = {{"plan", "abc"}}});
    CHECK(writer->id() == 1);
    REQUIRE(writer->add({.operator_name = "stats",
                         .slot = "windows",
                         .type = "f64",
                         .instance = 1,
                         .first_group = 32,
                         .end_group = 64},
                        "second half"));
    REQUIRE(writer->add({.operator_name = "stats", .slot = "windows", .end_group = 32}, "first"));
    REQUIRE(writer->add({.operator_name = "source"}, ""));
    made = finish(*writer, env).value();
  }
  auto store = checkpoint_store::open(on(disk)).value();
  const auto choice = store->latest_complete().value();
  REQUIRE(choice);
  CHECK(choice->refused.empty());
  const auto& m = choice->manifest;
  CHECK(m.id == 1);
  CHECK(m.info.pipeline == "bikes");
  CHECK(m.info.time == env.now());
  CHECK(m.info.parallelism == 2);
  CHECK(m.info.max_parallelism == 64);
  CHECK(m.info.properties.at("plan") == "abc");
  REQUIRE(m.parts.size() == 3);
  CHECK(m.parts == made.parts);
  CHECK(m.parts[0].operator_name == "source");
  CHECK(m.parts[0].chunks.empty());
  CHECK(content(*store, m.parts[1]) == "first");
  CHECK(content(*store, m.parts[2]) == "second half");
  CHECK(m.parts[2].type == "f64");
  CHECK(m.parts[2].to_string() ==
        "operator 'stats', state 'windows', instance 1, key groups 32 to 63");
  CHECK(m.bytes() == 16);
  CHECK(store->begin({})->id() == 2);
}

TEST_CASE(
    "increments build on what earlier checkpoints wrote, which stays as long as it is needed") {
  faulty_file_system disk;
  manual_environment env;
  auto store = checkpoint_store::open(on(disk, 2)).value();
  auto a = one(*store, env, "a");
  auto b = one(*store, env, "b", &a);
  auto c = one(*store, env, "", &b);
  auto d = one(*store, env, "d", &c);
  CHECK(latest(*store) == "abd");
  CHECK(store->list().size() == 2);
  // c wrote nothing; a's and b's bytes are still needed.
  CHECK(disk.files() ==
        std::vector<std::string>{"s/" + checkpoint_data_name(1), "s/" + checkpoint_data_name(2),
                                 "s/" + manifest_name(3), "s/" + checkpoint_data_name(4),
                                 "s/" + manifest_name(4)});
  one(*store, env, "full");
  one(*store, env, "again");
  CHECK(disk.files().size() == 4);
  CHECK(store->verify(d).size() == 3);  // its bytes have gone
  CHECK(latest(*store) == "again");
}

TEST_CASE("what a checkpoint in the making builds on is not removed under its feet") {
  faulty_file_system disk;
  manual_environment env;
  auto store = checkpoint_store::open(on(disk, 1)).value();
  const auto a = one(*store, env, "a");
  auto slow = store->begin({});
  one(*store, env, "b");
  one(*store, env, "c");
  REQUIRE(slow->add({.operator_name = "op", .chunks = a.parts[0].chunks}, "+"));
  CHECK(finish(*slow, env));
  auto gone = store->begin({});
  REQUIRE(gone->add({.operator_name = "op", .chunks = {{1, 32, 1, 0}, {77, 32, 1, 0}}}, "+"));
  const auto refused = finish(*gone, env);
  CHECK(refused.error().code == errc::malformed);
}

TEST_CASE("a broken checkpoint is passed over for the one before, with words that say why") {
  faulty_file_system disk;
  manual_environment env;
  auto store = checkpoint_store::open(on(disk)).value();
  one(*store, env, "old state");
  const auto newest = one(*store, env, "new state");
  store.reset();
  std::string what;
  SECTION("a flipped bit in the data") {
    disk.flip("s/" + checkpoint_data_name(2), 35);
    what = "the checksum is wrong";
  }
  SECTION("data cut off") {
    disk.put("s/" + checkpoint_data_name(2),
             disk.content("s/" + checkpoint_data_name(2)).substr(0, 40));
    what = "but the file ends at byte 40";
  }
  SECTION("data gone") {
    disk.erase("s/" + checkpoint_data_name(2));
    what = "No such file";
  }
  SECTION("the data of another checkpoint") {
    disk.put("s/" + checkpoint_data_name(2), disk.content("s/" + checkpoint_data_name(1)));
    what = "does not begin like the data of checkpoint 2";
  }
  SECTION("a flipped bit in the manifest") {
    disk.flip("s/" + manifest_name(2), 50);
    what = "its checksum is wrong";
  }
  SECTION("a manifest cut off") {
    disk.put("s/" + manifest_name(2), disk.content("s/" + manifest_name(2)).substr(0, 60));
    what = "it has not its full length";
  }
  SECTION("an empty manifest") {
    disk.put("s/" + manifest_name(2), "");
    what = "it is cut off";
  }
  SECTION("the manifest of another checkpoint") {
    disk.put("s/" + manifest_name(2), disk.content("s/" + manifest_name(1)));
    what = "is that of checkpoint 1";
  }
  SECTION("a manifest of a later version") {
    disk.flip("s/" + manifest_name(2), 8, 0xf0);
    what = "this program knows versions up to 1";
  }
  store = checkpoint_store::open(on(disk)).value();
  const auto choice = store->latest_complete().value();
  REQUIRE(choice);
  CHECK(choice->manifest.id == 1);
  REQUIRE(choice->refused.size() == 1);
  INFO(choice->refused[0]);
  CHECK(choice->refused[0].find("checkpoint 2") == 0);
  CHECK(choice->refused[0].find(what) != std::string::npos);
  CHECK(one(*store, env, "next").id == 3);

  disk.flip("s/" + checkpoint_data_name(1), 35);
  disk.flip("s/" + checkpoint_data_name(3), 35);
  const auto none = store->latest_complete();
  CHECK(none.error().code == errc::corrupt);
  CHECK(none.error().message.find("checkpoint 1") != std::string::npos);
  CHECK(none.error().message.find("checkpoint 2") != std::string::npos);
  CHECK(none.error().message.find("checkpoint 3") != std::string::npos);
}

TEST_CASE("broken checkpoints are removed when there are enough newer ones") {
  faulty_file_system disk;
  manual_environment env;
  auto store = checkpoint_store::open(on(disk, 2)).value();
  one(*store, env, "a");
  one(*store, env, "b");
  store.reset();
  disk.flip("s/" + manifest_name(2), 50);
  store = checkpoint_store::open(on(disk, 2)).value();
  CHECK(store->problems().size() == 1);
  one(*store, env, "c");
  one(*store, env, "d");
  CHECK(store->problems().empty());
  CHECK(disk.files().size() == 4);
}

TEST_CASE("a savepoint depends on nothing, is never removed, and opens like a store") {
  faulty_file_system disk;
  manual_environment env;
  auto store = checkpoint_store::open(on(disk, 1)).value();
  const auto a = one(*store, env, "a");
  const auto b = one(*store, env, "b", &a);
  std::optional<result<checkpoint_manifest>> saved;
  store->save(b, "saved/here", env, [&](auto outcome) { saved = std::move(outcome); });
  env.settle();
  REQUIRE(saved);
  REQUIRE(*saved);
  CHECK((*saved)->kind == checkpoint_kind::savepoint);
  for (int i = 0; i < 3; ++i) one(*store, env, "x");
  auto options = on(disk);
  options.directory = "saved/here";
  options.access = store_access::read;
  const auto copy = checkpoint_store::open(options).value();
  CHECK(latest(*copy) == "ab");
  const auto m = copy->list().at(0);
  CHECK(m.kind == checkpoint_kind::savepoint);
  CHECK(m.info.pipeline == "p");

  store->save(store->list().back(), "saved/here", env, [&](auto o) { saved = std::move(o); });
  env.settle();
  CHECK(saved->error().code == std::errc::file_exists);
  store->save(b, "saved/late", env, [&](auto outcome) { saved = std::move(outcome); });
  env.settle();
  CHECK(!*saved);
}

TEST_CASE("a checkpoint that is abandoned or fails leaves nothing behind") {
  faulty_file_system disk;
  manual_environment env;
  auto store = checkpoint_store::open(on(disk)).value();
  one(*store, env, "good");
  const auto before = disk.files();
  {
    auto writer = store->begin({});
    REQUIRE(writer->add({.operator_name = "op"}, "dropped"));
    CHECK(disk.files().size() == before.size() + 1);
  }
  CHECK(disk.files() == before);
  auto twice = store->begin({});
  REQUIRE(twice->add({.operator_name = "op"}, "1"));
  REQUIRE(twice->add({.operator_name = "op"}, "2"));
  const auto refused = finish(*twice, env);
  CHECK(refused.error().message.find("stored twice") != std::string::npos);
  CHECK(disk.files() == before);
  disk.set_capacity(disk.content(before[0]).size() + disk.content(before[1]).size() + 40);
  auto large = store->begin({});
  REQUIRE(large->add({.operator_name = "op"}, std::string(1000, 'x')));
  CHECK(is_disk_full(finish(*large, env).error().code));
  CHECK(disk.files() == before);
  CHECK(latest(*store) == "good");
  CHECK(!large->add({}, "late"));
}

TEST_CASE("state beyond the bound is refused, and the checkpoint can be given up") {
  const temporary_directory folder;
  manual_environment env;
  faulty_file_system disk;
  auto options = on(disk);
  options.most_pending_bytes = 1;
  auto store = checkpoint_store::open(options).value();
  auto writer = store->begin({});
  // Alone it always goes; written at once, nothing waits any more.
  CHECK(writer->add({.operator_name = "a"}, "12345"));
  CHECK(writer->add({.operator_name = "b"}, "12345"));
  CHECK(finish(*writer, env));
}

TEST_CASE("one store has one writer, and any number of those who look") {
  faulty_file_system disk;
  auto store = checkpoint_store::open(on(disk)).value();
  CHECK(checkpoint_store::open(on(disk)).error().code == errc::unavailable);
  auto look = on(disk);
  look.access = store_access::read;
  CHECK(checkpoint_store::open(look));
  look.directory.clear();
  CHECK_THROWS_AS(checkpoint_store::open(look), topology_error);
  CHECK_THROWS_AS(checkpoint_store::open(on(disk, 0)), topology_error);
}

TEST_CASE("on the real disk, with a thread of its own, checkpoints of many workers") {
  const temporary_directory folder;
  manual_environment env;
  const checkpoint_store_options options{.directory = folder.file("state")};
  {
    auto store = checkpoint_store::open(options).value();
    std::vector<std::vector<state_chunk>> bases(4);
    for (int round = 0; round < 6; ++round) {
      auto writer = store->begin({.pipeline = "p", .max_parallelism = 128});
      std::vector<std::thread> workers;
      for (std::uint32_t w = 0; w < 4; ++w) {
        workers.emplace_back([&, w] {
          for (int op = 0; op < 5; ++op) {
            checkpoint_part part{.operator_name = "op" + std::to_string(op), .instance = w};
            if (op == 0 && round > 0) part.chunks = bases[w];
            const auto text = std::to_string(round) + ":" + std::to_string(w) + " ";
            static_cast<void>(writer->add(std::move(part), text));
          }
        });
      }
      for (auto& t : workers) t.join();
      const auto done = finish(*writer, env);
      REQUIRE(done);
      for (const auto& part : done->parts) {
        if (part.operator_name == "op0") bases[part.instance] = part.chunks;
      }
    }
    CHECK(store->list().size() == 3);
    CHECK(store->bytes() > 0);
  }
  auto store = checkpoint_store::open(options).value();
  const auto choice = store->latest_complete().value();
  REQUIRE(choice);
  CHECK(choice->manifest.id == 6);
  CHECK(choice->manifest.parts.size() == 20);
  CHECK(content(*store, choice->manifest.parts[2]) == "0:2 1:2 2:2 3:2 4:2 5:2 ");
  CHECK(content(*store, choice->manifest.parts[5]) == "5:1 ");
}
