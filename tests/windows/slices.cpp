// SPDX-License-Identifier: Apache-2.0
#include <millrace/windows/aggregates/statistics.hpp>
#include <millrace/windows/slices.hpp>

#include "../oracle/windows_oracle.hpp"
#include "catch.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace {

using namespace millrace;

timestamp at(std::int64_t t) { return timestamp{duration{t}}; }
std::int64_t count_of(timestamp t) { return t.time_since_epoch().count(); }

/// Keeps all values in order: shows every mistake in what is combined, and in which order.
struct all_values {
  using state = std::vector<int>;
  void add(state& s, int value) const { s.push_back(value); }
  void merge(state& s, const state& later) const { s.insert(s.end(), later.begin(), later.end()); }
  state result(const state& s) const { return s; }
};

struct setup {
  std::int64_t size, slide, offset, lateness;
};

std::string words(const setup& s) {
  return std::to_string(s.size) + " by " + std::to_string(s.slide) + " offset " +
         std::to_string(s.offset) + " lateness " + std::to_string(s.lateness);
}

template <class A>
std::unique_ptr<slice_store<A>> make(const setup& s, A aggregate = A()) {
  return std::make_unique<slice_store<A>>(
      sliding{duration{s.size}, duration{s.slide}, duration{s.offset}}, duration{s.lateness},
      aggregate);
}

template <class A>
std::unique_ptr<slice_store<A>> through_snapshot(const slice_store<A>& from, const setup& s) {
  snapshot_writer w;
  from.save(w, [](snapshot_writer& out, slot_index slot) { out.varint(slot); });
  auto to = make<A>(s, from.aggregate());
  snapshot_reader r(w.view());
  to->restore(r, [](snapshot_reader& in) { return static_cast<slot_index>(in.varint()); });
  r.expect_end();
  REQUIRE(r.status());
  return to;
}

/// Drives a store and the oracle with the same random input.
class comparison {
 public:
  comparison(const setup& s, unsigned seed)
      : setup_(s),
        random_(seed),
        store_(make<all_values>(s)),
        expected_(s.size, s.slide, s.offset, s.lateness) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  auto collect(std::vector<oracle::result>& out) {
    return [this, &out](slot_index slot, const window& w, const std::vector<int>& values) {
      out.push_back({slot, count_of(w.start), count_of(w.end), values});
      return below(3) == 0 ? emission::stop : emission::more;
    };
  }

  void add(slot_index slot, std::int64_t time) {
    const int value = static_cast<int>(++added_);
    std::vector<oracle::result> want, got;
    const auto wanted = expected_.add({slot, time, value}, want);
    const slice_add what = store_->add(slot, at(time), value);
    REQUIRE(static_cast<int>(what) == static_cast<int>(wanted));
    if (what == slice_add::refire) {
      bool done = store_->refire(slot, at(time), collect(got));
      while (!done) done = store_->resume(collect(got));
    }
    REQUIRE(got == want);
  }

  void advance(std::int64_t watermark) {
    std::vector<oracle::result> want, got;
    const std::optional<timestamp> next = store_->next_fire_time();
    expected_.advance(watermark, want);
    bool done = store_->advance(at(watermark), collect(got));
    while (!done) {
      REQUIRE(store_->busy());
      done = store_->resume(collect(got));
    }
    REQUIRE_FALSE(store_->busy());
    REQUIRE(got == want);
    REQUIRE((next && count_of(*next) <= watermark) == !want.empty());
    if (!want.empty()) {
      REQUIRE(count_of(*next) == (want[0].end == INT64_MAX ? INT64_MAX : want[0].end - 1));
    }
    fired_ += got.size();
    follow_slots();
    if (below(8) == 0) {
      store_ = through_snapshot(*store_, setup_);
      held_.clear();
      follow_slots();
    }
  }

  std::size_t fired() const { return fired_; }
  std::size_t slices() const { return store_->slices(); }

 private:
  void follow_slots() {
    store_->take_changes([this](slot_index s) { held_.insert(s); },
                         [this](slot_index s) { held_.erase(s); });
    REQUIRE(held_ == expected_.slots());
  }

  setup setup_;
  std::mt19937_64 random_;
  std::unique_ptr<slice_store<all_values>> store_;
  oracle::windows expected_;
  std::set<std::uint32_t> held_;
  std::size_t added_ = 0;
  std::size_t fired_ = 0;
};

