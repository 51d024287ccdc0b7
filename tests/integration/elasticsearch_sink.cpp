// SPDX-License-Identifier: Apache-2.0
// The Elasticsearch sink against a real OpenSearch node.
#include <millrace/connectors/elasticsearch.hpp>

#include <millrace/base/time_format.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/fake_sink_context.hpp"
#include "support/opensearch_server.hpp"

#include <simdjson.h>
#include <boost/describe/class.hpp>

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using millrace::testing::asio_environment;
using millrace::testing::fake_sink_context;
using millrace::testing::opensearch_server;

namespace {

struct sample {
  std::string station;
  int number = 0;
  std::string at;
};
BOOST_DESCRIBE_STRUCT(sample, (), (station, number, at))

std::string id_of(const sample& s) { return s.station + "/" + std::to_string(s.number); }

std::string json_of(const sample& s) {
  return "{\"station\":\"" + s.station + "\",\"number\":" + std::to_string(s.number) +
         ",\"at\":\"" + s.at + "\"}";
}

/// Asks the server, past the sink.
class client {
 public:
  explicit client(std::string url) : url_(std::move(url)), http_(env_) {}

  net::http_response ask(net::http_method method, const std::string& path, std::string body = {}) {
    net::http_request request{.method = method, .url = url_ + path, .body = std::move(body)};
    request.headers.add("Content-Type", "application/json");
    std::optional<result<net::http_response>> outcome;
    http_.send(std::move(request),
               [&](result<net::http_response> r) { outcome.emplace(std::move(r)); });
    if (!env_.run_until([&] { return outcome.has_value(); }, 60s)) return {};
    return outcome->value();
  }
  std::string get(const std::string& path) { return ask(net::http_method::get, path).body; }

  /// All documents of an index by id, at most 10,000.
  std::map<std::string, std::string> documents(const std::string& index) {
    ask(net::http_method::post, "/" + index + "/_refresh");
    const simdjson::padded_string body(get("/" + index + "/_search?size=10000"));
    simdjson::dom::parser parser;
    std::map<std::string, std::string> all;
    for (const simdjson::dom::element hit : parser.parse(body)["hits"]["hits"].get_array()) {
      const std::string id(hit["_id"].get_string().value());
      all[id] = simdjson::minify(hit["_source"].value());
    }
    return all;
  }

 private:
  std::string url_;
  asio_environment env_;
  net::http_client http_;
};

elasticsearch::bulk_options impatient() {
  return {
      .items = 250, .age = 50ms, .backoff = {.shortest = 5ms, .initial = 50ms, .longest = 500ms}};
}

/// Writes as a pipeline would: not while the sink blocks.
template <class Writer, class T>
void write(asio_environment& env, fake_sink_context& context, Writer& writer, const T& value,
           timestamp time = {}) {
  if (context.blocked) {
    REQUIRE(env.run_until([&] { return !context.blocked || context.failure; }, 120s));
  }
  if (context.failure) FAIL(context.failure->to_string());
  writer.write(value, time);
}

template <class Writer>
void finish(asio_environment& env, fake_sink_context& context, Writer& writer) {
  writer.end();
  REQUIRE(env.run_until([&] { return context.times_done == 1 || context.failure; }, 120s));
  if (context.failure) FAIL(context.failure->to_string());
}

sample numbered(int i) {
  return {"station " + std::to_string(i % 97), i,
          format_time(timestamp{duration{i * 1'000'000LL}})};
}

}  // namespace

