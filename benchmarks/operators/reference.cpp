// SPDX-License-Identifier: Apache-2.0
// The reference pipeline: MQTT PUBLISH packets in a buffer -> three of eight JSON fields -> sliding
// windows of 10 s by 1 s per station -> line protocol.
#include "floors/reference.hpp"

#include "harness/packet_source.hpp"
#include "harness/replay_source.hpp"
#include "operators/programs.hpp"

#include <millrace/codec/json.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>

#include <boost/describe/class.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace bench {

struct station_status {
  std::string station;
  double bikes = 0;
  millrace::timestamp at;
};
BOOST_DESCRIBE_STRUCT(station_status, (), (station, bikes, at))

namespace {

floors::digest run_pipeline(const floors::packet_block& block, std::size_t passes,
                            std::size_t workers = 1) {
  using namespace std::chrono_literals;
  std::atomic<std::uint64_t> sum{0};  // one writer per worker
  std::atomic<std::uint64_t> lines{0};
  const auto json = millrace::json.with({.timestamp_unit = millrace::json_time::milliseconds});
  millrace::pipeline p{"reference"};
  p.parallelism(workers);
  p.source("packets", packet_source(block, passes))
      .decode<station_status>(json,
                              [](const millrace::message& m, station_status& s) {
                                s.at += m.received.time_since_epoch();
                              })
      .event_time(&station_status::at, millrace::bounded_lag{500ms})
      .key_by(&station_status::station)
      .window(millrace::sliding{.size = 10s, .slide = 1s})
      .aggregate("totals",
                 millrace::compose(millrace::sum(&station_status::bikes),
                                   millrace::min_of(&station_status::bikes),
                                   millrace::max_of(&station_status::bikes), millrace::count{}))
      .to("lines", noting_sink([&sum, &lines, line = std::string()](const auto& r) mutable {
            const auto& [total, least, greatest, count] = r.value;
            line.clear();
            floors::write_line(line, r.key, total, least, greatest, count,
                               r.window.max_timestamp().time_since_epoch().count());
            floors::digest d;
            floors::add_line(d, line);
            sum.fetch_add(d.sum, std::memory_order_relaxed);
            lines.fetch_add(d.count, std::memory_order_relaxed);
          }));
  p.run();
  return {sum, lines};
}

std::function<outcome(std::size_t)> ours(std::shared_ptr<const floors::packet_block> block,
                                         std::size_t workers) {
  return [block = std::move(block), workers](std::size_t passes) {
    const floors::digest d = run_pipeline(*block, passes, workers);
    return outcome{block->packets * passes, d.sum ^ d.count};
  };
}

std::vector<contestant> prepare(scale s) {
  constexpr std::size_t stations = 1'000;
  const std::size_t packets = s == scale::small ? 8'192 : 65'536;
  auto block =
      std::make_shared<floors::packet_block>(floors::make_packets(packets, stations, 100'000));
  return {{"ours", ours(block, 1)}, {"floor", [block](std::size_t passes) {
                                       const floors::digest d =
                                           floors::reference_pipeline(*block, passes, stations);
                                       return outcome{block->packets * passes, d.sum ^ d.count};
                                     }}};
}

}  // namespace

benchmark reference_pipeline() {
  return {
      .name = "reference_pipeline",
      .what =
          "MQTT packets of 164 bytes in a buffer, 3 of 8 JSON fields, sliding 10 s by 1 s: "
          "sum, min, max, count, line protocol; 1,000 keys, 100,000 messages/s, 1 % late",
      .passes = 20,
      .few = 60,
      .many = 85,
      .goals = {{"1", "floor", goal::of::instructions, 1.25}, {"1", "floor", goal::of::time, 1.3}},
      .prepare = prepare};
}

benchmark reference_parallel() {
  return {.name = "reference_parallel",
          .what = "the reference pipeline on two workers against one; needs two free cores",
          .clock = clock_kind::wall,
          .passes = 20,
          .goals = {{"14", "1 worker", goal::of::speed, 1.8}},
          .prepare = [](scale) {
            auto block = std::make_shared<floors::packet_block>(
                floors::make_packets(65'536, 1'000, 100'000));
            return std::vector<contestant>{{"ours", ours(block, 2)}, {"1 worker", ours(block, 1)}};
          }};
}

}  // namespace bench
