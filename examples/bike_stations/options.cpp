// SPDX-License-Identifier: Apache-2.0

#include "options.hpp"

#include <toml++/toml.h>

#include <charconv>
#include <functional>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace bike_stations {

namespace {

/// One option: its name on the command line and in the file, and what it sets.
struct entry {
  std::string_view name;
  std::string_view argument;  ///< empty: a switch
  std::string_view meaning;
  std::function<void(options&, const std::string&)> set;
};

[[noreturn]] void wrong(std::string_view name, const std::string& text, const char* expected) {
  throw std::invalid_argument("--" + std::string(name) + " " + text + ": expected " + expected);
}

/// "250ms", "20s", "5m"; a bare number is seconds.
std::chrono::milliseconds parse_duration(std::string_view name, const std::string& text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, text.data() + text.size());
  double scale = 0;
  if (unit == "ms") scale = 1;
  if (unit == "s" || unit.empty()) scale = 1000;
  if (unit == "m") scale = 60'000;
  if (code != std::errc{} || scale == 0 || value < 0 || value > 1e9) {
    wrong(name, text, "a duration such as 250ms, 20s or 5m");
  }
  return std::chrono::milliseconds{static_cast<std::int64_t>(value * scale)};
}

template <class N>
N parse_number(std::string_view name, const std::string& text, N least, N most) {
  N value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
    const auto expected = "a number from " + std::to_string(least) + " to " + std::to_string(most);
    wrong(name, text, expected.c_str());
  }
  return value;
}

std::vector<std::string> parse_list(const std::string& text) {
  std::vector<std::string> all;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find(','), rest.size());
    all.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return all;
}

entry text(std::string_view name, std::string_view argument, std::string_view meaning,
           std::string options::*member) {
  return {name, argument, meaning, [member](options& o, const std::string& t) { o.*member = t; }};
}

entry time(std::string_view name, std::string_view meaning, std::chrono::milliseconds options::*m) {
  return {name, "TIME", meaning,
          [=](options& o, const std::string& t) { o.*m = parse_duration(name, t); }};
}

entry size(std::string_view name, std::string_view meaning, std::size_t options::*member,
           std::size_t least, std::size_t most) {
  return {name, "N", meaning, [=](options& o, const std::string& t) {
            o.*member = parse_number<std::size_t>(name, t, least, most);
          }};
}

