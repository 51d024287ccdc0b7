// SPDX-License-Identifier: Apache-2.0
// Trace context, against the examples of the W3C Recommendation and the cases of its test suite.
#include <millrace/base/trace_context.hpp>

#include "catch.hpp"

#include <random>
#include <string>

using namespace millrace;

namespace {

const std::string example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// `n` members a0=1,a1=1,...
std::string members(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += (i == 0 ? "a" : ",a") + std::to_string(i) + "=1";
  return text;
}

}  // namespace

TEST_CASE("a traceparent is read and written as the specification has it") {
  const auto context = parse_traceparent(example);
  REQUIRE(context);
  CHECK(context->trace_high == 0x4bf92f3577b34da6u);
  CHECK(context->trace_low == 0xa3ce929d0e0e4736u);
  CHECK(context->span == 0x00f067aa0ba902b7u);
  CHECK(context->sampled);
  CHECK(to_traceparent(*context) == example);
  CHECK(trace_id_text(*context) == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(span_id_text(context->span) == "00f067aa0ba902b7");
}

TEST_CASE("of the flags only the lowest counts, and only it is written") {
  for (const auto& [flags, sampled] :
       {std::pair{"00", false}, {"02", false}, {"03", true}, {"fe", false}, {"ff", true}}) {
    CAPTURE(flags);
    const auto context = parse_traceparent(example.substr(0, 53) + flags);
    REQUIRE(context);
    CHECK(context->sampled == sampled);
    CHECK(to_traceparent(*context).substr(53) == (sampled ? "01" : "00"));
  }
}

TEST_CASE("a traceparent that breaks a rule is none") {
  const std::string rest = example.substr(2);
  for (const std::string& text :
       {std::string(),
        std::string("00"),
        example.substr(0, 54),
        example + "-",
        example + "0",
        example + "-01",
        " " + example,
        example + " ",
        "ff" + rest,
        "0" + rest,
        "000" + rest,
        "0G" + rest,
        "AA" + rest,
        "cc" + rest + ".what",
        "cc" + rest + "0",
        std::string("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
        std::string("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902B7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e473.-00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-.0"),
        std::string("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01")}) {
    CAPTURE(text);
    CHECK_FALSE(parse_traceparent(text));
  }
}

TEST_CASE("a later version is read as far as it is known, and answered with version 00") {
  for (const std::string behind : {"", "-what-the-future-will-be-like", "-"}) {
    CAPTURE(behind);
    const auto context = parse_traceparent("cc" + example.substr(2) + behind);
    REQUIRE(context);
    CHECK(to_traceparent(*context) == example);
  }
}

TEST_CASE("damaged traceparents are read or refused, and what is read is written back") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  int read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = example;
    for (auto n = random() % 3; n > 0; --n) {
      text[random() % text.size()] = "0123456789abcdefABG- \xff"[random() % 22];
    }
    text.resize(text.size() - (random() % 20 == 0 ? 1 : 0));
    const auto context = parse_traceparent(text);
    if (!context) continue;
    ++read;
    REQUIRE(to_traceparent(*context).substr(3, 49) == text.substr(3, 49));
  }
  CHECK(read > 1000);
}

TEST_CASE("a tracestate is handed on as it came, without blanks around members") {
  for (const auto& [text, expected] :
       {std::pair<std::string, std::string>{"", ""},
        {"rojo=00f067aa0ba902b7", "rojo=00f067aa0ba902b7"},
        {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"},
        {"foo=1 \t , \t bar=2, \t baz=3", "foo=1,bar=2,baz=3"},
        {"foo=1,", "foo=1"},
        {"foo=1,,,bar=2", "foo=1,bar=2"},
        {"fw529a3039@dt=FfffaB", "fw529a3039@dt=FfffaB"},
        {"0tenant/*_-@sys=1", "0tenant/*_-@sys=1"},
        {"a= x !~", "a= x !~"},
        {"foo=1,foo=2", "foo=1,foo=2"}}) {
    CAPTURE(text);
    CHECK(checked_tracestate(text) == expected);
  }
  CHECK(checked_tracestate(members(32)) == members(32));
  const std::string longest = std::string(256, 'k') + "=1";
  CHECK(checked_tracestate(longest) == longest);
  const std::string tenant = std::string(241, 't') + "@" + std::string(14, 'v') + "=1";
  CHECK(checked_tracestate(tenant) == tenant);
}

TEST_CASE("a tracestate with a member that breaks the grammar is dropped") {
  for (const std::string& text : {std::string("foo"),
                                  std::string("foo="),
                                  std::string("=1"),
                                  std::string("foo =1"),
                                  std::string("FOO=1"),
                                  std::string("foo.bar=1"),
                                  std::string("0foo=1"),
                                  std::string("foo@=1,bar=2"),
                                  std::string("@foo=1"),
                                  std::string("foo@@bar=1"),
                                  std::string("foo@bar@baz=1"),
                                  std::string("foo@1sys=1"),
                                  std::string("foo=bar=baz"),
                                  std::string("foo=\x7f"),
                                  std::string("foo=a\tb"),
                                  std::string("foo=1,b\xc3\xa4r=2"),
                                  std::string(257, 'k') + "=1",
                                  "k=" + std::string(257, 'v'),
                                  std::string(242, 't') + "@v=1",
                                  "t@" + std::string(15, 'v') + "=1",
                                  members(33)}) {
    CAPTURE(text);
    CHECK_FALSE(checked_tracestate(text));
  }
}

TEST_CASE("a long tracestate loses whole members, long ones first, then the last") {
  const std::string big = "big=" + std::string(200, 'x');
  const std::string small = "small=" + std::string(100, 'y');
  const auto kept = checked_tracestate(small + "," + big + "," + small + "," + small + "," + small);
  CHECK(kept == small + "," + small + "," + small + "," + small);
  std::string many = small;
  for (int i = 0; i < 9; ++i) many += "," + small;
  CHECK(checked_tracestate(many) == small + "," + small + "," + small + "," + small);
  const auto two = checked_tracestate(big + "," + big);
  CHECK(two == big + "," + big);
}

TEST_CASE("what came with a record counts if there is one traceparent and it is valid") {
  CHECK_FALSE(to_context({}));
  CHECK_FALSE(to_context({example, "", 2}));
  CHECK_FALSE(to_context({"nonsense", "", 1}));
  const auto context = to_context({example, "rojo=1", 1});
  REQUIRE(context);
  CHECK(context->state == "rojo=1");
  const auto without = to_context({example, "ROJO=1", 1});
  REQUIRE(without);
  CHECK(without->state.empty());
}
