// SPDX-License-Identifier: Apache-2.0
// The MQTT source and sink against a real mosquitto.
#include <millrace/connectors/mqtt.hpp>
#include <millrace/net/transport.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/certificates.hpp"
#include "support/mosquitto.hpp"
#include "support/mqtt_parts.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>

using namespace millrace;
using namespace std::chrono_literals;
using testing::asio_environment;
using testing::mosquitto;
using testing::running_sink;
using testing::running_source;

namespace {

constexpr auto limit = 20s;

/// One after the other, respecting back-pressure.
void write_all(
    asio_environment& env, running_sink& sink, const std::vector<std::string>& texts,
    const std::function<void()>& between = [] {}) {
  for (const auto& text : texts) {
    REQUIRE(env.run_until(
        [&] {
          between();
          return !sink.context.blocked;
        },
        limit));
    sink.write(text);
  }
}

void finish(asio_environment& env, running_sink& sink, const std::function<void()>& between) {
  sink.writer.end();
  REQUIRE(env.run_until(
      [&] {
        between();
        return sink.context.times_done > 0;
      },
      limit));
  CHECK_FALSE(sink.context.failure);
}

}  // namespace

TEST_CASE("mosquitto: everything published arrives, in order, at every QoS in both versions") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  mosquitto server;
  for (const auto protocol : {mqtt::protocol::v3_1_1, mqtt::protocol::v5}) {
    for (std::uint8_t qos = 0; qos <= 2; ++qos) {
      CAPTURE(protocol, int{qos});
      asio_environment env;
      mqtt::source_options in{.url = server.url(), .topic = "a/+", .qos = qos};
      in.connection.protocol = protocol;
      running_source source(env, in);
      REQUIRE(env.run_until(
          [&] {
            source.poll();
            return source.up();
          },
          limit));
      mqtt::sink_options out{.url = server.url(), .topic = "a/b", .qos = qos, .in_flight = 50};
      out.connection.protocol = protocol;
      out.properties.user = {{"unit", "bikes"}};
      running_sink sink(env, out);
      bool has_property = false;
      source.on_message = [&](const mqtt::message& m) {
        has_property = m.properties.user("unit") == std::string_view("bikes");
        CHECK(m.qos == qos);
        CHECK((m.packet_id != 0) == (qos > 0));
      };
      const auto texts = testing::numbered_messages(500);
      write_all(env, sink, texts, [&] { source.poll(); });
      finish(env, sink, [&] { source.poll(); });
      REQUIRE(env.run_until(
          [&] {
            source.poll();
            return source.payloads.size() >= 500;
          },
          limit));
      CHECK(source.payloads == texts);
      CHECK(has_property == (protocol == mqtt::protocol::v5));
      CHECK(sink.context.metric("acknowledged") == 500);
      CHECK(source.context.metric("received") == 500);
      CHECK_FALSE(source.context.failure);
      source.reader.stop();
      source.more = true;
      REQUIRE(env.run_until(
          [&] {
            source.poll();
            return source.status == poll_status::end;
          },
          limit));
    }
  }
}

