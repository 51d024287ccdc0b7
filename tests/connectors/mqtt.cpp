// SPDX-License-Identifier: Apache-2.0
// The MQTT source and sink against the broker in the process, which injects faults.
#include <millrace/connectors/mqtt.hpp>
#include <millrace/testing/mqtt_broker.hpp>

#include "catch.hpp"
#include "support/certificates.hpp"
#include "support/mqtt_parts.hpp"

#include <set>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::asio_environment;
using testing::mqtt_broker;
using testing::numbered_messages;
using testing::running_sink;
using testing::running_source;

namespace {

constexpr auto limit = 20s;

struct reading {
  std::string station;
  int bikes;
};

static_assert(source_description<mqtt::source>);
static_assert(payload_record<mqtt::message>);
static_assert(sink_for<mqtt::sink<>, std::string>);
static_assert(sink_for<mqtt::sink<>, mqtt::message>);

std::string problem_of(const mqtt::source_options& options) {
  try {
    mqtt::source{options}.validate("stations");
  } catch (const topology_error& e) {
    return e.what();
  }
  return {};
}

void publish_all(mqtt_broker& broker, const std::string& topic,
                 const std::vector<std::string>& texts, std::uint8_t qos) {
  std::vector<testing::mqtt_message> messages;
  for (const auto& text : texts) messages.push_back({.topic = topic, .payload = text, .qos = qos});
  broker.publish(messages);
}

/// Waits until the broker has as many subscriptions.
void await_subscriptions(asio_environment& env, running_source& source, mqtt_broker& broker,
                         std::uint64_t n = 1) {
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return broker.statistics().subscriptions >= n;
      },
      limit));
}

mqtt::source_options persistent(const mqtt_broker& broker, std::uint8_t qos) {
  mqtt::source_options o{.url = broker.url(), .topic = "a/#", .qos = qos};
  o.connection.session_expiry = 1h;
  o.connection.reconnect = testing::fast_backoff();
  return o;
}

}  // namespace

TEST_CASE("mqtt: options that cannot work are refused with the part and the fix") {
  CHECK(problem_of({.topic = "a/+"}).empty());
  CHECK_THAT(problem_of({}), ContainsSubstring("stations: no topic"));
  CHECK_THAT(problem_of({.topic = "a+"}), ContainsSubstring("'a+' is no topic filter"));
  CHECK_THAT(problem_of({.topic = "a", .qos = 3}), ContainsSubstring("qos must be 0, 1 or 2"));
  CHECK_THAT(problem_of({.url = "http://x", .topic = "a"}), ContainsSubstring("scheme"));
  CHECK_THAT(problem_of({.url = "mqtt://x/a/b", .topic = "a"}), ContainsSubstring("no path"));
  CHECK_THAT(problem_of({.url = "nonsense", .topic = "a"}), ContainsSubstring("stations: url"));
  CHECK_THAT(problem_of({.topic = "a", .receive_maximum = 0}),
             ContainsSubstring("receive_maximum"));
  mqtt::source_options o{.topic = "a"};
  o.connection.will = mqtt::will{.topic = "w/#"};
  CHECK_THAT(problem_of(o), ContainsSubstring("topic of the will"));
  o = {.url = "mqtts://x", .topic = "a"};
  o.connection.tls.ca_file = "/does/not/exist.pem";
  CHECK_THAT(problem_of(o), ContainsSubstring("tls: "));
  asio_environment env;
  testing::fake_sink_context context(env, "out");
  CHECK_THROWS_WITH(mqtt::sink({.topic = "a/#"}).open(context),
                    ContainsSubstring("out: 'a/#' is no topic name"));
  CHECK_THROWS_WITH(mqtt::sink({.topic = "a", .in_flight = 0}).open(context),
                    ContainsSubstring("in_flight"));
  CHECK_THROWS_WITH(
      mqtt::sink({.topic = "a", .properties = {.server_keep_alive = 1}}).open(context),
      ContainsSubstring("properties"));
}

TEST_CASE(
    "mqtt: a persistent source has the same client id at every start, others have their own") {
  const auto id = [](const char* pipeline, const char* part, const char* host, const char* unique) {
    return mqtt::detail::make_client_id(pipeline, part, host, unique);
  };
  CHECK(id("p", "s", "h", "") == "mr-d57d41dfa53409d2");  // must never change
  CHECK(id("p", "s", "h", "").size() <= 23);
  CHECK(std::set<std::string>{id("p", "s", "h", ""), id("ps", "", "h", ""), id("p", "t", "h", ""),
                              id("p", "s", "g", ""), id("p", "s", "h", "1")}
            .size() == 5);
}

