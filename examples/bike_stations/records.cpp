// SPDX-License-Identifier: Apache-2.0

#include "records.hpp"

#include <millrace/codec/json_writer.hpp>

#include <algorithm>
#include <string>
#include <string_view>

namespace bike_stations {

using namespace millrace;

namespace {

/// The text up to the next '/', taken off the front.
std::string_view next_level(std::string_view& rest) {
  const auto end = std::min(rest.find('/'), rest.size());
  const auto level = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return level;
}

void write_device(json_writer& w, const device_id& d) {
  w.begin_object().member("type", d.type).member("id", d.id).member("event", d.event).end_object();
}

void write_window(json_writer& w, const statistics& s) {
  w.begin_object();
  w.member("start", s.window.start).member("end", s.window.end);
  w.key("fields").begin_object();
  for (const auto& field : s.value.fields) {
    const auto& f = field.statistics;
    w.key(field.name).begin_object();
    w.member("count", f.count).member("min", f.min).member("max", f.max);
    w.member("sum", f.sum).member("mean", f.mean);
    w.member("sum_of_squared_deviations", f.sum_of_squared_deviations);
    w.member("standard_deviation", f.standard_deviation);
    w.end_object();
  }
  w.end_object().end_object();
}

void write_report(json_writer& w, const report& r) {
  w.begin_object();
  w.key("id");
  write_device(w, r.device);
  w.key("report").raw(r.document);
  w.end_object();
}

std::string time_text(timestamp t) { return std::to_string(t.time_since_epoch().count()); }

std::string name_of(const device_id& d) { return d.type + "/" + d.id + "/" + d.event; }

}  // namespace

result<device_id> parse_topic(std::string_view topic) {
  std::string_view rest = topic;
  device_id d;
  const auto expect = [&](std::string_view word) { return next_level(rest) == word; };
  bool good = expect("iot-2") && expect("type");
  d.type = next_level(rest);
  good = good && expect("id");
  d.id = next_level(rest);
  good = good && expect("evt");
  d.event = next_level(rest);
  good = good && expect("fmt") && expect("json") && rest.empty();
  if (!good || d.type.empty() || d.id.empty() || d.event.empty()) {
    return {errc::malformed, "topic \"" + std::string(topic) +
                                 "\" is not iot-2/type/<type>/id/<id>/evt/<event>/fmt/json"};
  }
  return d;
}

std::vector<model> models_for(const model_list& all, std::string_view type) {
  std::vector<model> found;
  for (const auto& endpoint : all.endpoints) {
    const auto types = endpoint.find("types");
    bool applies = types == endpoint.end();
    if (!applies) {
      std::string_view rest = types->second;
      while (!rest.empty() && !applies) {
        const auto end = std::min(rest.find(','), rest.size());
        applies = rest.substr(0, end) == type;
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    }
    if (!applies) continue;
    for (const auto& [name, url] : endpoint) {
      if (name != "types") found.push_back({name, url});
    }
  }
  return found;
}

std::string to_dead_letter(const question& q) { return event_id(q.about->left) + "#" + q.model; }

std::string event_document(const report& r) {
  std::string out;
  json_writer w(out);
  w.begin_object().member("@timestamp", r.at);
  w.key("device");
  write_device(w, r.device);
  w.key("report").raw(r.document);
  w.end_object();
  return out;
}

std::string statistics_document(const statistics& s) {
  std::string out;
  json_writer w(out);
  w.begin_object().member("@timestamp", s.window.max_timestamp());
  w.key("device");
  write_device(w, s.key);
  w.key("statistics");
  write_window(w, s);
  w.end_object();
  return out;
}

std::string question_document(const question& q) {
  std::string out;
  json_writer w(out);
  w.begin_object();
  w.key("device");
  write_report(w, q.about->left);
  w.key("statistics");
  write_window(w, q.about->right);
  w.end_object();
  return out;
}

std::string answer_document(const answer& a) {
  std::string out;
  json_writer w(out);
  w.begin_object().member("@timestamp", a.about->left.at);
  w.key("statistics");
  write_window(w, a.about->right);
  w.key("device");
  write_report(w, a.about->left);
  w.key("results").begin_object().key(a.model).raw(a.reply).end_object();
  w.end_object();
  return out;
}

std::string dead_letter_document(const dead_letter& d) {
  std::string out;
  json_writer w(out);
  w.begin_object().member("where", d.where).member("reason", d.reason);
  w.member("topic", d.topic).member("payload", d.payload).end_object();
  return out;
}

std::string event_id(const report& r) { return name_of(r.device) + "@" + time_text(r.at); }

std::string statistics_id(const statistics& s) {
  return name_of(s.key) + "@" + time_text(s.window.start) + "+" + time_text(s.window.end);
}

std::string answer_id(const answer& a) { return event_id(a.about->left) + "#" + a.model; }

}  // namespace bike_stations
