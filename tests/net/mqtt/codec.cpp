// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/mqtt/codec.hpp>

#include "catch.hpp"
#include "random_packet.hpp"

#include <random>
#include <string>

using namespace millrace::mqtt;
using millrace::testing::random_packets;
using namespace std::literals;

namespace {

/// Encodes a decoded packet again: equal bytes mean that nothing was lost.
std::string again(const packet& p, version v) {
  std::string bytes;
  if (const auto* publish = std::get_if<publish_packet>(&p)) {
    publish_packet copy = *publish;
    copy.topic_alias = 0;  // stands in the properties
    REQUIRE(encode(copy, v, bytes));
  } else {
    REQUIRE(encode(p, v, bytes));
  }
  return bytes;
}

packet decoded(const std::string& bytes, version v) {
  frame f;
  REQUIRE(read_frame(bytes, bytes.size(), f) == frame_status::complete);
  REQUIRE(f.size == bytes.size());
  packet p;
  const auto failure = decode(f, v, p);
  CAPTURE(failure.words == nullptr ? "" : failure.words);
  REQUIRE_FALSE(failure);
  return p;
}

reason_code failure_of(std::string_view bytes, version v = version::v5) {
  frame f;
  const auto status = read_frame(bytes, 1u << 20, f);
  if (status == frame_status::failed) return f.failure.code;
  REQUIRE(status == frame_status::complete);
  packet p;
  return decode(f, v, p).code;
}

}  // namespace

TEST_CASE("every packet survives encoding and decoding, in both versions") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  random_packets random{seed};
  for (int i = 0; i < 20'000; ++i) {
    const version v = random.flip() ? version::v5 : version::v3_1_1;
    const packet original = random.draw(v);
    std::string bytes;
    REQUIRE(encode(original, v, bytes));
    const packet p = decoded(bytes, v);
    REQUIRE(p.index() == original.index());
    REQUIRE(again(p, v) == bytes);
    random.forget();
  }
}

TEST_CASE("PUBLISH comes out as it went in") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  random_packets random{seed};
  for (int i = 0; i < 5'000; ++i) {
    const version v = random.flip() ? version::v5 : version::v3_1_1;
    const publish_packet in = random.publish(v);
    std::string bytes;
    REQUIRE(encode(in, v, bytes));
    const packet p = decoded(bytes, v);
    const auto& out = std::get<publish_packet>(p);
    REQUIRE(out.topic == in.topic);
    REQUIRE(out.payload == in.payload);
    REQUIRE(out.packet_id == in.packet_id);
    REQUIRE(out.topic_alias == in.topic_alias);
    REQUIRE(out.qos == in.qos);
    REQUIRE(out.retain == in.retain);
    REQUIRE(out.duplicate == in.duplicate);
    properties expected = to_properties(in.properties);
    if (in.topic_alias != 0) expected.topic_alias = in.topic_alias;
    REQUIRE(to_properties(out.properties) == expected);
    random.forget();
  }
}

TEST_CASE("CONNECT keeps its will, credentials and properties") {
  const std::string encoded_properties = [] {
    std::string to;
    properties own;
    own.session_expiry_interval = 3600;
    own.user = {{"a", "b"}, {"a", "c"}};
    append_properties(own, to);
    return to;
  }();
  connect_packet in;
  in.client_id = "me";
  in.clean_start = false;
  in.user_name = "user";
  in.password = "\0secret"sv;
  in.will = will_message{"gone", "bye", 2, true, {}};
  in.properties = property_view{encoded_properties};
  std::string bytes;
  REQUIRE(encode(in, bytes));
  const packet p = decoded(bytes, version::v5);
  const auto& out = std::get<connect_packet>(p);
  CHECK(out.client_id == "me");
  CHECK_FALSE(out.clean_start);
  CHECK(out.user_name == "user"sv);
  CHECK(out.password == "\0secret"sv);
  REQUIRE(out.will);
  CHECK(out.will->topic == "gone");
  CHECK(out.will->payload == "bye");
  CHECK(out.will->qos == 2);
  CHECK(out.will->retain);
  CHECK(out.properties.number(property_id::session_expiry_interval) == 3600u);
  CHECK(out.properties.user("a") == "b"sv);
  CHECK_FALSE(out.properties.user("x"));
}

TEST_CASE("a stream split anywhere gives the same packets") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  random_packets random{seed};
  std::string stream;
  std::vector<std::size_t> ends;
  for (int i = 0; i < 12; ++i) {
    REQUIRE(encode(random.draw(version::v5), version::v5, stream));
    ends.push_back(stream.size());
  }
  for (std::size_t have = 0; have <= stream.size(); ++have) {
    const std::string part = stream.substr(0, have);  // a heap block of exactly this size
    std::string_view rest = part;
    std::size_t packets = 0;
    frame f;
    while (read_frame(rest, 1u << 20, f) == frame_status::complete) {
      packet p;
      REQUIRE_FALSE(decode(f, version::v5, p));
      rest.remove_prefix(f.size);
      ++packets;
    }
    const auto complete =
        static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), have) - ends.begin());
    REQUIRE(packets == complete);
    if (complete < ends.size()) REQUIRE(f.size <= ends[complete] - (have - rest.size()));
  }
}

