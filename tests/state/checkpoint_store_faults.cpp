// SPDX-License-Identifier: Apache-2.0
// The checkpoint store against a disk that fails: every fault at every operation, and random
// histories with power cuts. The oracle knows what each checkpoint was given.
#include <millrace/state/checkpoint_store.hpp>
#include <millrace/testing/faulty_file_system.hpp>

#include "catch.hpp"
#include "oracle/random_stream.hpp"
#include "support/manual_environment.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace millrace;
using millrace::testing::disk_fault;
using millrace::testing::faulty_file_system;
using millrace::testing::manual_environment;

namespace {

constexpr disk_fault all_faults[] = {disk_fault::io_error,    disk_fault::no_space,
                                     disk_fault::short_write, disk_fault::torn_write,
                                     disk_fault::bit_flip,    disk_fault::power_cut};

/// Operator to state, in full.
using state_map = std::map<std::string, std::string>;

struct history {
  std::map<std::uint64_t, state_map> given{};  // by id, whether completed or not
  std::uint64_t completed = 0;                 // the newest that was reported
};

checkpoint_store_options small(faulty_file_system& disk) {
  return {.directory = "d/s", .retain = 2, .place = job_place::caller, .files = &disk};
}

/// Nothing when the disk refuses.
std::optional<state_map> restored(const checkpoint_store& store,
                                  const checkpoint_manifest& manifest) {
  state_map all;
  for (const auto& part : manifest.parts) {
    auto& text = all[part.operator_name];
    for (const auto& chunk : part.chunks) {
      const auto bytes = store.read(chunk);
      if (!bytes) return std::nullopt;
      text += *bytes;
    }
  }
  return all;
}

/// Writes a checkpoint on top of `base`: operators grow, are rewritten, or stay as they are.
void write(checkpoint_store& store, manual_environment& env, history& h,
           std::optional<checkpoint_manifest>& base, std::uint64_t choice) {
  auto writer = store.begin({.pipeline = "p"});
  const auto id = writer->id();
  state_map now;
  for (const std::string name : {"a", "b", "c"}) {
    checkpoint_part part{.operator_name = name};
    const auto what = (choice >> (name[0] * 2 % 8)) % 4;
    const auto fresh = std::to_string(id) + name + std::string(what * 300, 'x');
    if (base && what != 0) {
      for (const auto& p : base->parts) {
        if (p.operator_name == name) part.chunks = p.chunks;
      }
      now[name] = h.given[base->id][name];
    }
    const auto bytes = what == 1 && base ? std::string{} : fresh;
    now[name] += bytes;
    static_cast<void>(writer->add(std::move(part), bytes));
  }
  h.given[id] = std::move(now);
  bool answered = false;
  writer->finish(env, [&](result<checkpoint_manifest> done) {
    answered = true;
    if (!done) {
      CHECK(!done.error().message.empty());
      return;
    }
    h.completed = id;
    base = std::move(*done);
  });
  env.settle();
  CHECK(answered);
}

/// After a crash: what can be restored is what was given, and nothing older than what was reported.
std::unique_ptr<checkpoint_store> reopen(faulty_file_system& disk, history& h,
                                         std::optional<checkpoint_manifest>& base) {
  auto opened = checkpoint_store::open(small(disk));
  INFO((opened ? std::string{} : opened.error().to_string()));
  REQUIRE(opened);
  auto choice = (*opened)->latest_complete();
  INFO((choice ? std::string{} : choice.error().to_string()));
  REQUIRE(choice);
  base.reset();
  if (!*choice) {
    REQUIRE(h.completed == 0);
    return std::move(*opened);
  }
  REQUIRE((*choice)->refused.empty());
  const auto& manifest = (*choice)->manifest;
  REQUIRE(manifest.id >= h.completed);
  REQUIRE(restored(**opened, manifest) == h.given.at(manifest.id));
  for (const auto& m : (*opened)->list()) {
    REQUIRE((*opened)->verify(m).empty());
    REQUIRE(restored(**opened, m) == h.given.at(m.id));
  }
  h.completed = manifest.id;
  base = manifest;
  return std::move(*opened);
}

/// Two lives of a store with six checkpoints.
void scenario(faulty_file_system& disk, history& h) {
  manual_environment env;
  for (int life = 0; life < 2; ++life) {
    auto opened = checkpoint_store::open(small(disk));
    if (!opened) continue;
    std::optional<checkpoint_manifest> base;
    auto choice = (*opened)->latest_complete();
    // A fault while reading may hide a checkpoint; what is then restored must be right all the
    // same.
    if (choice && *choice) {
      const auto& m = (*choice)->manifest;
      const auto state = restored(**opened, m);
      CHECK((!state || *state == h.given.at(m.id)));
      CHECK((m.id >= h.completed || !disk.powered() || !(*choice)->refused.empty()));
      base = m;
    }
    for (std::uint64_t i = 0; i < 3; ++i) write(**opened, env, h, base, 0x1b39 * (i + 1));
  }
}

/// No file but those that are needed.
void check_tidy(faulty_file_system& disk) {
  for (const auto& path : disk.files()) {
    CHECK(path.find(".tmp") == std::string::npos);
  }
}

}  // namespace