TEST_CASE("mqtt: WebSocket, with and without TLS") {
  testing::certificate_authority authority;
  testing::mqtt_broker_options options;
  options.listeners[0].framing = net::transport_framing::websocket;
  options.listeners[0].websocket_protocol = "mqtt";
  const bool encrypted = GENERATE(false, true);
  if (encrypted) {
    options.listeners[0].tls = net::tls_options{.certificate_file = authority.server().certificate,
                                                .private_key_file = authority.server().key};
  }
  mqtt_broker broker(options);
  asio_environment env;
  mqtt::source_options in{.url = broker.url(), .topic = "a/#", .qos = 2};
  in.connection.tls.ca_file = authority.ca_file();
  running_source source(env, in);
  await_subscriptions(env, source, broker);
  mqtt::sink_options out{.url = broker.url(), .topic = "a/b", .qos = 2};
  out.connection.tls.ca_file = authority.ca_file();
  running_sink sink(env, out);
  const auto texts = numbered_messages(200);
  for (const auto& text : texts) sink.write(text);
  sink.writer.end();
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return source.payloads.size() >= 200 && sink.context.times_done == 1;
      },
      limit));
  CHECK(source.payloads == texts);
}

TEST_CASE("mqtt: a session taken over in version 5 fails the pipeline, saying exactly that") {
  mqtt_broker broker;
  asio_environment env;
  mqtt::source_options options{.url = broker.url(), .topic = "a"};
  options.connection.client_id = "same";
  running_source first(env, options);
  await_subscriptions(env, first, broker);
  running_source second(env, options);
  REQUIRE(env.run_until(
      [&] {
        first.poll();
        second.poll();
        return first.context.failure && second.up();
      },
      limit));
  CHECK(first.context.failure->code == errc::session_taken_over);
  CHECK_THAT(first.context.failure->message,
             ContainsSubstring("another client connected with the same client identifier"));
  CHECK_FALSE(second.context.failure);
}

TEST_CASE("mqtt: a source that is not polled does not read, and loses nothing") {
  testing::mqtt_broker_options options;
  options.overflow = testing::mqtt_overflow::block;
  mqtt_broker broker(options);
  asio_environment env;
  running_source source(env, {.url = broker.url(), .topic = "a/#", .receive_buffer = 16 * 1024});
  await_subscriptions(env, source, broker);
  running_sink sink(env, {.url = broker.url(), .topic = "a/b"});
  const std::string text(1000, 'x');
  int written = 0;
  // Sockets and the broker's queue fill up, then the sink is told to wait.
  const auto write_on = [&] {
    for (int i = 0; i < 20 && !sink.context.blocked; ++i, ++written) sink.write(text);
  };
  REQUIRE(env.run_until(
      [&] {
        write_on();
        return sink.up();
      },
      limit));
  std::int64_t quiet = 0;
  REQUIRE(env.run_until(
      [&] {
        const int before = written;
        write_on();
        quiet = before == written ? quiet + 1 : 0;
        return quiet > 200;
      },
      limit));
  CHECK(sink.context.blocked);
  CHECK(written > 1'000);
  CHECK(source.context.metric("received") == 0);
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return source.payloads.size() == static_cast<std::size_t>(written);
      },
      limit));
  CHECK_FALSE(source.context.failure);
}

TEST_CASE("mqtt: acknowledgements may come from any thread in any order") {
  mqtt_broker broker;
  asio_environment env;
  auto options = persistent(broker, 1);
  options.acknowledge = mqtt::acknowledge_mode::manual;
  options.receive_maximum = 8;
  running_source source(env, options);
  std::vector<mqtt::message> open;
  source.on_message = [&](const mqtt::message& m) { open.push_back(m); };
  await_subscriptions(env, source, broker);
  const auto texts = numbered_messages(100);
  publish_all(broker, "a/b", texts, 1);
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return open.size() == 8;
      },
      limit));
  env.run_for(50ms);
  source.poll();
  CHECK(open.size() == 8);  // the window is full
  CHECK(source.context.metric("unacknowledged") == 8);
  while (source.payloads.size() < 100) {
    std::thread([batch = std::exchange(open, {})] {
      for (auto m = batch.rbegin(); m != batch.rend(); ++m) m->acknowledge();
    }).join();
    const std::size_t before = source.payloads.size();
    REQUIRE(env.run_until(
        [&] {
          source.poll();
          return source.payloads.size() > before;
        },
        limit));
  }
  CHECK(source.payloads == texts);
}

