// SPDX-License-Identifier: Apache-2.0
/// \file
/// Random documents: the values are known before the text is, the two readers are compared with
/// each other, and simdjson's DOM says what is JSON at all.
#include <millrace/base/time_format.hpp>
#include <millrace/codec/json.hpp>

#include "catch.hpp"

#include <simdjson.h>
#include <algorithm>
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace {

using millrace::dynamic_record;
using millrace::json;

enum class colour { red, green = 5, blue = -1 };
BOOST_DESCRIBE_ENUM(colour, red, green, blue)

struct inner {
  double x;
  std::optional<std::string> name;
  bool operator==(const inner&) const = default;
};
BOOST_DESCRIBE_STRUCT(inner, (), (x, name))

struct sample {
  std::string text;
  std::int64_t whole;
  std::uint16_t small;
  double real;
  bool flag;
  colour tint;
  millrace::timestamp at;
  std::optional<int> maybe;
  inner nested;
  std::vector<inner> list;
  std::vector<std::int64_t> numbers;
  std::map<std::string, std::string> words;
  bool operator==(const sample&) const = default;
};
BOOST_DESCRIBE_STRUCT(sample, (),
                      (text, whole, small, real, flag, tint, at, maybe, nested, list, numbers,
                       words))

/// Makes values, and writes them in one of their many forms.
class generator {
 public:
  explicit generator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  bool once_in(std::size_t n) { return below(n) == 0; }

  std::string text() {
    static const std::vector<std::string> pieces = {"a",
                                                    "station",
                                                    "0",
                                                    " ",
                                                    "\"",
                                                    "\\",
                                                    "/",
                                                    "\n",
                                                    "\t",
                                                    "\x01",
                                                    "\x7f",
                                                    "\xC3\xA9",
                                                    "\xE2\x82\xAC",
                                                    "\xF0\x9F\x98\x80",
                                                    "}",
                                                    ",",
                                                    ":",
                                                    "longer than any small buffer",
                                                    "{"};
    std::string out;
    for (std::size_t n = below(5); n > 0; --n) out += pieces[below(pieces.size())];
    return out;
  }

  std::int64_t integer() {
    const auto bits = static_cast<std::int64_t>(random_());
    return once_in(3) ? bits >> below(64) : bits % 100;
  }

  double real() {
    if (once_in(2)) return static_cast<double>(integer()) / 1000;
    for (;;) {
      const auto bits = random_();
      double d = 0;
      std::memcpy(&d, &bits, sizeof d);
      if (std::isfinite(d)) return d;
    }
  }

  inner make_inner() { return {real(), once_in(2) ? std::optional(text()) : std::nullopt}; }

  sample make_sample() {
    sample s{};
    s.text = text();
    s.whole = integer();
    s.small = static_cast<std::uint16_t>(below(65536));
    s.real = real();
    s.flag = once_in(2);
    s.tint = std::array{colour::red, colour::green, colour::blue}[below(3)];
    s.at = millrace::timestamp{millrace::duration{integer() / 1000}};
    if (once_in(2)) s.maybe = static_cast<int>(below(1000)) - 500;
    s.nested = make_inner();
    for (std::size_t n = below(4); n > 0; --n) s.list.push_back(make_inner());
    for (std::size_t n = below(6); n > 0; --n) s.numbers.push_back(integer());
    for (std::size_t n = below(4); n > 0; --n) s.words[text()] = text();
    return s;
  }

  std::string quoted(const std::string& raw) {
    std::string out = "\"";
    for (std::size_t i = 0; i < raw.size(); ++i) {
      const auto byte = static_cast<unsigned char>(raw[i]);
      char escape[8];
      std::snprintf(escape, sizeof escape, once_in(2) ? "\\u%04x" : "\\u%04X", byte);
      if (byte == '\n' && once_in(2)) {
        out += "\\n";
      } else if ((byte == '"' || byte == '\\' || byte == '/') && once_in(2)) {
        out += std::string("\\") + raw[i];
      } else if (byte < 0x20 || byte == '"' || byte == '\\' || (byte < 0x80 && once_in(12))) {
        out += escape;
      } else if (raw.compare(i, 2, "\xC3\xA9") == 0 && once_in(2)) {
        out += "\\u00e9";
        ++i;
      } else if (raw.compare(i, 4, "\xF0\x9F\x98\x80") == 0 && once_in(2)) {
        out += "\\ud83D\\uDe00";
        i += 3;
      } else {
        out += raw[i];
      }
    }
    return out + '"';
  }

  std::string number(double d) {
    char out[64];
    std::snprintf(out, sizeof out, std::array{"%.17g", "%.17e", "%.25g"}[below(3)], d);
    return out;
  }

  std::string space() {
    if (compact_) return "";
    static const std::vector<std::string> spaces = {"", "", "", " ", "\n", "\t \r\n", "  "};
    return spaces[below(spaces.size())];
  }

  std::string list(const std::vector<std::string>& items, char open, char close) {
    std::string out = open + space();
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i != 0) out += ',' + space();
      out += items[i] + space();
    }
    return out + close;
  }

  std::string anything(std::size_t depth = 0) {
    switch (below(depth < 3 ? 8 : 6)) {
      case 0: return "null";
      case 1: return once_in(2) ? "true" : "false";
      case 2: return std::to_string(integer());
      case 3: return number(real());
      case 4:
      case 5: return quoted(text());
      case 6: {
        std::vector<std::string> items;
        for (std::size_t n = below(4); n > 0; --n) items.push_back(anything(depth + 1));
        return list(items, '[', ']');
      }
      default: {
        std::vector<std::string> items;
        for (std::size_t n = below(4); n > 0; --n) {
          items.push_back(quoted(text()) + space() + ':' + space() + anything(depth + 1));
        }
        return list(items, '{', '}');
      }
    }
  }

  std::string member(const std::string& name, const std::string& value) {
    return (once_in(20) ? quoted(name) : '"' + name + '"') + space() + ':' + space() + value;
  }

  std::string object(std::vector<std::string> members, std::size_t disorder) {
    if (once_in(disorder)) std::shuffle(members.begin(), members.end(), random_);
    if (once_in(disorder)) {
      members.insert(members.begin() + static_cast<std::ptrdiff_t>(below(members.size() + 1)),
                     member("extra" + std::to_string(below(5)), anything()));
    }
    return list(members, '{', '}');
  }

  std::string write(const inner& i) {
    std::vector<std::string> members = {member("x", number(i.x))};
    if (i.name) {
      members.push_back(member("name", quoted(*i.name)));
    } else if (once_in(2)) {
      members.push_back(member("name", "null"));
    }
    return object(members, 5);
  }

  std::string write(millrace::timestamp t) {
    const std::int64_t micros = t.time_since_epoch().count();
    if (once_in(2)) return quoted(millrace::format_time(t));
    if (micros % 1000000 == 0) return std::to_string(micros / 1000000);
    char out[64];
    std::snprintf(out, sizeof out, "%s%lld.%06lld", micros < 0 ? "-" : "",
                  static_cast<long long>(std::abs(micros / 1000000)),
                  static_cast<long long>(std::abs(micros % 1000000)));
    return out;
  }

  std::string write(const sample& s) {
    compact_ = !once_in(3);
    std::vector<std::string> list_items, number_items, word_items;
    for (const inner& i : s.list) list_items.push_back(write(i));
    for (const std::int64_t n : s.numbers) number_items.push_back(std::to_string(n));
    for (const auto& [k, v] : s.words) {
      word_items.push_back(quoted(k) + space() + ':' + space() + quoted(v));
    }
    const std::string tint = s.tint == colour::red     ? "red"
                             : s.tint == colour::green ? "green"
                                                       : "blue";
    std::vector<std::string> members = {
        member("text", quoted(s.text)),
        member("whole", std::to_string(s.whole)),
        member("small", std::to_string(s.small)),
        member("real", number(s.real)),
        member("flag", s.flag ? "true" : "false"),
        member("tint", once_in(2) ? quoted(tint) : std::to_string(static_cast<int>(s.tint))),
        member("at", write(s.at)),
        member("nested", write(s.nested)),
        member("list", list(list_items, '[', ']')),
        member("numbers", list(number_items, '[', ']')),
        member("words", list(word_items, '{', '}'))};
    if (s.maybe) {
      members.push_back(member("maybe", std::to_string(*s.maybe)));
    } else if (once_in(2)) {
      members.push_back(member("maybe", "null"));
    }
    return space() + object(members, 4) + space();
  }

  /// A text that is not quite the same.
  std::string damage(std::string text) {
    static const std::string bytes = "{}[],:\"\\0123456789.-+eEtfn ul\x01\x80\xC3\xED\xFF\n";
    for (std::size_t n = 1 + below(3); n > 0 && !text.empty(); --n) {
      const std::size_t at = below(text.size());
      switch (below(5)) {
        case 0: text[at] = bytes[below(bytes.size())]; break;
        case 1: text.erase(at, 1 + below(3)); break;
        case 2: text.insert(at, 1, bytes[below(bytes.size())]); break;
        case 3: text.insert(at, text.substr(below(text.size()), below(12))); break;
        default: text.resize(at); break;
      }
    }
    return text;
  }

 private:
  std::mt19937_64 random_;
  bool compact_ = true;
};

