// SPDX-License-Identifier: Apache-2.0
// The JSON decoders against any bytes. The first byte chooses what is read. The fast reader, which
// has learnt from the inputs before, and the exact one must agree, on values and on errors; what is
// accepted must survive being written and read again.
#include <millrace/codec/json.hpp>

#include <array>
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using millrace::json;

enum class mode : std::int8_t { off, on, broken = -1 };
BOOST_DESCRIBE_ENUM(mode, off, on, broken)

struct tree {
  std::optional<std::int32_t> i;
  std::uint64_t u = 0;
  double d = 0;
  float f = 0;
  bool b = false;
  std::string s;
  mode m{};
  millrace::timestamp t{};
  std::chrono::seconds l{};
  std::vector<tree> c;
  std::map<std::string, std::int8_t> k;
  std::array<std::int16_t, 2> a{};
};
BOOST_DESCRIBE_STRUCT(tree, (), (i, u, d, f, b, s, m, t, l, c, k, a))

}  // namespace

template <>
struct millrace::json_fields<tree> {
  static constexpr auto presence = json_presence::defaulted;
  static constexpr json_rule rules[] = {{.member = "l", .time = json_time::milliseconds}};
};

namespace {

void check(bool good) {
  if (!good) std::abort();
}

template <class T>
struct pair_of_readers {
  millrace::json_codec codec = json.with(millrace::inferred_fields{.max_fields = 24})
                                   .with(millrace::json_options{.max_depth = 12});
  millrace::json_decoder<T> fast = codec.make_decoder<T>();
  millrace::json_decoder<T> exact = codec.make_decoder<T>();
  millrace::json_encoder<T> encoder = codec.make_encoder<T>();
  T a{}, b{};

  pair_of_readers() { exact.use_exact_reader_only(); }

  std::string text(const T& value) {
    std::string out;
    encoder.encode(value, out);
    return out;
  }

  void feed(std::string_view input) {
    // Twice: the first round may add fields to a dynamic schema.
    static_cast<void>(fast.decode(input, a));
    static_cast<void>(exact.decode(input, b));
    const auto first = fast.decode(input, a);
    const auto second = exact.decode(input, b);
    check(first.has_value() == second.has_value());
    if (!first) {
      check(first.error().message == second.error().message);
      return;
    }
    const std::string written = text(a);
    check(written == text(b));
    check(fast.decode(written, b).has_value());
    check(text(b) == written);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static pair_of_readers<tree> trees;
  static pair_of_readers<std::vector<tree>> lists;
  static pair_of_readers<std::map<std::string, std::vector<double>>> maps;
  static pair_of_readers<millrace::dynamic_record> records;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 4) {
    case 0: trees.feed(input); break;
    case 1: lists.feed(input); break;
    case 2: maps.feed(input); break;
    default: records.feed(input); break;
  }
  return 0;
}
