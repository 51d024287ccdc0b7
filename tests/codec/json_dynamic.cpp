// SPDX-License-Identifier: Apache-2.0
/// \file
/// JSON into dynamic records: which fields there are, and what becomes of values that do not fit.
#include <millrace/codec/json.hpp>

#include "catch.hpp"

#include <cstddef>
#include <string>

namespace {

using millrace::dynamic_record;
using millrace::field_kind;
using millrace::inferred_fields;
using millrace::json;
using millrace::json_codec;
using millrace::numeric_fields;

constexpr const char* report =
    R"({"station_id":"68","num_bikes_available":9,"is_renting":true,"last_reported":1565625872,)"
    R"("position":{"lat":59.9,"zone":"inner","deep":{"er":{"still":{"x":1}}}},"types":[1,2],)"
    R"("nothing":null})";

/// The record as JSON, after both readers have agreed on it.
std::string decoded(const json_codec& codec, const std::string& text) {
  auto fast = codec.make_decoder<dynamic_record>();
  auto exact = codec.make_decoder<dynamic_record>();
  exact.use_exact_reader_only();
  dynamic_record a, b;
  const auto second = exact.decode(text, b);
  for (int round = 0; round < 3; ++round) {
    const auto first = fast.decode(text, a);
    REQUIRE(first.has_value() == second.has_value());
    if (!first) REQUIRE(first.error().message == second.error().message);
  }
  if (!second) return second.error().message;
  REQUIRE(a == b);
  std::string out;
  codec.make_encoder<dynamic_record>().encode(a, out);
  return out;
}

}  // namespace

TEST_CASE("inferred: every scalar is a field, nested objects are flattened, arrays left out") {
  CHECK(decoded(json.with(inferred_fields{}), report) ==
        R"({"station_id":"68","num_bikes_available":9,"is_renting":true,)"
        R"("last_reported":1565625872,"position.lat":59.9,"position.zone":"inner",)"
        R"("position.deep.er.still.x":1})");
}

TEST_CASE("objects below the chosen depth are left out") {
  CHECK(decoded(json.with(millrace::json_options{.flatten_depth = 1}).with(inferred_fields{}),
                R"({"a":{"b":1,"c":{"d":2}}})") == R"({"a.b":1})");
  CHECK(decoded(json.with(millrace::json_options{.flatten_depth = 0}).with(inferred_fields{}),
                R"({"a":{"b":1},"e":3})") == R"({"e":3})");
}

TEST_CASE("given numeric fields: no other number is in the record") {
  CHECK(decoded(json.with(numeric_fields{"num_bikes_available", "position.lat"}), report) ==
        R"({"num_bikes_available":9,"position.lat":59.9,"station_id":"68","is_renting":true,)"
        R"("position.zone":"inner"})");
}

TEST_CASE("a given schema is not added to") {
  const auto codec = json.with(std::vector<millrace::schema::field>{
      {"last_reported", field_kind::number}, {"position", field_kind::ignored}});
  CHECK(decoded(codec, report) == R"({"last_reported":1565625872})");
  CHECK(codec.registry()->current()->size() == 2);
}

TEST_CASE("a value of another kind leaves its field missing") {
  const auto codec = json.with(inferred_fields{});
  CHECK(decoded(codec, R"({"n":1,"t":"x","b":true,"some_id":5})") ==
        R"({"n":1,"t":"x","b":true,"some_id":"5"})");
  CHECK(decoded(codec, R"({"n":"1","t":true,"b":0,"some_id":"7"})") == R"({"some_id":"7"})");
  CHECK(decoded(codec, R"({"n":null,"t":null,"b":null})") == "{}");
  CHECK(decoded(codec, R"({"n":[1],"t":{"y":"z"},"b":false})") == R"({"b":false,"t.y":"z"})");
  CHECK(decoded(codec, R"({"n":2,"n":"3"})") == "{}");
  CHECK(decoded(codec, R"({"n":"2","n":3})") == R"({"n":3})");
  CHECK(decoded(codec, R"({"t":5.50})") == R"({"t":"5.50"})");
}