setup random_setup(std::mt19937_64& random) {
  setup s{};
  const auto below = [&random](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  s.slide = 1 + below(random() % 2 == 0 ? 10 : 1000);
  switch (random() % 4) {
    case 0: s.size = s.slide; break;
    case 1: s.size = s.slide * (1 + below(random() % 2 == 0 ? 10 : 80)); break;
    case 2: s.size = 1 + below(s.slide * 40); break;
    default: s.size = 1 + below(s.slide);
  }
  s.offset = below(2 * s.slide - 1) - s.slide + 1;
  s.lateness = random() % 2 == 0 ? 0 : below(2 * s.size + 1);
  return s;
}

}  // namespace

TEST_CASE("windows equal the naive computation for random input, sizes and snapshots") {
  const unsigned seed = std::random_device{}();
  std::mt19937_64 random(seed);
  std::size_t fired = 0;
  for (int round = 0; round < 400; ++round) {
    const setup s = random_setup(random);
    INFO("seed " << seed << ", round " << round << ": " << words(s));
    comparison c(s, static_cast<unsigned>(random()));
    const slot_index keys = static_cast<slot_index>(1 + random() % (random() % 3 == 0 ? 200 : 5));
    const auto disorder =
        static_cast<std::uint64_t>(1 + s.slide * 2 + (round % 3 == 0 ? s.size : 0));
    std::int64_t now = static_cast<std::int64_t>(random() % 100000) - 50000;
    for (int step = 0; step < 150; ++step) {
      now += static_cast<std::int64_t>(c.below(static_cast<std::uint64_t>(s.slide) + 1));
      if (c.below(40) == 0) now += s.size * static_cast<std::int64_t>(c.below(5));
      const std::int64_t time = now - static_cast<std::int64_t>(c.below(disorder));
      c.add(static_cast<slot_index>(c.below(keys)), time);
      if (c.below(4) == 0) c.advance(now - static_cast<std::int64_t>(c.below(disorder)));
    }
    c.advance(c.below(2) == 0 ? INT64_MAX : now + 3 * s.size + s.lateness);
    c.add(0, now);
    fired += c.fired();
  }
  CHECK(fired > 10000);
}

TEST_CASE("long windows are right through disorder, late records, gaps and snapshots") {
  const unsigned seed = std::random_device{}();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 8; ++round) {
    setup s{};
    s.slide = 10;
    s.size = 10 * static_cast<std::int64_t>(17 + random() % 100) + (round % 2 == 0 ? 0 : 3);
    s.lateness = round % 4 < 2 ? 0 : static_cast<std::int64_t>(random() % 500);
    INFO("seed " << seed << ", round " << round << ": " << words(s));
    comparison c(s, static_cast<unsigned>(random()));
    const std::uint64_t keys = round % 3 == 0 ? 3 : 150;
    std::int64_t now = -3000;
    for (int step = 0; step < 250; ++step) {
      now += static_cast<std::int64_t>(c.below(15));
      if (c.below(100) == 0) now += 2 * s.size;
      for (int i = 0; i < 3; ++i) {
        const std::uint64_t late = c.below(4) == 0 ? static_cast<std::uint64_t>(s.size) : 20;
        const std::int64_t time = now - static_cast<std::int64_t>(c.below(late));
        c.add(static_cast<slot_index>(c.below(keys)), time);
      }
      if (c.below(3) == 0) c.advance(now - 5);
    }
    c.advance(INT64_MAX);
    CHECK(c.slices() == 0);
  }
}

TEST_CASE("times at the ends of what a timestamp can hold are windows like others") {
  const unsigned seed = std::random_device{}();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    setup s = random_setup(random);
    s.slide += 8;
    s.size += 8;
    if (round % 5 == 0) s.size = s.slide * 20 + 1;
    if (round % 7 == 0) s.size = std::int64_t{1} << 60, s.slide = std::int64_t{1} << 57;
    INFO("seed " << seed << ", round " << round << ": " << words(s));
    comparison c(s, static_cast<unsigned>(random()));
    const auto near = [&] {
      return static_cast<std::int64_t>(c.below(static_cast<std::uint64_t>(2 * s.slide)));
    };
    for (int i = 0; i < 5; ++i) c.add(static_cast<slot_index>(c.below(3)), INT64_MIN + near());
    c.add(1, INT64_MAX);
    c.advance(INT64_MIN + near());
    c.add(2, INT64_MIN);
    c.add(0, near());
    c.advance(near());
    for (int i = 0; i < 5; ++i) c.add(static_cast<slot_index>(c.below(3)), INT64_MAX - near());
    c.advance(INT64_MAX - near());
    c.add(1, INT64_MAX);
    c.advance(INT64_MAX - 1);
    c.add(2, INT64_MAX);
    c.advance(INT64_MAX);
    c.add(2, INT64_MAX);
  }
}

