// SPDX-License-Identifier: Apache-2.0
/// \file
/// Recorded messages of real devices: each one read into structs and dynamic records as simdjson's
/// DOM reads it, and without the slow path. Skipped where the recordings are not.
#include <millrace/codec/json.hpp>

#include "catch.hpp"

#include <simdjson.h>
#include <boost/describe/class.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

using millrace::dynamic_record;
using millrace::json;

struct vehicles {
  std::string vehicle_type_id;
  int count;
};
BOOST_DESCRIBE_STRUCT(vehicles, (), (vehicle_type_id, count))

struct station {
  std::string station_id;
  bool is_installed;
  bool is_renting;
  bool is_returning;
  millrace::timestamp last_reported;
  int num_vehicles_available;
  int num_bikes_available;
  int num_docks_available;
  std::vector<vehicles> vehicle_types_available;
};
BOOST_DESCRIBE_STRUCT(station, (),
                      (station_id, is_installed, is_renting, is_returning, last_reported,
                       num_vehicles_available, num_bikes_available, num_docks_available,
                       vehicle_types_available))

std::filesystem::path recordings() {
  if (const char* chosen = std::getenv("MILLRACE_SHARED")) {
    return std::filesystem::path(chosen) / "data";
  }
  const char* source = std::getenv("MILLRACE_SOURCE_DIR");
  return std::filesystem::path(source != nullptr ? source : ".") / "../shared/data";
}

std::vector<std::string> lines_of(std::istream& in) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The lines of a file packed with zstd, unpacked by the program of that name.
std::vector<std::string> unpacked_lines(const std::filesystem::path& file) {
  std::vector<std::string> lines;
  const std::string command = "zstd -dc '" + file.string() + "' 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), &pclose);
  if (pipe == nullptr) return lines;
  char* line = nullptr;
  std::size_t room = 0;
  for (ssize_t size = 0; (size = getline(&line, &room, pipe.get())) > 0;) {
    lines.emplace_back(line, static_cast<std::size_t>(size - 1));
  }
  std::free(line);
  return lines;
}

/// Compares the scalars of an object of simdjson's DOM with a record.
void check_same(const simdjson::dom::object& object, const std::string& prefix,
                const dynamic_record& record, std::size_t& present) {
  for (const auto [key, value] : object) {
    const std::string name = prefix + std::string(key);
    if (value.is_object()) {
      check_same(value.get_object(), name + '.', record, present);
    } else if (value.is_number()) {
      REQUIRE(record.number(name) == value.get_double().value());
      ++present;
    } else if (value.is_string()) {
      REQUIRE(record.text(name) == value.get_string().value());
      ++present;
    } else if (value.is_bool()) {
      REQUIRE(record.boolean(name) == value.get_bool().value());
      ++present;
    }
  }
}

void check_dynamic(const std::vector<std::string>& documents) {
  simdjson::dom::parser dom;
  auto decoder = json.make_decoder<dynamic_record>();
  dynamic_record record;
  for (const std::string& text : documents) {
    INFO(text);
    REQUIRE(decoder.decode(text, record));
    std::size_t expected = 0, present = 0;
    check_same(dom.parse(text).get_object(), "", record, expected);
    for (millrace::field_index i = 0; i < record.field_count(); ++i) present += record.has(i);
    REQUIRE(present == expected);
  }
  CHECK(decoder.slow_documents() * 100 < documents.size());
}

}  // namespace

TEST_CASE("recorded bike stations are read as the DOM reads them") {
  const auto file = recordings() / "oslo_bikes/mqtt_events.tsv.zst";
  if (!std::filesystem::exists(file)) MILLRACE_SKIP("no recording: " + file.string());
  std::vector<std::string> documents = unpacked_lines(file);
  if (documents.empty()) MILLRACE_SKIP("zstd is missing: apt-get install zstd");
  for (std::string& line : documents) line.erase(0, line.rfind('\t') + 1);
  CHECK(documents.size() == 55114);
  check_dynamic(documents);

  simdjson::dom::parser dom;
  auto decoder = json.make_decoder<station>();
  station s;
  for (const std::string& text : documents) {
    INFO(text);
    REQUIRE(decoder.decode(text, s));
    const simdjson::dom::element root = dom.parse(text);
    REQUIRE(s.station_id == root["station_id"].get_string().value());
    REQUIRE(s.is_renting == root["is_renting"].get_bool().value());
    REQUIRE(s.num_bikes_available == root["num_bikes_available"].get_int64().value());
    REQUIRE(s.last_reported.time_since_epoch().count() ==
            root["last_reported"].get_int64().value() * 1'000'000);
    const simdjson::dom::array types = root["vehicle_types_available"];
    REQUIRE(s.vehicle_types_available.size() == types.size());
    for (std::size_t i = 0; i < types.size(); ++i) {
      REQUIRE(s.vehicle_types_available[i].count == types.at(i)["count"].get_int64().value());
    }
  }
  CHECK(decoder.slow_documents() == 0);
}

TEST_CASE("recorded machine states are read as the DOM reads them") {
  const auto file = recordings() / "machine_states/test_events.jsonl";
  std::ifstream in(file);
  if (!in) MILLRACE_SKIP("no recording: " + file.string());
  check_dynamic(lines_of(in));
}