TEST_CASE("mosquitto: retained messages are taken, dropped, or the only ones") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  mosquitto server;
  asio_environment env;
  running_sink keeper(env, {.url = server.url(), .topic = "r/1", .qos = 1, .retain = true});
  write_all(env, keeper, {"kept"});
  finish(env, keeper, [] {});
  for (const auto protocol : {mqtt::protocol::v3_1_1, mqtt::protocol::v5}) {
    const auto options = [&](mqtt::retained_policy policy) {
      mqtt::source_options o{.url = server.url(), .topic = "r/#", .qos = 1, .retained = policy};
      o.connection.protocol = protocol;
      return o;
    };
    running_source take(env, options(mqtt::retained_policy::take), "take");
    running_source drop(env, options(mqtt::retained_policy::drop), "drop");
    running_source only(env, options(mqtt::retained_policy::only), "only");
    const auto poll = [&] {
      take.poll();
      drop.poll();
      only.poll();
    };
    REQUIRE(env.run_until(
        [&] {
          poll();
          return take.up() && drop.up() && only.up();
        },
        limit));
    running_sink live(env, {.url = server.url(), .topic = "r/2", .qos = 1});
    // The subscriptions are made: a live message to each, then there is nothing to come.
    REQUIRE(env.run_until(
        [&] {
          poll();
          return !take.payloads.empty() && !only.payloads.empty();
        },
        limit));
    write_all(env, live, {"live"}, poll);
    finish(env, live, poll);
    REQUIRE(env.run_until(
        [&] {
          poll();
          return take.payloads.size() == 2 && drop.payloads.size() == 1 &&
                 only.context.metric("retained_skipped") == 1;
        },
        limit));
    CHECK(take.payloads == std::vector<std::string>{"kept", "live"});
    CHECK(drop.payloads == std::vector<std::string>{"live"});
    CHECK(only.payloads == std::vector<std::string>{"kept"});
  }
}

TEST_CASE("mosquitto: a shared subscription divides the messages") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  mosquitto server;
  asio_environment env;
  const mqtt::source_options options{.url = server.url(), .topic = "$share/g/s/+", .qos = 1};
  running_source one(env, options, "one");
  running_source two(env, options, "two");
  const auto poll = [&] {
    one.poll();
    two.poll();
  };
  REQUIRE(env.run_until(
      [&] {
        poll();
        return one.up() && two.up();
      },
      limit));
  env.run_for(100ms);  // until both SUBACKs are there
  poll();
  running_sink sink(env, {.url = server.url(), .topic = "s/x", .qos = 1});
  const auto texts = testing::numbered_messages(200);
  write_all(env, sink, texts, poll);
  finish(env, sink, poll);
  REQUIRE(env.run_until(
      [&] {
        poll();
        return one.payloads.size() + two.payloads.size() >= 200;
      },
      limit));
  CHECK(one.payloads.size() > 10);
  CHECK(two.payloads.size() > 10);
  std::multiset<std::string> all(one.payloads.begin(), one.payloads.end());
  all.insert(two.payloads.begin(), two.payloads.end());
  CHECK(all == std::multiset<std::string>(texts.begin(), texts.end()));
}

TEST_CASE("mosquitto: the will is published when a client disappears, and not after a goodbye") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  mosquitto server;
  asio_environment env;
  running_source source(env, {.url = server.url(), .topics = {"wills/+", "end"}, .qos = 1});
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return source.up();
      },
      limit));
  mqtt::sink_options options{.url = server.url(), .topic = "end", .qos = 1};
  options.connection.will = mqtt::will{.topic = "wills/polite", .payload = "no", .qos = 1};
  {
    running_sink polite(env, options);
    write_all(env, polite, {"x"}, [&] { source.poll(); });
    finish(env, polite, [&] { source.poll(); });
  }
  // A client that dies: its connection closes without DISCONNECT.
  mqtt::session_options dying;
  dying.client_id = "dying";
  dying.will = mqtt::will{
      .topic = "wills/dying", .payload = "gone", .qos = 1, .user_properties = {{"a", "b"}}};
  mqtt::session session(dying);
  std::unique_ptr<net::transport> stream;
  bool sent = false;
  const auto opening = net::open_transport(
      env, *net::parse_url(server.url()), {}, [&](result<std::unique_ptr<net::transport>> opened) {
        stream = std::move(opened.value());
        session.connect(0s);
        const std::string_view bytes = session.output();
        stream->write({&bytes, 1}, [&](result<std::size_t>) { sent = true; });
      });
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return sent;
      },
      limit));
  char buffer[64];
  bool answered = false;
  stream->read_some(buffer, [&](result<std::size_t>) { answered = true; });
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return answered;
      },
      limit));
  stream->close();
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return source.payloads.size() == 2;
      },
      limit));
  CHECK(source.payloads == std::vector<std::string>{"x", "gone"});
}

