// SPDX-License-Identifier: Apache-2.0
// What windows over slices hold in memory, in bytes of the heap, and that it is given back.

#include <millrace/windows/aggregates/sum.hpp>
#include <millrace/windows/slices.hpp>

#include "catch.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <functional>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

/// Bytes in use on the heap of this thread; large blocks have maps of their own.
std::int64_t heap() {
  const auto info = mallinfo2();
  return static_cast<std::int64_t>(info.uordblks + info.hblkhd);
}

// A sanitizer has a heap of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sees_heap = false;
#else
constexpr bool sees_heap = true;
#endif

constexpr slot_index keys = 10'000;
constexpr std::int64_t slices = 600;

using store_type = slice_store<sum_of<std::int64_t, std::identity>>;
constexpr auto state_bytes = static_cast<std::int64_t>(sizeof(wide_sum));

struct usage {
  std::int64_t bytes = 0;
  std::int64_t counted = 0;  ///< as the store says itself
};

/// Fills 1.2 windows of 600 s by 1 s; each key reports every `every` seconds. Returns the greatest
/// number of bytes seen when windows are full.
usage fill(store_type& store, std::int64_t every) {
  usage greatest;
  const std::int64_t before = heap();
  std::int64_t results = 0;
  const auto emit = [&results](slot_index, const window&, const wide_sum&) { ++results; };
  for (std::int64_t second = 0; second < slices * 12 / 10; ++second) {
    const timestamp t{std::chrono::seconds{second}};
    for (auto k = static_cast<slot_index>(second % every); k < keys;
         k += static_cast<slot_index>(every)) {
      store.add(k, t, std::int64_t{1});
    }
    store.advance(t + 1s - one_tick, emit);
    if (second >= slices) {
      greatest.bytes = std::max(greatest.bytes, heap() - before);
      greatest.counted =
          std::max(greatest.counted, static_cast<std::int64_t>(store.memory_bytes()));
    }
  }
  CHECK(results > 0);
  return greatest;
}

}  // namespace

TEST_CASE("what windows held is given back when nothing comes any more") {
  const std::int64_t before = heap();
  store_type store(sliding{600s, 1s}, {}, sum_of<std::int64_t, std::identity>());
  fill(store, 1);
  for (const auto behind : {2h, 3h}) {
    store.advance(timestamp{behind}, [](slot_index, const window&, const wide_sum&) {});
  }
  CHECK(store.slices() == 0);
  CHECK(store.memory_bytes() < 500'000);
  if (sees_heap) CHECK(heap() - before < 1'000'000);
  CHECK(store.add(7, timestamp{4h}, std::int64_t{1}) == slice_add::accepted);
}

TEST_CASE("600 s by 1 s over 10,000 keys stays within 1.5 times slices times state") {
  const std::int64_t allowed = slices * keys * state_bytes * 3 / 2;
  for (const std::int64_t every :
       {std::int64_t{1}, std::int64_t{2}, std::int64_t{7}, std::int64_t{30}, std::int64_t{120}}) {
    INFO("a record of each key every " << every << " s");
    store_type store(sliding{600s, 1s}, {}, sum_of<std::int64_t, std::identity>());
    const usage used = fill(store, every);
    CHECK(used.counted <= allowed);
    if (sees_heap) CHECK(used.bytes <= allowed);
  }
}
