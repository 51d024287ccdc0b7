// SPDX-License-Identifier: Apache-2.0
#include <millrace/state/timers.hpp>

#include "catch.hpp"

#include <random>
#include <set>
#include <utility>
#include <vector>

using millrace::duration;
using millrace::slot_index;
using millrace::timer_queue;
using millrace::timestamp;

namespace {

using fired = std::vector<std::pair<std::int64_t, slot_index>>;

timestamp at(std::int64_t t) { return timestamp{duration{t}}; }

fired advance(timer_queue& q, std::int64_t watermark) {
  fired out;
  q.advance(at(watermark), [&out](slot_index slot, timestamp time) {
    out.emplace_back(time.time_since_epoch().count(), slot);
  });
  return out;
}

}  // namespace

TEST_CASE("a timer fires once per slot and time, in order, when the watermark reaches it") {
  timer_queue q;
  q.set(2, at(10));
  q.set(1, at(10));
  q.set(2, at(10));
  q.set(1, at(-5));
  q.set(3, at(11));
  CHECK(q.next_time() == at(-5));
  CHECK(advance(q, 9) == fired{{-5, 1}});
  CHECK(advance(q, 10) == fired{{10, 1}, {10, 2}});
  CHECK(advance(q, 10).empty());
  CHECK(advance(q, 100) == fired{{11, 3}});
  CHECK(q.empty());
  CHECK(q.next_time() == millrace::max_timestamp);
}

TEST_CASE("deleting a timer counts until it is set again") {
  timer_queue q;
  q.set(1, at(10));
  q.set(1, at(10));
  q.erase(1, at(10));
  q.erase(7, at(3));
  CHECK(q.empty());
  q.set(1, at(10));
  q.erase(1, at(10));
  q.set(1, at(10));
  CHECK(advance(q, 10) == fired{{10, 1}});
}

TEST_CASE("timers set while firing fire in the same advance when they are due") {
  timer_queue q;
  q.set(1, at(10));
  q.set(2, at(12));
  fired out;
  q.advance(at(20), [&](slot_index slot, timestamp time) {
    out.emplace_back(time.time_since_epoch().count(), slot);
    if (out.size() == 1) {
      q.set(1, at(10));  // again
      q.set(9, at(1));   // in the past
      q.set(1, at(30));  // not due
      q.erase(2, at(12));
    }
  });
  CHECK(out == fired{{10, 1}, {1, 9}, {10, 1}});
  CHECK(q.next_time() == at(30));
}

TEST_CASE("an advance that is stopped goes on where it was") {
  timer_queue q;
  for (slot_index slot = 0; slot < 5; ++slot) q.set(slot, at(1));
  std::vector<slot_index> out;
  int calls = 0;
  while (!q.advance(at(1), [&out](slot_index slot, timestamp) {
    out.push_back(slot);
    return false;
  })) {
    ++calls;
  }
  CHECK(out == std::vector<slot_index>{0, 1, 2, 3, 4});
  CHECK(calls == 4);
}

TEST_CASE("timers agree with a sorted set under random use, through snapshots, in bounded memory") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  timer_queue q;
  std::set<std::pair<std::int64_t, slot_index>> expected;
  std::int64_t watermark = -1000;
  for (int step = 0; step < 50000; ++step) {
    const auto slot = static_cast<slot_index>(random() % 50);
    const std::int64_t time = watermark + static_cast<std::int64_t>(random() % 100) - 5;
    const auto what = random() % 100;
    if (what < 60) {
      q.set(slot, at(time));
      expected.emplace(time, slot);
    } else if (what < 95) {
      q.erase(slot, at(time));
      expected.erase({time, slot});
    } else if (what < 99) {
      watermark += static_cast<std::int64_t>(random() % 10);
      fired due;
      while (!expected.empty() && expected.begin()->first <= watermark) {
        due.push_back(*expected.begin());
        expected.erase(expected.begin());
      }
      REQUIRE(advance(q, watermark) == due);
    } else {
      millrace::snapshot_writer w;
      q.save(w, [](millrace::snapshot_writer& out, slot_index s) { out.varint(s); });
      millrace::snapshot_reader r(w.view());
      timer_queue other;
      other.restore(
          r, [](millrace::snapshot_reader& in) { return static_cast<slot_index>(in.varint()); });
      r.expect_end();
      REQUIRE(r.status());
      q = other;
      REQUIRE(q.entries() == expected.size());
    }
  }
  for (int i = 0; i < 100000; ++i) {  // a timer that every record moves
    q.set(1, at(1000000 + i));
    q.erase(1, at(1000000 + i));
  }
  CHECK(q.entries() <= 2 * expected.size() + 64);
}
