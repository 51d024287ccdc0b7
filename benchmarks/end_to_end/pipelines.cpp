// SPDX-License-Identifier: Apache-2.0
#include "end_to_end/pipelines.hpp"

#include "harness/replay_source.hpp"
#include "harness/system_calls.hpp"

#include <millrace/codec/json.hpp>
#include <millrace/connectors/mqtt.hpp>
#include <millrace/dsl/pipeline.hpp>
#include <millrace/windows/aggregates.hpp>

#include <boost/describe/class.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace bench {

struct station_report {
  std::string station;
  double bikes = 0;
  millrace::timestamp at;
};
BOOST_DESCRIBE_STRUCT(station_report, (), (station, bikes, at))

namespace {

using namespace std::chrono_literals;

/// What happens per decoded message, on the source's worker: it is counted, and moved on in time
/// with every pass through the block.
class arrivals {
 public:
  arrivals(const run_options& o, millrace::pipeline& p, run_figures& out)
      : messages_(o.messages), block_(o.block), pipeline_(&p), out_(&out) {}

  void operator()(station_report& r) noexcept {
    const std::uint64_t n = seen_.load(std::memory_order_relaxed);
    if (n == 0) first_ = replayer::now();
    if (n == messages_ / 2) half_ = allocations;
    if (n == next_block_) {
      later_ = millrace::duration{block_->span * static_cast<std::int64_t>(n / block_->packets)};
      next_block_ += block_->packets;
    }
    r.at += later_;
    seen_.store(n + 1, std::memory_order_relaxed);
    if (n + 1 != messages_) return;
    out_->allocations = allocations - half_;
    out_->wall_ns = replayer::now() - first_;
    pipeline_->stop();
  }

  std::uint64_t count() const noexcept { return seen_.load(std::memory_order_relaxed); }

 private:
  std::uint64_t messages_;
  const floors::packet_block* block_;
  millrace::pipeline* pipeline_;
  run_figures* out_;
  std::atomic<std::uint64_t> seen_{0};
  std::uint64_t next_block_ = 0;
  millrace::duration later_{};
  std::uint64_t first_ = 0;
  std::uint64_t half_ = 0;
};

auto decoded(millrace::pipeline& p, const run_options& o, arrivals& seen) {
  const auto json = millrace::json.with({.timestamp_unit = millrace::json_time::milliseconds});
  millrace::mqtt::source_options options{.url = "mqtt://127.0.0.1:" + std::to_string(o.port),
                                         .topic = "bikes/+/status"};
  options.connection.protocol = millrace::mqtt::protocol::v3_1_1;  // all that the replayer knows
  return p.source("stations", millrace::mqtt::source(options))
      .decode<station_report>(json, [&seen](const auto&, station_report& r) { seen(r); });
}

/// A sink that takes the time: the n-th record is the n-th that was sent.
auto clock_sink(const run_options& o, run_figures& out) {
  return noting_sink([sent = o.sent, &out, n = std::uint64_t{0}](const station_report&) mutable {
    if (sent->wanted(n)) out.delays.add(replayer::now() - sent->get(n));
    ++n;
  });
}

/// Runs to the end, watching once in a while.
void run(millrace::pipeline& p, const run_options& o, const arrivals& seen, run_figures& out) {
  const std::uint64_t cpu = processor_time();
  const std::uint64_t receives = system_calls.receives;
  const std::uint64_t sends = system_calls.sends;
  const std::uint64_t waits = system_calls.waits;
  p.start();
  for (std::uint64_t i = 1; !p.ended(); ++i) {
    std::this_thread::sleep_for(o.give_up || o.every_second ? 50ms : 5ms);
    out.messages = seen.count();
    if (o.every_second && i % 20 == 0) o.every_second(out.messages);
    if (o.give_up && o.give_up()) p.stop();
  }
  p.wait();
  out.messages = seen.count();
  out.processor_ns = processor_time() - cpu;
  out.receives = system_calls.receives - receives;
  out.sends = system_calls.sends - sends;
  out.waits = system_calls.waits - waits;
  for (const auto& part : p.status().operators) out.dead_letters += part.dead_letters;
}

}  // namespace

void run_reference(const run_options& o, run_figures& out) {
  millrace::pipeline p{"reference"};
  arrivals seen(o, p, out);
  millrace::stream<station_report> reports = decoded(p, o, seen);
  if (o.sent != nullptr) reports.to("clock", clock_sink(o, out));
  // Nothing may be late: how many messages come in one read, and so when time is looked at, varies.
  reports.event_time(&station_report::at, millrace::bounded_lag{2100ms})
      .key_by(&station_report::station)
      .window(millrace::sliding{.size = 10s, .slide = 1s})
      .aggregate("totals",
                 millrace::compose(millrace::sum(&station_report::bikes),
                                   millrace::min_of(&station_report::bikes),
                                   millrace::max_of(&station_report::bikes), millrace::count{}))
      .to("lines", noting_sink([&out, line = std::string()](const auto& r) mutable {
            const auto& [sum, least, greatest, count] = r.value;
            line.clear();
            floors::write_line(line, r.key, sum, least, greatest, count,
                               r.window.max_timestamp().time_since_epoch().count());
            floors::add_line(out.lines, line);
          }));
  run(p, o, seen, out);
}

void run_short(const run_options& o, run_figures& out) {
  millrace::pipeline p{"short"};
  arrivals seen(o, p, out);
  decoded(p, o, seen).to("clock", clock_sink(o, out));
  run(p, o, seen, out);
}

}  // namespace bench
