// SPDX-License-Identifier: Apache-2.0
#include <millrace/connectors/elasticsearch.hpp>

#include <millrace/base/time_format.hpp>
#include <millrace/net/gzip.hpp>
#include <millrace/state/snapshot.hpp>
#include <millrace/testing/http_server.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/fake_sink_context.hpp"

#include <boost/describe/class.hpp>

#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using millrace::testing::asio_environment;
using millrace::testing::fake_sink_context;
using millrace::testing::http_fault;
using millrace::testing::served_request;
using millrace::testing::served_response;

namespace {

struct score {
  std::string station;
  int value = 0;
};
BOOST_DESCRIBE_STRUCT(score, (), (station, value))

struct nothing {};
BOOST_DESCRIBE_STRUCT(nothing, (), ())

timestamp at(std::string_view text) { return parse_time(text).value(); }

/// The little of a server that the sink talks to, on the test's thread.
class fake_server {
 public:
  explicit fake_server(asio_environment& env) : server_(env) {
    server_.route("", "/*", [this](const served_request& r) {
      requests.push_back(r);
      if (before) {
        if (auto instead = before(r)) return *instead;
      }
      return serve(r);
    });
  }

  served_response serve(const served_request& r) {
    if (r.path.starts_with("/_index_template/")) {
      const auto name = r.path.substr(17);
      if (r.method == "HEAD") {
        return {.status = templates.count(name) != 0 ? 200U : 404U};
      }
      templates[name] = r.body;
      return {.body = "{\"acknowledged\":true}"};
    }
    std::string body = r.body;
    if (r.headers.value("Content-Encoding") == "gzip") {
      body = net::decompress(net::content_coding::gzip, body, 1 << 24).value();
    }
    std::string items;
    bool errors = false;
    for (std::size_t from = 0; from < body.size();) {
      const auto action = take_line(body, from);
      const auto document = take_line(body, from);
      const auto id = member(action, "_id");
      unsigned status = store.count(id) != 0 && !id.empty() ? 200 : 201;
      if (action.starts_with("{\"create\"") && status == 200) status = 409;
      if (before_item) {
        if (const auto other = before_item(document); other != 0) status = other;
      }
      if (status < 300) store[id.empty() ? std::to_string(store.size()) : id] = document;
      errors = errors || status >= 300;
      items += (items.empty() ? "" : ",") + std::string("{\"index\":{\"status\":") +
               std::to_string(status) +
               (status < 300 ? "" : ",\"error\":{\"type\":\"a_type\",\"reason\":\"a reason\"}") +
               "}}";
      actions.push_back(action);
    }
    return {.body = std::string("{\"errors\":") + (errors ? "true" : "false") + ",\"items\":[" +
                    items + "]}"};
  }

