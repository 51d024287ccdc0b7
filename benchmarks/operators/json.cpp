// SPDX-License-Identifier: Apache-2.0
// JSON documents into a described struct, against simdjson's On-Demand reader used by hand.
#include "floors/json_documents.hpp"

#include "operators/programs.hpp"

#include <millrace/codec/json.hpp>

#include <boost/describe/class.hpp>

#include <memory>
#include <stdexcept>

namespace floors {
BOOST_DESCRIBE_STRUCT(status_document, (), (id, station, bikes, docks, lat, lon, state, at))
}

namespace bench {

namespace {

template <class Read>
outcome read_all(const floors::document_block& block, std::size_t passes, Read&& read) {
  floors::digest d;
  floors::status_document s;
  for (std::size_t p = 0; p < passes; ++p) {
    for (std::size_t i = 0; i < block.places.size(); ++i) {
      if (!read(block[i], s)) throw std::runtime_error("a document was not read");
      floors::add_document(d, s);
    }
  }
  return {block.places.size() * passes, d.sum ^ d.count};
}

std::vector<contestant> prepare(floors::field_order order, scale s) {
  auto block = std::make_shared<const floors::document_block>(
      floors::make_documents(s == scale::small ? 2'048 : 16'384, order));
  const auto ours = [block](std::size_t passes) {
    auto decoder = millrace::json.make_decoder<floors::status_document>();
    return read_all(*block, passes, [&](std::string_view text, floors::status_document& out) {
      return decoder.decode({text, text.size() + 64}, out).has_value();
    });
  };
  const auto on_demand = [block](std::size_t passes) {
    floors::on_demand_reader reader;
    return read_all(*block, passes, [&](std::string_view text, floors::status_document& out) {
      return reader.read(text, out);
    });
  };
  return {{"ours", ours}, {"On-Demand", on_demand}};
}

}  // namespace

benchmark json_shuffled() {
  return {.name = "json_shuffled",
          .what = "documents of 140 bytes, 8 fields in any order, into a described struct",
          .passes = 50,
          .few = 4,
          .many = 8,
          .goals = {{"2", "On-Demand", goal::of::instructions, 1.10}},
          .counted = {"ours", "On-Demand"},
          .prepare = [](scale s) { return prepare(floors::field_order::shuffled, s); }};
}

benchmark json_in_order() {
  return {.name = "json_in_order",
          .what = "the same with the fields always in the same order",
          .passes = 50,
          .few = 4,
          .many = 8,
          .goals = {{"2", "On-Demand", goal::of::instructions, 0.5}},
          .counted = {"ours", "On-Demand"},
          .prepare = [](scale s) { return prepare(floors::field_order::same, s); }};
}

}  // namespace bench
