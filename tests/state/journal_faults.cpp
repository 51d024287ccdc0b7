// SPDX-License-Identifier: Apache-2.0
// The journal against a disk that fails: every fault at every operation, and random histories with
// power cuts. The oracle is a plain vector of what was appended.
#include <millrace/state/journal.hpp>
#include <millrace/testing/faulty_file_system.hpp>

#include "catch.hpp"
#include "oracle/random_stream.hpp"
#include "support/manual_environment.hpp"

#include <algorithm>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using millrace::testing::disk_fault;
using millrace::testing::faulty_file_system;
using millrace::testing::manual_environment;

namespace {

constexpr disk_fault all_faults[] = {disk_fault::io_error,    disk_fault::no_space,
                                     disk_fault::short_write, disk_fault::torn_write,
                                     disk_fault::bit_flip,    disk_fault::power_cut};

/// What was appended, and what was said to be durable of it.
struct history {
  std::vector<std::string> appended{};
  std::uint64_t durable = 0;

  std::string next_record(std::size_t size) const {
    auto text = std::to_string(appended.size()) + ":";
    text.resize(std::max(text.size(), size), static_cast<char>('a' + appended.size() % 26));
    return text;
  }
};

void append(journal& log, history& h, std::size_t size, char mark) {
  const auto record = h.next_record(size) + mark;
  const auto offset = log.append(record);
  if (!offset) return;
  CHECK(*offset == h.appended.size());
  h.appended.push_back(record);
}

void check_records(const journal& log, const history& h, std::uint64_t end) {
  auto reader = log.read_from(journal_start::earliest()).value();
  std::uint64_t next = log.first_offset();
  std::vector<journal_record> records;
  while (true) {
    const auto n = reader.read(records, 7);
    INFO((n ? std::string{} : n.error().to_string()));
    REQUIRE(n);
    if (*n == 0) break;
    for (const auto& r : records) {
      REQUIRE(r.offset == next);
      REQUIRE(next < h.appended.size());
      REQUIRE(r.bytes == h.appended[next]);
      ++next;
    }
    records.clear();
  }
  REQUIRE(next == end);
}

/// After a crash: everything that was durable is there, what else is there was appended, in order.
std::unique_ptr<journal> reopen(const journal_options& options, manual_environment& env,
                                history& h) {
  auto opened = journal::open(options, env);
  INFO((opened ? std::string{} : opened.error().to_string()));
  REQUIRE(opened);
  auto log = std::move(*opened);
  REQUIRE(log->next_offset() >= h.durable);
  REQUIRE(log->next_offset() <= h.appended.size());
  REQUIRE(log->durable_end() == log->next_offset());
  check_records(*log, h, log->next_offset());
  h.appended.resize(log->next_offset());
  h.durable = log->next_offset();
  return log;
}

void watch(journal& log, history& h) {
  log.on_durable([&h](std::uint64_t end) {
    CHECK(end >= h.durable);
    CHECK(end <= h.appended.size());
    h.durable = std::max(h.durable, end);
  });
}

/// Two lives of a journal: appends, commits, new segments, retention, closing, opening.
void scenario(const journal_options& options, history& h) {
  manual_environment env;
  for (int life = 0; life < 2; ++life) {
    const auto opened = journal::open(options, env);
    if (!opened) continue;
    auto& log = **opened;
    // A journal that opened says what is durable; records of a life before may be among it.
    CHECK(log.next_offset() >= h.durable);
    h.appended.resize(log.next_offset());
    h.durable = log.next_offset();
    watch(log, h);
    for (int i = 0; i < 14; ++i) {
      append(log, h, i % 5 == 0 ? 900 : 300, static_cast<char>('A' + life));
      if (i % 3 == 0) log.commit();
      env.advance(500ms);
    }
    if (log.close()) h.durable = h.appended.size();
  }
}

journal_options small(faulty_file_system& disk) {
  return {.directory = "d/j",
          .segment_bytes = 4096,
          .retain_bytes = 9'000,
          .keep_free_bytes = 0,
          .place = job_place::caller,
          .files = &disk};
}

}  // namespace

TEST_CASE("any fault of any operation leaves a journal with all that was durable, and no other") {
  std::size_t operations = 0;
  {
    faulty_file_system disk;
    history h;
    scenario(small(disk), h);
    CHECK(h.durable == 28);
    operations = disk.operations();
  }
  CHECK(operations > 150);
  std::size_t cases = 0;
  for (const auto fault : all_faults) {
    for (std::size_t i = 0; i < operations; ++i) {
      for (std::uint64_t seed = 0; seed < (fault == disk_fault::power_cut ? 4 : 2); ++seed) {
        faulty_file_system disk;
        disk.plan(i, fault);
        history h;
        scenario(small(disk), h);
        const auto steps = disk.history();
        INFO(name_of(fault) << " at operation " << i << ", "
                            << (i < steps.size() ? name_of(steps[i].operation) : "-")
                            << "; power cut with seed " << seed);
        const bool applies = i < steps.size() && can_fail(steps[i].operation, fault);
        if (!applies) continue;
        ++cases;
        manual_environment env;
        // The process dies and comes back, or the machine does.
        if (disk.powered() && seed == 0) {
          disk.restart_process();
          reopen(small(disk), env, h).reset();
        }
        disk.cut_power();
        disk.restart(seed);
        auto log = reopen(small(disk), env, h);
        watch(*log, h);
        append(*log, h, 10, 'z');
        REQUIRE(log->close());
        h.durable = h.appended.size();
        reopen(small(disk), env, h);
      }
    }
  }
  CHECK(cases > 1000);
}

