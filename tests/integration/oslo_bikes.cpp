// SPDX-License-Identifier: Apache-2.0
// The recorded feed of a real bike system through the demo's own pipeline: published to mosquitto
// at QoS 1 as fast as it goes, and every statistic and every joined record compared with what a
// plain program computes from the same file. Then the same into a real OpenSearch that stops on the
// way.

#include "city_pipeline.hpp"

#include <millrace/codec/text.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/connectors/mqtt.hpp>
#include <millrace/net/http_client.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "oracle/oslo_oracle.hpp"
#include "support/asio_environment.hpp"
#include "support/mosquitto.hpp"
#include "support/opensearch_server.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using millrace::testing::mosquitto;
using millrace::testing::opensearch_server;

namespace {

constexpr std::int64_t window_size = 3600;
constexpr std::int64_t window_slide = 1200;

std::filesystem::path feed() {
  if (const char* chosen = std::getenv("MILLRACE_SHARED")) {
    return std::filesystem::path(chosen) / "data/oslo_bikes/mqtt_events.tsv.zst";
  }
  const char* source = std::getenv("MILLRACE_SOURCE_DIR");
  return std::filesystem::path(source != nullptr ? source : ".") /
         "../shared/data/oslo_bikes/mqtt_events.tsv.zst";
}

std::vector<oracle::recorded> read_feed() {
  if (!std::filesystem::exists(feed())) {
    MILLRACE_SKIP("the recorded feed is not here (set MILLRACE_SHARED)");
  }
  const std::string command = "zstd -dc '" + feed().string() + "' 2>/dev/null";
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  char buffer[1 << 16];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
    text.append(buffer, n);
  }
  ::pclose(pipe);
  if (text.empty()) MILLRACE_SKIP("zstd is missing: apt-get install zstd");
  std::vector<oracle::recorded> all;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::size_t first = text.find('\t', at);
    const std::size_t second = text.find('\t', first + 1);
    all.push_back(
        {text.substr(first + 1, second - first - 1), text.substr(second + 1, end - second - 1)});
    at = end + 1;
  }
  return all;
}

/// Without limits that would make a slow subscriber lose messages.
constexpr const char* patient =
    "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n";

/// Publishes the feed in its order at QoS 1, and waits for all acknowledgements.
void publish(const std::vector<oracle::recorded>& all, const std::string& url) {
  std::vector<message> messages;
  for (const auto& r : all) messages.push_back(message::copy_of(r.topic, r.payload, {}));
  pipeline p("publisher");
  p.source("feed", memory::source(std::move(messages)))
      .to("mqtt", mqtt::sink{{.url = url, .qos = 1}});
  p.run();
}

std::uint64_t records_out(const pipeline& p, const std::string& name) {
  std::uint64_t sum = 0;
  for (const auto& s : p.status().operators) sum += s.name == name ? s.records_out : 0;
  return sum;
}

template <class Condition>
bool wait_until(std::chrono::seconds patience, Condition&& condition) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

struct joined_pair {
  oracle::window_key report;
  std::int64_t window_start;
  auto operator<=>(const joined_pair&) const = default;
};

std::string topic_of(const bike_stations::device_id& d) {
  return "iot-2/type/" + d.type + "/id/" + d.id + "/evt/" + d.event + "/fmt/json";
}

std::int64_t seconds(timestamp t) { return t.time_since_epoch() / 1s; }

bike_stations::options options_for(const std::string& broker, const std::string& models) {
  bike_stations::options o;
  o.broker = broker;
  o.models = models;
  o.window_size = std::chrono::seconds{window_size};
  o.window_slide = std::chrono::seconds{window_slide};
  o.lag = 600s;
  return o;
}

bool near(double a, double b) {
  return a == b || std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b)) + 1e-9;
}