  static std::string take_line(const std::string& text, std::size_t& from) {
    const auto feed = text.find('\n', from);
    auto line = text.substr(from, feed - from);
    from = feed + 1;
    return line;
  }
  static std::string member(const std::string& json, const std::string& name) {
    const auto key = "\"" + name + "\":\"";
    const auto begin = json.find(key);
    if (begin == std::string::npos) return {};
    const auto from = begin + key.size();
    std::string text;
    for (auto i = from; json[i] != '"'; ++i) text += json[json[i] == '\\' ? ++i : i];
    return text;
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
  millrace::testing::http_server& http() { return server_; }

  std::vector<served_request> requests;
  std::vector<std::string> actions;
  std::map<std::string, std::string> store;
  std::map<std::string, std::string> templates;
  std::function<std::optional<served_response>(const served_request&)> before;
  std::function<unsigned(const std::string&)> before_item;

 private:
  millrace::testing::http_server server_;
};

elasticsearch::bulk_options quick() {
  return {.age = 2ms, .backoff = {.shortest = 100us, .initial = 500us, .longest = 5ms}};
}

std::string number_of(const score& s) { return s.station + "-" + std::to_string(s.value); }

bool finished(asio_environment& env, fake_sink_context& context) {
  return env.run_until([&] { return context.times_done == 1 || context.failure; }, 20s) &&
         !context.failure;
}

}  // namespace

TEST_CASE("documents arrive with their ids, in requests for the index, authorized") {
  asio_environment env;
  fake_server server(env);
  fake_sink_context context{env, "scores"};
  const elasticsearch::sink sink{{.url = server.url() + "/",
                                  .index = "scores",
                                  .id = number_of,
                                  .api_key = "c2VjcmV0",
                                  .bulk = quick(),
                                  .parameters = "pipeline=geo"}};
  static_assert(sink_for<std::remove_const_t<decltype(sink)>, score>);
  auto writer = sink.open(context);
  for (int i = 0; i < 3; ++i) writer.write(score{"Kirkegata \"7\"", i}, {});
  REQUIRE(env.run_until([&] { return context.metric("delivered") == 3; }));  // by age
  writer.write(score{"b", 9}, {});
  writer.end();
  REQUIRE(finished(env, context));
  CHECK(server.store.size() == 4);
  CHECK(server.store["b-9"] == "{\"station\":\"b\",\"value\":9}");
  REQUIRE(server.requests.size() == 2);
  const auto& r = server.requests[0];
  CHECK(r.method == "POST");
  CHECK(r.path == "/scores/_bulk");
  CHECK(r.query == "filter_path=" + std::string(elasticsearch::bulk_filter_path) + "&pipeline=geo");
  CHECK(r.headers.value("Authorization") == "ApiKey c2VjcmV0");
  CHECK(r.headers.value("Content-Type") == "application/x-ndjson");
  CHECK(server.actions[0] == "{\"index\":{\"_id\":\"Kirkegata \\\"7\\\"-0\"}}");
  CHECK(context.metric("records") == 4);
  CHECK(context.metric("pending") == 0);
  CHECK(context.metric("in_flight") == 0);
}

TEST_CASE("ids and indexes come from members or functions, indexes also from the event time") {
  asio_environment env;
  fake_server server(env);
  {
    fake_sink_context context{env};
    auto writer = elasticsearch::sink{
        {.url = server.url(),
         .index = [](const score& s) { return "of-" + s.station; },
         .id = &score::value,
         .user = "elastic",
         .password = "secret",
         .bulk =
             quick()}}.open(context);
    writer.write(score{"a", 1}, {});
    writer.write(score{"", 2}, {});
    writer.end();
    REQUIRE(finished(env, context));
  }
  {
    fake_sink_context context{env};
    auto writer =
        elasticsearch::sink{{.url = server.url(), .index = "day-%Y.%m.%d", .bulk = quick()}}.open(
            context);
    writer.write(score{}, at("2024-02-29T23:59:59.999999Z"));
    writer.write(score{}, at("2024-03-01"));
    writer.write(score{}, at("1969-12-31"));
    writer.end();
    REQUIRE(finished(env, context));
  }
  CHECK(server.requests[0].path == "/_bulk");
  CHECK(server.requests[0].headers.value("Authorization") == "Basic ZWxhc3RpYzpzZWNyZXQ=");
  CHECK(server.actions ==
        std::vector<std::string>{"{\"index\":{\"_index\":\"of-a\",\"_id\":\"1\"}}",
                                 "{\"index\":{\"_index\":\"of-\",\"_id\":\"2\"}}",
                                 "{\"index\":{\"_index\":\"day-2024.02.29\"}}",
                                 "{\"index\":{\"_index\":\"day-2024.03.01\"}}",
                                 "{\"index\":{\"_index\":\"day-1969.12.31\"}}"});
}

TEST_CASE("documents of a data stream are created, and get the event time") {
  asio_environment env;
  fake_server server(env);
  fake_sink_context context{env};
  server.store["b-2"] = "there already";
  auto writer = elasticsearch::sink{
      {.url = server.url(),
       .index = "scores",
       .target = elasticsearch::target::data_stream,
       .id = number_of,
       .bulk =
           quick()}}.open(context);
  writer.write(score{"a", 1}, at("2019-08-12T16:04:32.125Z"));
  writer.write(score{"b", 2}, at("2019-08-12T16:04:32Z"));
  writer.write(score{"c", 3}, max_timestamp);
  writer.end();
  REQUIRE(finished(env, context));
  CHECK(server.actions[0] == "{\"create\":{\"_id\":\"a-1\"}}");
  CHECK(server.store["a-1"] ==
        "{\"@timestamp\":\"2019-08-12T16:04:32.125Z\",\"station\":\"a\",\"value\":1}");
  CHECK(server.store["b-2"] == "there already");
  CHECK(server.store["c-3"].starts_with("{\"@timestamp\":\"20"));
  CHECK(context.metric("already_there") == 1);
  CHECK(context.letters.empty());
}

TEST_CASE("what a format makes of a record may be empty or spread over lines, not another thing") {
  asio_environment env;
  fake_server server(env);
  fake_sink_context context{env};
  const std::vector<std::string> documents{
      "{\n  \"a\": 1\r\n}\n", "{}", "{ }", "[1]", "", "text", "{\"a\":2", "{\"b\":3}"};
  auto writer = elasticsearch::sink{
      {.url = server.url(),
       .index = "x",
       .time = elasticsearch::add_time::always,
       .time_member = "at",
       .bulk = quick()},
      [&](int i) {
        return documents[static_cast<std::size_t>(i)];
      }}.open(context);
  for (int i = 0; i < 8; ++i) writer.write(i, at("2020-01-01"));
  writer.end();
  REQUIRE(finished(env, context));
  REQUIRE(server.store.size() == 4);
  const std::string time = "{\"at\":\"2020-01-01T00:00:00Z\"";
  CHECK(server.store["0"] == time + ",   \"a\": 1\r }");
  CHECK(server.store["1"] == time + " }");
  CHECK(server.store["2"] == time + "  }");
  CHECK(server.store["3"] == time + ",\"b\":3}");
  REQUIRE(context.letters.size() == 4);
  CHECK(context.letters[0].payload == "[1]");
  CHECK(context.letters[0].reason == "elasticsearch::sink: the encoded record is no JSON object");
  fake_sink_context second{env};
  auto other = elasticsearch::sink{{.url = server.url(),
                                    .index = "x",
                                    .time = elasticsearch::add_time::always,
                                    .bulk = quick()}}
                   .open(second);
  other.write(nothing{}, at("2020-01-01"));
  other.end();
  REQUIRE(finished(env, second));
  CHECK(server.store["4"] == "{\"@timestamp\":\"2020-01-01T00:00:00Z\" }");
}

TEST_CASE("an id that is empty or too long is a dead letter and harms no other document") {
  asio_environment env;
  fake_server server(env);
  fake_sink_context context{env};
  auto writer =
      elasticsearch::sink{
          {.url = server.url(), .index = "x", .id = &score::station, .bulk = quick()}}
          .open(context);
  writer.write(score{"", 1}, {});
  writer.write(score{std::string(513, 'x'), 2}, {});
  writer.write(score{std::string(512, 'x'), 3}, {});
  writer.end();
  REQUIRE(finished(env, context));
  CHECK(server.store.size() == 1);
  REQUIRE(context.letters.size() == 2);
  CHECK(context.letters[1].payload.ends_with("\"value\":2}"));
}

TEST_CASE("bodies can be compressed") {
  asio_environment env;
  fake_server server(env);
  fake_sink_context context{env};
  auto writer = elasticsearch::sink{{.url = server.url(),
                                     .index = "x",
                                     .id = number_of,
                                     .bulk = quick(),
                                     .compress = elasticsearch::compression::gzip}}
                    .open(context);
  for (int i = 0; i < 500; ++i) writer.write(score{"station", i}, {});
  writer.end();
  REQUIRE(finished(env, context));
  CHECK(server.store.size() == 500);
  CHECK(server.requests[0].body.size() < 15000);
}

TEST_CASE("every document arrives once, whatever the server and the network do") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto one_in = [&](unsigned n) { return random() % n == 0; };
  asio_environment env;
  fake_server server(env);
  fake_sink_context context{env};
  server.before = [&](const served_request& r) -> std::optional<served_response> {
    if (r.body.size() > 2000) return served_response{.status = 413, .body = "too large"};
    if (one_in(12)) return served_response{.fault = http_fault::close};
    if (one_in(12)) return served_response{.fault = http_fault::reset};
    if (one_in(30)) return served_response{.fault = http_fault::stall};
    if (one_in(12)) {
      auto response = server.serve(r);  // done, but nobody hears of it
      response.fault = http_fault::truncate;
      response.cut_after = random() % 200;
      return response;
    }
    if (one_in(12)) return served_response{.status = 429, .body = "{\"error\":\"busy\"}"};
    if (one_in(12)) return served_response{.status = 503, .body = "<html>"};
    if (one_in(20)) return served_response{.body = "{\"errors\":false,\"items\":[]}"};
    return std::nullopt;
  };
  server.before_item = [&](const std::string& document) -> unsigned {
    if (document.find("poison") != std::string::npos) return 400;
    return one_in(15) ? (one_in(2) ? 429U : 503U) : 0U;
  };
  auto options = quick();
  options.items = 40;
  options.bytes = 4000;
  const std::size_t bound = options.items * (options.in_flight + 2) + 1;
  auto writer = elasticsearch::sink{
      {.url = server.url(),
       .index = "x",
       .id = &score::station,
       .bulk = options,
       .timeout =
           100ms}}.open(context);
  std::map<std::string, std::string> expected;
  std::size_t poisoned = 0;
  for (int i = 0; i < 3000; ++i) {
    REQUIRE(env.run_until([&] { return !context.blocked; }, 20s));
    const bool poison = one_in(50);
    const score s{"s" + std::to_string(random() % 1000) + (poison ? "poison" : ""), i};
    if (poison) {
      ++poisoned;
    } else {
      expected[s.station] =
          "{\"station\":\"" + s.station + "\",\"value\":" + std::to_string(i) + "}";
    }
    writer.write(s, {});
    REQUIRE(context.metric("pending") <= static_cast<std::int64_t>(bound));
  }
  CHECK(context.times_blocked > 0);
  writer.end();
  REQUIRE(finished(env, context));
  CHECK(server.store == expected);
  CHECK(context.letters.size() == poisoned);
  for (const auto& l : context.letters) {
    CHECK(l.reason == "elasticsearch: status 400, a_type: a reason");
  }
  CHECK(context.metric("splits") > 0);
  CHECK(context.metric("delivered") + context.metric("superseded") + context.metric("rejected") ==
        3000);
}