TEST_CASE("a field that turns up later is added; the others keep their indexes") {
  const auto codec = json.with(inferred_fields{});
  auto decoder = codec.make_decoder<dynamic_record>();
  dynamic_record r;
  REQUIRE(decoder.decode(std::string_view(R"({"a":1,"b":2})"), r));
  const auto before = r.shared_schema();
  REQUIRE(decoder.decode(std::string_view(R"({"c":3,"b":2})"), r));
  CHECK(r.schema().lineage() == before->lineage());
  CHECK(r.schema().version() > before->version());
  CHECK(r.schema().find("b") == before->find("b"));
  CHECK_FALSE(r.number("a"));
  CHECK(r.number("c") == 3);
}

TEST_CASE("decoders of one codec number their fields alike") {
  const auto codec = json.with(inferred_fields{});
  auto one = codec.make_decoder<dynamic_record>();
  auto two = codec.make_decoder<dynamic_record>();
  dynamic_record r, s;
  REQUIRE(one.decode(std::string_view(R"({"a":1,"b":2})"), r));
  REQUIRE(two.decode(std::string_view(R"({"b":3,"a":4})"), s));
  CHECK(r.schema().lineage() == s.schema().lineage());
  CHECK(s.number(*r.schema().find("a")) == 4);
}

TEST_CASE("nothing is learnt from a document that is refused") {
  const auto codec = json.with(inferred_fields{});
  auto decoder = codec.make_decoder<dynamic_record>();
  dynamic_record r;
  CHECK_FALSE(decoder.decode(std::string_view(R"({"a":1,"b":tru})"), r));
  CHECK_FALSE(decoder.decode(std::string_view(R"({"a":1} x)"), r));
  CHECK(codec.registry()->current()->size() == 0);
}

TEST_CASE("after the chosen number of records the schema stays as it is") {
  const auto codec = json.with(inferred_fields{.records = 2});
  auto decoder = codec.make_decoder<dynamic_record>();
  dynamic_record r;
  for (const char* text : {R"({"a":1})", R"({"b":1})", R"({"c":1})", R"({"a":1,"c":1})"}) {
    REQUIRE(decoder.decode(std::string_view(text), r));
  }
  CHECK(codec.registry()->current()->size() == 2);
  CHECK(r.number("a") == 1);
}

TEST_CASE("at most so many fields are learnt, and documents with others are read all the same") {
  const auto codec = json.with(inferred_fields{.max_fields = 3});
  auto decoder = codec.make_decoder<dynamic_record>();
  dynamic_record r;
  for (int i = 0; i < 2000; ++i) {
    const std::string junk =
        "{\"x\":" + std::to_string(i) + ",\"junk" + std::to_string(i) + "\":1}";
    REQUIRE(decoder.decode(junk, r));
    REQUIRE(r.number("x") == i);
  }
  CHECK(codec.registry()->current()->size() == 3);
  CHECK(decoder.slow_documents() < 10);
}

TEST_CASE("integers are exact up to 2^53") {
  const auto codec = json.with(inferred_fields{});
  CHECK(decoded(codec, R"({"n":9007199254740992})") == R"({"n":9007199254740992})");
  CHECK(decoded(codec, R"({"n":-9007199254740991})") == R"({"n":-9007199254740991})");
}

TEST_CASE("errors name the dotted field") {
  CHECK(decoded(json.with(inferred_fields{}), R"({"a":{"b":1x}})") ==
        "field a.b at offset 11: not valid JSON: x}}");
  CHECK(decoded(json.with(numeric_fields{"a.b"}), R"({"a":{"b":1e999}})") ==
        "field a.b at offset 10: the number 1e999 does not fit into double");
}
