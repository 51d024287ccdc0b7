// SPDX-License-Identifier: Apache-2.0
/// \file
/// Described structs as JSON: the options of the encoder.
#include <millrace/codec/json.hpp>

#include "catch.hpp"

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

namespace {

using millrace::json;
using millrace::json_options;
using millrace::json_time;
using millrace::timestamp;
using namespace std::chrono_literals;

enum class level : std::uint64_t { low, high = ~std::uint64_t{0} };
BOOST_DESCRIBE_ENUM(level, low, high)

struct base {
  int inherited = 1;
};
BOOST_DESCRIBE_STRUCT(base, (), (inherited))

struct event : base {
  std::optional<int> maybe;
  timestamp at{};
  std::chrono::minutes lasted{};
  level l{};
  std::vector<float> values;
  double real = 0;
};
BOOST_DESCRIBE_STRUCT(event, (base), (maybe, at, lasted, l, values, real))

struct only_time {
  timestamp t;
};
BOOST_DESCRIBE_STRUCT(only_time, (), (t))

std::string encoded(const auto& value, const json_options& options = {}) {
  std::string out;
  json.with(options).make_encoder<std::remove_cvref_t<decltype(value)>>().encode(value, out);
  return out;
}

}  // namespace

TEST_CASE("members come in the order of the description, those of the bases first") {
  event e;
  e.at = timestamp{1565625872s};
  e.lasted = 5min;
  e.l = level::high;
  e.values = {0.1f, 2};
  CHECK(encoded(e) == R"({"inherited":1,"at":"2019-08-12T16:04:32Z","lasted":5,"l":"high",)"
                      R"("values":[0.1,2],"real":0})");
  e.l = static_cast<level>(7);
  e.real = std::nan("");
  e.maybe = -3;
  CHECK(encoded(e) == R"({"inherited":1,"maybe":-3,"at":"2019-08-12T16:04:32Z","lasted":5,"l":7,)"
                      R"("values":[0.1,2],"real":null})");
}

TEST_CASE("an empty optional is left out, or null") {
  const event e;
  CHECK(encoded(e).find("maybe") == std::string::npos);
  CHECK(encoded(e, {.absent = millrace::json_absent::null}).find("\"maybe\":null") !=
        std::string::npos);
  CHECK(encoded(std::vector<std::optional<int>>{1, {}}) == "[1,null]");
}

TEST_CASE("times can be numbers, which read back exactly in every unit") {
  const auto number = [](timestamp t, json_time unit) {
    const json_options options{.timestamp_unit = unit,
                               .timestamps = millrace::json_time_output::number};
    const std::string text = encoded(only_time{t}, options);
    only_time back{};
    auto decoder = json.with(options).make_decoder<only_time>();
    REQUIRE(decoder.decode(text, back));
    CHECK(back.t == t);
    return text.substr(5, text.size() - 6);
  };
  CHECK(number(timestamp{1565625872s}, json_time::seconds) == "1565625872");
  CHECK(number(timestamp{1565625872s + 125ms}, json_time::seconds) == "1565625872.125");
  CHECK(number(timestamp{-1us}, json_time::seconds) == "-0.000001");
  CHECK(number(timestamp{-1500us}, json_time::milliseconds) == "-1.5");
  CHECK(number(timestamp{7us}, json_time::microseconds) == "7");
  CHECK(number(timestamp{7us}, json_time::nanoseconds) == "7000");
  CHECK(number(timestamp{}, json_time::nanoseconds) == "0");
  CHECK(number(millrace::min_timestamp, json_time::seconds) == "-9223372036854.775808");
  CHECK(number(millrace::max_timestamp, json_time::microseconds) == "9223372036854775807");
}

TEST_CASE("an encoder appends") {
  std::string out = "[";
  json.make_encoder<only_time>().encode({timestamp{}}, out);
  CHECK(out == R"([{"t":"1970-01-01T00:00:00Z"})");
}
