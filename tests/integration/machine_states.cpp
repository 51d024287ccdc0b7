// SPDX-License-Identifier: Apache-2.0
// The recorded states of real machines, heavily out of order: torque and speed of each (thing,
// axis) brought together by an as-of join, at every lateness from none to more than there is. All
// pairs are those of a quadratic program, and every record that is not in one has been counted.

#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>
#include <millrace/testing/simulation.hpp>

#include "catch.hpp"
#include "oracle/joins_oracle.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

using namespace millrace;

namespace {

struct reading {
  std::string key;  // thing and axis
  bool torque = false;
  std::int64_t time = 0;  // ticks
  double value = 0;
  int id = 0;
};

std::filesystem::path recording() {
  if (const char* chosen = std::getenv("MILLRACE_SHARED")) {
    return std::filesystem::path(chosen) / "data/machine_states/test_events.jsonl";
  }
  const char* source = std::getenv("MILLRACE_SOURCE_DIR");
  return std::filesystem::path(source != nullptr ? source : ".") /
         "../shared/data/machine_states/test_events.jsonl";
}

/// All readings of torque and speed in the order of the file.
std::vector<reading> readings() {
  if (!std::filesystem::exists(recording())) {
    MILLRACE_SKIP("the recorded machine states are not here (set MILLRACE_SHARED)");
  }
  std::vector<reading> all;
  simdjson::dom::parser parser;
  simdjson::dom::document_stream documents;
  simdjson::padded_string text;
  REQUIRE(simdjson::padded_string::load(recording().string()).get(text) == simdjson::SUCCESS);
  REQUIRE(parser.parse_many(text).get(documents) == simdjson::SUCCESS);
  for (const auto document : documents) {
    const auto object = document.get_object();
    const std::string thing{std::string_view(object["Thing"])};
    const std::int64_t time = std::int64_t(object["Timestamp"]) * 1000;
    for (const auto member : object) {
      for (const bool torque : {true, false}) {
        const std::string prefix = torque ? "vaTorque_" : "actSpeed_";
        if (!member.key.starts_with(prefix)) continue;
        all.push_back({thing + "." + std::string(member.key.substr(prefix.size())), torque, time,
                       double(member.value), static_cast<int>(all.size())});
      }
    }
  }
  return all;
}

using pair = std::tuple<int, int>;

struct counted {
  std::vector<pair> pairs;
  std::vector<int> late_torque, late_speed;
  std::uint64_t torque = 0;
};

counted run(const std::vector<reading>& all, duration lag, as_of_options options,
            std::size_t workers) {
  testing::simulation sim({.workers = workers, .seed = 1});
  pipeline p("machines");
  p.parallelism(workers);
  memory::sink<pair> pairs;
  memory::sink<int> late_torque, late_speed;
  auto in = p.source("states", memory::source(all))
                .event_time([](const reading& r) { return oracle::at(r.time); }, bounded_lag{lag})
                .key_by(&reading::key);
  auto torque = in.filter([](const reading& r) { return r.torque; });
  auto speed = in.filter([](const reading& r) { return !r.torque; });
  const late_outputs<reading, reading> late;
  auto joined = torque.as_of_join<join_kind::left>("power", speed, options, late);
  joined.map([](const auto& j) {
          return pair{j.left.id, j.right ? j.right->id : -1};
        })
      .to("pairs", pairs);
  joined.side(late.left).map([](const reading& r) { return r.id; }).to("late torque", late_torque);
  joined.side(late.right).map([](const reading& r) { return r.id; }).to("late speed", late_speed);
  p.start(sim);
  p.wait();
  counted c{pairs.values(), late_torque.values(), late_speed.values(), 0};
  std::sort(c.pairs.begin(), c.pairs.end());
  std::sort(c.late_torque.begin(), c.late_torque.end());
  std::sort(c.late_speed.begin(), c.late_speed.end());
  return c;
}

/// The same, from the records and the watermark each of them came behind.
counted expected(const std::vector<reading>& all, duration lag, as_of_options options,
                 std::size_t batch) {
  std::vector<oracle::arrival> arrivals;
  std::map<std::string, int> keys;
  std::int64_t newest = oracle::never;
  std::int64_t watermark = oracle::never;
  for (const auto& r : all) {
    if (r.id % static_cast<int>(batch) == 0 && newest != oracle::never) {
      watermark = newest - lag.count() - 1;
    }
    newest = std::max(newest, r.time);
    const int key = keys.try_emplace(r.key, static_cast<int>(keys.size())).first->second;
    arrivals.push_back({r.torque ? std::size_t{0} : 1, {key, r.time, 0, r.id}, watermark});
  }
  const auto out = oracle::as_of_join(arrivals, static_cast<int>(options.direction),
                                      options.tolerance.count(), true);
  counted c;
  for (const auto& [left, right, time] : out.results) c.pairs.emplace_back(left, right);
  std::sort(c.pairs.begin(), c.pairs.end());
  c.late_torque = out.late[0];
  c.late_speed = out.late[1];
  return c;
}

}  // namespace

TEST_CASE("torque and speed of recorded machines meet as an oracle says, at every lateness") {
  const auto all = readings();
  REQUIRE(all.size() > 7000);
  const auto torque = static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const reading& r) { return r.torque; }));
  using std::chrono::hours;
  using std::chrono::seconds;
  std::size_t least_late = all.size();
  for (const duration lag : {duration{}, duration{seconds{1}}, duration{seconds{60}},
                             duration{hours{1}}, duration{hours{24}}, duration{hours{24 * 7}}}) {
    for (const auto direction : {as_of::previous, as_of::next, as_of::nearest}) {
      const as_of_options options{direction, seconds{2}};
      INFO("lag " << lag.count() << " us, direction " << static_cast<int>(direction));
      const counted wanted = expected(all, lag, options, default_batch_capacity);
      for (const std::size_t workers : {1, 3}) {
        const counted found = run(all, lag, options, workers);
        REQUIRE(found.pairs == wanted.pairs);
        REQUIRE(found.late_torque == wanted.late_torque);
        REQUIRE(found.late_speed == wanted.late_speed);
        CHECK(found.pairs.size() + found.late_torque.size() == torque);
      }
      least_late = std::min(least_late, wanted.late_torque.size() + wanted.late_speed.size());
    }
  }
  CHECK(least_late == 0);
}