TEST_CASE("while the server is down the sink blocks; when it is back everything arrives") {
  std::vector<std::string> log;
  asio_environment env(logger([&](const log_record& r) { log.emplace_back(r.message); }));
  fake_server server(env);
  fake_sink_context context{env};
  auto options = quick();
  options.age = 1h;
  options.items = 10;
  auto writer =
      elasticsearch::sink{{.url = server.url(), .index = "x", .id = number_of, .bulk = options}}
          .open(context);
  server.http().go_down();
  int i = 0;
  for (; !context.blocked && i < 1000; ++i) {
    writer.write(score{"a", i}, {});
    env.run_for(100us);
  }
  CHECK(i == 30);  // two requests under way, one that waits
  env.run_for(50ms);
  CHECK(context.blocked);
  CHECK(context.metric("request_retries") > 4);
  CHECK(log.size() <= 4);
  server.http().come_back();
  REQUIRE(env.run_until([&] { return !context.blocked; }));
  writer.end();
  REQUIRE(finished(env, context));
  CHECK(server.store.size() == 30);
  REQUIRE_FALSE(log.empty());
  CHECK(log.front().find(server.url()) == 0);
  CHECK(log.back() == server.url() + " takes documents again");
}

TEST_CASE("credentials that are refused fail the pipeline with the server's words") {
  asio_environment env;
  fake_server server(env);
  fake_sink_context context{env};
  server.before = [](const served_request&) {
    return served_response{.status = 401,
                           .body = R"({"error":{"type":"security_exception","reason":"no"}})"};
  };
  auto writer =
      elasticsearch::sink{{.url = server.url(), .index = "x", .bulk = quick()}}.open(context);
  writer.write(score{"a", 1}, {});
  writer.end();
  REQUIRE(env.run_until([&] { return context.failure.has_value(); }));
  CHECK(context.failure->code == errc::connection_refused);
  CHECK(context.failure->message == server.url() +
                                        ": bulk request refused with HTTP status 401: "
                                        "security_exception: no");
  CHECK(context.times_done == 0);
  CHECK(env.pending_timers() <= 2);  // idle connections
}