TEST_CASE("any fault of any operation leaves the newest complete checkpoint, or one behind it") {
  std::size_t operations = 0;
  {
    faulty_file_system disk;
    history h;
    scenario(disk, h);
    CHECK(h.completed == 6);
    operations = disk.operations();
  }
  CHECK(operations > 100);
  std::size_t cases = 0;
  for (const auto fault : all_faults) {
    for (std::size_t i = 0; i < operations; ++i) {
      for (std::uint64_t seed = 0; seed < (fault == disk_fault::power_cut ? 6 : 2); ++seed) {
        faulty_file_system disk;
        disk.plan(i, fault);
        history h;
        scenario(disk, h);
        const auto steps = disk.history();
        INFO(name_of(fault) << " at operation " << i << ", "
                            << (i < steps.size() ? name_of(steps[i].operation) : "-")
                            << "; power cut with seed " << seed);
        if (i >= steps.size() || !can_fail(steps[i].operation, fault)) continue;
        ++cases;
        std::optional<checkpoint_manifest> base;
        if (disk.powered() && seed == 0) {
          disk.restart_process();
          reopen(disk, h, base).reset();
        }
        disk.cut_power();
        disk.restart(seed);
        auto store = reopen(disk, h, base);
        check_tidy(disk);
        manual_environment env;
        const auto before = h.completed;
        write(*store, env, h, base, 0x1234);
        REQUIRE(h.completed > before);
        store.reset();
        reopen(disk, h, base);
      }
    }
  }
  CHECK(cases > 800);
}

TEST_CASE("random histories of checkpoints with power cuts, kills, faults and full disks") {
  oracle::for_each_case(1'500, [](oracle::random_source& random) {
    faulty_file_system disk;
    history h;
    manual_environment env(random.bits());
    std::optional<checkpoint_manifest> base;
    auto store = reopen(disk, h, base);
    const auto steps = random.between(1, 25);
    for (std::int64_t step = 0; step < steps; ++step) {
      switch (random.below(10)) {
        case 0: disk.set_capacity(static_cast<std::uint64_t>(random.between(500, 20'000))); break;
        case 1: disk.set_capacity(UINT64_MAX); break;
        case 2:
          disk.plan(disk.operations() + static_cast<std::size_t>(random.below(20)),
                    all_faults[random.below(6)]);
          break;
        case 3:
          disk.cut_power();
          store.reset();
          disk.restart(random.bits());
          disk.set_capacity(UINT64_MAX);
          store = reopen(disk, h, base);
          break;
        case 4:
          disk.restart_process();
          store.reset();
          disk.forget_plans();
          disk.set_capacity(UINT64_MAX);
          if (!disk.powered()) disk.restart(random.bits());
          store = reopen(disk, h, base);
          break;
        case 5: {
          auto writer = store->begin({});
          h.given[writer->id()] = {};
          static_cast<void>(writer->add({.operator_name = "a"}, "abandoned"));
          break;
        }
        default: write(*store, env, h, base, random.bits());
      }
    }
    disk.cut_power();
    store.reset();
    disk.restart(random.bits());
    disk.set_capacity(UINT64_MAX);
    reopen(disk, h, base);
  });
}