TEST_CASE("mqtt: what was not acknowledged comes again at the next start, and only that") {
  mqtt_broker broker;
  const auto texts = numbered_messages(20);
  {
    asio_environment env;
    auto options = persistent(broker, 2);
    options.acknowledge = mqtt::acknowledge_mode::manual;
    running_source source(env, options);
    await_subscriptions(env, source, broker);
    std::size_t seen = 0;
    source.on_message = [&](const mqtt::message& m) {
      if (seen++ < 15) m.acknowledge();
    };
    publish_all(broker, "a/b", texts, 2);
    REQUIRE(env.run_until(
        [&] {
          source.poll();
          return source.payloads.size() == 20 && source.context.metric("unacknowledged") == 5;
        },
        limit));
    const auto acknowledged = broker.statistics().packets_in;
    REQUIRE(env.run_until(
        [&] {
          source.poll();
          return broker.statistics().packets_in >= acknowledged;
        },
        limit));
    env.run_for(100ms);
    source.poll();
  }
  asio_environment env;
  running_source source(env, persistent(broker, 2));
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return source.payloads.size() >= 5;
      },
      limit));
  env.run_for(50ms);
  source.poll();
  CHECK(source.payloads == std::vector<std::string>(texts.end() - 5, texts.end()));
}

TEST_CASE("mqtt: records that are held for long do not hold on to the memory of others") {
  mqtt_broker broker;
  asio_environment env;
  running_source source(env, {.url = broker.url(), .topic = "a/#", .receive_buffer = 4096});
  await_subscriptions(env, source, broker);
  std::vector<mqtt::message> held;
  source.on_message = [&](const mqtt::message& m) { held.push_back(m); };
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) texts.push_back(std::to_string(i) + std::string(300, 'y'));
  publish_all(broker, "a/b", texts, 0);
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return held.size() == 300;
      },
      limit));
  CHECK(source.context.metric("copied") > 100);
  for (std::size_t i = 0; i < 300; ++i) {
    REQUIRE(held[i].payload == texts[i]);
    REQUIRE(held[i].topic == "a/b");
  }
  held.clear();
  const auto copied = source.context.metric("copied");
  source.on_message = nullptr;
  publish_all(broker, "a/b", texts, 0);
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return source.payloads.size() == 600;
      },
      limit));
  CHECK(source.context.metric("copied") < copied + 50);  // blocks are free again
}

TEST_CASE("mqtt: messages larger than the receive buffer, and aliased ones, arrive whole") {
  mqtt_broker broker;
  asio_environment env;
  running_source source(
      env,
      {.url = broker.url(), .topic = "a/#", .qos = 1, .topic_aliases = 10, .receive_buffer = 4096});
  await_subscriptions(env, source, broker);
  std::vector<std::string> texts;
  for (const std::size_t size : {10u, 5'000u, 100'000u, 7u, 900'000u, 4096u, 1u}) {
    texts.push_back(std::string(size, static_cast<char>('a' + texts.size())));
  }
  publish_all(broker, "a/b", texts, 1);
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return source.payloads.size() == texts.size();
      },
      limit));
  CHECK(source.payloads == texts);
  CHECK(source.topics == std::vector<std::string>(texts.size(), "a/b"));
}

TEST_CASE("mqtt: the sink blocks at its window, and what is lost on the way is sent again") {
  mqtt_broker broker;
  asio_environment env;
  running_source source(env, persistent(broker, 2));
  await_subscriptions(env, source, broker);
  const auto qos = static_cast<std::uint8_t>(GENERATE(1, 2));
  mqtt::sink_options options{.url = broker.url(), .topic = "a/b", .qos = qos, .in_flight = 10};
  options.connection.reconnect = testing::fast_backoff();
  options.connection.session_expiry = 1h;
  running_sink sink(env, options);
  REQUIRE(env.run_until([&] { return sink.up(); }, limit));
  const auto kind = qos == 1 ? mqtt::packet_type::puback : mqtt::packet_type::pubrec;
  broker.drop_acknowledgements(kind, 10);
  const auto texts = numbered_messages(40);
  for (int i = 0; i < 10; ++i) sink.write(texts[static_cast<std::size_t>(i)]);
  CHECK(sink.context.blocked);
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return broker.statistics().acknowledgements_dropped == 10;
      },
      limit));
  CHECK(sink.context.metric("in_flight") == 10);
  broker.cut_connections();
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return !sink.context.blocked;
      },
      limit));
  CHECK(sink.context.metric("acknowledged") == 10);
  for (std::size_t i = 10; i < 40; ++i) {
    REQUIRE(env.run_until(
        [&] {
          source.poll();
          return !sink.context.blocked;
        },
        limit));
    if (i % 7 == 0) broker.cut_after(3);
    sink.write(texts[i]);
  }
  sink.writer.end();
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return sink.context.times_done == 1;
      },
      limit));
  const auto distinct = [&] {
    return std::set<std::string>(source.payloads.begin(), source.payloads.end()).size();
  };
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return distinct() == 40;
      },
      limit));
  CHECK(sink.context.metric("acknowledged") == 40);
  CHECK(sink.context.letters.empty());
  if (qos == 2) CHECK(source.payloads == texts);
}

