// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/gzip.hpp>

#include "catch.hpp"

#include <cstdint>
#include <random>
#include <string>

using namespace millrace;
using net::content_coding;

namespace {

std::string random_text(std::mt19937_64& random, std::size_t size) {
  std::string text;
  const auto kind = random() % 3;
  for (std::size_t i = 0; i < size; ++i) {
    text += static_cast<char>(kind == 0   ? random()
                              : kind == 1 ? 'a' + random() % 3
                                          : 'a' + (i / 1000) % 20);
  }
  return text;
}

// The same bit by bit, as in RFC 1952, section 8, without tables.
std::uint32_t slow_crc(const std::string& text) {
  std::uint32_t c = 0xFFFFFFFFU;
  for (const char byte : text) {
    c ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1U) ^ ((c & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~c;
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

const std::string words = "the same words, the same words, the same words";
// Of these words: Python's zlib.compress, and the same without header and trailer.
const std::string zlib_words = from_hex("789c2bc94855284ecc4d5528cf2f4a29d65128c1cb070083e7109b");
const std::string raw_words = zlib_words.substr(2, zlib_words.size() - 6);

}  // namespace

TEST_CASE("crc32 equals the bitwise definition, in one piece and continued") {
  CHECK(net::crc32("123456789") == 0xCBF43926U);
  std::mt19937_64 random(7);
  for (int i = 0; i < 100; ++i) {
    const auto text = random_text(random, random() % 300);
    const auto cut = random() % (text.size() + 1);
    CHECK(net::crc32(text) == slow_crc(text));
    CHECK(net::crc32(text.substr(cut), net::crc32(text.substr(0, cut))) == slow_crc(text));
  }
}

TEST_CASE("what gzip_compress writes is read back, in pieces of any size") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 60; ++i) {
    const auto text = random_text(random, i < 3 ? static_cast<std::size_t>(i) : random() % 100000);
    const auto packed = net::gzip_compress(text, static_cast<int>(random() % 10));
    net::inflater unpack;
    unpack.reset(content_coding::gzip);
    std::string out;
    const std::size_t longest = i % 2 == 0 ? 5 : 70000;
    for (std::size_t at = 0; at < packed.size();) {
      const auto piece = std::string_view{packed}.substr(at, 1 + random() % longest);
      REQUIRE(unpack.write(piece, out, text.size()));
      at += piece.size();
      if (at < packed.size()) REQUIRE_FALSE(unpack.finish());
    }
    REQUIRE(unpack.finish());
    REQUIRE(out == text);
  }
}

TEST_CASE("zlib and raw deflate are told apart, also byte by byte") {
  for (const auto& packed : {zlib_words, raw_words}) {
    CHECK(*net::decompress(content_coding::deflate, packed, 1000) == words);
    net::inflater unpack;
    unpack.reset(content_coding::deflate);
    std::string out;
    for (const char c : packed) REQUIRE(unpack.write({&c, 1}, out, 1000));
    REQUIRE(unpack.finish());
    CHECK(out == words);
  }
}

TEST_CASE("a compressed body that is cut off anywhere is noticed") {
  const auto gzip = net::gzip_compress(words);
  for (std::size_t n = 1; n < gzip.size(); ++n) {
    CHECK_FALSE(net::decompress(content_coding::gzip, gzip.substr(0, n), 1000));
  }
  for (std::size_t n = 1; n < zlib_words.size(); ++n) {
    CHECK_FALSE(net::decompress(content_coding::deflate, zlib_words.substr(0, n), 1000));
  }
  for (std::size_t n = 1; n < raw_words.size(); ++n) {
    CHECK_FALSE(net::decompress(content_coding::deflate, raw_words.substr(0, n), 1000));
  }
}

TEST_CASE("a flipped bit behind the gzip header never goes unnoticed") {
  const auto packed = net::gzip_compress(words);
  for (std::size_t bit = 80; bit < packed.size() * 8; ++bit) {
    auto broken = packed;
    broken[bit / 8] = static_cast<char>(broken[bit / 8] ^ (1 << (bit % 8)));
    const auto out = net::decompress(content_coding::gzip, broken, 100000);
    if (out) CHECK(*out == words);  // bits of the last byte that belong to nothing
  }
}

TEST_CASE("gzip headers may carry extra fields, a name, a comment and a checksum") {
  const auto plain = net::gzip_compress(words);
  std::string header = plain.substr(0, 10);
  header[3] = 2 | 4 | 8 | 16;
  header += std::string("\x03\0abc", 5) + std::string("name\0", 5) + std::string("comment\0", 8);
  const auto sum = slow_crc(header) & 0xFFFFU;
  auto packed = header + static_cast<char>(sum & 0xFFU) + static_cast<char>(sum >> 8U);
  packed += plain.substr(10);
  CHECK(*net::decompress(content_coding::gzip, packed, 1000) == words);
  packed[header.size()] = static_cast<char>(packed[header.size()] ^ 1);
  CHECK_FALSE(net::decompress(content_coding::gzip, packed, 1000));
}

TEST_CASE("members of gzip may be concatenated") {
  const auto packed = net::gzip_compress(words) + net::gzip_compress("") + net::gzip_compress("!");
  CHECK(*net::decompress(content_coding::gzip, packed, 1000) == words + "!");
}

TEST_CASE("a bomb is stopped at the limit") {
  const auto bomb = net::gzip_compress(std::string(10'000'000, '0'));
  CHECK(bomb.size() < 12000);
  const auto out = net::decompress(content_coding::gzip, bomb, 65536);
  REQUIRE_FALSE(out);
  CHECK(out.error().code == errc::too_large);
  std::string text;
  net::inflater unpack;
  unpack.reset(content_coding::gzip);
  CHECK_FALSE(unpack.write(bomb, text, 65536));
  CHECK(text.size() <= 65536);
}

TEST_CASE("the limit is exact") {
  const auto packed = net::gzip_compress(words);
  CHECK(net::decompress(content_coding::gzip, packed, words.size()));
  CHECK_FALSE(net::decompress(content_coding::gzip, packed, words.size() - 1));
}

TEST_CASE("random bytes are refused without harm") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes = "\x1F\x8B\x08";
    bytes += static_cast<char>(i & 31);
    for (auto n = random() % 200; n > 0; --n) bytes += static_cast<char>(random());
    (void)net::decompress(content_coding::gzip, bytes, 100000);
    (void)net::decompress(content_coding::deflate, bytes.substr(4), 100000);
  }
  SUCCEED();
}
