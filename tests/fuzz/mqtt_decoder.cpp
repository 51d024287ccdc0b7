// SPDX-License-Identifier: Apache-2.0
// The MQTT decoder against any bytes. First byte: bit 0 chooses the version; the rest is a stream.
// What is decoded must encode again, and decode to the same bytes; text functions run on the input.
#include <millrace/net/mqtt/codec.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace mqtt = millrace::mqtt;

namespace {

void check(bool good) {
  if (!good) std::abort();
}

std::string encode_again(mqtt::packet p, mqtt::version v) {
  if (auto* publish = std::get_if<mqtt::publish_packet>(&p)) publish->topic_alias = 0;
  std::string bytes;
  check(mqtt::encode(p, v, bytes));
  return bytes;
}

void look_at_properties(mqtt::property_view view) {
  const mqtt::properties all = mqtt::to_properties(view);
  std::string encoded;
  mqtt::append_properties(all, encoded);
  check(mqtt::to_properties(mqtt::property_view{encoded}) == all);
  check(encoded.size() == view.bytes().size());
}

void round_trip(const mqtt::packet& p, mqtt::version v) {
  if (const auto* connect = std::get_if<mqtt::connect_packet>(&p)) v = connect->version;
  std::visit(
      [](const auto& which) {
        if constexpr (requires { which.properties; }) look_at_properties(which.properties);
      },
      p);
  const std::string once = encode_again(p, v);
  mqtt::frame f;
  check(mqtt::read_frame(once, once.size(), f) == mqtt::frame_status::complete);
  mqtt::packet again;
  check(!mqtt::decode(f, v, again));
  check(encode_again(again, v) == once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto v = (data[0] & 1) != 0 ? mqtt::version::v5 : mqtt::version::v3_1_1;
  std::string_view rest{reinterpret_cast<const char*>(data) + 1, size - 1};
  const std::string_view text = rest;
  if (mqtt::is_valid_topic_filter(text)) {
    mqtt::split_shared(text);
    mqtt::matches(text, "a/b/c");
  }
  if (mqtt::is_valid_topic_name(text)) {
    check(mqtt::matches("#", text) == !text.starts_with('$'));
    check(mqtt::is_valid_topic_filter(text) || text.starts_with("$share/"));
  }
  mqtt::frame f;
  while (mqtt::read_frame(rest, 1u << 16, f) == mqtt::frame_status::complete) {
    check(f.size <= rest.size() && f.body.data() + f.body.size() == rest.data() + f.size);
    mqtt::packet p;
    const auto failure = mqtt::decode(f, v, p);
    if (failure) {
      check(mqtt::is_failure(failure.code));
    } else {
      round_trip(p, v);
    }
    rest.remove_prefix(f.size);
  }
  return 0;
}
