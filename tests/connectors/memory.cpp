// SPDX-License-Identifier: Apache-2.0
#include <millrace/connectors/memory.hpp>

#include <millrace/state/snapshot.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/fake_sink_context.hpp"
#include "support/fake_source_context.hpp"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using millrace::testing::asio_environment;
using millrace::testing::fake_sink_context;
using millrace::testing::fake_source_context;

namespace {

timestamp at(int microseconds) { return timestamp{duration{microseconds}}; }

}  // namespace

TEST_CASE("a memory source emits its values in order with their times, then ends") {
  asio_environment env;
  fake_source_context context{env};
  const memory::source<int> numbers{
      {.value = 7, .time = at(10)}, {.value = 8, .time = at(5)}, {.value = 9, .time = at(20)}};
  static_assert(source_description<memory::source<int>>);
  auto reader = numbers.open(context);
  batch<int> target{2};
  source_output<int> out{target};

  REQUIRE(reader.poll(out) == poll_status::more);
  REQUIRE(target.size() == 2);
  CHECK(target.value(0) == 7);
  CHECK(target.time(1) == at(5));
  target.clear();
  REQUIRE(reader.poll(out) == poll_status::end);
  REQUIRE(target.size() == 1);
  CHECK(target.value(0) == 9);
}

TEST_CASE("a reader of a memory source starts at the first value or where another was saved") {
  asio_environment env;
  fake_source_context context{env};
  const memory::source<std::string> words{std::vector<std::string>{"a", "b", "c"}};
  batch<std::string> target{8};
  source_output<std::string> out{target};
  auto first = words.open(context);
  CHECK(first.poll(out) == poll_status::end);
  auto second = words.open(context);
  second.stop();
  CHECK(second.poll(out) == poll_status::end);
  auto third = words.open(context);
  batch<std::string> some{2};
  source_output<std::string> two{some};
  auto earlier = words.open(context);
  earlier.poll(two);
  snapshot_writer saved;
  earlier.save(saved);
  snapshot_reader position(saved.view());
  third.restore(position);
  CHECK(third.poll(out) == poll_status::end);
  REQUIRE(target.size() == 4);
  CHECK(target.value(3) == "c");
}

TEST_CASE("a queue refuses what exceeds its capacity and wakes its reader once") {
  asio_environment env;
  fake_source_context context{env};
  memory::queue<int> numbers{2};
  static_assert(source_description<memory::queue<int>>);
  auto reader = numbers.open(context);
  batch<int> target{8};
  source_output<int> out{target};
  CHECK(reader.poll(out) == poll_status::wait);
  CHECK(numbers.try_push(1, at(1)));
  CHECK(numbers.try_push(2, at(2)));
  CHECK_FALSE(numbers.try_push(3, at(3)));
  CHECK_FALSE(numbers.push(3, at(3), 1ms));
  CHECK(context.wakes == 1);
  CHECK(reader.poll(out) == poll_status::wait);
  CHECK(target.size() == 2);
  CHECK(numbers.try_push(4));
  numbers.close();
  CHECK_FALSE(numbers.try_push(5));
  CHECK(reader.poll(out) == poll_status::end);
  CHECK(target.size() == 3);
}

TEST_CASE("a queue has one reader at a time") {
  asio_environment env;
  fake_source_context context{env};
  const memory::queue<int> numbers;
  {
    auto reader = numbers.open(context);
    CHECK_THROWS_AS(numbers.open(context), topology_error);
  }
  CHECK_NOTHROW(numbers.open(context));
}

TEST_CASE("producers that wait for room lose nothing, and are released when the pipeline stops") {
  asio_environment env;
  fake_source_context context{env};
  memory::queue<int> numbers{16};
  auto reader = numbers.open(context);
  constexpr int each = 20000;
  std::vector<std::thread> producers;
  for (int p = 0; p < 2; ++p) {
    producers.emplace_back([numbers, p]() mutable {
      for (int i = 0; i < each; ++i) numbers.push(p * each + i, at(i));
    });
  }
  batch<int> target{64};
  source_output<int> out{target};
  std::vector<int> seen(2 * each);
  std::vector<int> last{-1, each - 1};
  for (int total = 0; total < 2 * each;) {
    target.clear();
    reader.poll(out);
    total += static_cast<int>(target.size());
    for (std::size_t i = 0; i < target.size(); ++i) {
      const int v = target.value(i);
      ++seen[static_cast<std::size_t>(v)];
      int& before = last[v < each ? 0 : 1];
      if (v != before + 1) FAIL("a producer's records changed their order");
      before = v;
    }
  }
  for (auto& p : producers) p.join();
  CHECK(std::count(seen.begin(), seen.end(), 1) == 2 * each);

  for (int i = 0; i < 16; ++i) REQUIRE(numbers.try_push(i));
  bool taken = true;
  std::thread late([&] { taken = numbers.push(99); });
  reader.stop();
  late.join();
  CHECK_FALSE(taken);
}

TEST_CASE("a memory sink collects values and times, and says when the pipeline has ended") {
  asio_environment env;
  fake_sink_context context{env};
  memory::sink<std::string> words;
  static_assert(sink_for<memory::sink<std::string>, std::string>);
  auto writer = words.open(context);
  writer.write("a", at(1));
  writer.write("b", at(2));
  CHECK(words.values() == std::vector<std::string>{"a", "b"});
  CHECK_FALSE(words.ended());
  CHECK(words.wait_for(2, 1s));
  writer.end();
  CHECK(words.ended());
  CHECK(context.times_done == 1);
  CHECK(words.take() == std::vector<memory::timed<std::string>>{{"a", at(1)}, {"b", at(2)}});
  CHECK(words.size() == 0);
}

TEST_CASE("a memory sink that is full fails the pipeline instead of growing") {
  asio_environment env;
  fake_sink_context context{env};
  const memory::sink<int> numbers{2};
  auto writer = numbers.open(context);
  for (int i = 0; i < 3; ++i) writer.write(i, at(i));
  REQUIRE(context.failure);
  CHECK(context.failure->code == errc::overloaded);
  CHECK(numbers.size() == 2);
}