void compare(const std::vector<bike_stations::statistics>& found,
             const std::map<oracle::window_key, oracle::window_statistics>& expected) {
  REQUIRE(found.size() == expected.size());
  std::size_t wrong = 0;
  std::set<oracle::window_key> seen;
  for (const auto& s : found) {
    const oracle::window_key key{topic_of(s.key), seconds(s.window.start)};
    REQUIRE(seen.insert(key).second);
    const auto at = expected.find(key);
    REQUIRE(at != expected.end());
    REQUIRE(s.value.fields.size() == at->second.size());
    for (const auto& [name, field] : at->second) {
      const auto* f = s.value.find(name);
      REQUIRE(f != nullptr);
      const double deviation = std::sqrt(field.squares / static_cast<double>(field.count));
      const bool right = f->count == field.count && f->min == field.min && f->max == field.max &&
                         f->sum == field.sum && near(f->mean, field.mean) &&
                         near(f->sum_of_squared_deviations, field.squares) &&
                         near(f->standard_deviation, deviation);
      wrong += right ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

net::http_response ask(testing::asio_environment& env, net::http_client& client,
                       net::http_request request) {
  std::optional<result<net::http_response>> answer;
  client.send(std::move(request),
              [&](result<net::http_response> r) { answer.emplace(std::move(r)); });
  REQUIRE(env.run_until([&] { return answer.has_value(); }, 60s));
  return answer->value();
}

/// The ids of all documents of an index, page by page.
std::set<std::string> all_ids(const std::string& url, const std::string& index) {
  testing::asio_environment env;
  net::http_client client(env);
  ask(env, client, {.method = net::http_method::post, .url = url + "/" + index + "/_refresh"});
  std::set<std::string> ids;
  net::http_request page{.method = net::http_method::post,
                         .url = url + "/" + index + "/_search?scroll=1m"};
  page.headers.add("Content-Type", "application/json");
  page.body = R"({"size":5000,"_source":false})";
  for (;;) {
    const simdjson::padded_string body(ask(env, client, page).body);
    simdjson::dom::parser parser;
    const auto document = parser.parse(body);
    std::size_t hits = 0;
    for (const simdjson::dom::element hit : document["hits"]["hits"].get_array()) {
      ids.insert(std::string(hit["_id"].get_string().value()));
      ++hits;
    }
    if (hits == 0) return ids;
    page.url = url + "/_search/scroll";
    page.body = R"({"scroll":"1m","scroll_id":")" +
                std::string(document["_scroll_id"].get_string().value()) + "\"}";
  }
}

}  // namespace

TEST_CASE(
    "statistics and joined records of the recorded feed are exact, at parallelism 1, 2 and 4") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  const auto feed_lines = read_feed();
  std::vector<oracle::report> reports;
  for (const auto& r : feed_lines) reports.push_back(oracle::read_report(r));
  const auto windows = oracle::statistics(reports, window_size, window_slide);
  const auto pairs = oracle::joined(reports, windows, window_size);
  testing::http_server registry;
  registry.route("GET", "/models", {.body = R"({"endpoints":[]})"});

  for (const std::size_t workers : {1U, 2U, 4U}) {
    INFO(workers << " workers");
    mosquitto broker({}, patient);
    pipeline p("oslo");
    p.parallelism(workers);
    const auto o = options_for(broker.url(), registry.url("/models"));
    const auto city = bike_stations::assemble(p, o);
    memory::sink<bike_stations::statistics> found_windows;
    memory::sink<joined_pair> found_pairs;
    city.windows.to("found_windows", found_windows);
    city.pairs
        .map([](const bike_stations::enriched& e) {
          return joined_pair{{topic_of(e.left.device), seconds(e.left.at)},
                             seconds(e.right.window.start)};
        })
        .to("found_pairs", found_pairs);
    p.start();
    REQUIRE(wait_until(20s, [&] { return broker.log().find("SUBSCRIBE") != std::string::npos; }));
    const auto began = std::chrono::steady_clock::now();
    publish(feed_lines, broker.url());
    REQUIRE(wait_until(120s, [&] { return records_out(p, "stations") >= feed_lines.size(); }));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    p.stop();
    p.wait();
    WARN(workers << " workers: " << feed_lines.size() << " messages in " << took.count() << " s");
    compare(found_windows.values(), windows);

    auto found = found_pairs.values();
    std::vector<joined_pair> expected;
    for (const auto& [report, start] : pairs) expected.push_back({report, start});
    std::sort(found.begin(), found.end());
    std::sort(expected.begin(), expected.end());
    REQUIRE(found.size() == expected.size());
    CHECK((found == expected));
  }
}

TEST_CASE(
    "the recorded feed arrives in OpenSearch, every document once, though it stops and refuses") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  if (!opensearch_server::missing().empty()) MILLRACE_SKIP(opensearch_server::missing());
  const auto feed_lines = read_feed();
  std::vector<oracle::report> reports;
  for (const auto& r : feed_lines) reports.push_back(oracle::read_report(r));
  const auto windows = oracle::statistics(reports, window_size, window_slide);
  // One writer and a queue of one: requests at the same time are answered with 429.
  opensearch_server server({"node.processors=1", "thread_pool.write.queue_size=1"});
  testing::http_server registry;
  registry.route("GET", "/models", {.body = R"({"endpoints":[]})"});
  mosquitto broker({}, patient);

  pipeline p("oslo-search");
  p.parallelism(2);
  auto o = options_for(broker.url(), registry.url("/models"));
  o.elasticsearch = server.url();
  const auto city = bike_stations::assemble(p, o);
  bike_stations::add_outputs(p, city, o);
  memory::sink<dead_letter> dead;
  p.dead_letters().to("dead", dead);
  p.start();
  REQUIRE(wait_until(20s, [&] { return broker.log().find("SUBSCRIBE") != std::string::npos; }));
  std::thread publisher([&] { publish(feed_lines, broker.url()); });
  const bool half =
      wait_until(120s, [&] { return records_out(p, "stations") >= feed_lines.size() / 3; });
  server.stop();
  std::this_thread::sleep_for(2s);
  server.start();
  publisher.join();
  REQUIRE(half);
  REQUIRE(wait_until(240s, [&] { return records_out(p, "stations") >= feed_lines.size(); }));
  p.stop();
  p.wait();

  std::set<std::string> events;
  for (const auto& r : reports) {
    const auto d = bike_stations::parse_topic(r.topic);
    events.insert(d->type + "/" + d->id + "/" + d->event + "@" +
                  std::to_string(r.seconds * 1'000'000));
  }
  std::set<std::string> statistics;
  for (const auto& [key, unused] : windows) {
    const auto d = bike_stations::parse_topic(key.first);
    statistics.insert(d->type + "/" + d->id + "/" + d->event + "@" +
                      std::to_string(key.second * 1'000'000) + "+" +
                      std::to_string((key.second + window_size) * 1'000'000));
  }
  CHECK((all_ids(server.url(), "bikes-events") == events));
  CHECK((all_ids(server.url(), "bikes-statistics") == statistics));
  for (const auto& d : dead.values()) FAIL_CHECK(d.where << ": " << d.reason << ": " << d.payload);
  for (const auto& s : p.status().operators) {
    for (const auto& m : s.metrics) {
      if (m.name == "item_retries" || m.name == "request_retries") {
        WARN(s.name << " " << m.name << " " << m.value);
      }
    }
  }
}
