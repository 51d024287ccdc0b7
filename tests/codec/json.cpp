// SPDX-License-Identifier: Apache-2.0
/// \file
/// JSON into described structs: what is accepted, what is refused, and in which words.
#include <millrace/base/time_format.hpp>
#include <millrace/codec/json.hpp>
#include <millrace/record/buffer.hpp>

#include "catch.hpp"
#include "codec/json_types.hpp"

#include <cmath>
#include <limits>
#include <string>

namespace {

using namespace json_types;
using namespace std::chrono_literals;
using millrace::errc;
using millrace::json;
using millrace::json_options;

static_assert(millrace::decoder_for<millrace::json_codec, reading>);
static_assert(millrace::decoder_for<millrace::json_codec, millrace::dynamic_record>);
static_assert(millrace::encoder_for<millrace::json_codec, reading>);

/// Decodes with both readers, after each other, and checks that they agree.
template <class T>
millrace::result<void> decode(std::string_view text, T& out, const json_options& options = {}) {
  auto fast = json.with(options).make_decoder<T>();
  auto exact = json.with(options).make_decoder<T>();
  exact.use_exact_reader_only();
  T other{};
  const auto second = exact.decode(text, other);
  for (int round = 0; round < 3; ++round) {
    const auto result = fast.decode(text, out);
    REQUIRE(result.has_value() == second.has_value());
    if (!result) REQUIRE(result.error().to_string() == second.error().to_string());
  }
  auto encoder = json.with(options).make_encoder<T>();
  std::string a, b;
  encoder.encode(out, a);
  encoder.encode(other, b);
  if (second) REQUIRE(a == b);
  return second;
}

template <class T = reading>
std::string error_of(std::string_view text, const json_options& options = {}) {
  T out{};
  const auto result = decode(text, out, options);
  return result ? "no error" : result.error().message;
}

template <class T>
errc code_of(std::string_view text, const json_options& options = {}) {
  T out{};
  const auto result = decode(text, out, options);
  REQUIRE_FALSE(result);
  return static_cast<errc>(result.error().code.value());
}

struct one_number {
  double x;
};
BOOST_DESCRIBE_STRUCT(one_number, (), (x))

struct one_text {
  std::string x;
};
BOOST_DESCRIBE_STRUCT(one_text, (), (x))

struct one_time {
  millrace::timestamp x;
};
BOOST_DESCRIBE_STRUCT(one_time, (), (x))

struct with_view {
  std::string_view x;
};
BOOST_DESCRIBE_STRUCT(with_view, (), (x))

double number(const std::string& text) {
  one_number out{};
  const auto result = decode("{\"x\":" + text + "}", out);
  return result ? out.x : std::numeric_limits<double>::quiet_NaN();
}

std::string text(const std::string& quoted) {
  one_text out{};
  const auto result = decode("{\"x\":" + quoted + "}", out);
  return result ? out.x : "refused";
}

}  // namespace

TEST_CASE("a report is read by the names that its rules give") {
  reading r;
  REQUIRE(decode(R"({"station_id":"68","num_bikes_available":9,"num_docks_available":14,)"
                 R"("last_reported":1565625872,"eightd_has_available_keys":false})",
                 r));
  CHECK(r.station == "68");
  CHECK(r.bikes == 9);
  CHECK(millrace::format_time(r.at) == "2019-08-12T16:04:32Z");
}

TEST_CASE("members may come in any order, with any white space, and the last of a name counts") {
  reading r;
  REQUIRE(
      decode(" { \"last_reported\" :\n1 ,\t\"num_bikes_available\":-3,\r\n\"station_id\": "
             "\"a\" , \"num_bikes_available\" : 4 } \n",
             r));
  CHECK(r.station == "a");
  CHECK(r.bikes == 4);
  CHECK(r.at == millrace::timestamp{1s});
}

