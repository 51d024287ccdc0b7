// SPDX-License-Identifier: Apache-2.0
#include <millrace/state/serialize.hpp>

#include "catch.hpp"

#include <boost/describe.hpp>

#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace {

using namespace std::chrono_literals;

enum class colour : std::uint16_t { red, green = 300 };

struct reading {
  std::string station;
  int bikes = 0;
  millrace::timestamp at{};
  bool operator==(const reading&) const = default;
};
BOOST_DESCRIBE_STRUCT(reading, (), (station, bikes, at))

struct annotated : reading {
  std::optional<double> confidence;
  std::map<std::string, std::vector<int>> tags;
  bool operator==(const annotated&) const = default;
};
BOOST_DESCRIBE_STRUCT(annotated, (reading), (confidence, tags))

class guarded {
 public:
  guarded() = default;
  explicit guarded(int v) : secret_(v) {}
  bool operator==(const guarded&) const = default;

 private:
  int secret_ = 0;
  BOOST_DESCRIBE_CLASS(guarded, (), (), (), (secret_))
};

struct tree {
  int value = 0;
  std::vector<tree> children;
  bool operator==(const tree&) const = default;
};
BOOST_DESCRIBE_STRUCT(tree, (), (value, children))

struct nothing_inside {
  bool operator==(const nothing_inside&) const = default;
};
BOOST_DESCRIBE_STRUCT(nothing_inside, (), ())

struct by_hand {
  std::uint64_t n = 0;
  void save(millrace::snapshot_writer& w) const { w.varint(n); }
  void restore(millrace::snapshot_reader& r) { n = r.varint(); }
  bool operator==(const by_hand&) const = default;
};

struct forgetful {
  std::uint64_t a = 1, b = 2;
  void save(millrace::snapshot_writer& w) const {
    w.varint(a);
    w.varint(b);
  }
  void restore(millrace::snapshot_reader& r) { a = r.varint(); }
};

struct opaque {
  std::unique_ptr<int> p;
};
struct holds_opaque {
  int a = 0;
  std::vector<opaque> list;
};
BOOST_DESCRIBE_STRUCT(holds_opaque, (), (a, list))

struct no_default {
  explicit no_default(int v) : value(v) {}
  int value;
};
BOOST_DESCRIBE_STRUCT(no_default, (), (value))

template <class T>
std::string saved(const T& value) {
  millrace::snapshot_writer w;
  millrace::serialize(w, value);
  return w.take();
}

template <class T>
T round_trip(const T& value) {
  const std::string bytes = saved(value);
  REQUIRE_FALSE(bytes.empty());
  millrace::snapshot_reader r(bytes);
  T back{};
  millrace::deserialize(r, back);
  r.expect_end();
  REQUIRE(r.status());
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    millrace::snapshot_reader torn(std::string_view(bytes).substr(0, cut));
    T other{};
    millrace::deserialize(torn, other);
    REQUIRE(torn.failed());
    REQUIRE(torn.status().error().code == millrace::errc::corrupt);
  }
  return back;
}

template <class T>
void check(const T& value) {
  CHECK(round_trip(value) == value);
}

}  // namespace

TEST_CASE("values of every supported type survive saving and restoring, and no torn copy does") {
  check(true);
  check(false);
  check('x');
  check(std::int8_t{-5});
  check(std::numeric_limits<std::int64_t>::min());
  check(std::numeric_limits<std::uint64_t>::max());
  check(-0.1f);
  check(std::numeric_limits<double>::denorm_min());
  check(std::numeric_limits<double>::infinity());
  check(colour::green);
  check(std::string("a\0b", 3));
  check(std::string());
  check(millrace::min_timestamp);
  check(millrace::timestamp{5us});
  check(std::chrono::hours{-7});
  check(std::optional<int>{});
  check(std::optional<std::string>{"there"});
  check(std::pair{1, std::string("two")});
  check(std::tuple{1, 2.5, std::string("three")});
  check(std::tuple<>{});
  check(std::array<int, 3>{1, 2, 3});
  check(std::array<int, 0>{});
  check(std::vector<int>{});
  check(std::vector<double>{1, 2, 3});
  check(std::vector<bool>{true, false, true});
  check(std::vector<std::string>{"a", "", "c"});
  check(std::vector<std::monostate>(5));
  check(std::deque<short>{1, 2});
  check(std::list<std::optional<int>>{1, std::nullopt});
  check(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  check(std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}});
  check(std::set<colour>{colour::red, colour::green});
  check(std::unordered_set<std::string>{"a", "b"});
  check(std::multimap<int, int>{{1, 1}, {1, 2}});
  check(std::variant<int, std::string, std::monostate>{"text"});
  check(std::variant<int, std::string, std::monostate>{std::monostate{}});
  check(std::vector<nothing_inside>(3));
}

