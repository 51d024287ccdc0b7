// SPDX-License-Identifier: Apache-2.0
#include <millrace/state/journal.hpp>
#include <millrace/testing/faulty_file_system.hpp>

#include "catch.hpp"
#include "support/manual_environment.hpp"
#include "support/temporary_directory.hpp"

#include <array>
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

journal_options on(faulty_file_system& disk) {
  return {.directory = "j",
          .segment_bytes = 4096,
          .keep_free_bytes = 0,
          .place = job_place::caller,
          .files = &disk};
}

/// "0 a,1 b"
std::string text(const std::vector<journal_record>& records) {
  std::string all;
  for (const auto& r : records) {
    all += (all.empty() ? "" : ",") + std::to_string(r.offset) + " " + std::string(r.bytes);
  }
  return all;
}

std::string read_all(journal_reader& reader) {
  std::string all;
  std::vector<journal_record> records;
  while (reader.read(records).value() > 0) {
    all += (all.empty() ? "" : ",") + text(records);
    records.clear();
  }
  return all;
}

std::string read_all(const journal& log, const journal_start& start = journal_start::earliest()) {
  auto reader = log.read_from(start).value();
  return read_all(reader);
}

/// Counts the rest of `fill`'s records.
result<std::uint64_t> count_all(journal_reader& reader) {
  std::uint64_t count = 0;
  std::vector<journal_record> records;
  while (true) {
    const auto n = reader.read(records);
    for (const auto& r : records) CHECK(r.bytes == std::string(200, 'x'));
    count += records.size();
    records.clear();
    if (!n) return n.error();
    if (*n == 0) return count;
  }
}

/// Fills `count` segments or more with records of 200 bytes; each is durable by itself.
void fill(journal& log, manual_environment& env, std::size_t count) {
  while (log.metrics().read().size() > 0) {
    log.append(std::string(200, 'x')).value();
    log.commit();
    env.settle();
    std::int64_t made = 0;
    for (const auto& m : log.metrics().read()) {
      if (m.name == "segments_made") made = m.value;
    }
    if (made > static_cast<std::int64_t>(count)) return;
  }
}

}  // namespace

TEST_CASE("a journal's records are there after opening it again, with their offsets and times") {
  faulty_file_system disk;
  manual_environment env;
  const auto start = env.wall;
  {
    auto log = journal::open(on(disk), env).value();
    CHECK(log->append("a").value() == 0);
    env.advance(1ms);
    const std::array<std::string_view, 3> more = {"b", "", "d"};
    CHECK(log->append(more).value() == 1);
    CHECK(log->next_offset() == 4);
    CHECK(log->durable_end() == 0);
    REQUIRE(log->close());
  }
  auto log = journal::open(on(disk), env).value();
  CHECK(log->next_offset() == 4);
  CHECK(log->durable_end() == 4);
  CHECK(log->repaired().empty());
  auto reader = log->read_from(journal_start::earliest()).value();
  std::vector<journal_record> records;
  CHECK(reader.read(records).value() == 4);
  CHECK(text(records) == "0 a,1 b,2 ,3 d");
  CHECK(records[0].time == start);
  CHECK(records[1].time == start + 1ms);
  CHECK(records[3].time == start + 1ms);
  CHECK(log->append("e").value() == 4);
}

TEST_CASE("records become durable by size, by count, by time, or when asked") {
  faulty_file_system disk;
  manual_environment env;
  auto options = on(disk);
  options.commit_bytes = 300;
  options.commit_records = 4;
  options.commit_after = 10ms;
  auto log = journal::open(options, env).value();
  std::uint64_t durable = 0;
  log->on_durable([&](std::uint64_t end) { durable = end; });

  REQUIRE(log->append("by time"));
  env.advance(9ms);
  CHECK(durable == 0);
  env.advance(1ms);
  CHECK(durable == 1);

  REQUIRE(log->append(std::string(300, 'x')));
  CHECK(durable == 1);  // callbacks never run inside of append
  env.settle();
  CHECK(durable == 2);

  for (int i = 0; i < 4; ++i) REQUIRE(log->append("n"));
  env.settle();
  CHECK(durable == 6);

  REQUIRE(log->append("asked"));
  log->commit();
  env.settle();
  CHECK(durable == 7);
  log->commit();
  env.advance(1s);
  CHECK(durable == 7);
}