TEST_CASE("the index template is there before the first document") {
  asio_environment env;
  fake_server server(env);
  int refusals = 3;
  server.before = [&](const served_request& r) -> std::optional<served_response> {
    if (r.method == "POST" || refusals-- <= 0) return std::nullopt;
    if (refusals % 2 == 0) return served_response{.status = 503, .body = "starting"};
    return served_response{.fault = http_fault::close};
  };
  auto options = quick();
  options.items = 2;
  elasticsearch::sink_options described{
      .url = server.url(),
      .index = "scores-%Y.%m",
      .id = number_of,
      .template_ = {.name = "scores", .fields = {{"station", "keyword"}}, .replicas = 0},
      .bulk = options};
  {
    fake_sink_context context{env};
    auto writer = elasticsearch::sink{described}.open(context);
    writer.write(score{"a", 1}, {});
    writer.write(score{"a", 2}, {});
    CHECK(context.blocked);
    writer.end();
    REQUIRE(finished(env, context));
    CHECK_FALSE(context.blocked);
    CHECK(server.requests.size() == 5);
    CHECK(server.templates["scores"] ==
          R"({"index_patterns":["scores-*.*"],"priority":200,"template":{"settings":)"
          R"({"number_of_replicas":0},"mappings":{"dynamic_templates":[{"whole_numbers":)"
          R"({"match_mapping_type":"long","mapping":{"type":"double"}}},{"fractions":)"
          R"({"match_mapping_type":"double","mapping":{"type":"double"}}}],)"
          R"("properties":{"station":{"type":"keyword"},)"
          R"("@timestamp":{"type":"date"}}}}})");
  }
  {
    server.templates["scores"] = "mine";
    described.template_.when_it_exists = elasticsearch::template_exists::keep;
    fake_sink_context context{env};
    auto writer = elasticsearch::sink{described}.open(context);
    writer.end();
    REQUIRE(finished(env, context));
    CHECK(server.templates["scores"] == "mine");
  }
  {
    server.templates.clear();
    fake_sink_context context{env};
    auto writer = elasticsearch::sink{described}.open(context);
    writer.end();
    REQUIRE(finished(env, context));
    CHECK(server.templates.size() == 1);
  }
  server.before = [](const served_request&) {
    return served_response{.status = 400,
                           .body = R"({"error":{"type":"parse","reason":"odd template"}})"};
  };
  described.template_.when_it_exists = elasticsearch::template_exists::replace;
  fake_sink_context context{env};
  auto writer = elasticsearch::sink{described}.open(context);
  REQUIRE(env.run_until([&] { return context.failure.has_value(); }));
  CHECK(context.failure->message == server.url() +
                                        ": index template scores refused with HTTP status 400: "
                                        "parse: odd template");
}

