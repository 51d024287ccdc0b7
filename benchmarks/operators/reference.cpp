// SPDX-License-Identifier: Apache-2.0
// The reference pipeline: MQTT PUBLISH packets in a buffer -> three of eight JSON fields -> sliding
// windows of 10 s by 1 s per station -> line protocol.
#include "floors/reference.hpp"

#include "harness/replay_source.hpp"
#include "operators/programs.hpp"

#include <millrace/codec/json.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/net/mqtt/decode.hpp>
#include <millrace/windows/aggregates.hpp>

#include <boost/describe/class.hpp>

#include <memory>
#include <string>

namespace bench {

struct station_status {
  std::string station;
  double bikes = 0;
  millrace::timestamp at;
};
BOOST_DESCRIBE_STRUCT(station_status, (), (station, bikes, at))

namespace {

/// Cuts packets out of a block of received bytes, again and again; a pass after the first moves
/// the records' times on through the time of reception.
class packet_source {
 public:
  using value_type = millrace::message;

  packet_source(const floors::packet_block& block, std::size_t passes)
      : bytes_(millrace::shared_buffer::copy_of(block.bytes)),
        size_(block.size),
        span_(block.span),
        passes_(passes) {}

  class reader {
   public:
    explicit reader(const packet_source& from) : from_(from), left_(from.passes_) {}

    millrace::poll_status poll(millrace::source_output<millrace::message>& out) {
      namespace mqtt = millrace::mqtt;
      const std::size_t room = out.room();
      from_.bytes_.add_references(room);
      std::size_t taken = 0;
      for (; taken < room && at_ < from_.size_; ++taken) {
        mqtt::frame frame;
        const std::string_view rest{from_.bytes_.data() + at_, from_.size_ - at_};
        if (mqtt::read_frame(rest, 1 << 20, frame) != mqtt::frame_status::complete) break;
        mqtt::publish_packet packet;
        if (mqtt::decode_publish(frame, mqtt::version::v3_1_1, packet)) break;
        out.emit(millrace::message{from_.bytes_.adopt(), packet.topic, packet.payload, later_},
                 later_);
        at_ += frame.size;
      }
      from_.bytes_.drop_references(room - taken);
      if (at_ == from_.size_) {
        at_ = 0;
        later_ += millrace::duration{from_.span_};
        --left_;
      }
      return left_ == 0 ? millrace::poll_status::end : millrace::poll_status::more;
    }

   private:
    const packet_source& from_;
    std::size_t left_;
    std::size_t at_ = 0;
    millrace::timestamp later_{};
  };

  reader open(millrace::source_context&) const { return reader(*this); }

 private:
  millrace::shared_buffer bytes_;
  std::size_t size_;
  std::int64_t span_;
  std::size_t passes_;
};

floors::digest run_pipeline(const floors::packet_block& block, std::size_t passes) {
  using namespace std::chrono_literals;
  floors::digest d;
  std::string line;
  const auto json = millrace::json.with({.timestamp_unit = millrace::json_time::milliseconds});
  millrace::pipeline p{"reference"};
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
      .to("lines", noting_sink([&d, &line](const auto& r) {
            const auto& [sum, least, greatest, count] = r.value;
            line.clear();
            floors::write_line(line, r.key, sum, least, greatest, count,
                               r.window.max_timestamp().time_since_epoch().count());
            floors::add_line(d, line);
          }));
  p.run();
  return d;
}

std::vector<contestant> prepare(scale s) {
  constexpr std::size_t stations = 1'000;
  const std::size_t packets = s == scale::small ? 8'192 : 65'536;
  auto block =
      std::make_shared<floors::packet_block>(floors::make_packets(packets, stations, 100'000));
  const auto as = [block](auto run) {
    return [block, run](std::size_t passes) {
      const floors::digest d = run(*block, passes);
      return outcome{block->packets * passes, d.sum ^ d.count};
    };
  };
  return {{"ours", as(run_pipeline)}, {"floor", as([](const auto& b, std::size_t passes) {
                                         return floors::reference_pipeline(b, passes, stations);
                                       })}};
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

}  // namespace bench