TEST_CASE("mosquitto: wrong credentials fail after some tries, in words; right ones work") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  testing::temporary_directory directory;
  const auto file = directory.write("passwords", "anna:secret\n");
  if (std::system(("mosquitto_passwd -U " + file + " 2>/dev/null").c_str()) != 0) {
    MILLRACE_SKIP("no mosquitto_passwd: apt install mosquitto");
  }
  mosquitto server("", "allow_anonymous false\npassword_file " + file + "\n");
  asio_environment env;
  for (const auto protocol : {mqtt::protocol::v3_1_1, mqtt::protocol::v5}) {
    mqtt::source_options options{.url = server.url("mqtt", "anna:wrong@"), .topic = "a"};
    options.connection.protocol = protocol;
    options.connection.reconnect = testing::fast_backoff();
    running_source wrong(env, options);
    REQUIRE(env.run_until(
        [&] {
          wrong.poll();
          return wrong.context.failure.has_value();
        },
        limit));
    CHECK(wrong.context.failure->code == errc::connection_refused);
    CAPTURE(wrong.context.failure->message);
    CHECK(wrong.context.failure->message.find("not authorized, 3 times in a row") !=
          std::string::npos);
    CHECK(wrong.context.failure->message.find("wrong") == std::string::npos);
    options.connection.password = "secret";
    running_source right(env, options);
    REQUIRE(env.run_until(
        [&] {
          right.poll();
          return right.up();
        },
        limit));
  }
}

TEST_CASE("mosquitto: TLS is verified, mutual TLS and WebSocket work") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  testing::certificate_authority authority;
  const auto round_trip = [](const mosquitto& server, const std::string& scheme,
                             const net::tls_options& tls) {
    CAPTURE(scheme);
    asio_environment env;
    mqtt::source_options in{.url = server.url(scheme), .topic = "t/#", .qos = 1};
    in.connection.tls = tls;
    running_source source(env, in);
    REQUIRE(env.run_until(
        [&] {
          source.poll();
          return source.up();
        },
        limit));
    mqtt::sink_options out{.url = server.url(scheme), .topic = "t/1", .qos = 1};
    out.connection.tls = tls;
    running_sink sink(env, out);
    const auto texts = testing::numbered_messages(300);
    write_all(env, sink, texts, [&] { source.poll(); });
    finish(env, sink, [&] { source.poll(); });
    REQUIRE(env.run_until(
        [&] {
          source.poll();
          return source.payloads.size() >= 300;
        },
        limit));
    CHECK(source.payloads == texts);
  };
  const std::string secrets = "cafile " + authority.ca_file() + "\ncertfile " +
                              authority.server().certificate + "\nkeyfile " +
                              authority.server().key + "\n";
  const net::tls_options trusting{.ca_file = authority.ca_file()};
  SECTION("mqtts, and a server that is not trusted") {
    mosquitto server(secrets);
    round_trip(server, "mqtts", trusting);
    asio_environment env;
    mqtt::source_options options{.url = server.url("mqtts"), .topic = "a"};
    running_source source(env, options);
    REQUIRE(env.run_until(
        [&] {
          source.poll();
          return source.context.metric("connection_failures") > 0;
        },
        limit));
    CHECK_FALSE(source.up());
  }
  SECTION("mutual TLS") {
    mosquitto server(secrets + "require_certificate true\nuse_identity_as_username true\n");
    net::tls_options both = trusting;
    both.certificate_file = authority.client().certificate;
    both.private_key_file = authority.client().key;
    round_trip(server, "mqtts", both);
  }
  for (const std::string scheme : {"ws", "wss"}) {
    SECTION(scheme) {
      std::unique_ptr<mosquitto> server;
      try {
        server = std::make_unique<mosquitto>("protocol websockets\n" +
                                             (scheme == "wss" ? secrets : std::string()));
      } catch (const std::runtime_error&) {
        MILLRACE_SKIP("this mosquitto cannot listen for WebSocket");
      }
      if (!server->survives_a_connection()) {
        MILLRACE_SKIP("this mosquitto crashes when it listens for WebSocket");
      }
      round_trip(*server, scheme, scheme == "wss" ? trusting : net::tls_options{});
    }
  }
}

