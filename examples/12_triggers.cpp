// SPDX-License-Identifier: Apache-2.0
// When windows fire: early results by count, windows of counts that purge themselves, evictors, and
// a trigger of one's own.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct trade {
  std::string share;
  int price = 0;
  millrace::timestamp at{};
};

std::vector<trade> trades() {
  std::vector<trade> all;
  for (int i = 0; i < 10; ++i) {
    all.push_back({"oak", i == 7 ? 90 : 100 + i, millrace::timestamp{std::chrono::seconds{i}}});
  }
  return all;
}

// Fires when a price falls, with all trades of the window so far.
struct on_fall {
  using state = std::optional<int>;  // per key and window: the last price

  millrace::trigger_result on_record(const trade& t, millrace::timestamp, state& last,
                                     millrace::trigger_context&) const {
    const bool falls = last && t.price < *last;
    last = t.price;
    return falls ? millrace::trigger_result::fire : millrace::trigger_result::wait;
  }
};

int main() {
  millrace::memory::sink<std::string> lines;
  millrace::pipeline p("trades");
  auto by_share = p.source("trades", millrace::memory::source(trades()))
                      .event_time(&trade::at, millrace::bounded_lag{1s})
                      .key_by(&trade::share);
  const auto print = [](const std::string& what) {
    return [what](const auto& r) { return what + ": " + std::to_string(r.value); };
  };
  // At the window's end, and every four records before.
  by_share.window(millrace::tumbling{.size = 10s})
      .trigger(millrace::early(millrace::on_count{4}))
      .aggregate("early", millrace::count{})
      .map(print("trades so far"))
      .to("early out", lines);
  // Every three records, and then anew.
  by_share.window(millrace::global{})
      .trigger(millrace::purging(millrace::on_count{3}))
      .aggregate("threes", millrace::sum(&trade::price))
      .map(print("sum of three"))
      .to("threes out", lines);
  // When a price falls: the highest of the last three.
  by_share.window(millrace::global{})
      .trigger(on_fall{})
      .evictor(millrace::count_evictor{3})
      .aggregate("falls", millrace::max_of(&trade::price))
      .map(print("before the fall"))
      .to("falls out", lines);
  p.run();

  for (const auto& line : lines.values()) std::printf("%s\n", line.c_str());
  return lines.size() == 7 ? 0 : 1;
}
