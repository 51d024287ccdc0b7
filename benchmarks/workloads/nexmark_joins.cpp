// SPDX-License-Identifier: Apache-2.0
// Nexmark's queries over two or three of the streams: q3, q4, q6, q8.
#include "workloads/nexmark.hpp"

#include <algorithm>
#include <deque>
#include <map>

namespace bench {

namespace {

using namespace std::chrono_literals;

struct seller_state {
  bool known = false;
  std::uint8_t state = 0;
  std::vector<std::uint64_t> waiting;
};

/// A person and one of their auctions.
struct sale {
  std::uint64_t auction = 0;
  std::uint64_t seller = 0;
  std::uint8_t state = 0;
};

floors::digest q3(const std::vector<event>& all, std::size_t many) {
  floors::digest d;
  millrace::pipeline p{"q3"};
  millrace::stream<event> events = p.source("events", vector_source(all, many));
  auto people = events.filter([](const event& e) { return e.kind == kind::person && e.state < 3; })
                    .key_by(&event::id);
  auto auctions =
      events.filter([](const event& e) { return e.kind == kind::auction && e.category == 10; })
          .key_by(&event::other);
  people.connect(auctions)
      .process<sale>(
          "sales",
          [](const event& person, seller_state& s, auto& context) {
            s.known = true;
            s.state = person.state;
            for (const auto id : s.waiting) context.emit(sale{id, person.id, s.state});
            s.waiting.clear();
          },
          [](const event& auction, seller_state& s, auto& context) {
            if (s.known) {
              context.emit(sale{auction.id, auction.other, s.state});
            } else {
              s.waiting.push_back(auction.id);
            }
          })
      .to("out", noting_sink([&d](const sale& s) { d.add(s.auction * 8 + s.state, s.seller); }));
  p.run();
  return d;
}

struct early_bid {
  std::int64_t time = 0;
  std::uint64_t price = 0;
};

/// Bids may overtake their auction within a batch.
struct auction_state {
  std::int64_t expires = 0;  ///< 0: the auction has not come
  std::uint64_t seller = 0;
  std::uint64_t price = 0;
  std::uint8_t category = 0;
  std::vector<early_bid> early;
};

struct closed {
  std::uint64_t id = 0;
  std::uint64_t seller = 0;
  std::uint64_t price = 0;
  std::uint8_t category = 0;
};

/// Every auction that had a bid, when it has expired.
auto winning_bids(millrace::pipeline& p, const std::vector<event>& all, std::size_t many) {
  millrace::stream<event> events = nexmark_events(p, all, many);
  auto auctions =
      events.filter([](const event& e) { return e.kind == kind::auction; }).key_by(&event::id);
  auto bids = events.filter([](const event& e) { return e.kind == kind::bid; }).key_by(&event::id);
  return auctions.connect(bids).template process<closed>(
      "winning",
      [](const event& auction, auction_state& s, auto& context) {
        s.expires = auction.expires;
        s.seller = auction.other;
        s.category = auction.category;
        for (const early_bid& b : s.early) {
          if (b.time <= s.expires) s.price = std::max(s.price, b.price);
        }
        s.early.clear();
        context.timer_at(at(auction.expires));
      },
      [](const event& bid, auction_state& s, auto& context) {
        if (s.expires != 0) {
          if (bid.time <= s.expires) s.price = std::max(s.price, bid.price);
        } else {
          s.early.push_back({bid.time, bid.price});
          context.timer_at(at(bid.time));  // by then the auction has come, or is over
        }
      },
      [](millrace::timestamp time, auction_state& s, auto& context) {
        if (s.expires > time.time_since_epoch().count()) return;
        if (s.expires != 0 && s.price != 0) {
          context.emit(closed{context.key(), s.seller, s.price, s.category});
        }
        context.clear_state();
      });
}

struct mean_state {
  std::uint64_t sum = 0;
  std::uint64_t count = 0;
};

floors::digest q4(const std::vector<event>& all, std::size_t many) {
  std::map<std::uint8_t, std::uint64_t> last;
  millrace::pipeline p{"q4"};
  winning_bids(p, all, many)
      .key_by(&closed::category)
      .process<std::pair<std::uint8_t, std::uint64_t>>(
          "mean",
          [](const closed& a, mean_state& s, auto& context) {
            s.sum += a.price;
            ++s.count;
            context.emit(std::pair(a.category, s.sum / s.count));
          })
      .to("out", noting_sink([&last](const auto& r) { last[r.first] = r.second; }));
  p.run();
  floors::digest d;
  for (const auto& [category, mean] : last) d.add(category, mean);
  return d;
}

struct last_prices {
  std::deque<std::uint64_t> prices;
};

floors::digest q6(const std::vector<event>& all, std::size_t many) {
  floors::digest d;
  millrace::pipeline p{"q6"};
  winning_bids(p, all, many)
      .key_by(&closed::seller)
      .process<std::pair<std::uint64_t, std::uint64_t>>(
          "last ten",
          [](const closed& a, last_prices& s, auto& context) {
            s.prices.push_back(a.price);
            if (s.prices.size() > 10) s.prices.pop_front();
            std::uint64_t sum = 0;
            for (const std::uint64_t price : s.prices) sum += price;
            context.emit(std::pair(a.seller, sum / s.prices.size()));
          })
      .to("out", noting_sink([&d](const auto& r) { d.add(r.first, r.second); }));
  p.run();
  return d;
}

/// Windows by number; -1: none.
struct newcomer_state {
  std::int64_t joined = -1;
  std::int64_t sold = -1;
  std::int64_t reported = -1;
};

floors::digest q8(const std::vector<event>& all, std::size_t many) {
  constexpr std::int64_t size = 10 * floors::second;
  using found = std::pair<std::uint64_t, std::int64_t>;
  const auto report = [](newcomer_state& s, auto& context) {
    if (s.joined < 0 || s.joined != s.sold || s.reported == s.joined) return;
    s.reported = s.joined;
    context.emit(found{context.key(), s.joined});
  };
  // Nothing of a window counts when it has ended.
  const auto note = [report](const event& e, std::int64_t newcomer_state::*which, newcomer_state& s,
                             auto& context) {
    s.*which = nexmark::window_of(e.time, size);
    context.timer_at(at((s.*which + 1) * size - 1));
    report(s, context);
  };
  floors::digest d;
  millrace::pipeline p{"q8"};
  millrace::stream<event> events = nexmark_events(p, all, many);
  auto people =
      events.filter([](const event& e) { return e.kind == kind::person; }).key_by(&event::id);
  auto auctions =
      events.filter([](const event& e) { return e.kind == kind::auction; }).key_by(&event::other);
  people.connect(auctions)
      .process<found>(
          "newcomers",
          [note](const event& e, newcomer_state& s, auto& context) {
            note(e, &newcomer_state::joined, s, context);
          },
          [note](const event& e, newcomer_state& s, auto& context) {
            note(e, &newcomer_state::sold, s, context);
          },
          [](millrace::timestamp time, newcomer_state& s, auto& context) {
            const auto over = nexmark::window_of(time.time_since_epoch().count(), size);
            if (s.joined <= over && s.sold <= over) context.clear_state();
          })
      .to("out", noting_sink([&d](const found& f) {
            d.add(f.first, static_cast<std::uint64_t>(f.second));
          }));
  p.run();
  return d;
}

}  // namespace

benchmark nexmark_q3() {
  return nexmark_query("nexmark_q3", "people of some states who sell in a category", q3,
                       nexmark::q3);
}
benchmark nexmark_q4() {
  return nexmark_query("nexmark_q4", "mean closing price per category", q4, nexmark::q4);
}
benchmark nexmark_q6() {
  return nexmark_query("nexmark_q6", "mean of a seller's last ten prices", q6, nexmark::q6);
}
benchmark nexmark_q8() {
  return nexmark_query("nexmark_q8", "people who sell within 10 s of joining", q8, nexmark::q8);
}

}  // namespace bench