TEST_CASE("any fault while a journal is recovered leaves one that can be recovered") {
  // A torn end and a half-made segment, to be repaired.
  const auto prepare = [](faulty_file_system& disk, history& h) {
    manual_environment env;
    auto log = journal::open(small(disk), env).value();
    watch(*log, h);
    for (int i = 0; i < 9; ++i) {
      append(*log, h, 400, 'p');
      if (i % 2 == 0) log->commit();
      env.settle();
    }
    const auto path = disk.files().back();
    auto content = disk.content(path);
    static_cast<void>(log->close());
    const auto end = content.find_last_not_of('\0') + 1;
    content.replace(end, 100, std::string(100, 'T'));
    disk.put(path, content);
    disk.put("d/j/" + journal_segment_name(h.appended.size()), std::string(30, 'H'));
    h.appended.resize(h.durable);
  };
  for (const auto fault : all_faults) {
    for (std::size_t i = 0;; ++i) {
      faulty_file_system disk;
      history h;
      prepare(disk, h);
      // The half-made segment follows the records that are there.
      const auto half = disk.files().back();
      const auto before = disk.operations();
      disk.plan(before + i, fault);
      manual_environment env;
      auto opened = journal::open(small(disk), env);
      const auto steps = disk.history();
      INFO(name_of(fault) << " at operation " << i << " of opening with " << half);
      if (i + before >= steps.size()) break;
      if (!opened) CHECK(!opened.error().message.empty());
      if (opened) static_cast<void>((*opened)->close());
      opened = error{};
      disk.cut_power();
      disk.restart(i);
      reopen(small(disk), env, h);
    }
  }
}

TEST_CASE("random histories with power cuts, kills, faults and full disks") {
  oracle::for_each_case(1'500, [](oracle::random_source& random) {
    faulty_file_system disk;
    history h;
    manual_environment env(random.bits());
    auto options = small(disk);
    options.segment_bytes = 4096 + 4096 * static_cast<std::uint64_t>(random.below(3));
    options.commit_bytes = static_cast<std::size_t>(random.between(1, 5'000));
    options.commit_records = static_cast<std::size_t>(random.between(1, 30));
    options.commit_after = std::chrono::milliseconds(random.between(0, 20));
    options.retain_bytes.reset();
    if (random.one_in(3)) options.retain_bytes = 4096 * random.below(5);
    if (random.one_in(4)) options.retain_for = std::chrono::milliseconds(random.below(200));
    auto log = reopen(options, env, h);
    watch(*log, h);
    char mark = 'A';
    const auto steps = random.between(1, 60);
    for (std::int64_t step = 0; step < steps; ++step) {
      switch (random.below(14)) {
        case 0: log->commit(); break;
        case 1: disk.set_capacity(static_cast<std::uint64_t>(random.between(5'000, 40'000))); break;
        case 2: disk.set_capacity(UINT64_MAX); break;
        case 3:
          disk.plan(disk.operations() + static_cast<std::size_t>(random.below(12)),
                    all_faults[random.below(6)]);
          break;
        case 4:  // the power fails
          if (!random.one_in(3)) break;
          disk.cut_power();
          static_cast<void>(log->close());
          disk.restart(random.bits());
          log.reset();
          disk.set_capacity(UINT64_MAX);
          log = reopen(options, env, h);
          watch(*log, h);
          ++mark;
          break;
        case 5:  // the process is killed, or ends
          if (!random.one_in(3)) break;
          if (random.one_in(2)) disk.restart_process();
          if (log->close()) h.durable = h.appended.size();
          disk.restart_process();
          if (!disk.powered()) disk.restart(random.bits());
          log.reset();
          disk.set_capacity(UINT64_MAX);
          disk.forget_plans();
          log = reopen(options, env, h);
          watch(*log, h);
          ++mark;
          break;
        case 6: env.advance(std::chrono::milliseconds(random.below(2'500))); break;
        case 7: env.settle(); break;
        default:
          for (auto n = random.between(1, 6); n > 0; --n) {
            append(*log, h, static_cast<std::size_t>(random.below(random.one_in(5) ? 3'000 : 200)),
                   mark);
          }
      }
    }
    disk.set_capacity(UINT64_MAX);
    disk.cut_power();
    static_cast<void>(log->close());
    disk.restart(random.bits());
    log.reset();
    reopen(options, env, h);
  });
}