const std::vector<entry>& entries() {
  static const std::vector<entry> all{
      text("broker", "URL",
           "mqtt://, mqtts://, ws:// or wss://; default: one in this process, "
           "with a simulated city",
           &options::broker),
      text("topic", "FILTER", "what to subscribe to", &options::topic),
      {"qos", "0|1|2", "quality of service to ask for",
       [](options& o, const std::string& t) { o.qos = parse_number("qos", t, 0, 2); }},
      text("client-id", "ID", "default: one is made", &options::client_id),
      text("user", "NAME", "for the broker", &options::user),
      text("password", "TEXT", "for the broker", &options::password),
      {"session-expiry", "TIME", "how long the broker keeps the session while we are away",
       [](options& o, const std::string& t) {
         o.session_expiry =
             std::chrono::duration_cast<std::chrono::seconds>(parse_duration("session-expiry", t));
       }},
      text("time-field", "NAME", "field with the time of a report, in seconds",
           &options::time_field),
      {"numeric-fields", "A,B,...", "fields to aggregate; default: inferred from the reports",
       [](options& o, const std::string& t) { o.numeric_fields = parse_list(t); }},
      time("window", "size of the sliding windows", &options::window_size),
      time("slide", "their slide", &options::window_slide),
      time("lag", "how far out of order reports may be", &options::lag),
      {"join", "event_time|arrival", "which statistics a report is joined with",
       [](options& o, const std::string& t) {
         if (t != "event_time" && t != "arrival") wrong("join", t, "event_time or arrival");
         o.join = t;
       }},
      text("models", "URL", "registry of models; default: one in this process, with models",
           &options::models),
      time("weather-delay", "how long the slow model in this process takes for an answer",
           &options::weather_delay),
      time("models-every", "how often the registry is asked", &options::models_every),
      size("in-flight", "requests per model at a time", &options::in_flight, 1, 10'000),
      size("waiting", "reports that may wait per model", &options::waiting, 0, 1'000'000),
      time("timeout", "of one request", &options::timeout),
      text("output", "DIR", "write events, statistics, results and dead letters as JSON lines",
           &options::output),
      text("elasticsearch", "URL", "write them to this server", &options::elasticsearch),
      text("index-prefix", "TEXT", "of the indexes' names", &options::index_prefix),
      text("api-key", "KEY", "for the server", &options::api_key),
      size("parallelism", "worker threads", &options::parallelism, 1, 128),
      {"duration", "TIME", "stop after this time; default: at Ctrl-C",
       [](options& o, const std::string& t) { o.duration = parse_duration("duration", t); }},
      size("stations", "of the simulated city", &options::stations, 1, 1'000'000),
      {"rate", "N", "reports per second of the simulated city",
       [](options& o, const std::string& t) {
         o.reports_per_second = parse_number("rate", t, 0.1, 1e7);
       }},
      {"dashboard", "PORT|off",
       "on which the dashboard is served, on this machine only; default: a free one",
       [](options& o, const std::string& t) {
         o.dashboard.reset();
         if (t != "off") o.dashboard = parse_number<std::uint16_t>("dashboard", t, 0, 65535);
       }},
      text("dashboard-token", "TEXT", "allows the dashboard to stop the pipeline; 16 characters",
           &options::dashboard_token),
      {"quiet", "", "no status line",
       [](options& o, const std::string&) { o.status_line = false; }},
  };
  return all;
}

const entry& find(std::string_view name) {
  for (const auto& e : entries()) {
    if (e.name == name) return e;
  }
  throw std::invalid_argument("there is no option --" + std::string(name) + "; try --help");
}

std::string value_text(const toml::node& node) {
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* list = node.as_array()) {
    std::string all;
    for (const auto& item : *list) all += (all.empty() ? "" : ",") + value_text(item);
    return all;
  }
  if (const auto* i = node.as_integer()) return std::to_string(i->get());
  if (const auto* d = node.as_floating_point()) return std::to_string(d->get());
  if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
  throw std::invalid_argument("expected a text, a number or a list");
}

void read_file(options& o, const std::string& path) {
  toml::table table;
  try {
    table = toml::parse_file(path);
  } catch (const toml::parse_error& e) {
    throw std::invalid_argument(path + ": " + std::string(e.description()) + " in line " +
                                std::to_string(e.source().begin.line));
  }
  for (const auto& [key, node] : table) {
    const auto& e = find(key.str());
    if (e.argument.empty() && value_text(node) == "false") continue;
    e.set(o, value_text(node));
  }
}

}  // namespace

options parse_options(int count, const char* const* arguments) {
  std::vector<std::pair<std::string, std::string>> given;
  options o;
  for (int i = 1; i < count; ++i) {
    std::string name = arguments[i];
    if (!name.starts_with("--")) {
      throw std::invalid_argument("what is \"" + name + "\"? Options begin with --; try --help");
    }
    name.erase(0, 2);
    std::string value;
    const auto equals = name.find('=');
    const bool joined = equals != std::string::npos;
    if (joined) {
      value = name.substr(equals + 1);
      name.erase(equals);
    }
    const bool wants = name == "config" || !find(name).argument.empty();
    if (wants && !joined) {
      if (++i == count) throw std::invalid_argument("--" + name + " needs a value");
      value = arguments[i];
    }
    if (name == "config") {
      read_file(o, value);
    } else {
      given.emplace_back(std::move(name), std::move(value));
    }
  }
  for (const auto& [name, value] : given) find(name).set(o, value);
  if (o.window_slide > o.window_size) {
    throw std::invalid_argument("--slide is longer than --window: reports between would be lost");
  }
  return o;
}

std::string help() {
  std::string out =
      "bike_stations: reports of bike stations from MQTT, statistics per station in sliding\n"
      "windows, every report with the last statistics to every model that applies, results to\n"
      "files or Elasticsearch. Without options everything runs in this process.\n\n"
      "  --config FILE            options from a TOML file: names as below, without dashes\n";
  for (const auto& e : entries()) {
    std::string head = "  --" + std::string(e.name) + " " + std::string(e.argument);
    head.resize(std::max<std::size_t>(head.size() + 1, 27), ' ');
    out += head + std::string(e.meaning) + "\n";
  }
  return out;
}

}  // namespace bike_stations
