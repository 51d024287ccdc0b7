// SPDX-License-Identifier: Apache-2.0
/// \file
/// What is written is JSON, and reads back: with fixed examples, and with simdjson's DOM.
#include <millrace/base/utf8.hpp>
#include <millrace/codec/json_writer.hpp>

#include "catch.hpp"

#include <simdjson.h>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>

namespace {

std::string quoted(std::string_view text) {
  std::string out;
  millrace::append_json_string(out, text);
  return out;
}

template <class N>
std::string number(N value) {
  std::string out;
  millrace::append_json_number(out, value);
  return out;
}

}  // namespace

TEST_CASE("commas and colons are set where they belong") {
  std::string out = "before ";
  millrace::json_writer w(out);
  w.begin_object().member("a", 1).key("b").begin_array().value(true).null().value("x");
  w.begin_object().end_object().begin_array().end_array().end_array();
  w.key("c").begin_object().member("d", -2.5).end_object().end_object();
  CHECK(w.depth() == 0);
  w.newline().begin_array().value(1u).end_array();
  CHECK(out == "before {\"a\":1,\"b\":[true,null,\"x\",{},[]],\"c\":{\"d\":-2.5}}\n[1]");
}

TEST_CASE("raw keys and values are taken as they are") {
  std::string out;
  millrace::json_writer w(out);
  w.begin_object().raw_key("\"k\":").raw("[1]").member("t", millrace::timestamp{}).end_object();
  CHECK(out == R"({"k":[1],"t":"1970-01-01T00:00:00Z"})");
}

TEST_CASE("texts are escaped") {
  CHECK(quoted("") == "\"\"");
  CHECK(quoted("a\"b\\c/\b\f\n\r\t") == R"("a\"b\\c/\b\f\n\r\t")");
  CHECK(quoted(std::string_view("\0\x1f\x7f", 3)) == "\"\\u0000\\u001f\x7f\"");
  CHECK(quoted("gr\xC3\xBC\xC3\x9F") == "\"gr\xC3\xBC\xC3\x9F\"");
}

TEST_CASE("ill-formed UTF-8 becomes one replacement character per sequence") {
  const std::string r = "\xEF\xBF\xBD";
  CHECK(quoted("\xFF") == '"' + r + '"');
  CHECK(quoted("a\x80z") == "\"a" + r + "z\"");
  CHECK(quoted("\xE2\x82") == '"' + r + '"');
  CHECK(quoted("\xC0\xAF") == '"' + r + r + '"');
  CHECK(quoted("\xED\xA0\x80") == '"' + r + r + r + '"');
  CHECK(quoted("\xF0\x9F\x98"
               "A") == '"' + r + "A\"");
}

TEST_CASE("numbers are the shortest that read back") {
  CHECK(number(0.1) == "0.1");
  CHECK(number(0.1f) == "0.1");
  CHECK(number(5.0) == "5");
  CHECK(number(1e300) == "1e+300");
  CHECK(number(9007199254740992.0) == "9007199254740992");
  CHECK(number(123456789012345680000.0) == "1.2345678901234568e+20");
  CHECK(number(std::numeric_limits<double>::quiet_NaN()) == "null");
  CHECK(number(-std::numeric_limits<double>::infinity()) == "null");
  CHECK(number(std::numeric_limits<float>::infinity()) == "null");
  CHECK(number(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(number(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
}

TEST_CASE("random bytes and doubles are read back by simdjson") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  simdjson::dom::parser parser;
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto n = random() % 24; n > 0; --n) {
      text.push_back(static_cast<char>(random() % (i % 2 == 0 ? 256 : 128)));
    }
    const auto bits = random();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    std::string out;
    millrace::json_writer(out).begin_array().value(text).value(value).end_array();
    simdjson::dom::array array;
    REQUIRE(parser.parse(out).get(array) == simdjson::SUCCESS);
    std::string_view read;
    REQUIRE(array.at(0).get(read) == simdjson::SUCCESS);
    if (millrace::is_utf8(text)) REQUIRE(read == text);
    double again = 0;
    if (std::isfinite(value)) {
      REQUIRE(array.at(1).get(again) == simdjson::SUCCESS);
      REQUIRE(again == value);
    }
  }
}
