// SPDX-License-Identifier: Apache-2.0
// Nexmark's queries over one stream: q0, q1, q2, q5, q7, q11.
#include "workloads/nexmark.hpp"

#include <millrace/windows/aggregates.hpp>

#include <algorithm>

namespace bench {

namespace {

using namespace std::chrono_literals;

bool is_bid(const event& e) { return e.kind == kind::bid; }

floors::digest q0(const std::vector<event>& all, std::size_t many) {
  floors::digest d;
  millrace::pipeline p{"q0"};
  p.source("events", vector_source(all, many)).to("out", noting_sink([&d](const event& e) {
                                                    d.add(e.id + e.other, e.price);
                                                  }));
  p.run();
  return d;
}

floors::digest q1(const std::vector<event>& all, std::size_t many) {
  floors::digest d;
  millrace::pipeline p{"q1"};
  p.source("events", vector_source(all, many))
      .filter(is_bid)
      .map([](event e) {
        e.price = nexmark::euros(e.price);
        return e;
      })
      .to("out", noting_sink([&d](const event& e) { d.add(e.id + e.other, e.price); }));
  p.run();
  return d;
}

floors::digest q2(const std::vector<event>& all, std::size_t many) {
  floors::digest d;
  millrace::pipeline p{"q2"};
  p.source("events", vector_source(all, many))
      .filter([](const event& e) { return is_bid(e) && e.id % 123 == 0; })
      .map([](const event& e) { return std::pair(e.id, e.price); })
      .to("out", noting_sink([&d](const auto& r) { d.add(r.first, r.second); }));
  p.run();
  return d;
}

struct most_state {
  std::uint64_t most = 0;
};

/// Counts per auction and window, then the greatest of a window when the watermark ends it.
floors::digest q5(const std::vector<event>& all, std::size_t many) {
  using counted = millrace::window_result<std::uint64_t, std::uint64_t>;
  floors::digest d;
  millrace::pipeline p{"q5"};
  nexmark_events(p, all, many)
      .filter(is_bid)
      .key_by(&event::id)
      .window(millrace::sliding{.size = 10s, .slide = 2s})
      .aggregate("bids", millrace::count{})
      .key_by([](const counted& r) { return r.window.end; })
      .process<std::uint64_t>(
          "most",
          [](const counted& r, most_state& s, auto& context) {
            s.most = std::max(s.most, r.value);
            context.timer_at(r.window.max_timestamp());
          },
          [](millrace::timestamp, most_state& s, auto& context) {
            context.emit(s.most);
            context.clear_state();
          })
      .to("out", noting_sink([&d](std::uint64_t most, millrace::timestamp time) {
            d.add(static_cast<std::uint64_t>(time.time_since_epoch().count() + 1), most);
          }));
  p.run();
  return d;
}

floors::digest q7(const std::vector<event>& all, std::size_t many) {
  floors::digest d;
  millrace::pipeline p{"q7"};
  nexmark_events(p, all, many)
      .filter(is_bid)
      .key_by([](const event&) { return 0; })
      .window(millrace::tumbling{10s})
      .aggregate("highest", millrace::max_of(&event::price))
      .to("out", noting_sink([&d](const auto& r) {
            const auto start = r.window.start.time_since_epoch().count();
            d.add(static_cast<std::uint64_t>(nexmark::window_of(start, 10 * floors::second)),
                  static_cast<std::uint64_t>(r.value));
          }));
  p.run();
  return d;
}

floors::digest q11(const std::vector<event>& all, std::size_t many) {
  floors::digest d;
  millrace::pipeline p{"q11"};
  nexmark_events(p, all, many)
      .filter(is_bid)
      .key_by(&event::other)
      .window(millrace::session{50ms})
      .aggregate("bids", millrace::count{})
      .to("out", noting_sink([&d](const auto& r) {
            const auto end = r.window.end.time_since_epoch().count();
            d.add(r.key ^ static_cast<std::uint64_t>(end), r.value);
          }));
  p.run();
  return d;
}

}  // namespace

benchmark nexmark_q0() {
  return nexmark_query("nexmark_q0", "all events passed on", q0, nexmark::q0);
}
benchmark nexmark_q1() {
  return nexmark_query("nexmark_q1", "bids in another currency", q1, nexmark::q1);
}
benchmark nexmark_q2() {
  return nexmark_query("nexmark_q2", "bids on some auctions", q2, nexmark::q2);
}
benchmark nexmark_q5() {
  return nexmark_query("nexmark_q5", "hottest auction per 10 s by 2 s", q5, nexmark::q5);
}
benchmark nexmark_q7() {
  return nexmark_query("nexmark_q7", "highest bid per 10 s", q7, nexmark::q7);
}
benchmark nexmark_q11() {
  return nexmark_query("nexmark_q11", "bids per session of a bidder", q11, nexmark::q11);
}

}  // namespace bench