/// Whether it is certainly not JSON. A number that the DOM cannot hold says nothing.
bool refused_by_dom(simdjson::dom::parser& parser, const std::string& text) {
  switch (parser.parse(text).error()) {
    case simdjson::TAPE_ERROR:
    case simdjson::STRING_ERROR:
    case simdjson::T_ATOM_ERROR:
    case simdjson::F_ATOM_ERROR:
    case simdjson::N_ATOM_ERROR:
    case simdjson::UTF8_ERROR:
    case simdjson::EMPTY:
    case simdjson::UNESCAPED_CHARS:
    case simdjson::UNCLOSED_STRING: return true;
    default: return false;
  }
}

template <class T>
std::string encoded(const T& value) {
  std::string out;
  json.make_encoder<T>().encode(value, out);
  return out;
}

/// Feeds one text to both decoders, which must agree in all they say.
template <class T>
bool agree(millrace::json_decoder<T>& fast, millrace::json_decoder<T>& exact, T& a, T& b,
           const std::string& text) {
  const auto first = fast.decode(text, a);
  const auto second = exact.decode(text, b);
  UNSCOPED_INFO((first ? encoded(a) : first.error().message));
  UNSCOPED_INFO((second ? encoded(b) : second.error().message));
  if (first.has_value() != second.has_value()) return false;
  if (!first) return first.error().message == second.error().message;
  return encoded(a) == encoded(b);
}