TEST_CASE("hostile bytes are refused or decoded, and never crash the decoder") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  random_packets random{seed};
  for (int i = 0; i < 60'000; ++i) {
    const version v = random.flip() ? version::v5 : version::v3_1_1;
    std::string bytes;
    REQUIRE(encode(random.draw(v), v, bytes));
    for (std::size_t n = random.below(4); n > 0; --n) {
      const std::size_t at = random.below(bytes.size());
      switch (random.below(3)) {
        case 0: bytes[at] = static_cast<char>(random.below(256)); break;
        case 1: bytes.erase(at, 1 + random.below(3)); break;
        default: bytes.insert(at, random.bytes(3)); break;
      }
      if (bytes.empty()) break;
    }
    frame f;
    if (read_frame(bytes, 1u << 20, f) != frame_status::complete) continue;
    const std::string body{f.body};  // reads past the frame are seen by the sanitizer
    f.body = body;
    packet p;
    if (const auto failure = decode(f, v, p)) {
      REQUIRE(is_failure(failure.code));
    } else {
      std::string ignored;
      encode(p, v, ignored);
      if (const auto* publish = std::get_if<publish_packet>(&p)) to_properties(publish->properties);
    }
    random.forget();
  }
}

TEST_CASE("protocol errors get the reason code of the specification") {
  using enum reason_code;
  // framing
  CHECK(failure_of("\x30\xff\xff\xff\xff\x01"sv) == malformed_packet);
  CHECK(failure_of("\x30\x80\x00"sv) == malformed_packet);
  CHECK(failure_of("\x30\xff\xff\xff\x7f"sv) == packet_too_large);
  CHECK(failure_of("\x00\x00"sv) == malformed_packet);
  CHECK(failure_of("\xc1\x00"sv) == malformed_packet);
  CHECK(failure_of("\xc0\x01x"sv) == malformed_packet);
  // PUBLISH
  CHECK(failure_of("\x36\x03\x00\x01"
                   "a"sv) == malformed_packet);
  CHECK(failure_of("\x38\x04\x00\x01"
                   "a\x00"sv) == malformed_packet);
  CHECK(failure_of("\x30\x04\x00\x01+\x00"sv) == topic_name_invalid);
  CHECK(failure_of("\x30\x04\x00\x01\xff\x00"sv) == malformed_packet);
  CHECK(failure_of("\x30\x03\x00\x00\x00"sv) == protocol_error);
  CHECK(failure_of("\x30\x02\x00\x00"sv, version::v3_1_1) == topic_name_invalid);
  CHECK(failure_of("\x32\x06\x00\x01"
                   "a\x00\x00\x00"sv) == protocol_error);
  CHECK(failure_of("\x30\x03\x00\x09"
                   "a"sv) == malformed_packet);
  CHECK(failure_of("\x30\x07\x00\x01"
                   "a\x03\x23\x00\x00"sv) == topic_alias_invalid);
  CHECK(failure_of("\x30\x06\x00\x01"
                   "a\x02\x01\x02"sv) == protocol_error);
  CHECK(failure_of("\x30\x08\x00\x01"
                   "a\x04\x01\x01\x01\x01"sv) == protocol_error);
  CHECK(failure_of("\x30\x07\x00\x01"
                   "a\x03\x21\x00\x05"sv) == malformed_packet);
  CHECK(failure_of("\x30\x05\x00\x01"
                   "a\x01\x7e"sv) == malformed_packet);
  // others
  CHECK(failure_of("\x82\x03\x00\x01\x00"sv) == protocol_error);
  CHECK(failure_of("\x82\x07\x00\x01\x00\x00\x01"
                   "a\x30"sv) == protocol_error);
  CHECK(failure_of("\x82\x07\x00\x01\x00\x00\x01"
                   "a\x40"sv) == malformed_packet);
  CHECK(failure_of("\x40\x02\x00\x00"sv) == protocol_error);
  CHECK(failure_of("\x40\x03\x00\x01\x05"sv) == protocol_error);
  CHECK(failure_of("\xf0\x00"sv, version::v3_1_1) == malformed_packet);
  CHECK(failure_of("\x10\x0c\x00\x04MQTT\x03\x02\x00\x3c\x00\x00"sv) ==
        unsupported_protocol_version);
  CHECK(failure_of("\x20\x02\x02\x00"sv, version::v3_1_1) == malformed_packet);
}

TEST_CASE("a length that promises more than the packet holds allocates nothing") {
  // SUBACK with properties of 268 million bytes; UNSUBSCRIBE with a filter of 65,535 bytes
  CHECK(failure_of("\x90\x06\x00\x01\xff\xff\xff\x7f"sv) == reason_code::malformed_packet);
  CHECK(failure_of("\xa2\x07\x00\x01\x00\xff\xff"
                   "ab"sv) == reason_code::malformed_packet);
}

TEST_CASE("a server of 3.1.1 that refuses version 5 is understood") {
  const packet p = decoded("\x20\x02\x00\x01"s, version::v5);
  CHECK(std::get<connack_packet>(p).code == reason_code::unsupported_protocol_version);
}

TEST_CASE("packets above the limits of the wire are not encoded") {
  std::string to = "kept";
  const std::string topic(65'536, 'a');
  publish_packet p;
  p.topic = topic;
  CHECK_FALSE(encode(p, version::v5, to));
  CHECK(to == "kept");
}

TEST_CASE("reason codes are told in words") {
  CHECK(to_string(reason_code::session_taken_over) == "session taken over");
  CHECK(to_string(static_cast<reason_code>(0x7f)) == "unknown reason code");
  CHECK(to_string(packet_type::pubcomp) == "PUBCOMP");
}