TEST_CASE("counts and ids are exact although the server is stopped, killed and restarted") {
  if (!opensearch_server::missing().empty()) MILLRACE_SKIP(opensearch_server::missing());
  opensearch_server server;
  asio_environment env;
  fake_sink_context context{env};
  auto writer =
      elasticsearch::sink{{.url = server.url(),
                           .index = "samples",
                           .id = id_of,
                           .template_ = {.name = "samples",
                                         .fields = {{"at", "date"}, {"station", "keyword"}},
                                         .shards = 1,
                                         .replicas = 0},
                           .bulk = impatient()}}
          .open(context);
  std::map<std::string, std::string> expected;
  constexpr int count = 8000;
  for (int i = 0; i < count; ++i) {
    if (i == 2000) server.stop();
    if (i == 5000) server.kill();
    if (context.blocked && !server.running()) {
      env.run_for(300ms);  // answers that were on their way when it stopped
      if (context.blocked) {
        const auto pending = context.metric("pending");
        env.run_for(300ms);
        CHECK(context.blocked);
        CHECK(context.metric("pending") == pending);
        server.start();
      }
    }
    const auto s = numbered(i);
    expected[id_of(s)] = json_of(s);
    write(env, context, writer, s);
    if (i % 100 == 0) env.run_for(1ms);
  }
  finish(env, context, writer);
  CHECK(context.metric("request_retries") > 0);
  CHECK(context.metric("delivered") == count);
  CHECK(context.letters.empty());
  client ask(server.url());
  CHECK(ask.documents("samples") == expected);
  CHECK(ask.get("/samples/_mapping").find("\"at\":{\"type\":\"date\"}") != std::string::npos);

  // Writing it all again changes nothing.
  fake_sink_context again{env};
  auto second =
      elasticsearch::sink{
          {.url = server.url(), .index = "samples", .id = id_of, .bulk = impatient()}}
          .open(again);
  for (int i = 0; i < 2000; ++i) write(env, again, second, numbered(i));
  finish(env, again, second);
  CHECK(ask.documents("samples") == expected);
}

TEST_CASE("a server that refuses documents and requests all the time gets every one in the end") {
  if (!opensearch_server::missing().empty()) MILLRACE_SKIP(opensearch_server::missing());
  opensearch_server server({"thread_pool.write.queue_size=1", "thread_pool.write.size=1",
                            "http.max_content_length=30kb"});
  client ask(server.url());
  REQUIRE(ask.ask(net::http_method::put, "/busy",
                  R"({"settings":{"number_of_shards":6,"number_of_replicas":0}})")
              .ok());

  // In front of it a proxy that has troubles of its own.
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  client forward(server.url());
  millrace::testing::http_server proxy;
  std::uint64_t refused = 0;
  proxy.route("POST", "/*", [&](const millrace::testing::served_request& r) {
    if (random() % 5 == 0) {
      ++refused;
      return millrace::testing::served_response{.status = random() % 2 == 0 ? 429U : 503U};
    }
    const auto response = forward.ask(net::http_method::post, r.path + "?" + r.query, r.body);
    millrace::testing::served_response out{.status = response.status, .body = response.body};
    if (random() % 10 == 0) out.fault = millrace::testing::http_fault::close;
    return out;
  });

  asio_environment env;
  fake_sink_context direct_context{env, "direct"};
  fake_sink_context proxied_context{env, "proxied"};
  auto options = impatient();
  options.items = 600;  // too much for the server: 413
  options.in_flight = 6;
  elasticsearch::sink_options described{
      .url = server.url(), .index = "busy", .id = id_of, .bulk = options};
  auto direct = elasticsearch::sink{described}.open(direct_context);
  described.url = proxy.url("");
  auto proxied = elasticsearch::sink{described}.open(proxied_context);
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 9000; ++i) {
    const auto s = numbered(i);
    expected[id_of(s)] = json_of(s);
    if (i % 2 == 0) {
      write(env, direct_context, direct, s);
    } else {
      write(env, proxied_context, proxied, s);
    }
  }
  finish(env, direct_context, direct);
  finish(env, proxied_context, proxied);
  CHECK(ask.documents("busy") == expected);
  CHECK(direct_context.metric("item_retries") + proxied_context.metric("item_retries") > 0);
  CHECK(direct_context.metric("splits") > 0);
  CHECK(proxied_context.metric("request_retries") > 0);
  CHECK(refused > 0);
  CHECK(direct_context.letters.empty());
  CHECK(proxied_context.letters.empty());
}