TEST_CASE("a jump over a billion empty windows, and a record far ahead, cost nothing") {
  auto store = make<all_values>({10'000'000, 1'000'000, 0, 0});
  int fired = 0;
  const auto count = [&fired](slot_index, const window&, const std::vector<int>&) { ++fired; };
  store->add(0, at(0), 1);
  store->add(0, at(INT64_MAX / 2), 1);
  store->add(0, at(INT64_MIN / 2), 1);
  CHECK(store->slices() == 3);
  CHECK(store->memory_bytes() < 200'000);
  store->advance(at(INT64_MAX / 4), count);
  CHECK(fired == 20);
  CHECK(store->slices() == 1);
  store->advance(max_timestamp, count);
  CHECK(fired == 30);
  CHECK(store->slices() == 0);
}

TEST_CASE("results have the same bits however records and watermarks interleave") {
  const unsigned seed = std::random_device{}();
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  using result = std::map<std::pair<std::int64_t, slot_index>, statistics_result>;
  for (int round = 0; round < 30; ++round) {
    setup s{0, 10, 0, std::int64_t{1} << 40};
    s.size = static_cast<std::int64_t>(1 + random() % (round % 2 == 0 ? 150 : 1000));
    INFO("seed " << seed << ", round " << round << ": " << words(s));
    auto store = make<statistics<>>(s);
    auto fresh = make<statistics<>>(s);
    result got, want;
    const auto into = [](result& r) {
      return [&r](slot_index slot, const window& w, const statistics_state& state) {
        r[{count_of(w.end), slot}] = state.result();
      };
    };
    const bool busy = round % 3 == 0;  // many records per key and slice: direct pages
    for (int i = 0; i < (busy ? 6000 : 2000); ++i) {
      const auto slot = static_cast<slot_index>(random() % (busy ? 60 : 5));
      const std::uint64_t disorder = random() % 10 == 0 ? 600 : 30;
      const std::int64_t now = busy ? i / 20 : i;
      const std::int64_t time = now - static_cast<std::int64_t>(random() % disorder);
      const double value = 1e3 + normal(random);
      if (store->add(slot, at(time), value) == slice_add::refire) {
        store->refire(slot, at(time), into(got));
      }
      fresh->add(slot, at(time), value);
      if (random() % 20 == 0) store->advance(at(now - 10), into(got));
      if (random() % 200 == 0) store = through_snapshot(*store, s);
    }
    store->advance(max_timestamp, into(got));
    fresh->advance(max_timestamp, into(want));
    REQUIRE(got.size() == want.size());
    CHECK(got == want);
  }
}

TEST_CASE("what a window contains does not depend on records of other keys or when they came") {
  // Lateness 0: a record may miss windows that have fired and still count in those that have not.
  const unsigned seed = std::random_device{}();
  std::mt19937_64 random(seed);
  INFO("seed " << seed);
  for (int round = 0; round < 20; ++round) {
    const setup s{static_cast<std::int64_t>(200 + random() % 500), 10, 0, 0};
    auto store = make<statistics<>>(s);
    struct record {
      slot_index slot;
      std::int64_t time;
      double value;
    };
    std::vector<record> accepted;
    for (int i = 0; i < 1500; ++i) {
      const record r{static_cast<slot_index>(random() % 4),
                     i - static_cast<std::int64_t>(random() % 400),
                     static_cast<double>(random()) * 1e-10};
      if (store->add(r.slot, at(r.time), r.value) == slice_add::accepted) accepted.push_back(r);
      if (random() % 15 != 0) continue;
      std::map<std::pair<std::int64_t, slot_index>, statistics_result> got, want;
      store->advance(at(i - 20), [&](slot_index slot, const window& w, const statistics_state& x) {
        got[{count_of(w.end), slot}] = x.result();
      });
      auto fresh = make<statistics<>>(s);
      for (const record& each : accepted) fresh->add(each.slot, at(each.time), each.value);
      fresh->advance(at(i - 20), [&](slot_index slot, const window& w, const statistics_state& x) {
        if (got.contains({count_of(w.end), slot})) want[{count_of(w.end), slot}] = x.result();
      });
      REQUIRE(got == want);
    }
  }
}

TEST_CASE("restoring other windows is refused with both named, and torn snapshots are noticed") {
  const setup s{10, 5, 0, 0};
  auto store = make<all_values>(s);
  store->advance(at(3), [](slot_index, const window&, const std::vector<int>&) {});
  for (slot_index slot = 0; slot < 100; ++slot) store->add(slot, at(7 + slot % 3), 1);
  snapshot_writer w;
  store->save(w, [](snapshot_writer& out, slot_index slot) { out.varint(slot); });
  const auto read_key = [](snapshot_reader& in) {
    const auto slot = static_cast<slot_index>(in.varint());
    return slot < 1000 ? slot : no_slot;
  };

  auto other = make<all_values>({20, 5, 0, 0});
  snapshot_reader r(w.view());
  other->restore(r, read_key);
  REQUIRE(r.failed());
  CHECK(r.status().error().code == errc::incompatible);
  CHECK(r.status().error().message.find("10 us by 5 us") != std::string::npos);
  CHECK(r.status().error().message.find("20 us by 5 us") != std::string::npos);

  for (std::size_t cut = 0; cut < w.size(); cut += 7) {
    auto torn = make<all_values>(s);
    snapshot_reader reader(w.view().substr(0, cut));
    torn->restore(reader, read_key);
    REQUIRE(reader.failed());
  }
}

TEST_CASE("a snapshot can be divided among stores, and several joined in one") {
  const setup s{100, 10, 0, 0};
  auto store = make<all_values>(s);
  int fired = 0;
  const auto count = [&fired](slot_index, const window&, const std::vector<int>&) { ++fired; };
  for (slot_index slot = 0; slot < 500; ++slot) store->add(slot, at(1000 + slot), 1);
  const auto write_key = [](snapshot_writer& out, slot_index slot) { out.varint(slot); };
  snapshot_writer w;
  store->save(w, write_key);

  std::vector<snapshot_writer> parts(2);
  for (slot_index part = 0; part < 2; ++part) {
    auto half = make<all_values>(s);
    snapshot_reader r(w.view());
    half->restore(r, [part](snapshot_reader& in) {
      const auto slot = static_cast<slot_index>(in.varint());
      return slot % 2 == part ? slot / 2 : no_slot;
    });
    REQUIRE(r.status());
    half->save(parts[part],
               [part](snapshot_writer& out, slot_index slot) { out.varint(slot * 2 + part); });
  }
  auto whole = make<all_values>(s);
  for (const snapshot_writer& part : parts) {
    snapshot_reader r(part.view());
    whole->restore(r, [](snapshot_reader& in) { return static_cast<slot_index>(in.varint()); });
    REQUIRE(r.status());
  }
  snapshot_writer again;
  whole->save(again, write_key);
  CHECK(again.view() == w.view());
  whole->advance(max_timestamp, count);
  CHECK(fired == 500 * 10);
}

TEST_CASE("windows that cannot be are refused in words") {
  const auto refused = [](std::int64_t size, std::int64_t slide, std::int64_t offset,
                          std::int64_t lateness, const char* why) {
    try {
      make<all_values>({size, slide, offset, lateness});
      FAIL("accepted");
    } catch (const topology_error& e) {
      CHECK(std::string(e.what()).find(why) != std::string::npos);
    }
  };
  refused(0, 1, 0, 0, "size must be positive");
  refused(INT64_MAX, 1, 0, 0, "at most 2^60");
  refused(10, 0, 0, 0, "slide must be positive");
  refused(10, 5, 5, 0, "offset");
  refused(10, 5, -5, 0, "offset");
  refused(std::int64_t{1} << 40, 1, 0, 0, "2^20 windows");
  refused(10, 5, 0, -1, "lateness");
  CHECK_THROWS_AS((tumbling{duration{0}}.validate()), topology_error);
  CHECK_THROWS_AS((tumbling{duration{5}, duration{5}}.validate()), topology_error);
  CHECK_NOTHROW((tumbling{duration{5}, duration{-4}}.validate()));
}
