// SPDX-License-Identifier: Apache-2.0
#include <millrace/windows/slice_grid.hpp>

#include "catch.hpp"

#include <cstdint>
#include <random>
#include <vector>

using namespace millrace;

namespace {

timestamp at(std::int64_t t) { return timestamp{duration{t}}; }
sliding spec(std::int64_t size, std::int64_t slide, std::int64_t offset = 0) {
  return {duration{size}, duration{slide}, duration{offset}};
}

}  // namespace

TEST_CASE("a time is in the windows that start in (time - size, time], also before 1970") {
  CHECK(windows_of(spec(10, 5), at(12)) == std::vector<window>{{at(5), at(15)}, {at(10), at(20)}});
  CHECK(windows_of(spec(10, 5), at(-1)) == std::vector<window>{{at(-10), at(0)}, {at(-5), at(5)}});
  CHECK(windows_of(spec(10, 10, 3), at(2)) == std::vector<window>{{at(-7), at(3)}});
  CHECK(windows_of(spec(10, 10, -3), at(7)) == std::vector<window>{{at(7), at(17)}});
  CHECK(windows_of(spec(7, 3), at(8)) == std::vector<window>{{at(3), at(10)}, {at(6), at(13)}});
  CHECK(windows_of(tumbling{duration{5}}, at(-5)) == std::vector<window>{{at(-5), at(0)}});
}

TEST_CASE("with a slide longer than the size there are times in no window") {
  CHECK(windows_of(spec(2, 5), at(1)).size() == 1);
  CHECK(windows_of(spec(2, 5), at(2)).empty());
  CHECK(windows_of(spec(2, 5), at(-1)).empty());
}

TEST_CASE("windows are cut at the ends of time, and the last one waits for the last watermark") {
  const window last = windows_of(spec(100, 100), max_timestamp).back();
  CHECK(last.end == max_timestamp);
  CHECK(last.max_timestamp() == max_timestamp);
  CHECK(last.contains(max_timestamp));
  const window first = windows_of(spec(100, 100), min_timestamp).front();
  CHECK(first.start == min_timestamp);
  CHECK(first.contains(min_timestamp));
  CHECK(window{at(0), at(10)}.max_timestamp() == at(9));
}

TEST_CASE("slices cut time at the edges of windows, and numbers agree with times") {
  const unsigned seed = std::random_device{}();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 5000; ++round) {
    const auto slide = static_cast<std::int64_t>(1 + random() % 50);
    const auto size = static_cast<std::int64_t>(1 + random() % 200);
    const auto offset = static_cast<std::int64_t>(random() % 99) % slide;
    INFO("seed " << seed << ": " << size << " by " << slide << " offset " << offset);
    const sliding s = spec(size, slide, round % 2 == 0 ? offset : -offset);
    s.validate();
    const slice_grid grid(s);
    REQUIRE(grid.slices_per_window() <= 2 * (size / slide) + 1);
    const timestamp t = at(static_cast<std::int64_t>(random() % 1000) - 500);
    const auto i = grid.slice_of(t);
    REQUIRE(grid.slice_start(i) <= t);
    REQUIRE(t < grid.slice_start(i + 1));
    for (auto k = grid.first_window(i) - 1; k <= grid.last_window(i) + 1; ++k) {
      const window w = grid.window_at(k);
      REQUIRE(w.end - w.start == s.size);
      REQUIRE(w.contains(t) == (k >= grid.first_window(i) && k <= grid.last_window(i)));
      REQUIRE(grid.slice_start(grid.first_slice(k)) == w.start);
      REQUIRE(grid.slice_start(grid.first_slice(k) + grid.slices_per_window()) == w.end);
    }
    const auto next = grid.first_unfired(t);
    REQUIRE(grid.window_at(next).max_timestamp() > t);
    REQUIRE(grid.window_at(next - 1).max_timestamp() <= t);
  }
}
