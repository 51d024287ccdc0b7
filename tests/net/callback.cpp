// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/callback.hpp>

#include "catch.hpp"

#include <array>
#include <memory>
#include <string>
#include <utility>

using millrace::net::callback;

namespace {

/// Counts its living copies, in place or, with ballast, on the heap.
template <std::size_t Ballast>
struct counted {
  explicit counted(int& living) : count(&living) { ++*count; }
  counted(counted&& other) noexcept : count(other.count), calls(other.calls) { ++*count; }
  ~counted() { --*count; }
  int operator()(int x) { return x + ++calls; }
  int* count;
  int calls = 0;
  std::array<char, Ballast> ballast{};
};

}  // namespace

TEST_CASE("a callback calls what it holds, keeps its state, and may hold nothing") {
  callback<int(int)> none;
  CHECK_FALSE(none);
  int living = 0;
  {
    callback<int(int)> small = counted<1>(living);
    callback<int(int)> big = counted<1000>(living);
    CHECK(living == 2);
    CHECK(small(10) == 11);
    CHECK(small(10) == 12);
    CHECK(big(10) == 11);

    callback<int(int)> moved = std::move(big);
    CHECK_FALSE(big);  // NOLINT: a moved-from callback is empty
    CHECK(moved(10) == 12);
    moved = std::move(small);
    CHECK(living == 1);
    CHECK(moved(10) == 13);
    moved = counted<1000>(living);
    CHECK(living == 1);
    CHECK(moved(10) == 11);
    moved.reset();
    CHECK(living == 0);
    CHECK_FALSE(moved);
  }
  CHECK(living == 0);
}

TEST_CASE("a callback takes functions and arguments that can only be moved") {
  auto owned = std::make_unique<int>(40);
  callback<std::unique_ptr<int>(std::unique_ptr<int>)> add =
      [owned = std::move(owned)](std::unique_ptr<int> more) {
        return std::make_unique<int>(*owned + *more);
      };
  CHECK(*add(std::make_unique<int>(2)) == 42);
}

TEST_CASE("a callback may be destroyed by the function that it holds") {
  auto holder = std::make_unique<callback<void(std::string&)>>();
  *holder = [&holder, text = std::string("still here")](std::string& out) {
    auto kept = std::move(*holder);
    holder.reset();
    static_cast<void>(kept);
    out = "done";
  };
  std::string out;
  auto running = std::move(*holder);
  running(out);
  CHECK(out == "done");
}
