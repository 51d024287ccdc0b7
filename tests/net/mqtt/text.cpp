// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/mqtt/text.hpp>

#include "catch.hpp"

#include <random>
#include <string>
#include <vector>

using namespace millrace::mqtt;
using namespace std::literals;

namespace {

std::vector<std::string> levels(const std::string& path) {
  std::vector<std::string> all(1);
  for (const char c : path) {
    if (c == '/') {
      all.emplace_back();
    } else {
      all.back() += c;
    }
  }
  return all;
}

/// The matching rules, recursively, on split levels: slow and plain.
bool oracle(const std::vector<std::string>& filter, std::size_t f,
            const std::vector<std::string>& topic, std::size_t t) {
  if (f == filter.size()) return t == topic.size();
  if (filter[f] == "#") return true;
  if (t == topic.size()) return false;
  if (filter[f] != "+" && filter[f] != topic[t]) return false;
  return oracle(filter, f + 1, topic, t + 1);
}

}  // namespace

TEST_CASE("UTF-8 is accepted as Unicode defines it and without NUL") {
  for (const auto good : {""sv, "plain"sv, "\x01\x7f"sv, "é雪🚲"sv, "\xc2\x80"sv, "\xed\x9f\xbf"sv,
                          "\xee\x80\x80"sv, "\xef\xbf\xbf"sv, "\xf4\x8f\xbf\xbf"sv}) {
    CHECK(is_valid_utf8(good));
  }
  for (const auto bad : {"\0"sv, "a\0b"sv, "\x80"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xc3"sv,
                         "\xe0\x9f\xbf"sv, "\xed\xa0\x80"sv, "\xe9\xaa"sv, "\xf0\x8f\xbf\xbf"sv,
                         "\xf4\x90\x80\x80"sv, "\xf5\x80\x80\x80"sv, "\xff"sv, "\xf0\x9f\x9a"sv}) {
    CHECK_FALSE(is_valid_utf8(bad));
  }
}

TEST_CASE("topic names have at least one character and no wildcards") {
  CHECK(is_valid_topic_name("bikes/68/status"));
  CHECK(is_valid_topic_name("/"));
  CHECK(is_valid_topic_name("$SYS/broker"));
  CHECK(is_valid_topic_name(std::string(65'535, 'a')));
  CHECK_FALSE(is_valid_topic_name(std::string(65'536, 'a')));
  CHECK_FALSE(is_valid_topic_name(""));
  CHECK_FALSE(is_valid_topic_name("bikes/+"));
  CHECK_FALSE(is_valid_topic_name("bikes#"));
  CHECK_FALSE(is_valid_topic_name("a\0b"sv));
}

TEST_CASE("in topic filters wildcards stand alone and # comes last") {
  for (const auto good :
       {"#", "+", "a/#", "+/tennis/#", "/+", "a//b", "$share/g/a/+", "$share/g//", "$shared"}) {
    CAPTURE(good);
    CHECK(is_valid_topic_filter(good));
  }
  for (const auto bad : {"", "sport+", "a/#/b", "a#", "##", "+a/b", "$share/g", "$share/g/",
                         "$share//a", "$share/+/a", "$share/g#/a", "$share/g/a#"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_valid_topic_filter(bad));
  }
}

TEST_CASE("the examples of the specification match as it says") {
  CHECK(matches("sport/tennis/player1/#", "sport/tennis/player1"));
  CHECK(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
  CHECK(matches("sport/#", "sport"));
  CHECK(matches("#", "a/b/c"));
  CHECK(matches("sport/tennis/+", "sport/tennis/player2"));
  CHECK_FALSE(matches("sport/tennis/+", "sport/tennis/player1/ranking"));
  CHECK_FALSE(matches("sport/+", "sport"));
  CHECK(matches("sport/+", "sport/"));
  CHECK(matches("+/+", "/finance"));
  CHECK(matches("/+", "/finance"));
  CHECK_FALSE(matches("+", "/finance"));
  CHECK_FALSE(matches("#", "$SYS/uptime"));
  CHECK_FALSE(matches("+/uptime", "$SYS/uptime"));
  CHECK(matches("$SYS/#", "$SYS/uptime"));
  CHECK(matches("$share/group/bikes/+", "bikes/7"));
  CHECK(split_shared("$share/group/bikes/+").group == "group");
  CHECK(split_shared("bikes/+").group.empty());
}

TEST_CASE("matching agrees with a plain recursive matcher on random filters and topics") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  const auto draw = [&random](const std::vector<std::string>& pieces) {
    std::string path;
    const int n = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < n; ++i) path += (i > 0 ? "/" : "") + pieces[random() % pieces.size()];
    return path;
  };
  int matched = 0;
  for (int i = 0; i < 50'000; ++i) {
    const std::string filter = draw({"a", "b", "", "+", "#", "+"});
    const std::string topic = draw({"a", "b", ""});
    if (topic.empty() || !is_valid_topic_filter(filter)) continue;
    CAPTURE(filter, topic);
    const bool expected = oracle(levels(filter), 0, levels(topic), 0);
    REQUIRE(matches(filter, topic) == expected);
    matched += expected ? 1 : 0;
  }
  CHECK(matched > 1'000);
}

TEST_CASE("the block-wise topic check agrees with the byte-wise one at every length") {
  for (std::size_t size = 0; size < 70; ++size) {
    for (std::size_t behind : {std::size_t{0}, std::size_t{5}, std::size_t{40}}) {
      std::string text(size, 'x');
      std::string memory = text + std::string(behind, '\0');
      REQUIRE(detail::is_plain_topic(memory.data(), size, memory.size()));
      for (std::size_t at = 0; at < size; ++at) {
        for (const char bad : {'\0', '+', '#', '\x80', '\xff'}) {
          memory[at] = bad;
          REQUIRE_FALSE(detail::is_plain_topic(memory.data(), size, memory.size()));
        }
        memory[at] = 'x';
      }
    }
  }
}
