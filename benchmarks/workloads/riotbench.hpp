// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the programs of RIoTBench share: the SenML record as it is decoded, and the start of every
/// dataflow: parse, drop unknown sensors. For one thread.
#pragma once

#include "floors/riotbench_flows.hpp"
#include "harness/block_sources.hpp"
#include "harness/replay_source.hpp"

#include <millrace/codec/json.hpp>
#include <millrace/dsl/pipeline.hpp>

#include <boost/describe/class.hpp>

#include <charconv>
#include <optional>
#include <string>
#include <vector>

namespace bench {

struct senml_entry {
  std::string n;
  std::string u;
  std::optional<std::string> v;
  std::optional<std::string> sv;
};
BOOST_DESCRIBE_STRUCT(senml_entry, (), (n, u, v, sv))

struct senml_record {
  std::vector<senml_entry> e;
  millrace::timestamp bt;
};
BOOST_DESCRIBE_STRUCT(senml_record, (), (e, bt))

/// A record of the city with its values as numbers.
struct city_reading {
  std::string source;
  double longitude = 0;
  double latitude = 0;
  floors::riot::observations values{};
  millrace::timestamp at;
};

inline double number_of(const senml_entry& entry) noexcept {
  double value = floors::riot::null;
  if (entry.v) std::from_chars(entry.v->data(), entry.v->data() + entry.v->size(), value);
  return value;
}

inline city_reading reading_of(const senml_record& r) {
  city_reading out;
  out.at = r.bt;
  for (const senml_entry& entry : r.e) {
    if (entry.n == "source") {
      if (entry.sv) out.source = *entry.sv;
    } else if (entry.n == "longitude") {
      out.longitude = number_of(entry);
    } else if (entry.n == "latitude") {
      out.latitude = number_of(entry);
    } else {
      for (std::size_t k = 0; k < floors::riot::kinds; ++k) {
        if (entry.n == floors::riot::kind_names[k]) out.values[k] = number_of(entry);
      }
    }
  }
  return out;
}

/// Parse, and the Bloom filter by source.
inline auto known_readings(millrace::pipeline& p, const floors::document_block& block,
                           std::size_t passes, const floors::riot::bloom_filter& known) {
  const auto json = millrace::json.with({.timestamp_unit = millrace::json_time::milliseconds});
  return p.source("records", document_source(block, passes))
      .decode<senml_record>(json, [](const millrace::message& m,
                                     senml_record& r) { r.bt += m.received.time_since_epoch(); })
      .map([](const senml_record& r) { return reading_of(r); })
      .filter([&known](const city_reading& r) { return known.contains(r.source); });
}

}  // namespace bench