TEST_CASE("what the server rejects is a dead letter with its reason, the rest goes on") {
  if (!opensearch_server::missing().empty()) MILLRACE_SKIP(opensearch_server::missing());
  opensearch_server server;
  asio_environment env;
  {
    fake_sink_context context{env};
    auto writer = elasticsearch::sink{{.url = server.url(),
                                       .index = "days-%Y.%m.%d",
                                       .id = id_of,
                                       .template_ = {.name = "days", .fields = {{"at", "date"}}},
                                       .bulk = impatient()}}
                      .open(context);
    for (int i = 0; i < 100; ++i) {
      auto s = numbered(i);
      if (i == 42) s.at = "last tuesday";
      writer.write(s, parse_time("2024-02-28").value() + std::chrono::hours{i});
    }
    finish(env, context, writer);
    REQUIRE(context.letters.size() == 1);
    CHECK(context.letters[0].payload.find("last tuesday") != std::string::npos);
    const auto& reason = context.letters[0].reason;
    CHECK(reason.find("status 400, mapper_parsing_exception: failed to parse field [at]") !=
          std::string::npos);
    CHECK(reason.find("caused by illegal_argument_exception: failed to parse date field "
                      "[last tuesday]") != std::string::npos);
    CHECK(context.metric("delivered") == 99);
    client ask(server.url());
    CHECK(ask.documents("days-2024.02.28").size() == 24);
    CHECK(ask.documents("days-2024.02.29").size() == 23);
    CHECK(ask.documents("days-*").size() == 99);
  }
  {
    fake_sink_context context{env};
    auto writer = elasticsearch::sink{{.url = server.url(),
                                       .index = [](const sample& s) { return s.station; },
                                       .bulk = impatient()}}
                      .open(context);
    for (const char* name : {"good", "Not Lower Case", "good", "_odd", ""}) {
      writer.write(sample{name, 1, "2020-01-01"}, {});
    }
    finish(env, context, writer);
    CHECK(context.letters.size() == 3);
    client ask(server.url());
    CHECK(ask.documents("good").size() == 2);
  }
  {
    fake_sink_context context{env};
    auto writer = elasticsearch::sink{{.url = server.url(),
                                       .index = "x",
                                       .template_ = {.name = "bad", .body = "{\"odd\":1}"}}}
                      .open(context);
    REQUIRE(env.run_until([&] { return context.failure.has_value(); }));
    CHECK(context.failure->message.find("index template bad refused with HTTP status 400: ") !=
          std::string::npos);
  }
}

TEST_CASE("a data stream takes each document once, also when everything is written twice") {
  if (!opensearch_server::missing().empty()) MILLRACE_SKIP(opensearch_server::missing());
  opensearch_server server;
  asio_environment env;
  client ask(server.url());
  const elasticsearch::sink sink{{.url = server.url(),
                                  .index = "bike-scores",
                                  .target = elasticsearch::target::data_stream,
                                  .id = id_of,
                                  .template_ = {.name = "bike-scores"},
                                  .bulk = impatient(),
                                  .compress = elasticsearch::compression::gzip}};
  for (int round = 0; round < 2; ++round) {
    fake_sink_context context{env};
    auto writer = sink.open(context);
    for (int i = 0; i < 1000; ++i) {
      write(env, context, writer, numbered(i), timestamp{duration{i * 1'000'000LL + 250'000}});
    }
    finish(env, context, writer);
    CHECK(context.letters.empty());
    CHECK(context.metric("delivered") == (round == 0 ? 1000 : 0));
    CHECK(context.metric("already_there") == (round == 0 ? 0 : 1000));
    const auto documents = ask.documents("bike-scores");
    CHECK(documents.size() == 1000);
    CHECK(documents.at("station 0/0") ==
          "{\"@timestamp\":\"1970-01-01T00:00:00.250Z\"," + json_of(numbered(0)).substr(1));
  }
  CHECK(ask.get("/_data_stream/bike-scores").find("\"@timestamp\"") != std::string::npos);
  const auto range = ask.get(
      "/bike-scores/"
      "_count?q=%40timestamp:%5B1970-01-01T00:00:10.000Z%20TO%201970-01-01T00:00:20.000Z%5D");
  CHECK(range.find("\"count\":10,") != std::string::npos);
}
