// SPDX-License-Identifier: Apache-2.0
// Aggregates over the fields of dynamic records of several schemas, against a map per field name.

#include <millrace/state/serialize.hpp>
#include <millrace/windows/aggregates.hpp>
#include <millrace/windows/aggregates/fields.hpp>
#include <millrace/windows/aggregates/moments.hpp>
#include <millrace/windows/aggregates/quantiles.hpp>
#include <millrace/windows/aggregates/record_statistics.hpp>

#include "catch.hpp"
#include "oracle/random_stream.hpp"

#include <map>
#include <string>
#include <vector>

using namespace millrace;

namespace {

struct report {
  std::string station;
  dynamic_record fields;
};

/// Three versions of one schema, and one of another lineage.
std::vector<schema_ptr> schemas() {
  using field = schema::field;
  const auto first = std::make_shared<const schema>(
      std::vector<field>{{"name", field_kind::text}, {"bikes", field_kind::number}});
  const auto second = std::make_shared<const schema>(*first, field{"docks", field_kind::number});
  const auto third = std::make_shared<const schema>(*second, field{"load", field_kind::number});
  const auto other = std::make_shared<const schema>(
      std::vector<field>{{"docks", field_kind::number}, {"wind", field_kind::number}});
  return {first, second, third, other};
}

template <class S>
S saved_and_restored(const S& s) {
  snapshot_writer to;
  serialize(to, s);
  snapshot_reader from(to.view());
  S back{};
  deserialize(from, back);
  from.expect_end();
  REQUIRE(!from.failed());
  return back;
}

/// Parts merged in random order, some by way of a snapshot.
template <class A>
auto folded(oracle::random_source& random, const A& aggregate, const std::vector<report>& all) {
  static_assert(aggregate_for<A, report>);
  std::vector<typename A::state> parts(1);
  for (const report& r : all) {
    if (random.one_in(6)) parts.emplace_back();
    fold_record(aggregate, parts.back(), r, timestamp{});
  }
  while (parts.size() > 1) {
    const auto i =
        static_cast<std::size_t>(random.below(static_cast<std::int64_t>(parts.size() - 1)));
    if (random.one_in(4)) parts[i] = saved_and_restored(parts[i]);
    if (random.one_in(4)) parts[i + 1] = saved_and_restored(parts[i + 1]);
    aggregate.merge(parts[i], parts[i + 1]);
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
  return aggregate.result(parts[0]);
}

}  // namespace

TEST_CASE("each numeric field is aggregated on its own, whatever schema its records have") {
  const auto known = schemas();
  oracle::for_each_case(600, [&](oracle::random_source& random) {
    std::vector<report> all(static_cast<std::size_t>(random.between(0, 40)));
    std::map<std::string, std::vector<double>> expected;
    for (report& r : all) {
      r.fields.reset(known[static_cast<std::size_t>(random.below(4))]);
      for (const field_index i : r.fields.schema().numbers()) {
        if (random.one_in(3)) continue;
        const auto value = static_cast<double>(random.between(-50, 50));
        r.fields.set_number(i, value);
        expected[r.fields.name(i)].push_back(value);
      }
    }
    const auto check = [&](const auto& results, auto&& value_of, auto&& definition) {
      REQUIRE(results.size() == expected.size());
      for (const auto& f : results) {
        REQUIRE(expected.count(f.name) == 1);
        CHECK(value_of(f) == definition(expected[f.name]));
      }
    };
    const auto total = [](const std::vector<double>& v) {
      double t = 0;
      for (const double x : v) t += x;
      return t;
    };
    check(
        folded(random, each_field(sum(), &report::fields), all),
        [](const auto& f) { return f.value; }, total);
    check(
        folded(random, each_field(quantile(1), &report::fields), all),
        [](const auto& f) { return f.value; },
        [](const auto& v) { return *std::max_element(v.begin(), v.end()); });
    check(
        folded(random, statistics_of_record{&report::fields}, all).fields,
        [](const auto& f) { return f.statistics.sum; }, total);
    check(
        folded(random, each_field(compose(count{}, min_of()), &report::fields), all),
        [](const auto& f) { return f.value; },
        [](const auto& v) {
          return std::tuple(std::uint64_t{v.size()}, *std::min_element(v.begin(), v.end()));
        });
    CHECK(folded(random, in_field("docks", count{}, &report::fields), all) ==
          expected["docks"].size());
    CHECK(folded(random, in_field("bikes", sum(), &report::fields), all) ==
          total(expected["bikes"]));
    CHECK(folded(random, in_field("nobody", count{}, &report::fields), all) == 0);
  });
}
