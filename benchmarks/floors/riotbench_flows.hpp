// SPDX-License-Identifier: Apache-2.0
/// \file
/// The dataflows of RIoTBench by hand: states in a vector by number of the sensor, and records read
/// in one of two ways: with simdjson's On-Demand reader, which takes members in any order, or with
/// a scanner that knows the document byte by byte. Not thread safe.
#pragma once

#include "floors/reference.hpp"
#include "floors/riotbench.hpp"

#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace floors::riot {

struct city_record {
  std::string_view source;
  double longitude = 0;
  double latitude = 0;
  observations values{};
  std::int64_t at = 0;  ///< milliseconds
};

__attribute__((always_inline)) inline bool read_city(std::string_view json,
                                                     city_record& out) noexcept {
  field_scanner in(json.data());
  std::string_view unit;
  std::string_view name;
  if (!in.text(R"({"e":[{"u":"string","n":"source","sv":")") || !in.string(out.source) ||
      !in.text(R"(},{"v":")") || !in.number(out.longitude) ||
      !in.text(R"(","u":"lon","n":"longitude"},{"v":")") || !in.number(out.latitude) ||
      !in.text(R"(","u":"lat","n":"latitude"})")) {
    return false;
  }
  for (std::size_t k = 0; k < kinds; ++k) {
    if (!in.text(R"(,{"v":")") || !in.number(out.values[k]) || !in.text(R"(","u":")") ||
        !in.string(unit) || !in.text(R"(,"n":")") || !in.string(name) || !in.text("}")) {
      return false;
    }
  }
  return in.text(R"(],"bt":)") && in.integer(out.at) && in.text("}") &&
         in.ends_at(json.data() + json.size());
}

/// The document's layout is known when this is compiled.
struct layout_reader {
  bool operator()(std::string_view json, city_record& out) noexcept { return read_city(json, out); }
};

/// Any valid document. `out.source` is good until the next call.
class on_demand_city_reader {
 public:
  bool operator()(std::string_view json, city_record& out) {
    const simdjson::padded_string_view in(json.data(), json.size(), json.size() + 64);
    simdjson::ondemand::document document;
    simdjson::ondemand::array entries;
    if (parser_.iterate(in).get(document) != simdjson::SUCCESS ||
        document["e"].get(entries) != simdjson::SUCCESS) {
      return false;
    }
    for (auto entry : entries) {
      std::string_view name;
      std::string_view text;
      for (auto field : entry.get_object()) {
        const std::string_view key = field.unescaped_key().value();
        if (key == "n") name = field.value().get_string().value();
        if (key == "v" || key == "sv") text = field.value().get_string().value();
      }
      take(name, text, out);
    }
    return document["bt"].get(out.at) == simdjson::SUCCESS;
  }

 private:
  static void take(std::string_view name, std::string_view text, city_record& out) noexcept {
    if (name == "source") {
      out.source = text;
      return;
    }
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    if (name == "longitude") out.longitude = value;
    if (name == "latitude") out.latitude = value;
    for (std::size_t k = 0; k < kinds; ++k) {
      if (name == kind_names[k]) out.values[k] = value;
    }
  }

  simdjson::ondemand::parser parser_;
};

/// Calls `visit(record)` for the records of known sensors, pass after pass.
template <class Reader, class Visit>
bool known_records(const document_block& block, std::size_t passes, const bloom_filter& known,
                   Visit&& visit) {
  Reader read;
  for (std::size_t p = 0; p < passes; ++p) {
    const std::int64_t later = static_cast<std::int64_t>(p) * block.span;
    for (std::size_t i = 0; i < block.places.size(); ++i) {
      city_record r;
      if (!read(block[i], r)) return false;
      if (!known.contains(r.source)) continue;
      r.at = r.at * 1000 + later;
      visit(r);
    }
  }
  return true;
}

inline void limit_ranges(observations& o) noexcept {
  for (std::size_t k = 0; k < kinds; ++k) {
    if (o[k] < least[k] || o[k] > greatest[k]) o[k] = null;
  }
}

template <class Reader>
digest etl(const document_block& block, std::size_t passes, std::uint64_t sensors) {
  digest d;
  const bloom_filter known(sensors);
  station_index index(sensors);
  std::vector<std::array<interpolation, kinds>> states(sensors);
  std::string text;
  known_records<Reader>(block, passes, known, [&](city_record& r) {
    limit_ranges(r.values);
    auto& state = states[index(r.source)];
    for (std::size_t k = 0; k < kinds; ++k) r.values[k] = state[k](r.values[k]);
    text.clear();
    write_senml(text, r.source, r.longitude, r.latitude, r.values, r.at / 1000);
    add_text(d, text);
  });
  return d;
}

/// What STATS and PRED publish, added up.
struct flow_totals {
  double sum = 0;
  std::uint64_t count = 0;
  std::uint64_t distinct = 0;
};

template <class Reader>
flow_totals stats(const document_block& block, std::size_t passes, std::uint64_t sensors) {
  struct state {
    std::array<kalman, kinds> filters;
    std::array<sliding_regression, kinds> lines;
    std::array<block_moment, kinds> moments;
    bool seen = false;
  };
  flow_totals t;
  const bloom_filter known(sensors);
  station_index index(sensors);
  std::vector<state> states(sensors);
  known_records<Reader>(block, passes, known, [&](const city_record& r) {
    state& s = states[index(r.source)];
    for (std::size_t k = 0; k < kinds; ++k) {
      const double line = s.lines[k](s.filters[k](r.values[k]));
      if (line == line) {
        t.sum += line;
        ++t.count;
      }
      const double moment = s.moments[k](r.values[k]);
      if (moment == moment) {
        t.sum += moment;
        ++t.count;
      }
    }
    if (!s.seen) ++t.distinct;
    s.seen = true;
  });
  return t;
}

/// Error of the line's prediction of air quality against the block average, and the leaf.
template <class Reader>
flow_totals pred(const document_block& block, std::size_t passes, std::uint64_t sensors) {
  flow_totals t;
  const bloom_filter known(sensors);
  station_index index(sensors);
  std::vector<block_average> states(sensors);
  const auto all = models();
  known_records<Reader>(block, passes, known, [&](const city_record& r) {
    const model& m = r.at >= all[1].from ? all[1] : all[0];
    const double mean = states[index(r.source)](r.values[4]);
    t.distinct += static_cast<std::uint64_t>(m.leaf(r.values));
    ++t.count;
    if (mean == mean) t.sum += std::abs(m.line(r.values) - mean) / mean;
  });
  return t;
}

}  // namespace floors::riot