TEST_CASE("a NaN keeps its bits") {
  CHECK(std::isnan(round_trip(std::numeric_limits<double>::quiet_NaN())));
}

TEST_CASE("described structs are saved with bases, private members and themselves inside") {
  check(reading{"Aker Brygge", 12, millrace::timestamp{-3s}});
  annotated a;
  a.station = "x";
  a.confidence = 0.5;
  a.tags["k"] = {1, 2};
  check(a);
  check(guarded{42});
  check(tree{1, {tree{2, {}}, tree{3, {tree{4, {}}}}}});
  check(std::vector<reading>{{"a", 1, {}}, {"b", 2, {}}});
}

TEST_CASE("a type may save itself, and reading another number of bytes is an error") {
  check(by_hand{1234567});
  check(std::map<int, by_hand>{{1, {5}}, {2, {6}}});
  const std::string bytes = saved(forgetful{});
  millrace::snapshot_reader r(bytes);
  forgetful f;
  millrace::deserialize(r, f);
  CHECK(r.failed());
  CHECK(r.status().error().message.find("forgetful::restore") != std::string::npos);
}

TEST_CASE("serializable tells which types can be saved") {
  STATIC_REQUIRE(millrace::serializable<int>);
  STATIC_REQUIRE(millrace::serializable<annotated>);
  STATIC_REQUIRE(millrace::serializable<tree>);
  STATIC_REQUIRE(millrace::serializable<std::vector<std::map<int, tree>>>);
  STATIC_REQUIRE(!millrace::serializable<opaque>);
  STATIC_REQUIRE(!millrace::serializable<int*>);
  STATIC_REQUIRE(!millrace::serializable<long double>);
  STATIC_REQUIRE(!millrace::serializable<std::string_view>);
  STATIC_REQUIRE(!millrace::serializable<holds_opaque>);
  STATIC_REQUIRE(!millrace::serializable<std::optional<std::pair<int, opaque>>>);
  STATIC_REQUIRE(!millrace::serializable<std::vector<no_default>>);
}

TEST_CASE("descriptions name types, members and layout, and fingerprints follow them") {
  using millrace::type_description;
  CHECK(type_description<reading>() == "reading{station:string,bikes:i32,at:time}");
  CHECK(type_description<annotated>() ==
        "annotated{station:string,bikes:i32,at:time,confidence:optional<f64>,"
        "tags:map<string,list<i32>>}");
  CHECK(type_description<tree>() == "tree{value:i32,children:list<tree>}");
  CHECK(type_description<std::variant<bool, colour>>() == "one of<bool,enum u16>");
  CHECK(type_description<std::tuple<std::array<std::uint8_t, 4>, std::chrono::seconds>>() ==
        "(array<u8,4>,duration 1/1 i64)");
  CHECK(type_description<by_hand>() == "by_hand");
  CHECK(millrace::type_fingerprint<reading>() != millrace::type_fingerprint<annotated>());
  CHECK(millrace::type_fingerprint<std::set<int>>() ==
        millrace::type_fingerprint<std::unordered_set<int>>());
}

TEST_CASE("lengths that the data cannot hold are refused before memory is allocated") {
  millrace::snapshot_writer w;
  w.varint(std::uint64_t{1} << 62);
  w.number(std::uint32_t{0});
  const auto fails = [&w]<class T>(T value) {
    millrace::snapshot_reader r(w.view());
    millrace::deserialize(r, value);
    CHECK(r.failed());
    CHECK(r.status().error().code == millrace::errc::corrupt);
  };
  fails(std::string{});
  fails(std::vector<double>{});
  fails(std::vector<std::string>{});
  fails(std::vector<std::monostate>{});
  fails(std::map<int, int>{});
  fails(std::variant<int, char>{});
}

TEST_CASE("structure that contradicts itself is refused") {
  const auto fails = []<class T>(std::string_view bytes, T value) {
    millrace::snapshot_reader r(bytes);
    millrace::deserialize(r, value);
    return r.failed();
  };
  CHECK(fails(std::string_view("\x02", 1), false));
  CHECK(fails(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10), std::string{}));
  CHECK(fails(std::string_view("\x02\x01\x01", 3), std::set<std::int8_t>{}));
  CHECK(fails(std::string_view("\x05\x01", 2), std::variant<char, bool>{}));
  tree deep;
  for (int i = 0; i < 300; ++i) {
    tree parent;
    parent.children.push_back(std::move(deep));
    deep = std::move(parent);
  }
  CHECK(fails(saved(deep), tree{}));
}

TEST_CASE("random bytes never crash a reader") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % (round % 2 == 0 ? 256 : 4));
    millrace::snapshot_reader r(bytes);
    std::tuple<annotated, tree, std::variant<int, by_hand>, std::vector<std::vector<short>>> value;
    millrace::deserialize(r, value);
    r.expect_end();
    CHECK((r.failed() || r.remaining() == 0));
  }
}
