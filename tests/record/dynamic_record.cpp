// SPDX-License-Identifier: Apache-2.0
/// \file
/// Dynamic records, against a map from names to values.
#include <millrace/record/batch.hpp>
#include <millrace/record/dynamic_record.hpp>

#include "catch.hpp"

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using millrace::dynamic_record;
using millrace::field_index;
using millrace::field_kind;
using millrace::schema;
using millrace::schema_ptr;

schema_ptr make_schema(std::size_t fields) {
  std::vector<schema::field> list;
  for (std::size_t i = 0; i < fields; ++i) {
    list.push_back({"f" + std::to_string(i), static_cast<field_kind>(i % 3)});
  }
  return std::make_shared<const schema>(std::move(list));
}

}  // namespace

static_assert(millrace::recycle_values<dynamic_record>);

TEST_CASE("an empty record has no fields") {
  const dynamic_record r;
  CHECK(r.field_count() == 0);
  CHECK_FALSE(r.has(0));
  CHECK_FALSE(r.number("x"));
  CHECK(r == dynamic_record{});
}

TEST_CASE("a field that was not set is missing, whatever the record held before") {
  const schema_ptr s = make_schema(5);
  dynamic_record r(s);
  r.set_number(0, 1.5);
  r.set_text(1, "one");
  r.set_boolean(2, true);
  CHECK(r.number("f0") == 1.5);
  CHECK(r.text("f1") == "one");
  CHECK(r.boolean("f2") == true);
  CHECK_FALSE(r.has(3));
  CHECK_FALSE(r.number("f1"));
  r.set_text(1, "two");
  CHECK(r.text(1) == "two");
  r.remove(0);
  CHECK_FALSE(r.has(0));
  r.reset(s);
  for (field_index i = 0; i < 5; ++i) CHECK_FALSE(r.has(i));
}

TEST_CASE("records are equal by names and values, not by schemas") {
  const auto one = std::make_shared<const schema>(
      std::vector<schema::field>{{"a", field_kind::number}, {"b", field_kind::text}});
  const auto two = std::make_shared<const schema>(std::vector<schema::field>{
      {"b", field_kind::text}, {"c", field_kind::number}, {"a", field_kind::number}});
  dynamic_record x(one), y(two);
  x.set_number(0, 1);
  y.set_number(2, 1);
  CHECK(x == y);
  y.set_text(0, "t");
  CHECK_FALSE(x == y);
  x.set_text(1, "t");
  CHECK(x == y);
  x.set_number(0, 2);
  CHECK_FALSE(x == y);
}

TEST_CASE("moving leaves a record that can be used again") {
  dynamic_record a(make_schema(200));
  a.set_text(199, "far behind the inline cells");
  dynamic_record b(std::move(a));
  CHECK(b.text(199).size() == 27);
  a = dynamic_record(make_schema(100));
  a.set_number(99, 3);
  b = std::move(a);
  CHECK(b.number(99) == 3);
  a.reset(make_schema(3));
  a.set_number(0, 1);
  CHECK(a.number(0) == 1);
  a.reset(nullptr);
  CHECK(a.field_count() == 0);
}

TEST_CASE("random changes agree with a map, at any number of fields") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  dynamic_record record, copy;
  for (int round = 0; round < 300; ++round) {
    const std::size_t fields = 1 + random() % 256;
    const schema_ptr s = make_schema(fields);
    record.reset(s);
    std::map<field_index, std::variant<double, std::string, bool>> expected;
    for (int change = 0; change < 100; ++change) {
      const auto i = static_cast<field_index>(random() % fields);
      if (random() % 4 == 0) {
        record.remove(i);
        expected.erase(i);
      } else if (s->kind(i) == field_kind::number) {
        record.set_number(i, change * 0.5);
        expected[i] = change * 0.5;
      } else if (s->kind(i) == field_kind::text) {
        record.set_text(i, std::string(random() % 40, 'x'));
        expected[i] = std::string(record.text(i));
      } else {
        record.set_boolean(i, change % 2 == 0);
        expected[i] = change % 2 == 0;
      }
    }
    copy = record;
    for (field_index i = 0; i < fields + 70; ++i) {
      const auto found = expected.find(i);
      REQUIRE(copy.has(i) == (found != expected.end()));
      if (!copy.has(i)) continue;
      switch (copy.kind(i)) {
        case field_kind::number: REQUIRE(copy.number(i) == std::get<double>(found->second)); break;
        case field_kind::text: REQUIRE(copy.text(i) == std::get<std::string>(found->second)); break;
        default: REQUIRE(copy.boolean(i) == std::get<bool>(found->second)); break;
      }
    }
    REQUIRE(copy == record);
  }
}
