// SPDX-License-Identifier: Apache-2.0
/// \file
/// Nexmark (Tucker, Tufte, Papadimos, Maier, 2008; generator as in Apache Beam): people, auctions
/// and bids in one stream. In 50 events 1 is a person, 3 are auctions, the rest bids; half of the
/// bids go to a hot auction, three in four come from a hot bidder. One event every 10 us, in order.
/// The queries by hand are in nexmark_queries.hpp. Pure functions.
#pragma once

#include "floors/data.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace floors::nexmark {

enum class kind : std::uint8_t { person, auction, bid };

/// One struct for all three. State and category are numbers instead of texts.
struct event {
  nexmark::kind kind = kind::bid;
  std::uint8_t state = 0;     ///< person: one of 6, the first three being OR, ID and CA
  std::uint8_t category = 0;  ///< auction: 10 to 14
  std::uint64_t id = 0;       ///< person, auction; bid: its auction
  std::uint64_t other = 0;    ///< auction: seller; bid: bidder
  std::uint64_t price = 0;    ///< bid
  std::int64_t expires = 0;   ///< auction
  std::int64_t time = 0;
};

inline std::vector<event> make_events(std::size_t events) {
  random_numbers random(8);
  std::vector<event> all;
  constexpr std::int64_t between = 10;
  std::int64_t time = 1'700'000'000 * second;
  for (std::size_t n = 0; n < events; ++n, time += between) {
    const std::uint64_t epoch = n / 50;
    const std::uint64_t offset = n % 50;
    const std::uint64_t people = epoch + (offset > 0 ? 1 : 0);
    const std::uint64_t auctions =
        epoch * 3 + std::min<std::uint64_t>(offset > 0 ? offset - 1 : 0, 3);
    event e{.time = time};
    const auto recent_person = [&] {
      return people - 1 - random.below(std::min<std::uint64_t>(people, 1'000));
    };
    if (offset == 0) {
      e.kind = kind::person;
      e.id = epoch;
      e.state = static_cast<std::uint8_t>(random.below(6));
    } else if (offset < 4) {
      e.kind = kind::auction;
      e.id = epoch * 3 + offset - 1;
      e.other = random.below(4) != 0 ? (people - 1) / 100 * 100 : recent_person();
      e.category = static_cast<std::uint8_t>(10 + random.below(5));
      // No two that are open at once expire at the same time: the order of results is that of time.
      e.expires =
          (time + 1'000 + static_cast<std::int64_t>(random.below(second / 10))) / 1'000 * 1'000 +
          static_cast<std::int64_t>(e.id % 1'000);
    } else {
      e.kind = kind::bid;
      e.id = random.below(2) == 0
                 ? (auctions - 1) / 100 * 100
                 : auctions - 1 - random.below(std::min<std::uint64_t>(auctions, 100));
      e.other = random.below(4) != 0 ? (people - 1) / 100 * 100 + 1 : recent_person();
      const double exponent = static_cast<double>(random.below(1'000'000)) * 6e-6;
      e.price = static_cast<std::uint64_t>(std::round(std::pow(10.0, exponent) * 100));
    }
    all.push_back(e);
  }
  return all;
}

/// In which of the tumbling windows of that size.
constexpr std::int64_t window_of(std::int64_t time, std::int64_t size) { return time / size; }

}  // namespace floors::nexmark
