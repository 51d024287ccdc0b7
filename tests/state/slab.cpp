// SPDX-License-Identifier: Apache-2.0
#include <millrace/state/slab.hpp>

#include "catch.hpp"

#include <array>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>

using millrace::slab;
using millrace::slot_index;

TEST_CASE("a slab behaves like a map from slots to values, and its addresses are stable") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  slab<std::string> s;
  std::map<slot_index, std::string> expected;
  std::map<slot_index, const std::string*> addresses;
  for (int step = 0; step < 20000; ++step) {
    const auto slot =
        static_cast<slot_index>(random() % 3 == 0 ? random() % 100 : random() % 20000);
    switch (random() % 4) {
      case 0:
        REQUIRE(s.reset(slot) == (expected.erase(slot) == 1));
        addresses.erase(slot);
        break;
      case 1: {
        const std::string* found = s.find(slot);
        REQUIRE((found != nullptr) == expected.contains(slot));
        if (found != nullptr) {
          REQUIRE(*found == expected[slot]);
          REQUIRE(found == addresses[slot]);
        }
        break;
      }
      default:
        s[slot] += "text that is too long for the small buffer";
        expected[slot] += "text that is too long for the small buffer";
        addresses[slot] = s.find(slot);
    }
  }
  REQUIRE(s.size() == expected.size());
  auto next = expected.begin();
  s.for_each([&next](slot_index slot, const std::string& value) {
    REQUIRE(slot == next->first);
    REQUIRE(value == next->second);
    ++next;
  });
  REQUIRE(next == expected.end());

  slab<std::string> moved(std::move(s));
  CHECK(moved.size() == expected.size());
  CHECK(s.empty());
  moved.for_each([&moved](slot_index slot, std::string&) { moved.reset(slot); });
  CHECK(moved.empty());
}

TEST_CASE("a slab gives memory back when chunks run empty") {
  slab<std::array<char, 100>> s;
  for (slot_index slot = 0; slot < 100000; ++slot) s.obtain(slot);
  CHECK(s.memory_bytes() > 100000 * 100);
  CHECK(s.memory_bytes() < 100000 * 103);
  for (slot_index slot = 0; slot < 100000; ++slot) s.reset(slot);
  CHECK(s.memory_bytes() < 100000);
}

TEST_CASE("a value whose constructor throws is not there") {
  struct throws {
    explicit throws(bool now) {
      if (now) throw std::runtime_error("no");
    }
  };
  slab<throws> s;
  CHECK_THROWS(s.obtain(5, true));
  CHECK_FALSE(s.contains(5));
  s.obtain(5, false);
  CHECK(s.contains(5));
}
