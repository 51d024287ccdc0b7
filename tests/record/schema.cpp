// SPDX-License-Identifier: Apache-2.0
/// \file
/// Schemas: fields keep their indexes, growth is bounded, kinds follow the rules.
#include <millrace/record/schema.hpp>

#include "catch.hpp"

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using millrace::field_kind;
using millrace::inferred_fields;
using millrace::numeric_fields;
using millrace::schema;
using millrace::schema_registry;

TEST_CASE("a schema finds its fields and lists its numbers") {
  const schema s({{"a", field_kind::number}, {"b", field_kind::text}, {"c", field_kind::number}});
  CHECK(s.size() == 3);
  CHECK(s.find("b") == 1u);
  CHECK_FALSE(s.find("d"));
  CHECK(s.numbers() == std::vector<millrace::field_index>{0, 2});
  CHECK_THROWS_AS(schema({{"a", field_kind::number}, {"a", field_kind::text}}),
                  std::invalid_argument);
}

TEST_CASE("a longer version keeps every index and the lineage") {
  const schema first({{"a", field_kind::number}});
  const schema second(first, {"b", field_kind::number});
  CHECK(second.find("a") == first.find("a"));
  CHECK(second.lineage() == first.lineage());
  CHECK(second.version() == first.version() + 1);
  CHECK(schema({{"a", field_kind::number}}).lineage() != first.lineage());
}

TEST_CASE("inference: numbers are numbers, except those that are identifiers") {
  schema_registry registry(inferred_fields{.text = {"line"}, .ignored = {"debug"}});
  registry.learn("bikes", field_kind::number);
  registry.learn("station_id", field_kind::number);
  registry.learn("name", field_kind::text);
  registry.learn("open", field_kind::boolean);
  registry.learn("line", field_kind::number);
  const auto s = registry.current();
  const auto kind = [&](const char* name) { return s->kind(*s->find(name)); };
  CHECK(kind("bikes") == field_kind::number);
  CHECK(kind("station_id") == field_kind::text);
  CHECK(kind("name") == field_kind::text);
  CHECK(kind("open") == field_kind::boolean);
  CHECK(kind("line") == field_kind::text);
  CHECK(kind("debug") == field_kind::ignored);
}

TEST_CASE("a list of numeric fields leaves all other numbers out") {
  schema_registry registry(numeric_fields{"bikes", "docks"});
  registry.learn("last_reported", field_kind::number);
  registry.learn("name", field_kind::text);
  const auto s = registry.current();
  CHECK(s->numbers().size() == 2);
  CHECK(s->kind(*s->find("last_reported")) == field_kind::ignored);
  CHECK(s->kind(*s->find("name")) == field_kind::text);
}

TEST_CASE("names of identifiers are told from words that end alike") {
  for (const char* name : {"id", "ID", "uuid", "station_id", "device-id", "meta.id", "userId"}) {
    INFO(name);
    CHECK(millrace::names_identifier(name));
  }
  for (const char* name : {"", "humid", "paid", "grid", "valid", "_id_", "idle", "liquid"}) {
    INFO(name);
    CHECK_FALSE(millrace::names_identifier(name));
  }
}

TEST_CASE("a registry refuses what is beyond its bound, and counts it") {
  schema_registry registry(inferred_fields{.max_fields = 2});
  for (int i = 0; i < 5; ++i) registry.learn("f" + std::to_string(i), field_kind::number);
  registry.learn("f1", field_kind::number);
  CHECK(registry.current()->size() == 2);
  CHECK(registry.refused() == 3);
}

TEST_CASE("workers that learn at the same time agree on every index") {
  schema_registry registry;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&registry, t] {
      for (int i = 0; i < 50; ++i) {
        registry.learn("f" + std::to_string((i * 7 + t * 13) % 50), field_kind::number);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  const auto s = registry.current();
  CHECK(s->size() == 50);
  for (millrace::field_index i = 0; i < 50; ++i) CHECK(s->find(s->name(i)) == i);
}

TEST_CASE("a projection translates the indexes of any schema") {
  millrace::schema_projection projection;
  const schema one({{"a", field_kind::number}, {"b", field_kind::number}});
  const schema two({{"b", field_kind::number}, {"c", field_kind::number}});
  using indexes = std::vector<millrace::field_index>;
  CHECK(projection.map(one) == indexes{0, 1});
  CHECK(projection.map(two) == indexes{1, 2});
  CHECK(projection.map(schema(two, {"a", field_kind::number})) == indexes{1, 2, 0});
  CHECK(projection.map(one) == indexes{0, 1});
  CHECK(projection.names() == std::vector<std::string>{"a", "b", "c"});
}