TEST_CASE("one commit writes all that waits, and waits once for the disk") {
  faulty_file_system disk;
  manual_environment env;
  auto log = journal::open(on(disk), env).value();
  for (int i = 0; i < 50; ++i) REQUIRE(log->append("record"));
  const auto before = disk.operations();
  log->commit();
  env.settle();
  const auto history = disk.history();
  std::size_t syncs = 0;
  std::size_t writes = 0;
  for (auto i = before; i < history.size(); ++i) {
    syncs += history[i].operation == disk_operation::sync ? 1 : 0;
    writes += history[i].operation == disk_operation::write ? 1 : 0;
  }
  CHECK(syncs == 1);
  CHECK(writes == 2);  // and the mark, which nobody waits for
  CHECK(log->durable_end() == 50);
}

TEST_CASE("a journal is read from the earliest record, the latest, an offset or a time") {
  faulty_file_system disk;
  manual_environment env;
  auto log = journal::open(on(disk), env).value();
  std::vector<timestamp> times;
  for (int i = 0; i < 300; ++i) {
    env.advance(10ms);
    times.push_back(env.wall);
    REQUIRE(log->append(std::to_string(i) + std::string(100, '.')));
    if (i % 7 == 0) log->commit();
    env.settle();
  }
  log->commit();
  env.settle();
  CHECK(disk.files().size() > 5);
  for (std::size_t i = 0; i < 300; i += 13) {
    auto by_offset = log->read_from(journal_start::at(i)).value();
    auto by_time = log->read_from(journal_start::since(times[i])).value();
    auto just_before = log->read_from(journal_start::since(times[i] - 1us)).value();
    std::vector<journal_record> records;
    CHECK(by_offset.read(records, 1).value() == 1);
    CHECK(records[0].offset == i);
    CHECK(records[0].time == times[i]);
    CHECK(by_time.position() == i);
    CHECK(just_before.position() == i);
    CHECK(log->read_from(journal_start::since(times[i] + 1us)).value().position() == i + 1);
  }
  CHECK(log->read_from(journal_start::since(min_timestamp)).value().position() == 0);
  CHECK(log->read_from(journal_start::since(max_timestamp)).value().position() == 300);
  CHECK(log->read_from(journal_start::earliest()).value().behind() == 300);
  CHECK(log->read_from(journal_start::latest()).value().behind() == 0);
  CHECK(log->read_from(journal_start::at(300)).value().behind() == 0);
  const auto beyond = log->read_from(journal_start::at(301));
  CHECK(beyond.error().code == errc::out_of_range);
  CHECK(beyond.error().message.find("no position 301") != std::string::npos);
}

TEST_CASE("readers go on independently, and see nothing that is not durable") {
  faulty_file_system disk;
  manual_environment env;
  auto log = journal::open(on(disk), env).value();
  auto first = log->read_from(journal_start::earliest()).value();
  auto second = log->read_from(journal_start::latest()).value();
  REQUIRE(log->append("a"));
  REQUIRE(log->append("b"));
  CHECK(read_all(first).empty());
  log->commit();
  env.settle();
  std::vector<journal_record> records;
  CHECK(first.read(records, 1).value() == 1);
  CHECK(text(records) == "0 a");
  CHECK(read_all(second) == "0 a,1 b");
  REQUIRE(log->append("c"));
  log->commit();
  env.settle();
  CHECK(read_all(first) == "1 b,2 c");
  CHECK(read_all(second) == "2 c");
}

TEST_CASE(
    "a batch of a reader stays valid until the next call, and its block as long as it is held") {
  faulty_file_system disk;
  manual_environment env;
  auto options = on(disk);
  options.segment_bytes = 1 << 20;
  auto log = journal::open(options, env).value();
  for (int i = 0; i < 9000; ++i) {
    REQUIRE(log->append(std::to_string(i) + std::string(90, 'y')));
    if (i % 100 == 0) log->commit();
  }
  log->commit();
  env.settle();
  auto reader = log->read_from(journal_start::earliest()).value();
  std::vector<std::pair<shared_buffer, std::vector<journal_record>>> kept;
  std::vector<journal_record> batch;
  while (reader.read(batch, 1000).value() > 0) {
    kept.emplace_back(reader.block(), std::exchange(batch, {}));
  }
  CHECK(kept.size() > 3);
  std::uint64_t next = 0;
  for (const auto& [block, records] : kept) {
    for (const auto& record : records) {
      CHECK(record.offset == next);
      CHECK(record.bytes == std::to_string(next) + std::string(90, 'y'));
      ++next;
    }
  }
  CHECK(next == 9000);
}

