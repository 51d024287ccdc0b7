// SPDX-License-Identifier: Apache-2.0
/// \file
/// The records of the bike-station pipeline, from the report of a station to what a model says of
/// it. Plain values.
#pragma once

#include <millrace/base/result.hpp>
#include <millrace/operators/join_latest.hpp>
#include <millrace/operators/window_aggregate.hpp>
#include <millrace/record/dynamic_record.hpp>
#include <millrace/record/key.hpp>
#include <millrace/record/message.hpp>
#include <millrace/windows/aggregates/record_statistics.hpp>

#include <boost/describe.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bike_stations {

/// Who speaks: the parts of the topic `iot-2/type/<type>/id/<id>/evt/<event>/fmt/json`.
struct device_id {
  std::string type;
  std::string id;
  std::string event;

  std::uint64_t hash() const noexcept {
    const millrace::key_hash<std::string> h;
    return h(type) * 31 + h(id) * 7 + h(event);
  }
  friend bool operator==(const device_id&, const device_id&) = default;
};
BOOST_DESCRIBE_STRUCT(device_id, (), (type, id, event))

/// The parts of a topic. An error when it has another shape.
millrace::result<device_id> parse_topic(std::string_view topic);

/// One report: its numbers by the schema, and the JSON text as it came.
struct report {
  device_id device;
  millrace::timestamp at{};
  millrace::dynamic_record fields;
  std::string document;
};
BOOST_DESCRIBE_STRUCT(report, (), (device, at, fields, document))

/// Statistics of all numeric fields of one station in one window.
using statistics = millrace::window_result<device_id, millrace::record_statistics_result>;

/// A report with the last statistics of its station.
using enriched = millrace::joined<report, statistics>;

/// The registry's answer: `{"endpoints":[{"<model>":"<url>","types":"<type>,<type>"}, ...]}`;
/// without "types" a model applies to all.
struct model_list {
  std::vector<std::map<std::string, std::string>> endpoints;
};
BOOST_DESCRIBE_STRUCT(model_list, (), (endpoints))

/// A model, as the pipeline uses it.
struct model {
  std::string name;
  std::string url;
};

/// The models that apply to devices of a type.
std::vector<model> models_for(const model_list& all, std::string_view type);

/// What is asked: one report, one model.
struct question {
  std::shared_ptr<const enriched> about;
  std::string model;
  std::string url;
};

/// How a question is printed when it becomes a dead letter.
std::string to_dead_letter(const question& q);

/// A model's answer; `reply` is JSON.
struct answer {
  std::shared_ptr<const enriched> about;
  std::string model;
  std::string reply;
};

/// JSON documents for files and search engines, and their ids, which depend on the record alone.
std::string event_document(const report& r);
std::string statistics_document(const statistics& s);
std::string answer_document(const answer& a);
std::string question_document(const question& q);
std::string dead_letter_document(const millrace::dead_letter& d);
std::string event_id(const report& r);
std::string statistics_id(const statistics& s);
std::string answer_id(const answer& a);

}  // namespace bike_stations
