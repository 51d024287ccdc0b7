// SPDX-License-Identifier: Apache-2.0
/// \file
/// Nexmark's queries as loops over all events at once, with ordinary containers: the oracle of the
/// programs in workloads/, and what their times are compared with. Results as digests, whatever
/// their order. Pure functions.
#pragma once

#include "floors/nexmark.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace floors::nexmark {

using events = std::span<const event>;

inline digest q0(events in) {
  digest d;
  for (const event& e : in) d.add(e.id + e.other, e.price);
  return d;
}

constexpr std::uint64_t euros(std::uint64_t dollars) { return dollars * 908 / 1000; }

inline digest q1(events in) {
  digest d;
  for (const event& e : in) {
    if (e.kind == kind::bid) d.add(e.id + e.other, euros(e.price));
  }
  return d;
}

inline digest q2(events in) {
  digest d;
  for (const event& e : in) {
    if (e.kind == kind::bid && e.id % 123 == 0) d.add(e.id, e.price);
  }
  return d;
}

/// People of three states who sell in category 10.
inline digest q3(events in) {
  digest d;
  std::unordered_map<std::uint64_t, std::uint8_t> people;
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> auctions;
  for (const event& e : in) {
    if (e.kind == kind::person && e.state < 3) people[e.id] = e.state;
    if (e.kind == kind::auction && e.category == 10) auctions[e.other].push_back(e.id);
  }
  for (const auto& [seller, ids] : auctions) {
    const auto person = people.find(seller);
    if (person == people.end()) continue;
    for (const std::uint64_t id : ids) d.add(id * 8 + person->second, seller);
  }
  return d;
}

/// Closed auctions with their highest bid, in the order in which they close.
struct closed_auction {
  std::int64_t time;
  std::uint64_t id;
  std::uint64_t seller;
  std::uint64_t price;
  std::uint8_t category;
};

inline std::vector<closed_auction> winning_bids(events in) {
  std::unordered_map<std::uint64_t, closed_auction> open;
  for (const event& e : in) {
    if (e.kind == kind::auction) open[e.id] = {e.expires, e.id, e.other, 0, e.category};
  }
  for (const event& e : in) {
    if (e.kind != kind::bid) continue;
    auto at = open.find(e.id);
    if (at != open.end() && e.time <= at->second.time) {
      at->second.price = std::max(at->second.price, e.price);
    }
  }
  std::vector<closed_auction> all;
  for (const auto& [id, a] : open) {
    if (a.price != 0) all.push_back(a);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::pair(a.time, a.id) < std::pair(b.time, b.id);
  });
  return all;
}

/// Mean closing price per category, at the end.
inline digest q4(events in) {
  std::map<std::uint8_t, std::pair<std::uint64_t, std::uint64_t>> sums;
  for (const auto& a : winning_bids(in)) {
    sums[a.category].first += a.price;
    ++sums[a.category].second;
  }
  digest d;
  for (const auto& [category, s] : sums) d.add(category, s.first / s.second);
  return d;
}

/// The most bids an auction has, per window of 10 s by 2 s.
inline digest q5(events in) {
  std::map<std::int64_t, std::unordered_map<std::uint64_t, std::uint64_t>> windows;
  for (const event& e : in) {
    if (e.kind != kind::bid) continue;
    const std::int64_t last = e.time / (2 * second) * (2 * second);
    for (std::int64_t start = last; start > e.time - 10 * second; start -= 2 * second) {
      ++windows[start + 10 * second][e.id];
    }
  }
  digest d;
  for (const auto& [end, counts] : windows) {
    std::uint64_t most = 0;
    for (const auto& [auction, count] : counts) most = std::max(most, count);
    d.add(static_cast<std::uint64_t>(end), most);
  }
  return d;
}

/// Mean price of a seller's last ten closed auctions, after each.
inline digest q6(events in) {
  std::unordered_map<std::uint64_t, std::deque<std::uint64_t>> last;
  digest d;
  for (const auto& a : winning_bids(in)) {
    auto& prices = last[a.seller];
    prices.push_back(a.price);
    if (prices.size() > 10) prices.pop_front();
    std::uint64_t sum = 0;
    for (const std::uint64_t price : prices) sum += price;
    d.add(a.seller, sum / prices.size());
  }
  return d;
}

/// Highest price per 10 s.
inline digest q7(events in) {
  std::map<std::int64_t, std::uint64_t> highest;
  for (const event& e : in) {
    if (e.kind == kind::bid) {
      auto& price = highest[window_of(e.time, 10 * second)];
      price = std::max(price, e.price);
    }
  }
  digest d;
  for (const auto& [window, price] : highest) d.add(static_cast<std::uint64_t>(window), price);
  return d;
}

/// People who have put something up for auction in the 10 s in which they joined.
inline digest q8(events in) {
  std::unordered_map<std::uint64_t, std::int64_t> joined;
  for (const event& e : in) {
    if (e.kind == kind::person) joined[e.id] = window_of(e.time, 10 * second);
  }
  std::set<std::pair<std::uint64_t, std::int64_t>> found;
  for (const event& e : in) {
    if (e.kind != kind::auction) continue;
    const auto window = window_of(e.time, 10 * second);
    const auto person = joined.find(e.other);
    if (person != joined.end() && person->second == window) found.emplace(e.other, window);
  }
  digest d;
  for (const auto& [id, window] : found) d.add(id, static_cast<std::uint64_t>(window));
  return d;
}

/// Bids per session of a bidder; a session ends after 50 ms without one.
inline digest q11(events in) {
  constexpr std::int64_t gap = second / 20;
  struct session {
    std::int64_t last = 0;
    std::uint64_t count = 0;
  };
  std::unordered_map<std::uint64_t, session> open;
  digest d;
  for (const event& e : in) {
    if (e.kind != kind::bid) continue;
    session& s = open[e.other];
    if (s.count != 0 && e.time > s.last + gap) {
      d.add(e.other ^ static_cast<std::uint64_t>(s.last + gap), s.count);
      s.count = 0;
    }
    s.last = e.time;
    ++s.count;
  }
  for (const auto& [bidder, s] : open) {
    d.add(bidder ^ static_cast<std::uint64_t>(s.last + gap), s.count);
  }
  return d;
}

}  // namespace floors::nexmark