TEST_CASE("segments end at their size, and old ones are removed by size and by age") {
  faulty_file_system disk;
  manual_environment env;
  auto options = on(disk);
  SECTION("by size") { options.retain_bytes = 20'000; }
  SECTION("by age") { options.retain_for = 30s; }
  auto log = journal::open(options, env).value();
  auto slow = log->read_from(journal_start::earliest()).value();
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(log->append(std::string(200, 'x')));
    log->commit();
    env.advance(1s);
  }
  CHECK(log->first_offset() > 800);
  CHECK(log->bytes() < 30'000);
  CHECK(disk.files().size() < 10);
  std::vector<journal_record> records;
  const auto late = slow.read(records);
  CHECK(late.error().code == errc::out_of_range);
  CHECK(late.error().message.find("removed by retention") != std::string::npos);
  const auto removed = log->read_from(journal_start::at(3));
  CHECK(removed.error().message.find("removed by retention") != std::string::npos);
  CHECK(log->read_from(journal_start::earliest()).value().behind() == 1000 - log->first_offset());
  REQUIRE(log->close());
  log = journal::open(options, env).value();
  CHECK(log->first_offset() > 800);
  CHECK(log->next_offset() == 1000);
}

TEST_CASE("retention leaves what a checkpoint needs") {
  faulty_file_system disk;
  manual_environment env;
  auto options = on(disk);
  options.retain_bytes = 10'000;
  auto log = journal::open(options, env).value();
  log->need_from(100);
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(log->append(std::string(200, 'x')));
    log->commit();
    env.advance(1s);
  }
  CHECK(log->first_offset() <= 100);
  CHECK(log->first_offset() > 50);
  CHECK(log->read_from(journal_start::at(100)));
}

