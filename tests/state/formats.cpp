// SPDX-License-Identifier: Apache-2.0
// The bytes of format version 1, made by another program from docs/formats: what was written once
// must be readable for ever.
#include <millrace/state/checkpoint_manifest.hpp>
#include <millrace/state/journal_format.hpp>

#include "catch.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace millrace;

namespace {

std::string bytes_of(std::string_view hexadecimal) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hexadecimal.size(); i += 2) {
    bytes += static_cast<char>(value(hexadecimal[i]) * 16 + value(hexadecimal[i + 1]));
  }
  return bytes;
}

timestamp at(std::int64_t ticks) { return timestamp{duration{ticks}}; }

constexpr std::uint64_t number_of_journal = 0x0102030405060708;

const std::string segment = bytes_of(
    "4d524a4f55524e4c010000000000000008070605040302010900000000000000e803000000000000"
    "00000000089e042e");
const std::string frame = bytes_of(
    "4d524a6669b3c41ffe09ec528f000000030000002c0100000900000000000000d007000000000000"
    "090000000000000000056669727374ac020000820178787878787878787878787878787878787878"
    "78787878787878787878787878787878787878787878787878787878787878787878787878787878"
    "78787878787878787878787878787878787878787878787878787878787878787878787878787878"
    "7878787878787878787878787878787878787878787878787878787878787800");
const std::string mark = bytes_of(
    "4d524a668bf7e665000000000000000000000000000000000c00000000000000fc08000000000000"
    "0c00000000000000");
const std::string manifest = bytes_of(
    "4d5243484b504e540100000000000000980000000000000003000000000000000005000000000000"
    "0002000000800000000562696b65730104706c616e01780206736f75726365000375363400000000"
    "0000000000000000000573746174730777696e646f77730366363401000000400000008000000002"
    "01000000000000002000000000000000040000000000000007000000030000000000000020000000"
    "00000000080000000000000009000000397bb84a");
const std::string data_header =
    bytes_of("4d5243484b4441540100000000000000110000000000000000000000265df6d8");

std::vector<journal_record> records_of(const journal_frame& f) {
  std::vector<journal_record> all;
  journal_frame_records records(f);
  for (journal_record r; records.next(r);) all.push_back(r);
  CHECK(!records.broken());
  return all;
}

}  // namespace

TEST_CASE("a segment of a journal is written and read as the format says") {
  const journal_segment_header header{number_of_journal, 9, at(1000)};
  CHECK(encode(header) == segment);
  CHECK(decode_segment_header(segment).value() == header);

  journal_frames frames;
  const std::string long_one(130, 'x');
  frames.add({9, at(2000), "first"});
  frames.add({10, at(2300), ""});
  frames.add({11, at(2300), long_one});
  CHECK(frames.finish({number_of_journal, 48}, 9) == frame);
  CHECK(frames.finish({number_of_journal, 48}, 9) == frame);
  const auto both = frame + mark;
  const auto reading = read_frame(both, {number_of_journal, 48});
  REQUIRE(reading.status == frame_status::good);
  CHECK(reading.size == frame.size());
  CHECK(reading.frame.durable == 9);
  CHECK(reading.frame.spread == 300);
  const auto records = records_of(reading.frame);
  REQUIRE(records.size() == 3);
  CHECK(records[0].offset == 9);
  CHECK(records[0].bytes == "first");
  CHECK(records[1].time == at(2300));
  CHECK(records[2].bytes == long_one);

  frames.clear();
  frames.add_mark(12, at(2300));
  CHECK(frames.finish({number_of_journal, 48 + frame.size()}, 12) == mark);
  CHECK(read_frame(mark, {number_of_journal, 48 + frame.size()}).frame.durable == 12);
}

TEST_CASE("a frame is sound at its place in its journal, and with all its bytes") {
  CHECK(read_frame(frame, {number_of_journal, 56}).status == frame_status::damaged);
  CHECK(read_frame(frame, {number_of_journal + 1, 48}).status == frame_status::damaged);
  const journal_place place{number_of_journal, 48};
  for (std::size_t i = 0; i < frame.size(); ++i) {
    auto flipped = frame;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    CHECK(read_frame(flipped, place).status == frame_status::damaged);
    const auto cut = read_frame(std::string_view(frame).substr(0, i), place);
    CHECK(cut.status != frame_status::good);
    if (i >= journal_frame::header_bytes) CHECK(cut.status == frame_status::incomplete);
  }
  CHECK(read_frame("", place).status == frame_status::none);
  CHECK(read_frame(std::string(100, '\0'), place).status == frame_status::none);
}

