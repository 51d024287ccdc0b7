// SPDX-License-Identifier: Apache-2.0
// A sink that takes no more stops the source, with everything between them inside its bounds.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"

#include <cstdint>
#include <memory>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

timestamp at(std::int64_t t) { return timestamp{duration{t}}; }

/// Emits 0, 1, 2, ... as fast as it is asked, and counts.
struct endless_source {
  using value_type = std::int64_t;
  std::shared_ptr<std::int64_t> emitted;

  struct reader {
    std::int64_t& next;
    bool stopped = false;
    poll_status poll(source_output<std::int64_t>& out) {
      if (stopped) return poll_status::end;
      while (out.room() > 0) {
        out.emit(next, at(next));
        ++next;
      }
      return poll_status::more;
    }
    void stop() { stopped = true; }
  };
  reader open(source_context&) const { return {*emitted}; }
};

/// Takes `room` records, then blocks until there is more room.
struct valve {
  struct shared {
    std::int64_t taken = 0;
    std::int64_t room = 0;
    sink_context* context = nullptr;
    void allow(std::int64_t more) {
      room += more;
      context->unblock();
    }
  };
  std::shared_ptr<shared> state = std::make_shared<shared>();

  struct writer {
    shared& s;
    template <class T>
    void write(const T&, timestamp) {
      ++s.taken;
      if (s.taken >= s.room) s.context->block();
    }
  };
  writer open(sink_context& context) const {
    state->context = &context;
    return {*state};
  }
};

constexpr std::int64_t batch_records = static_cast<std::int64_t>(default_batch_capacity);

}  // namespace

TEST_CASE("on one worker nothing lies between source and sink but the batch on its way") {
  testing::simulation sim;
  auto emitted = std::make_shared<std::int64_t>(0);
  valve sink;
  pipeline p("one");
  p.source("in", endless_source{emitted}).map([](std::int64_t i) { return i; }).to("out", sink);
  sink.state->room = 1;
  p.start(sim);
  sim.run_until_idle();
  CHECK(*emitted == batch_records);
  CHECK(sink.state->taken == batch_records);
  sim.advance(10s);
  CHECK(*emitted == batch_records);
  sink.state->allow(batch_records + 1);
  sim.run_until_idle();
  CHECK(*emitted == 2 * batch_records);
  p.stop();
  sink.state->allow(1 << 30);
  sim.run_to_end();
  CHECK(sink.state->taken == *emitted);
}

TEST_CASE("between workers the rings bound what is on its way, and nothing is lost afterwards") {
  for (const std::size_t workers : {2U, 3U, 4U}) {
    constexpr std::int64_t ring = 4;
    testing::simulation sim({.workers = workers, .seed = 5});
    auto emitted = std::make_shared<std::int64_t>(0);
    valve sink;
    pipeline p("many");
    p.parallelism(workers).ring_batches(ring);
    p.source("in", endless_source{emitted})
        .key_by([](std::int64_t i) { return i % 1000; })
        .map([](std::int64_t i) { return i; })
        .to("out", sink);
    sink.state->room = 1;
    p.start(sim);
    sim.run_until_idle();
    const std::int64_t w = static_cast<std::int64_t>(workers);
    // Two exchanges of w lanes: a full ring, one partial batch and one that waits, each.
    const std::int64_t bound = 2 * w * (ring + 2) * batch_records + 2 * batch_records;
    INFO(workers << " workers, " << *emitted << " records");
    CHECK(*emitted <= bound);
    const auto before = *emitted;
    sim.advance(10s);
    CHECK(*emitted == before);
    p.stop();
    sink.state->allow(1 << 30);
    sim.run_to_end();
    CHECK(sink.state->taken == *emitted);
  }
}

TEST_CASE("firing windows pause in the middle when the sink does, and go on where they were") {
  testing::simulation sim;
  std::vector<memory::timed<int>> in;
  for (int i = 0; i < 20'000; ++i) in.push_back({i, at(0)});
  valve sink;
  pipeline p("windows");
  p.source("in", memory::source<int>(in))
      .event_time([](int) { return at(5); }, monotone_times)
      .key_by([](int i) { return i; })
      .window(tumbling{duration{10}})
      .aggregate("counts", count{})
      .to("out", sink);
  sink.state->room = 1;
  p.start(sim);
  sim.run_until_idle();
  CHECK(sink.state->taken == batch_records);
  for (int i = 0; i < 100 && !sim.ended(); ++i) {
    sink.state->allow(batch_records);
    sim.run_until_idle();
  }
  sink.state->allow(1 << 30);
  sim.run_to_end();
  CHECK(sink.state->taken == 20'000);
}

TEST_CASE("a sink that blocks holds back the dead letters' cause, not the program") {
  testing::simulation sim;
  auto emitted = std::make_shared<std::int64_t>(0);
  valve dead;
  memory::sink<std::int64_t> out;
  struct refuse {
    using output_type = std::int64_t;
    void process(std::int64_t, operator_context<std::int64_t>& c) { c.dead_letter("no"); }
  };
  pipeline p("dead letters");
  p.source("in", endless_source{emitted}).apply("refuse", refuse{}).to("out", out);
  p.dead_letters().to("dead", dead);
  dead.state->room = 1;
  p.start(sim);
  sim.run_until_idle();
  CHECK(*emitted <= static_cast<std::int64_t>(dead_letter_queue::high_water) + 3 * batch_records);
  p.stop();
  dead.state->allow(1 << 30);
  sim.run_to_end();
  CHECK(dead.state->taken == *emitted);
}