TEST_CASE(
    "a full disk: appends are refused, nothing is reported durable, and it goes on with room") {
  faulty_file_system disk;
  manual_environment env;
  auto options = on(disk);
  const bool by_reserve = GENERATE(false, true);
  if (by_reserve) options.keep_free_bytes = 3000;
  disk.set_capacity(20'000);
  auto log = journal::open(options, env).value();
  std::uint64_t durable = 0;
  std::vector<std::pair<journal_status, std::string>> said;
  log->on_durable([&](std::uint64_t end) { durable = end; });
  log->on_status(
      [&](journal_status s, const error& why) { said.emplace_back(s, why.to_string()); });
  std::uint64_t taken = 0;
  result<std::uint64_t> last = std::uint64_t{0};
  for (int i = 0; i < 200 && last; ++i) {
    last = log->append(std::string(200, 'x'));
    if (last) ++taken;
    log->commit();
    env.settle();
  }
  REQUIRE(!last);
  CHECK(is_disk_full(last.error().code));
  CHECK(log->status() == journal_status::full);
  REQUIRE(said.size() == 1);
  CHECK(said[0].first == journal_status::full);
  CHECK(said[0].second.find("No space left") != std::string::npos);
  CHECK(durable == taken - 1);
  env.advance(10s);
  CHECK(durable == taken - 1);
  CHECK(!log->append("x"));
  CHECK(read_all(*log).find(std::to_string(taken - 1) + " ") == std::string::npos);

  disk.set_capacity(100'000);
  env.advance(1s);
  CHECK(durable == taken);
  REQUIRE(said.size() == 2);
  CHECK(said[1].first == journal_status::open);
  CHECK(log->append("y").value() == taken);
  REQUIRE(log->close());
  CHECK(journal::open(options, env).value()->next_offset() == taken + 1);
}

TEST_CASE("a failed fsync ends a journal for good, and what it did not save is not there") {
  faulty_file_system disk;
  manual_environment env;
  auto log = journal::open(on(disk), env).value();
  REQUIRE(log->append("durable"));
  log->commit();
  env.settle();
  REQUIRE(log->append("lost"));
  disk.plan(disk.operations() + 2, disk_fault::io_error);  // space left, write, sync
  log->commit();
  env.settle();
  CHECK(log->status() == journal_status::failed);
  CHECK(log->problem().message.find("stops for good") != std::string::npos);
  CHECK(log->durable_end() == 1);
  for (int i = 0; i < 3; ++i) {
    CHECK(log->append("more").error().code == log->problem().code);
    env.advance(10s);
  }
  CHECK(read_all(*log) == "0 durable");
  CHECK(!log->close());

  // The bytes can still be read, but the disk does not have them: opening writes them again.
  log = journal::open(on(disk), env).value();
  CHECK(log->next_offset() == 2);
  disk.cut_power();
  static_cast<void>(log->close());
  disk.restart(1);
  log = journal::open(on(disk), env).value();
  CHECK(read_all(*log) == "0 durable,1 lost");
}

TEST_CASE("a torn end is cut off when a journal is opened, and damage before it is not") {
  faulty_file_system disk;
  manual_environment env;
  const std::string path = "j/" + journal_segment_name(0);
  auto log = journal::open(on(disk), env).value();
  std::vector<std::uint64_t> ends;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(log->append(std::string(100, static_cast<char>('a' + i))));
    log->commit();
    env.settle();
  }
  // As after a kill: with the note that the last commit has left.
  auto killed = disk.content(path);
  disk.restart_process();
  log.reset();
  disk.put(path, killed);
  const auto frame = 48 + 104;

  SECTION("the last record, which the note says was durable") {
    disk.flip(path, 48 + 2 * frame + 60);
    const auto opened = journal::open(on(disk), env);
    REQUIRE(!opened);
    CHECK(opened.error().code == errc::corrupt);
    CHECK(opened.error().message.find("record 2 is lost") != std::string::npos);
  }
  SECTION("the last record, when there is no note") {
    disk.put(path, killed.substr(0, 48 + 3 * frame));
    disk.flip(path, 48 + 2 * frame + 60);
    log = journal::open(on(disk), env).value();
    CHECK(log->next_offset() == 2);
    CHECK(log->repaired().find("bytes behind record 2") != std::string::npos);
  }
  SECTION("a record in the middle") {
    disk.flip(path, 48 + frame + 60);
    const auto refused = journal::open(on(disk), env);
    CHECK(refused.error().message.find("record 1 is lost") != std::string::npos);
    auto options = on(disk);
    options.damage = journal_damage::skip;
    log = journal::open(options, env).value();
    CHECK(log->next_offset() == 3);
    auto reader = log->read_from(journal_start::earliest()).value();
    std::vector<journal_record> records;
    CHECK(reader.read(records).value() + reader.read(records).value() == 2);
    CHECK(records[0].offset == 0);
    CHECK(records[1].offset == 2);
    CHECK(reader.lost() == 1);
    REQUIRE(reader.gaps().size() == 1);
    CHECK(reader.gaps()[0].first_offset == 1);
    CHECK(log->append("on").value() == 3);
  }
  SECTION("half a frame") {
    disk.put(path, killed.substr(0, 48 + 2 * frame + 70));
    log = journal::open(on(disk), env).value();
    CHECK(log->next_offset() == 2);
    CHECK(log->append("on").value() == 2);
    REQUIRE(log->close());
    CHECK(journal::open(on(disk), env).value()->next_offset() == 3);
  }
  SECTION("the header of the segment") {
    disk.flip(path, 20);
    const auto refused = journal::open(on(disk), env);
    CHECK(refused.error().code == errc::corrupt);
    CHECK(refused.error().message.find(path) != std::string::npos);
  }
  SECTION("a later version") {
    disk.flip(path, 8, 0xff);
    CHECK(journal::open(on(disk), env).error().code == errc::incompatible);
  }
}

TEST_CASE("damage in a segment that has a successor is refused or skipped, wherever it is") {
  faulty_file_system disk;
  manual_environment env;
  auto log = journal::open(on(disk), env).value();
  fill(*log, env, 3);
  const auto count = log->next_offset();
  REQUIRE(log->close());
  const auto path = disk.files()[1];
  std::uint64_t refused = 0;
  for (std::uint64_t at = 0; at < disk.content(path).size(); at += 11) {
    disk.flip(path, at);
    auto strict = journal_reader::open("j", &disk);
    const auto outcome = strict ? count_all(*strict) : strict.error();
    if (!outcome) {
      ++refused;
      auto lenient = journal_reader::open("j", &disk, journal_damage::skip);
      if (lenient) {
        CHECK(count_all(*lenient).value() + lenient->lost() == count);
        CHECK(lenient->lost() > 0);
      }
    } else {
      CHECK(*outcome == count);  // a reserved byte of no meaning
    }
    disk.flip(path, at);
  }
  CHECK(refused > 300);
}

TEST_CASE("a bit that flips while reading is read again") {
  faulty_file_system disk;
  manual_environment env;
  {
    auto log = journal::open(on(disk), env).value();
    fill(*log, env, 2);
  }
  const auto count = journal::open(on(disk), env).value()->next_offset();
  const auto before = disk.operations();
  {
    auto reader = journal_reader::open("j", &disk).value();
    static_cast<void>(read_all(reader));
  }
  const auto steps = disk.operations() - before;
  for (std::size_t i = 0; i < steps; ++i) {
    disk.plan(disk.operations() + i, disk_fault::bit_flip);
    auto reader = journal_reader::open("j", &disk).value();
    CHECK(reader.behind() == count);
    CHECK(count_all(reader).value() == count);
  }
}

TEST_CASE("too much, too large and too late is refused in plain words") {
  faulty_file_system disk;
  manual_environment env;
  auto options = on(disk);
  options.most_pending_bytes = 1000;
  options.most_record_bytes = 500;
  auto log = journal::open(options, env).value();
  CHECK(log->append(std::string(501, 'x')).error().code == errc::too_large);
  REQUIRE(log->append(std::string(500, 'x')));
  CHECK(log->append(std::string(500, 'x')).error().code == errc::overloaded);
  CHECK(log->next_offset() == 1);
  CHECK(journal::open(options, env).error().code == errc::unavailable);
  REQUIRE(log->close());
  CHECK(log->append("x").error().code == errc::aborted);
  CHECK(log->close());
  options.directory.clear();
  CHECK_THROWS_AS(journal::open(options, env), topology_error);
}

TEST_CASE("a journal does not mix with the segments of another one") {
  faulty_file_system disk;
  manual_environment env;
  auto log = journal::open(on(disk), env).value();
  fill(*log, env, 2);
  REQUIRE(log->close());
  auto options = on(disk);
  options.directory = "k";
  log = journal::open(options, env).value();
  fill(*log, env, 2);
  REQUIRE(log->close());
  const auto name = disk.files().back().substr(2);
  disk.put("j/" + name, disk.content("k/" + name));
  const auto mixed = journal::open(on(disk), env);
  CHECK(mixed.error().code == errc::incompatible);
  CHECK(mixed.error().message.find("another journal") != std::string::npos);
}

TEST_CASE("a frame inside of a record is not taken for one when damage is skipped") {
  faulty_file_system disk;
  manual_environment env;
  const std::string path = "j/" + journal_segment_name(0);
  auto log = journal::open(on(disk), env).value();
  REQUIRE(log->append("secret"));
  REQUIRE(log->close());
  const auto copy = disk.content(path).substr(48, 64);
  log = journal::open(on(disk), env).value();
  REQUIRE(log->append(copy + copy + copy + copy));
  REQUIRE(log->append("end"));
  log->commit();
  env.settle();
  REQUIRE(log->append("last"));
  REQUIRE(log->close());
  disk.flip(path, 48 + 64 + 30);  // the header of the frame with the copies
  auto reader = journal_reader::open("j", &disk, journal_damage::skip).value();
  CHECK(read_all(reader) == "0 secret,3 last");
  CHECK(reader.lost() == 2);
}

TEST_CASE("on the real disk, with a thread of its own, the worker never waits and all is durable") {
  const temporary_directory folder;
  manual_environment env;
  const journal_options options{.directory = folder.file("journal"),
                                .commit_bytes = 10'000,
                                .segment_bytes = 100'000,
                                .keep_free_bytes = 0};
  std::uint64_t durable = 0;
  {
    auto log = journal::open(options, env).value();
    log->on_durable([&](std::uint64_t end) {
      CHECK(end > durable);
      durable = end;
    });
    auto follower = log->read_from(journal_start::earliest()).value();
    std::vector<journal_record> records;
    for (std::uint64_t i = 0; i < 20'000; ++i) {
      CHECK(log->append("record " + std::to_string(i)).value() == i);
      if (i % 1000 == 0) env.settle();
    }
    log->commit();
    REQUIRE(env.run_until([&] { return durable == 20'000; }));
    std::thread other([reader = log->read_from(journal_start::earliest()).value()]() mutable {
      std::vector<journal_record> all;
      while (reader.read(all).value() > 0) all.clear();
    });
    while (follower.read(records).value() > 0) {
      for (const auto& r : records) CHECK(r.bytes == "record " + std::to_string(r.offset));
      records.clear();
    }
    CHECK(follower.position() == 20'000);
    other.join();
    REQUIRE(log->append("last"));
    REQUIRE(log->close());
  }
  auto log = journal::open(options, env).value();
  CHECK(log->next_offset() == 20'001);
}
