// SPDX-License-Identifier: Apache-2.0
/// \file
/// Floor of decoding: simdjson's On-Demand reader, used by hand for one type. Documents of about
/// 140 bytes with eight fields. Not thread safe.
#pragma once

#include "floors/data.hpp"
#include "floors/documents.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace floors {

enum class field_order { same, shuffled };

inline document_block make_documents(std::size_t documents, field_order order) {
  random_numbers random(3);
  document_block block;
  for (std::size_t i = 0; i < documents; ++i) {
    const auto number = [&](std::uint64_t limit) { return std::to_string(random.below(limit)); };
    std::array<std::string, 8> fields{
        R"("id":)" + std::to_string(i),
        R"("station":"station-)" + std::to_string(10'000 + random.below(10'000)) + '"',
        R"("bikes":)" + number(40) + ".5",
        R"("docks":)" + number(40),
        R"("lat":59.9)" + std::to_string(10'000 + random.below(90'000)),
        R"("lon":10.7)" + std::to_string(10'000 + random.below(90'000)),
        R"("state":"in_service")",
        R"("at":)" + std::to_string(1'700'000'000'000 + i)};
    if (order == field_order::shuffled) {
      for (std::size_t j = 7; j > 0; --j) std::swap(fields[j], fields[random.below(j + 1)]);
    }
    std::string text = "{";
    for (const auto& field : fields) text += field + ',';
    text.back() = '}';
    block.add(text);
  }
  block.close(0);
  return block;
}

/// What the documents hold; strings are copied, as into any struct that lives on.
struct status_document {
  std::int64_t id = 0;
  std::string station;
  double bikes = 0;
  std::int64_t docks = 0;
  double lat = 0;
  double lon = 0;
  std::string state;
  std::int64_t at = 0;
};

inline void add_document(digest& d, const status_document& s) noexcept {
  d.add(static_cast<std::uint64_t>(s.id) ^ s.station.size(), s.at, s.bikes, s.lat + s.lon,
        static_cast<double>(s.docks) + static_cast<double>(s.state.size()));
}

/// Reads with `find_field_unordered` per member, as its documentation recommends.
class on_demand_reader {
 public:
  bool read(std::string_view text, status_document& out) {
    namespace od = simdjson::ondemand;
    od::document document;
    const simdjson::padded_string_view in(text.data(), text.size(), text.size() + 64);
    if (parser_.iterate(in).get(document) != simdjson::SUCCESS) return false;
    od::object o;
    std::string_view station;
    std::string_view state;
    const bool good =
        document.get_object().get(o) == simdjson::SUCCESS &&
        o["id"].get(out.id) == simdjson::SUCCESS &&
        o["station"].get(station) == simdjson::SUCCESS &&
        o["bikes"].get(out.bikes) == simdjson::SUCCESS &&
        o["docks"].get(out.docks) == simdjson::SUCCESS &&
        o["lat"].get(out.lat) == simdjson::SUCCESS && o["lon"].get(out.lon) == simdjson::SUCCESS &&
        o["state"].get(state) == simdjson::SUCCESS && o["at"].get(out.at) == simdjson::SUCCESS;
    if (!good) return false;
    out.station.assign(station);
    out.state.assign(state);
    return true;
  }

 private:
  simdjson::ondemand::parser parser_;
};

}  // namespace floors