TEST_CASE("mosquitto: a session taken over by another client is reported as exactly that") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  mosquitto server;
  for (const auto protocol : {mqtt::protocol::v3_1_1, mqtt::protocol::v5}) {
    std::string lines;
    asio_environment env(
        logger([&](const log_record& r) { lines.append(r.message).append("\n"); }));
    mqtt::source_options options{.url = server.url(), .topic = "a"};
    options.connection.protocol = protocol;
    options.connection.client_id = "same";
    options.connection.reconnect = testing::fast_backoff();
    running_source first(env, options, "first");
    running_source second(env, options, "second");
    // Version 5 can say so, but not every mosquitto does; else one can only guess, and say that.
    const auto reported = [&] {
      first.poll();
      second.poll();
      for (const auto* source : {&first, &second}) {
        if (source->context.failure) {
          CHECK(source->context.failure->code == errc::session_taken_over);
          return true;
        }
      }
      return lines.find("probably taken over by another client with the identifier 'same'") !=
             std::string::npos;
    };
    REQUIRE(env.run_until(reported, limit));
  }
}

TEST_CASE("mosquitto: killed and restarted ten times, nothing of QoS 1 and 2 is lost") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  for (const auto protocol : {mqtt::protocol::v5, mqtt::protocol::v3_1_1}) {
    for (std::uint8_t qos = 1; qos <= 2; ++qos) {
      CAPTURE(protocol, int{qos});
      mosquitto server("",
                       "allow_anonymous true\npersistence true\nautosave_interval 1\n"
                       "max_queued_messages 0\n");
      asio_environment env;
      mqtt::source_options in{.url = server.url(),
                              .topic = "k/+",
                              .qos = qos,
                              .acknowledge = mqtt::acknowledge_mode::manual,
                              .receive_maximum = 30};
      in.connection.protocol = protocol;
      in.connection.reconnect = testing::fast_backoff();
      in.connection.session_expiry = 1h;
      running_source source(env, in);
      std::vector<mqtt::message> open;
      source.on_message = [&](const mqtt::message& m) {
        open.push_back(m);
        if (open.size() < 10) return;
        std::reverse(open.begin(), open.end());  // any order
        for (const auto& each : open) each.acknowledge();
        open.clear();
      };
      REQUIRE(env.run_until(
          [&] {
            source.poll();
            return source.up();
          },
          limit));
      mqtt::sink_options out{.url = server.url(), .topic = "k/1", .qos = qos, .in_flight = 20};
      out.connection.protocol = protocol;
      out.connection.reconnect = testing::fast_backoff();
      out.connection.session_expiry = 1h;
      running_sink sink(env, out);
      const auto texts = testing::numbered_messages(2'000);
      std::size_t written = 0;
      const auto step = [&] {
        source.poll();
        for (int i = 0; i < 5 && !sink.context.blocked && written < texts.size(); ++i) {
          sink.write(texts[written++]);
        }
      };
      for (int restart = 1; restart <= 10; ++restart) {
        const std::size_t goal = texts.size() * static_cast<std::size_t>(restart) / 11;
        REQUIRE(env.run_until(
            [&] {
              step();
              return source.payloads.size() >= goal;
            },
            limit));
        server.stop(SIGTERM);
        server.start();
      }
      const auto arrived = [&] {
        step();
        for (const auto& each : open) each.acknowledge();
        open.clear();
        return std::set<std::string>(source.payloads.begin(), source.payloads.end()).size();
      };
      REQUIRE(env.run_until([&] { return arrived() >= texts.size(); }, limit));
      finish(env, sink, step);
      CHECK(source.context.metric("connects") >= 8);
      // Mosquitto 2.0 publishes messages of QoS 2 again after a restart, although it has had PUBREC
      // for them (4.3.3 forbids that): "exactly once" is shown in net/mqtt/session.cpp.
      CHECK(arrived() == texts.size());
    }
  }
}