TEST_CASE("every kind of member is read, and written so that it reads back the same") {
  const std::string document =
      R"({"flag":true,"small":-5,"large":9007199254740993,"natural":18446744073709551615,)"
      R"("real":0.1,"narrow":1.5,"text":"a\"b","mode":"broken","at":"2019-08-12T16:04:32.125Z",)"
      R"("lasted":3,"note":"n","place":{"lat":59.9,"lon":-10.7},"samples":[1,2.5,-3e-07],)"
      R"("tags":["x",""],"triple":[1,2,3],"counts":{"a":1,"b":2},"places":{},"parts":[],)"
      R"("level":6,"the \"unit\"":"K"})";
  everything e;
  REQUIRE(decode(document, e));
  CHECK(e.flag);
  CHECK(e.large == 9007199254740993);
  CHECK(e.natural == 18446744073709551615u);
  CHECK(e.mode == state::broken);
  CHECK(e.at == *millrace::parse_time("2019-08-12T16:04:32.125Z"));
  CHECK(e.lasted == 3000ms);
  CHECK(e.place->lon == -10.7);
  CHECK(e.samples == std::vector<double>{1, 2.5, -3e-7});
  CHECK(e.counts == std::map<std::string, int>{{"a", 1}, {"b", 2}});
  CHECK(e.unit == "K");
  CHECK(e.secret == 42);
  std::string again;
  json.make_encoder<everything>().encode(e, again);
  CHECK(again == document);
}

TEST_CASE("a recycled value keeps nothing of the record before") {
  auto decoder = json.make_decoder<everything>();
  auto exact = json.make_decoder<everything>();
  exact.use_exact_reader_only();
  const std::string full =
      R"({"flag":true,"small":1,"large":1,"natural":1,"real":1,"narrow":1,"text":"long enough for )"
      R"(the heap","mode":1,"at":0,"lasted":0,"note":"n","place":{"lat":1,"lon":2},)"
      R"("samples":[1,2],"tags":["x","y"],"triple":[1,2,3],"counts":{"a":1,"b":2},)"
      R"("places":{"p":{"lat":1,"lon":2}},"parts":[],"level":6,"the \"unit\"":"K"})";
  const std::string sparse =
      R"({"flag":false,"small":0,"large":0,"natural":0,"real":0,"narrow":0,"text":"","mode":0,)"
      R"("at":0,"lasted":0,"samples":[],"tags":["z"],"triple":[0,0,0],"counts":{"b":3},)"
      R"("places":{},"parts":[],"level":null})";
  for (auto* d : {&decoder, &exact}) {
    everything e;
    for (int round = 0; round < 3; ++round) {
      REQUIRE(d->decode(full, e));
      e.secret = 1;
      REQUIRE(d->decode(sparse, e));
      CHECK_FALSE(e.note);
      CHECK_FALSE(e.place);
      CHECK(e.samples.empty());
      CHECK(e.tags == std::vector<std::string>{"z"});
      CHECK(e.counts == std::map<std::string, int>{{"b", 3}});
      CHECK(e.places.empty());
      CHECK(e.level == 5);
      CHECK(e.unit == "C");
      CHECK(e.secret == 42);
    }
  }
}