TEST_CASE("mqtt: what cannot be published is a dead letter with the reason") {
  testing::mqtt_broker_options options;
  options.maximum_packet_size = 1000;
  mqtt_broker broker(options);
  asio_environment env;
  testing::fake_sink_context context(env, "out");
  const mqtt::sink description(
      mqtt::sink_options{.url = broker.url(), .qos = 1},
      [](const reading& r) { return std::string(static_cast<std::size_t>(r.bikes), 'b'); },
      [](const reading& r) { return "stations/" + r.station; });
  auto writer = description.open(context);
  writer.write(reading{"1", 5}, timestamp{7us});
  writer.write(reading{"#", 6}, timestamp{8us});
  writer.write(reading{"3", 2000}, timestamp{9us});
  writer.end();
  REQUIRE(env.run_until([&] { return context.times_done == 1; }, limit));
  REQUIRE(context.letters.size() == 2);
  CHECK(context.letters[0].reason == "'stations/#' is no topic name");
  CHECK(context.letters[0].payload == "bbbbbb");
  CHECK(context.letters[0].time == timestamp{8us});
  CHECK_THAT(context.letters[1].reason, ContainsSubstring("packet too large"));
  CHECK(context.letters[1].payload.size() == 2000);
  CHECK(context.letters[1].time == timestamp{9us});
  CHECK(context.metric("acknowledged") == 1);
  CHECK(context.metric("rejected") == 2);
}

TEST_CASE("mqtt: an end that never gets its acknowledgements fails after its timeout") {
  mqtt_broker broker;
  asio_environment env;
  running_sink sink(env, {.url = broker.url(), .topic = "a", .qos = 1, .end_timeout = 300ms});
  REQUIRE(env.run_until([&] { return sink.up(); }, limit));
  broker.drop_acknowledgements(mqtt::packet_type::puback, 1);
  sink.write("x");
  sink.writer.end();
  REQUIRE(env.run_until([&] { return sink.context.failure.has_value(); }, limit));
  CHECK(sink.context.failure->code == errc::timeout);
  CHECK_THAT(sink.context.failure->message,
             ContainsSubstring("1 messages without acknowledgement"));
  CHECK(sink.context.times_done == 0);
}

TEST_CASE("mqtt: a busy server is tried again, wrong credentials are not for ever") {
  testing::mqtt_broker_options options;
  options.authenticate = [](const testing::mqtt_credentials& c) {
    return c.password == "right" ? mqtt::reason_code::success
                                 : mqtt::reason_code::bad_user_name_or_password;
  };
  mqtt_broker broker(options);
  asio_environment env;
  mqtt::source_options good{.url = broker.url(), .topic = "a"};
  good.connection.reconnect = testing::fast_backoff();
  good.connection.user_name = "u";
  good.connection.password = "right";
  broker.refuse_connections(mqtt::reason_code::server_busy);
  running_source patient(env, good);
  REQUIRE(env.run_until(
      [&] {
        patient.poll();
        return patient.context.metric("connection_failures") >= 5;
      },
      limit));
  CHECK_FALSE(patient.context.failure);
  broker.refuse_connections(mqtt::reason_code::success);
  REQUIRE(env.run_until(
      [&] {
        patient.poll();
        return patient.up();
      },
      limit));
  auto bad = good;
  bad.connection.password = "wrong";
  bad.connection.refused_attempts = 2;
  running_source wrong(env, bad);
  REQUIRE(env.run_until(
      [&] {
        wrong.poll();
        return wrong.context.failure.has_value();
      },
      limit));
  CHECK(wrong.context.failure->code == errc::connection_refused);
  CHECK_THAT(wrong.context.failure->message,
             ContainsSubstring("bad user name or password, 2 times in a row"));
}

TEST_CASE("mqtt: parts that go away in any state leave nothing behind") {
  mqtt_broker broker;
  asio_environment env;
  for (int i = 0; i < 60; ++i) {
    running_source source(env, {.url = broker.url(), .topic = "a", .qos = 1});
    running_sink sink(
        env, {.url = i % 3 == 0 ? "mqtt://127.0.0.1:1" : broker.url(), .topic = "a", .qos = 1});
    sink.write("x");
    if (i % 5 == 0) sink.writer.end();
    for (int n = 0; n < i; ++n) {
      env.context().restart();
      env.context().poll_one();
      source.poll();
    }
    if (i % 4 == 0) source.reader.stop();
  }
  REQUIRE(env.run_until([&] { return env.pending_timers() == 0; }, limit));
  REQUIRE(env.run_until([&] { return broker.statistics().connections == 0; }, limit));
}