TEST_CASE("frames are closed at their size, and records go on in the next one") {
  journal_frames frames(100);
  for (std::uint64_t i = 0; i < 20; ++i) {
    frames.add({i, at(static_cast<std::int64_t>(i)), std::string(30, 'y')});
  }
  CHECK(frames.records() == 20);
  const std::string all(frames.finish({1, 48}, 0));
  std::uint64_t next = 0;
  std::size_t position = 0;
  while (position < all.size()) {
    const auto reading = read_frame(std::string_view(all).substr(position), {1, 48 + position});
    REQUIRE(reading.status == frame_status::good);
    for (const auto& r : records_of(reading.frame)) {
      CHECK(r.offset == next);
      CHECK(r.time == at(static_cast<std::int64_t>(next++)));
    }
    position += reading.size;
  }
  CHECK(next == 20);
  CHECK(frames.frames().size() > 5);
}

TEST_CASE("names of segments are their first offsets, and nothing else is a name") {
  CHECK(journal_segment_name(42) == "00000000000000000042.journal");
  CHECK(first_offset_of_name(journal_segment_name(UINT64_MAX)) == UINT64_MAX);
  CHECK(!first_offset_of_name("18446744073709551616.journal"));
  CHECK(!first_offset_of_name("0000000000000000042.journal"));
  CHECK(!first_offset_of_name("000000000000000000-1.journal"));
  CHECK(!first_offset_of_name("lock"));
}

TEST_CASE("a manifest is written and read as the format says") {
  const auto m = decode_manifest(manifest).value();
  CHECK(m.id == 3);
  CHECK(m.kind == checkpoint_kind::checkpoint);
  CHECK(m.info.pipeline == "bikes");
  CHECK(m.info.time == at(5));
  CHECK(m.info.parallelism == 2);
  CHECK(m.info.max_parallelism == 128);
  CHECK(m.info.properties.at("plan") == "x");
  REQUIRE(m.parts.size() == 2);
  CHECK(m.parts[0] == checkpoint_part{.operator_name = "source", .type = "u64"});
  CHECK(m.parts[1] == checkpoint_part{.operator_name = "stats",
                                      .slot = "windows",
                                      .type = "f64",
                                      .instance = 1,
                                      .first_group = 64,
                                      .end_group = 128,
                                      .chunks = {{1, 32, 4, 7}, {3, 32, 8, 9}}});
  CHECK(encode(m) == manifest);
  CHECK(encode_data_header(17) == data_header);
  CHECK(check_data_header(data_header, 17));
  CHECK(!check_data_header(data_header, 18));
}

TEST_CASE("any wrong byte of a manifest is noticed") {
  for (std::size_t i = 0; i < manifest.size(); ++i) {
    auto flipped = manifest;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    CHECK(!decode_manifest(flipped));
    CHECK(!decode_manifest(std::string_view(manifest).substr(0, i)));
  }
  CHECK(!decode_manifest(manifest + "x"));
}

TEST_CASE("a manifest that contradicts itself is refused, naming the part") {
  checkpoint_manifest m;
  m.id = 5;
  m.info.max_parallelism = 8;
  m.parts = {{.operator_name = "a", .end_group = 8}};
  CHECK(m.normalize());
  m.parts[0].end_group = 9;
  CHECK(m.normalize().error().message.find("operator 'a'") == 0);
  m.parts[0].end_group = 8;
  m.parts[0].chunks = {{6, 32, 1, 0}};
  CHECK(m.normalize().error().message.find("later checkpoint") != std::string::npos);
  m.parts[0].chunks = {{5, 31, 1, 0}};
  CHECK(!m.normalize());
  m.parts[0].chunks = {{5, 32, UINT64_MAX, 0}};
  CHECK(!m.normalize());
  m.parts[0].chunks = {{4, 32, 1, 0}};
  CHECK(m.normalize());
  m.kind = checkpoint_kind::savepoint;
  CHECK(m.normalize().error().message.find("in a savepoint") != std::string::npos);
}