TEST_CASE("errors say field, offset, what was expected and what was found") {
  CHECK(error_of(R"({"station_id":"68","num_bikes_available":"9","last_reported":1})") ==
        "field num_bikes_available at offset 41: expected an integer, found the string \"9\"");
  CHECK(error_of(R"({"station_id":"68","num_bikes_available":9.5,"last_reported":1})") ==
        "field num_bikes_available at offset 41: expected an integer, found the number 9.5");
  CHECK(error_of(R"({"station_id":null,"num_bikes_available":9,"last_reported":1})") ==
        "field station_id at offset 14: expected a string, found null");
  CHECK(error_of(R"({"station_id":"68","num_bikes_available":3000000000,"last_reported":1})") ==
        "field num_bikes_available at offset 41: the number 3000000000 does not fit into int32");
  CHECK(error_of(R"( {"station_id":"68","num_bikes_available":9})") ==
        "field last_reported at offset 1: is required and missing in the object");
  CHECK(error_of(R"({"station_id":"68","num_bikes_available":9,"last_reported":"noon"})") ==
        "field last_reported at offset 59: expected a time as in 2019-08-12T16:04:32Z, found the "
        "string \"noon\"");
  CHECK(error_of("[1]") == "at offset 0: expected an object, found an array");
  CHECK(error_of(" true") == "at offset 1: expected an object, found true");
  CHECK(error_of("") == "no JSON, but nothing");
  CHECK(error_of(R"({"station_id":"68",})") == "at offset 19: not valid JSON: }");
  CHECK(error_of(R"({"station_id":"68")") == "at offset 18: not valid JSON: it ends here");
  CHECK(error_of<everything>(R"({"parts":[{"place":{"lat":"x"}}]})") ==
        "field parts[0].place.lat at offset 26: expected a number, found the string \"x\"");
  CHECK(error_of<everything>(R"({"mode":"off"})") ==
        "field mode at offset 8: expected one of idle, running, broken, found the string \"off\"");
  CHECK(error_of<everything>(R"({"triple":[1,2]})") ==
        "field triple at offset 10: expected an array of exactly 3 elements");
}

