// SPDX-License-Identifier: Apache-2.0

#include "city_pipeline.hpp"

#include <millrace/codec/json.hpp>
#include <millrace/connectors/elasticsearch.hpp>
#include <millrace/connectors/file.hpp>
#include <millrace/connectors/http.hpp>
#include <millrace/connectors/mqtt.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

namespace bike_stations {

using namespace millrace;

namespace {

json_codec codec_for(const options& o) {
  // The time of a report is not one of its measurements.
  if (o.numeric_fields.empty()) {
    return json.with(inferred_fields{.text = {}, .ignored = {}});
  }
  auto names = o.numeric_fields;
  names.push_back(o.time_field);
  return json.with(numeric_fields{names});
}

/// What the payload does not hold: who sent it; and where its time is.
auto fill_report(const options& o) {
  return [field = o.time_field](const mqtt::message& m, report& r) -> result<void> {
    auto device = parse_topic(m.topic);
    if (!device) return device.error();
    const auto seconds = r.fields.number(field);
    if (!seconds) return {errc::missing_field, field + " (the time of the report)"};
    r.device = *std::move(device);
    r.at = timestamp{std::chrono::duration_cast<duration>(std::chrono::duration<double>(*seconds))};
    r.document = m.payload;
    return {};
  };
}

mqtt::source_options source_options_of(const options& o) {
  mqtt::source_options mqtt_options{.url = o.broker, .topic = o.topic};
  mqtt_options.qos = static_cast<std::uint8_t>(o.qos);
  mqtt_options.connection.client_id = o.client_id;
  mqtt_options.connection.session_expiry = o.session_expiry;
  if (!o.user.empty()) mqtt_options.connection.user_name = o.user;
  if (!o.password.empty()) mqtt_options.connection.password = o.password;
  return mqtt_options;
}

/// Posts a question to its model; the answer keeps what it is about.
auto ask(const options& o) {
  http::call_options call;
  call.timeout = o.timeout;
  call.client.connections_per_host = o.in_flight;
  return http::call<answer>(
      call,
      [](const question& q) {
        net::http_request request;
        request.method = net::http_method::post;
        request.url = q.url;
        request.headers.set("Content-Type", "application/json");
        request.body = question_document(q);
        return request;
      },
      [](const question& q, const net::http_response& response) {
        return answer{q.about, q.model, response.body};
      });
}

}  // namespace

city_streams assemble(pipeline& p, const options& o) {
  auto reports = p.source("stations", mqtt::source{source_options_of(o)})
                     .decode_part<report>(&report::fields, codec_for(o), fill_report(o))
                     .event_time(&report::at, bounded_lag{.bound = o.lag});
  auto by_station = reports.key_by(&report::device);
  auto windows =
      by_station.window(sliding{.size = o.window_size, .slide = o.window_slide})
          .aggregate("statistics", statistics_of_record(&report::fields, {o.time_field}));
  const auto mode = o.join == "arrival" ? join_mode::by_arrival : join_mode::by_event_time;
  auto pairs = by_station.join_latest("enrich", windows, {.mode = mode});

  auto models = p.source("models", http::poll{{.url = o.models, .every = o.models_every}})
                    .decode<model_list>(json)
                    .broadcast();
  auto answers = pairs.with(models)
                     .flat_map([](const enriched& pair, const model_list& all) {
                       auto shared = std::make_shared<const enriched>(pair);
                       std::vector<question> questions;
                       for (auto& m : models_for(all, pair.left.device.type)) {
                         questions.push_back({shared, std::move(m.name), std::move(m.url)});
                       }
                       return questions;
                     })
                     .async_map("score", ask(o),
                                {.in_flight = o.in_flight,
                                 .timeout = o.timeout,
                                 .order = async_order::as_completed,
                                 .retry = {.attempts = 2},
                                 .waiting = o.waiting,
                                 .overflow = on_overflow::refuse,
                                 .breaker = {.failures = 20, .open_for = std::chrono::seconds{2}}},
                                &question::model);
  return {reports, windows.unkeyed(), pairs.unkeyed(), answers};
}

void add_outputs(pipeline& p, const city_streams& city, const options& o) {
  if (!o.output.empty()) {
    std::filesystem::create_directories(o.output);
    const auto file_at = [&](const char* name) {
      return file::sink_options{.path = o.output + "/" + name + ".jsonl",
                                .existing = file::open_mode::truncate};
    };
    city.reports.to("events", file::sink{file_at("events"), event_document});
    city.windows.to("windows", file::sink{file_at("statistics"), statistics_document});
    city.answers.to("results", file::sink{file_at("results"), answer_document});
    p.dead_letters().to("dead", file::sink{file_at("dead_letters"), dead_letter_document});
  }
  if (!o.elasticsearch.empty()) {
    const auto index = [&](const char* name, value_text id) {
      elasticsearch::sink_options to{.url = o.elasticsearch, .index = o.index_prefix + name};
      to.id = std::move(id);
      to.template_.name = o.index_prefix + name;
      to.template_.replicas = 0;
      to.api_key = o.api_key;
      return to;
    };
    city.reports.to("index_events", elasticsearch::sink{index("events", event_id), event_document});
    city.windows.to("index_statistics",
                    elasticsearch::sink{index("statistics", statistics_id), statistics_document});
    city.answers.to("index_results",
                    elasticsearch::sink{index("results", answer_id), answer_document});
  }
}

}  // namespace bike_stations
