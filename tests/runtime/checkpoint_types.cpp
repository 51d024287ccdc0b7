// SPDX-License-Identifier: Apache-2.0
// State that was saved by an earlier version of a program, from a directory, at any parallelism.

#include <millrace/millrace.hpp>
#include <millrace/runtime/checkpoint_directory.hpp>
#include <millrace/state/saved_types.hpp>
#include <millrace/testing/faulty_file_system.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "simulation/random_pipeline.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using random_pipelines::event;

namespace {

namespace first {
struct part {
  int n = 0;
};
BOOST_DESCRIBE_STRUCT(part, (), (n))
struct account {
  std::int64_t sum = 0;
  std::vector<part> parts;
};
BOOST_DESCRIBE_STRUCT(account, (), (sum, parts))
}  // namespace first

namespace later {
struct part {
  std::string label = "new";
  int n = 0;
};
BOOST_DESCRIBE_STRUCT(part, (), (label, n))
struct account {
  int version = 2;
  std::int64_t sum = 0;
  std::optional<int> limit{7};
  std::vector<part> parts;
};
BOOST_DESCRIBE_STRUCT(account, (), (version, sum, limit, parts))
}  // namespace later

namespace other {
struct account {
  std::string sum;
};
BOOST_DESCRIBE_STRUCT(account, (), (sum))
}  // namespace other

std::vector<std::vector<event>> batches() {
  std::vector<std::vector<event>> all;
  for (int b = 0; b < 40; ++b) all.push_back({{b % 5, b, 1}, {(b + 1) % 5, b, 2}});
  return all;
}

random_pipelines::scripted_source source() {
  return {std::make_shared<const std::vector<std::vector<event>>>(batches())};
}

/// Runs until a checkpoint is complete, or to the end.
template <class Account, class F>
random_pipelines::lines run(testing::faulty_file_system& disk, std::size_t workers, bool to_end,
                            F on_record) {
  const auto rows = std::make_shared<random_pipelines::database>();
  testing::simulation sim({.workers = workers, .seed = 5});
  pipeline p("accounts");
  p.parallelism(workers).checkpoint_to(
      std::make_shared<checkpoint_directory>(
          checkpoint_store_options{.directory = "state", .files = &disk}),
      {.every = 1h});
  p.source("in", source())
      .key_by([](const event& e) { return e.key; })
      .template process<std::string>(
          "accounts",
          [on_record](const event& e, Account& a, auto& ctx) { ctx.emit(on_record(e, a)); })
      .to("out", random_pipelines::transactional_sink{rows});
  p.start(sim);
  // The first checkpoint is taken before any record flows.
  while (!to_end && p.status().checkpoints.completed == 0) sim.step();
  for (int steps = 0; !to_end && p.status().checkpoints.completed == 1; ++steps) {
    if (steps == 20) p.checkpoint_now();
    sim.step();
  }
  if (!to_end) p.cancel();
  p.wait();
  return rows->rows;
}

std::string save_first(testing::faulty_file_system& disk) {
  const auto rows = run<first::account>(disk, 2, false, [](const event& e, first::account& a) {
    a.sum += e.value;
    a.parts.push_back({e.value});
    return std::to_string(e.key);
  });
  return std::to_string(rows.size());
}

}  // namespace

TEST_CASE("state is restored into structs that have got members") {
  testing::faulty_file_system disk;
  save_first(disk);
  std::map<int, std::int64_t> sums;
  std::map<int, std::size_t> parts;
  std::size_t old_parts = 0;
  run<later::account>(disk, 3, true, [&](const event& e, later::account& a) {
    if (!parts.contains(e.key)) {
      REQUIRE(a.version == 2);
      REQUIRE(a.limit == 7);
      for (const auto& p : a.parts) REQUIRE(p.label == "new");
      old_parts += a.parts.size();
    }
    a.sum += e.value;
    a.parts.push_back({"later", e.value});
    sums[e.key] = a.sum;
    parts[e.key] = a.parts.size();
    return std::to_string(e.key);
  });
  CHECK(old_parts > 0);
  std::map<int, std::int64_t> expected;
  for (const auto& batch : batches()) {
    for (const auto& e : batch) expected[e.key] += e.value;
  }
  CHECK(sums == expected);
  for (const auto& [key, n] : parts) CHECK(n == 16);
}

TEST_CASE("state of another type is refused in words") {
  testing::faulty_file_system disk;
  save_first(disk);
  const auto restore = [&] {
    run<other::account>(disk, 2, true, [](const event&, other::account&) { return std::string(); });
  };
  CHECK_THROWS_WITH(restore(), Contains("accounts") && Contains("account{sum:i64,") &&
                                   Contains("account{sum:string}"));
}

TEST_CASE("types fit when described structs have got members, and not otherwise") {
  const auto fits = [](std::string_view saved, std::string_view now) {
    return saved_types::compare(saved, now).has_value();
  };
  CHECK(fits("i32,a{x:i32}", "i32,a{x:i32}"));
  CHECK(fits("a{x:i32}", "a{w:string,x:i32,y:map<i32,string>}"));
  CHECK(fits("map<i32,a{}>", "map<i32,a{x:time}>"));
  CHECK(
      fits("a{b:b{x:i32},c:list<b{x:i32}>}", "a{b:b{x:i32,y:f64},c:list<b{x:i32,y:f64}>,d:bool}"));
  CHECK_FALSE(fits("a{x:i32,y:i32}", "a{x:i32}"));
  CHECK_FALSE(fits("a{x:i32,y:i32}", "a{y:i32,x:i32}"));
  CHECK_FALSE(fits("a{x:i32}", "a{x:i64}"));
  CHECK_FALSE(fits("a{x:i32}", "b{x:i32}"));
  CHECK_FALSE(fits("i32,a{x:i32}", "i64,a{x:i32}"));
  CHECK_FALSE(fits("list<i32>", "list<i32,i32>"));
  CHECK_FALSE(fits("list<a{x:i32},a{y:i32}>", "list<a{x:i32},a{x:i32,y:i32}>"));
  for (const auto* broken : {"a{x", "a{x:i32", "a<i32", "a}", "a{x:i32}>", "a{:}{"}) {
    CHECK_FALSE(fits(broken, "a{x:i32}"));
  }
  const auto found = saved_types::compare("a{x:i32}", "a{w:bool,x:i32}");
  REQUIRE(found);
  REQUIRE(found->members("a") != nullptr);
  CHECK(*found->members("a") == std::vector<std::string>{"x"});
  CHECK(found->members("b") == nullptr);
}