std::uint64_t seed_of_run() {
  const char* chosen = std::getenv("MILLRACE_TEST_SEED");
  return chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
}

}  // namespace

TEST_CASE("whatever form a value is written in, the same value is read") {
  const std::uint64_t seed = seed_of_run();
  INFO("MILLRACE_TEST_SEED=" << seed);
  generator g(seed);
  auto fast = json.make_decoder<sample>();
  auto exact = json.make_decoder<sample>();
  exact.use_exact_reader_only();
  sample a{}, b{};
  for (int i = 0; i < 20'000; ++i) {
    const sample expected = g.make_sample();
    const std::string text = g.write(expected);
    INFO(text);
    const auto first = fast.decode(text, a);
    const auto second = exact.decode(text, b);
    if (!first) FAIL(first.error().to_string());
    if (!second) FAIL(second.error().to_string());
    if (!(a == expected) || !(b == expected)) FAIL(encoded(a) << "\n" << encoded(b));
    REQUIRE(fast.slow_documents() == 0);
    // And what the encoder writes is read back.
    REQUIRE(fast.decode(encoded(expected), a));
    REQUIRE(a == expected);
  }
}

TEST_CASE("both readers agree on damaged documents, and accept nothing that is not JSON") {
  const std::uint64_t seed = seed_of_run();
  INFO("MILLRACE_TEST_SEED=" << seed);
  generator g(seed);
  auto fast = json.make_decoder<sample>();
  auto exact = json.make_decoder<sample>();
  exact.use_exact_reader_only();
  simdjson::dom::parser dom;
  sample a{}, b{};
  std::size_t accepted = 0;
  for (int i = 0; i < 60'000; ++i) {
    const std::string text = g.damage(g.write(g.make_sample()));
    INFO(text);
    REQUIRE(agree(fast, exact, a, b, text));
    const bool good = fast.decode(text, a).has_value();
    accepted += good;
    if (good) REQUIRE_FALSE(refused_by_dom(dom, text));
  }
  CHECK(accepted > 1000);
}

TEST_CASE("both readers agree on dynamic records of any documents") {
  const std::uint64_t seed = seed_of_run();
  INFO("MILLRACE_TEST_SEED=" << seed);
  generator g(seed);
  const auto codec = json.with(millrace::inferred_fields{.max_fields = 40});
  auto fast = codec.make_decoder<dynamic_record>();
  auto exact = codec.make_decoder<dynamic_record>();
  exact.use_exact_reader_only();
  simdjson::dom::parser dom;
  dynamic_record a, b;
  std::size_t accepted = 0;
  for (int i = 0; i < 40'000; ++i) {
    std::string text = g.once_in(2) ? g.write(g.make_sample()) : g.anything();
    if (g.once_in(3)) text = g.damage(text);
    INFO(text);
    // The second of two learns what the first did: compare when both know the same fields.
    const bool good = fast.decode(text, a).has_value();
    REQUIRE(exact.decode(text, b).has_value() == good);
    REQUIRE(agree(fast, exact, a, b, text));
    accepted += good;
    if (good) REQUIRE_FALSE(refused_by_dom(dom, text));
  }
  CHECK(accepted > 1000);
  CHECK(codec.registry()->current()->size() <= 40);
}