TEST_CASE("what is not delivered is saved, and delivered after a restore") {
  asio_environment env;
  fake_server server(env);
  auto options = quick();
  options.items = 3;
  snapshot_writer saved;
  {
    fake_sink_context context{env};
    auto writer =
        elasticsearch::sink{{.url = server.url(), .index = "x", .id = number_of, .bulk = options}}
            .open(context);
    for (int i = 0; i < 8; ++i) writer.write(score{"a", i}, at("2020-01-01"));
    writer.save(saved);
  }
  CHECK(server.store.empty());
  fake_sink_context context{env};
  auto writer =
      elasticsearch::sink{{.url = server.url(), .index = "x", .id = number_of, .bulk = options}}
          .open(context);
  snapshot_reader reader(saved.view());
  writer.restore(reader);
  writer.end();
  REQUIRE(finished(env, context));
  CHECK(server.store.size() == 8);
  CHECK(server.store["a-7"] == "{\"station\":\"a\",\"value\":7}");
}

TEST_CASE("options that cannot work say what to change") {
  asio_environment env;
  fake_sink_context context{env, "out"};
  const auto complaint = [&](elasticsearch::sink_options options) -> std::string {
    try {
      elasticsearch::sink{std::move(options)}.open(context);
    } catch (const topology_error& e) {
      return e.what();
    }
    return {};
  };
  const std::string out = "out: elasticsearch::sink: ";
  CHECK(complaint({.index = "x"}).empty());
  CHECK(complaint({}) == out + "index must name an index or data stream");
  CHECK(complaint({.url = "mqtt://x", .index = "x"}) ==
        out + "url must begin with http:// or https://");
  CHECK(complaint({.url = "localhost", .index = "x"}).starts_with(out + "url: "));
  CHECK(complaint({.index = "x-%y"}) ==
        out + "index: write %Y, %m, %d, %H, %G, %V or %% in \"x-%y\"");
  CHECK(complaint({.index = "x", .id = "one"}).starts_with(out + "id must be a member"));
  CHECK(
      complaint({.index = "x", .api_key = "k", .user = "u"}).starts_with(out + "give api_key, or"));
  CHECK(complaint({.index = "x", .bulk = {.in_flight = 0}}) ==
        out + "bulk.in_flight must be positive");
  CHECK(complaint({.url = "https://x", .index = "x", .tls = {.ca_file = "/none"}})
            .starts_with(out + "tls: "));
  CHECK(complaint({.index = &score::station, .template_ = {.name = "t"}})
            .starts_with(out + "template_.pattern must be given"));
  auto writer = elasticsearch::sink{{.index = "x", .id = &score::station}}.open(context);
  CHECK_THROWS_AS(writer.write(nothing{}, {}), topology_error);
}

TEST_CASE("names with dates follow the calendar and the ISO weeks") {
  const auto name = [](const char* pattern, const char* time) {
    return elasticsearch::dated_name(pattern, at(time)).value();
  };
  CHECK(name("a-%Y.%m.%d-%H%%", "2024-12-30T23:59:59Z") == "a-2024.12.30-23%");
  CHECK(name("%G-w%V", "2024-12-30") == "2025-w01");
  CHECK(name("%G-w%V", "2021-01-03") == "2020-w53");
  CHECK(name("%G-w%V", "2021-01-04") == "2021-w01");
  CHECK(name("%H", "1969-12-31T22:30:00Z") == "22");
  CHECK(elasticsearch::wildcard_name("a-%Y%m%d-x").value() == "a-*-x");
}
