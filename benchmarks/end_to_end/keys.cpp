// SPDX-License-Identifier: Apache-2.0
// bench_keys KEYS: memory per key and cost per message of the reference pipeline, without the
// socket. Every key has one message per second of event time (but at least 100,000 messages a
// second come in all), so that all are alive with all their windows. Prints rows.
#include "harness/packet_source.hpp"
#include "harness/process.hpp"
#include "harness/replay_source.hpp"
#include "harness/rows.hpp"

#include <millrace/codec/json.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>

namespace bench {

struct key_status {
  std::string station;
  double bikes = 0;
  millrace::timestamp at;
};
BOOST_DESCRIBE_STRUCT(key_status, (), (station, bikes, at))

namespace {

/// One second of packets: the keys in an order that a cache does not like.
floors::packet_block one_second(std::uint64_t keys) {
  const std::uint64_t packets = std::max<std::uint64_t>(keys, 100'000);
  floors::packet_block block;
  block.bytes.reserve(packets * 170);
  for (std::uint64_t i = 0; i < packets; ++i) {
    std::string station = std::to_string(i * 7'919 % keys);
    station = "station-" + std::string(7 - std::min<std::size_t>(7, station.size()), '0') + station;
    const std::string json = R"({"id":)" + std::to_string(i) + R"(,"station":")" + station +
                             R"(","bikes":)" + std::to_string(i % 40) +
                             R"(.5,"docks":12,"lat":59.912345,"lon":10.712345)" +
                             R"(,"state":"in_service","at":)" +
                             std::to_string(1'700'000'000'000 + i * 1'000 / packets) + "}";
    const std::string topic = "bikes/" + station + "/status";
    const std::size_t length = 2 + topic.size() + json.size();
    block.bytes += '\x30';
    block.bytes += static_cast<char>(length % 128 | 0x80);
    block.bytes += static_cast<char>(length / 128);
    block.bytes += '\0';
    block.bytes += static_cast<char>(topic.size());
    block.bytes += topic + json;
  }
  block.packets = packets;
  block.size = block.bytes.size();
  block.bytes.append(64, '\0');
  block.span = floors::second;
  return block;
}

/// What is taken note of while messages pass.
struct meter {
  std::uint64_t warm;  ///< so many messages are not counted
  std::uint64_t all;
  std::uint64_t seen = 0;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t memory = 0;

  void operator()() {
    if (seen == warm) start = processor_time();
    if (++seen != all) return;
    end = processor_time();
    memory = resident_memory();
  }
};

void measure_keys(std::uint64_t keys) {
  using namespace std::chrono_literals;
  // The block is copied into the source, which counts as there before.
  std::optional<floors::packet_block> block(one_second(keys));
  const std::size_t seconds = std::max<std::size_t>(25, 3'000'000 / block->packets);
  const packet_source packets(*block, seconds);
  meter m{block->packets * (seconds - 10), block->packets * seconds};
  block.reset();
  const std::uint64_t before = resident_memory();
  const auto json = millrace::json.with({.timestamp_unit = millrace::json_time::milliseconds});
  std::uint64_t results = 0;
  millrace::pipeline p{"keys"};
  p.source("packets", packets)
      .decode<key_status>(json,
                          [&m](const millrace::message& from, key_status& s) {
                            s.at += from.received.time_since_epoch();
                            m();
                          })
      .event_time(&key_status::at, millrace::bounded_lag{500ms})
      .key_by(&key_status::station)
      .window(millrace::sliding{.size = 10s, .slide = 1s})
      .aggregate(
          "totals",
          millrace::compose(millrace::sum(&key_status::bikes), millrace::min_of(&key_status::bikes),
                            millrace::max_of(&key_status::bikes), millrace::count{}))
      .to("results", noting_sink([&results](const auto&) { ++results; }));
  p.run();
  if (results != keys * (seconds + 9)) {
    throw std::runtime_error(std::to_string(results) + " results, not one per key and window");
  }
  const auto messages = static_cast<double>(m.all - m.warm);
  const auto bytes = static_cast<double>(m.memory) - static_cast<double>(before);
  const std::string name = "keys_" + std::to_string(keys);
  print_row({.name = name,
             .measure = "CPU ns/message",
             .ours = static_cast<double>(m.end - m.start) / messages});
  print_row({.name = name, .measure = "bytes/key", .ours = bytes / static_cast<double>(keys)});
  print_row({.name = name, .measure = "MiB in all", .ours = bytes / (1 << 20)});
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw std::runtime_error("usage: bench_keys KEYS");
    bench::measure_keys(std::stoull(argv[1]));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}
