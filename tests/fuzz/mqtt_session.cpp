// SPDX-License-Identifier: Apache-2.0
// The client session against a hostile server. First byte: version, mode, and how the stream is
// cut; 0xff in the stream's place of a packet type cuts the connection and makes a new one.
#include <millrace/net/mqtt/session.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mqtt = millrace::mqtt;
using namespace std::chrono_literals;

namespace {

void check(bool good) {
  if (!good) std::abort();
}

mqtt::session_options options_of(unsigned choice) {
  mqtt::session_options o;
  o.version = (choice & 1) != 0 ? mqtt::version::v5 : mqtt::version::v3_1_1;
  o.acknowledge =
      (choice & 2) != 0 ? mqtt::acknowledge_mode::manual : mqtt::acknowledge_mode::on_receive;
  o.client_id = "fuzz";
  o.session_expiry = (choice & 4) != 0 ? 60s : 0s;
  o.receive_maximum = 5;
  o.topic_alias_maximum = 2;
  o.maximum_packet_size = 4096;
  o.in_flight = 3;
  return o;
}

/// Our own output must be well-formed whatever the server does.
void check_output(const std::string& output, mqtt::version v) {
  std::string_view rest = output;
  mqtt::frame f;
  while (mqtt::read_frame(rest, 1u << 20, f) == mqtt::frame_status::complete) {
    mqtt::packet p;
    check(!mqtt::decode(f, v, p));
    rest.remove_prefix(f.size);
  }
  check(rest.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned choice = data[0];
  const mqtt::session_options options = options_of(choice);
  mqtt::session client{options};
  std::uint64_t token = 0;
  const auto publish_some = [&] {
    for (std::uint8_t qos = 0; qos < 3 && client.unfinished() < 20; ++qos) {
      client.publish({.topic = "t", .payload = "payload", .qos = qos, .token = ++token});
    }
  };
  publish_some();
  client.connect(0s);
  std::string_view rest{reinterpret_cast<const char*>(data) + 1, size - 1};
  std::string kept;
  std::vector<mqtt::delivery_id> open;
  const std::size_t step = choice >> 3;
  auto now = 0s;
  while (!rest.empty()) {
    const std::string_view part = step == 0 ? rest : rest.substr(0, step);
    rest.remove_prefix(part.size());
    kept.append(part);
    const std::unique_ptr<char[]> exact(new char[kept.size()]);
    kept.copy(exact.get(), kept.size());
    const auto result = client.receive({exact.get(), kept.size()},
                                       [&](const mqtt::publish_packet& p, mqtt::delivery_id id) {
                                         check(!p.topic.empty());
                                         if (id != 0) open.push_back(id);
                                         if (open.size() > 3) {
                                           client.acknowledge(open[1]);
                                           client.acknowledge(open[0]);
                                           open.erase(open.begin(), open.begin() + 2);
                                         }
                                         return p.payload.size() % 3 != 0;
                                       });
    check(result.consumed <= kept.size());
    kept.erase(0, result.consumed);
    check_output(client.output(), options.version);
    client.output().clear();
    client.events().clear();
    client.publish_outcomes().clear();
    publish_some();
    client.on_time(now += 7s);
    if (client.connected()) client.subscribe({{.filter = "a/+", .qos = 1}}, now);
    if (result.failed) {
      kept.clear();
      client.connect(now);
    }
  }
  return 0;
}
