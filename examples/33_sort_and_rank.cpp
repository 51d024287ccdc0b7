// SPDX-License-Identifier: Apache-2.0
// Records in order of event time; the best of each session of a key; the best keys of each window.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <boost/describe.hpp>

#include <algorithm>
#include <cstdio>

using namespace std::chrono_literals;

struct bid {
  std::string auction;
  int bidder = 0;
  double price = 0;
  millrace::timestamp at{};
};
BOOST_DESCRIBE_STRUCT(bid, (), (auction, bidder, price, at))

int main() {
  // Bids come up to 5 s out of order; after 40 of them there is a break.
  std::vector<bid> bids;
  for (int i = 0; i < 80; ++i) {
    const auto at = millrace::timestamp{i * 1s + (i % 3) * 2s + i / 40 * 120s};
    bids.push_back({i % 4 == 0 ? "vase" : i % 4 == 1 ? "lamp" : "chair", i % 7, 10.0 + i % 13, at});
  }
  millrace::memory::sink<millrace::timestamp> times;
  using best = std::vector<millrace::scored<double, int>>;
  millrace::memory::sink<millrace::window_result<std::string, best>> sessions;
  using auction_count = millrace::window_result<std::string, std::uint64_t>;
  millrace::memory::sink<millrace::ranked<auction_count>> hot;

  millrace::pipeline p("bids");
  auto by_auction = p.source("bids", millrace::memory::source(bids))
                        .event_time(&bid::at, millrace::bounded_lag{5s})
                        .key_by(&bid::auction);
  by_auction.sort_by_time("sort").map([](const bid& b) { return b.at; }).to("times out", times);
  by_auction.window(millrace::session{30s})
      .aggregate("best bids", millrace::top_k(3, &bid::price, &bid::bidder))
      .to("sessions out", sessions);
  by_auction.window(millrace::tumbling{60s})
      .aggregate("number of bids", millrace::count{})
      .top_of_windows("hot", &auction_count::value, {.n = 2})
      .to("hot out", hot);
  p.run();

  for (const auto& s : sessions.values()) {
    std::printf("%-5s", s.key.c_str());
    for (const auto& b : s.value) std::printf("  %.0f by %d", b.score, b.value);
    std::printf("\n");
  }
  for (const auto& h : hot.values()) {
    std::printf("%u. %s with %d bids\n", h.rank, h.value.key.c_str(),
                static_cast<int>(h.value.value));
  }
  const auto in_order = times.values();
  return std::is_sorted(in_order.begin(), in_order.end()) && sessions.size() == 6 ? 0 : 1;
}