TEST_CASE("errors have codes") {
  CHECK(code_of<reading>(R"({"station_id":1})") == errc::wrong_type);
  CHECK(code_of<reading>(R"({})") == errc::missing_field);
  CHECK(code_of<reading>(R"({"num_bikes_available":99999999999})") == errc::out_of_range);
  CHECK(code_of<reading>(R"({"station_id":"x)") == errc::malformed);
  CHECK(code_of<reading>(R"({})", {.max_bytes = 1}) == errc::too_large);
  CHECK(code_of<reading>(R"({"x":[[[]]]})", {.max_depth = 3}) == errc::too_large);
}

TEST_CASE("what is not JSON is refused wherever it stands") {
  const std::string good = R"("station_id":"68","num_bikes_available":9,"last_reported":1)";
  CHECK(error_of("{" + good + "}") == "no error");
  for (const char* bad : {"\"x\":tru",
                          "\"x\":truee",
                          "\"x\":nul",
                          "\"x\":01",
                          "\"x\":-",
                          "\"x\":1.",
                          "\"x\":.5",
                          "\"x\":1e",
                          "\"x\":+1",
                          "\"x\":1x",
                          "\"x\":[1,]",
                          "\"x\":[,]",
                          "\"x\":[1 2]",
                          "\"x\":{1:2}",
                          "\"x\":{\"a\"}",
                          "\"x\":{\"a\":1,}",
                          "\"x\":\"\\q\"",
                          "\"x\":\"\\u12\"",
                          "\"x\":\"\x01\"",
                          "\"x\":\"\xff\"",
                          "\"x\":\"\\ud800\"",
                          "\"x\":\"\\udc00\"",
                          "\"x\":[}",
                          "\"x\":",
                          "\"x\"",
                          "x:1",
                          "'x':1",
                          "\"x\":NaN",
                          "\"x\":Infinity",
                          "\"x\":\v1",
                          "\"\xc3\":1",
                          "\"\\ud800\":1"}) {
    INFO(bad);
    CHECK(error_of("{" + good + "," + bad + "}") != "no error");
    CHECK(error_of("{" + std::string(bad) + "," + good + "}") != "no error");
    CHECK(error_of("{\"y\":{" + std::string(bad) + "}," + good + "}") != "no error");
  }
  for (const char* behind : {"x", "}", ",", "{}", "\0", "1", "\"\""}) {
    CHECK(error_of("{" + good + "}" + behind + (*behind == 0 ? std::string(1, '\0') : "")) !=
          "no error");
  }
  CHECK(error_of("{" + good + ",\"x\":[{\"a\":[null,true,false,-0.5E+3,\"\\u00e9\"]},{}]}") ==
        "no error");
}

TEST_CASE("integers have the range of their type") {
  const auto fits = [](const char* name, const std::string& value) {
    std::string document = R"({"i8":0,"i16":0,"i32":0,"i64":0,"u8":0,"u16":0,"u32":0,"u64":0,)";
    integers out{};
    return decode(document + '"' + name + "\":" + value + "}", out).has_value();
  };
  CHECK((fits("i8", "127") && fits("i8", "-128") && !fits("i8", "128") && !fits("i8", "-129")));
  CHECK((fits("i16", "32767") && fits("i16", "-32768") && !fits("i16", "32768")));
  CHECK((fits("i32", "-2147483648") && !fits("i32", "2147483648")));
  CHECK((fits("i64", "9223372036854775807") && fits("i64", "-9223372036854775808")));
  CHECK((!fits("i64", "9223372036854775808") && !fits("i64", "-9223372036854775809")));
  CHECK((!fits("i64", "99999999999999999999999") && !fits("i64", "1e3") && !fits("i64", "1.0")));
  CHECK((fits("u8", "255") && !fits("u8", "256") && !fits("u8", "-1") && fits("u16", "65535")));
  CHECK((fits("u32", "4294967295") && !fits("u32", "4294967296")));
  CHECK((fits("u64", "18446744073709551615") && !fits("u64", "18446744073709551616")));
  CHECK(fits("i32", "-0"));
}

TEST_CASE("doubles are correctly rounded") {
  CHECK(number("0.1") == 0.1);
  CHECK(number("-0.0") == 0);
  CHECK(std::signbit(number("-0")));
  CHECK(number("9007199254740993") == 9007199254740992.0);
  CHECK(number("9007199254740993.0000000000000000000000001") == 9007199254740994.0);
  CHECK(number("123456789012345678901234567890") == 123456789012345678901234567890.0);
  CHECK(number("2.2250738585072011e-308") == 2.2250738585072011e-308);
  CHECK(number("1.7976931348623157e308") == 1.7976931348623157e308);
  CHECK(number("0.30000000000000004") == 0.30000000000000004);
  CHECK(number("1e22") == 1e22);
  CHECK(number("5e-324") == 5e-324);
  CHECK(std::isnan(number("1e400")));
  CHECK(std::isnan(number("\"1\"")));
}

TEST_CASE("texts have their escapes resolved") {
  CHECK(text(R"("")").empty());
  CHECK(text(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(text(R"("\u00e9\u20AC\ud83d\ude00")") == "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  CHECK(text("\"\xC3\xA9 und \xF0\x9F\x98\x80 \\n\"") == "\xC3\xA9 und \xF0\x9F\x98\x80 \n");
  CHECK(text(R"("a\u0000b")") == std::string("a\0b", 3));
  CHECK(text("\"0123456789abcdef0123456789abcdef\\t0123456789abcdef\"") ==
        "0123456789abcdef0123456789abcdef\t0123456789abcdef");
  CHECK(text(R"("\ud83d\u0041")") == "refused");
}

TEST_CASE("names of members may be escaped in the document") {
  one_number out{};
  REQUIRE(decode(R"({"\u0078":3})", out));
  CHECK(out.x == 3);
}

TEST_CASE("times are numbers in the chosen unit, or text") {
  using millrace::json_time;
  const auto time = [](const std::string& value, json_time unit) {
    one_time out{};
    const auto result = decode("{\"x\":" + value + "}", out, {.timestamp_unit = unit});
    return result ? std::optional(out.x.time_since_epoch().count()) : std::nullopt;
  };
  CHECK(time("1565625872", json_time::seconds) == 1565625872000000);
  CHECK(time("1565625872123", json_time::milliseconds) == 1565625872123000);
  CHECK(time("1565625872123456", json_time::microseconds) == 1565625872123456);
  CHECK(time("1565625872123456789", json_time::nanoseconds) == 1565625872123456);
  CHECK(time("-1", json_time::nanoseconds) == -1);
  CHECK(time("1565625872.123456", json_time::seconds) == 1565625872123456);
  CHECK(time("1565625872.1234569", json_time::seconds) == 1565625872123456);
  CHECK(time("-0.5", json_time::seconds) == -500000);
  CHECK(time("-0.0000001", json_time::seconds) == -1);
  CHECK(time("1.5", json_time::milliseconds) == 1500);
  CHECK(time("1.9", json_time::microseconds) == 1);
  CHECK(time("1.565625872e9", json_time::seconds) == 1565625872000000);
  CHECK(time("9223372036854", json_time::seconds) == 9223372036854000000);
  CHECK_FALSE(time("9223372036855", json_time::seconds));
  CHECK_FALSE(time("1e300", json_time::seconds));
  CHECK_FALSE(time("true", json_time::seconds));
  CHECK(time("\"1970-01-01T00:00:01+00:00\"", json_time::nanoseconds) == 1000000);
}

TEST_CASE("names too long to be remembered may stand next to each other") {
  const std::string name(100, 'n');
  one_number out{};
  REQUIRE(decode("{\"" + name + "1\":1,\"" + name + "2\":2,\"" + name + "3\":3,\"x\":4}", out));
  CHECK(out.x == 4);
}

TEST_CASE("members that are not described can be rejected") {
  one_number out{};
  const json_options strict{.unknown = millrace::json_unknown::reject};
  CHECK(decode(R"({"x":1})", out, strict));
  CHECK(error_of<one_number>(R"({"x":1,"y":2})", strict) ==
        "field y at offset 11: is not described, and unknown members are rejected");
}

TEST_CASE("a whole document may be an array or a map") {
  std::vector<one_number> list;
  REQUIRE(decode(R"([{"x":1},{"x":2}])", list));
  CHECK(list.size() == 2);
  REQUIRE(decode(R"([])", list));
  CHECK(list.empty());
  std::map<std::string, std::string> map;
  REQUIRE(decode(R"({"a":"1","b":"2","a":"3"})", map));
  CHECK(map == std::map<std::string, std::string>{{"a", "3"}, {"b", "2"}});
  std::array<std::optional<bool>, 2> pair;
  REQUIRE(decode(R"([true,null])", pair));
  CHECK((pair[0] == true && !pair[1]));
}

TEST_CASE("a payload is read in place only if the bytes behind it may be read") {
  const std::string document = R"({"x":12345})";
  const millrace::shared_buffer buffer = millrace::shared_buffer::copy_of(document + "6789");
  auto decoder = json.make_decoder<one_number>();
  one_number out{};
  const std::size_t all = buffer.capacity() + millrace::shared_buffer::padding;
  const auto payload = [&](std::size_t size, std::size_t readable) {
    return millrace::payload_view{{buffer.data(), size}, readable};
  };
  const std::size_t size = document.size();
  for (const std::size_t readable : {std::size_t{0}, size, size + 63, all}) {
    REQUIRE(decoder.decode(payload(size, readable), out));
    CHECK(out.x == 12345);
  }
  // A document that ends inside of a number or name is not completed by what follows.
  for (std::size_t cut = 0; cut < size; ++cut) CHECK_FALSE(decoder.decode(payload(cut, all), out));
}

TEST_CASE("a type with a string_view can be written but not read") {
  CHECK_THROWS_AS(json.make_decoder<with_view>(), millrace::topology_error);
  CHECK_THROWS_AS(json.make_decoder<std::vector<std::string_view>>(), millrace::topology_error);
  std::string out;
  json.make_encoder<with_view>().encode({"a"}, out);
  CHECK(out == R"({"x":"a"})");
}
