// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/mqtt/session.hpp>

#include "catch.hpp"
#include "model_server.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

using namespace millrace::mqtt;
using millrace::testing::model_server;
using namespace std::literals;

namespace {

constexpr auto now = 0ns;

session_options persistent(version v) {
  session_options o;
  o.version = v;
  o.client_id = "me";
  o.session_expiry = 1h;
  o.receive_maximum = 7;
  o.in_flight = 12;
  return o;
}

/// Both ends, and a link that loses what is on its way when it is cut.
struct linked {
  linked(session_options options, version v) : client(std::move(options)), server(v) {}

  session client;
  model_server server;
  std::string to_client;
  std::vector<std::string> delivered;
  std::vector<delivery_id> unacknowledged;
  std::map<delivery_id, std::string> pending;  // what the application has not acknowledged
  bool up = false;

  void connect() {
    to_client.clear();
    server.connection_lost();
    client.connect(now);
    up = true;
  }
  void cut() {
    client.connection_lost();
    server.connection_lost();
    to_client.clear();
    up = false;
  }

  /// Moves up to `most` bytes from the client to the server.
  void send(std::size_t most = std::string::npos) {
    const std::string part = client.output().substr(0, most);
    client.output().erase(0, part.size());
    server.receive(part);
  }
  /// Moves up to `most` bytes to the client, and hands over at most `messages`.
  receive_result deliver(std::size_t most = std::string::npos,
                         std::size_t messages = std::string::npos) {
    to_client += server.out.substr(0, most);
    server.out.erase(0, std::min(most, server.out.size()));
    const std::string exact = to_client;  // a heap block that ends where the bytes end
    const auto result = client.receive(exact, [&](const publish_packet& p, delivery_id id) {
      delivered.emplace_back(p.payload);
      for (const auto& each : pending) REQUIRE(each.second != p.payload);
      if (id != 0) {
        unacknowledged.push_back(id);
        pending[id] = p.payload;
      }
      return --messages > 0;
    });
    to_client.erase(0, result.consumed);
    return result;
  }
  void settle() {
    for (int i = 0; i < 1000 && !(client.output().empty() && server.out.empty()); ++i) {
      send();
      deliver();
    }
  }
};

std::size_t count(const std::vector<std::string>& all, const std::string& one) {
  return static_cast<std::size_t>(std::count(all.begin(), all.end(), one));
}

/// First occurrences, in order.
std::vector<std::string> firsts(const std::vector<std::string>& all) {
  std::vector<std::string> result;
  std::set<std::string> seen;
  for (const auto& one : all) {
    if (seen.insert(one).second) result.push_back(one);
  }
  return result;
}

void check_guarantees(const std::vector<std::string>& sent, const std::vector<std::string>& got) {
  std::vector<std::string> reliable;
  for (const auto& one : sent) {
    const char qos = one[0];
    if (qos == '1') REQUIRE(count(got, one) >= 1);
    if (qos == '2') REQUIRE(count(got, one) == 1);
    if (qos != '0') reliable.push_back(one);
  }
  std::vector<std::string> arrived = firsts(got);
  std::erase_if(arrived, [](const auto& one) { return one[0] == '0'; });
  // Order holds per QoS level: a repeated PUBLISH of QoS 1 may follow a QoS 2 that went through.
  for (const char qos : {'1', '2'}) {
    auto a = reliable;
    auto b = arrived;
    const auto other = [qos](const auto& one) { return one[0] != qos; };
    std::erase_if(a, other);
    std::erase_if(b, other);
    REQUIRE(a == b);
  }
}

/// Random traffic in both directions over a link that is cut again and again.
void run_lossy(std::uint64_t seed, version v, acknowledge_mode mode) {
  std::mt19937_64 random{seed};
  const auto below = [&random](std::size_t n) { return random() % n; };
  session_options options = persistent(v);
  options.acknowledge = mode;
  linked link{options, v};
  link.server.receive_maximum = 1 + below(15);
  link.server.connack.topic_alias_maximum = static_cast<std::uint16_t>(below(3));
  std::vector<std::string> to_server;
  std::vector<std::string> to_client;
  std::map<std::uint64_t, reason_code> outcomes;
  const auto step = [&](bool cuts) {
    switch (below(cuts ? 12 : 8)) {
      case 0:
      case 1:
      case 2: link.send(below(60)); break;
      case 3:
      case 4: link.deliver(below(80), 1 + below(4)); break;
      case 5:
      case 6:
      case 7:
        if (!link.unacknowledged.empty()) {
          const std::size_t at = below(link.unacknowledged.size());
          link.client.acknowledge(link.unacknowledged[at]);
          link.pending.erase(link.unacknowledged[at]);
          link.unacknowledged.erase(link.unacknowledged.begin() + static_cast<long>(at));
        }
        break;
      case 8: {
        const auto qos = static_cast<std::uint8_t>(below(3));
        to_server.push_back(std::to_string(qos) + "-" + std::to_string(to_server.size()));
        const std::string topic = "to/server/" + std::to_string(below(4));
        link.client.publish(
            {.topic = topic, .payload = to_server.back(), .qos = qos, .token = to_server.size()});
        break;
      }
      case 9: {
        const auto qos = static_cast<std::uint8_t>(below(3));
        to_client.push_back(std::to_string(qos) + "-" + std::to_string(to_client.size()));
        link.server.publish(to_client.back(), qos);
        break;
      }
      default:
        if (below(10) == 0) link.cut();
        break;
    }
    if (!link.up) link.connect();
    for (const auto& event : link.client.events()) {
      CAPTURE(event.words);
      REQUIRE(event.kind == event_kind::connected);
    }
    link.client.events().clear();
    for (const auto& outcome : link.client.publish_outcomes()) {
      REQUIRE(outcomes.emplace(outcome.token, outcome.code).second);
    }
    link.client.publish_outcomes().clear();
  };
  for (int i = 0; i < 3'000; ++i) step(true);
  for (int i = 0; i < 100'000 && !(link.client.unfinished() == 0 && link.server.idle()); ++i) {
    step(false);
  }
  REQUIRE(link.client.unfinished() == 0);
  REQUIRE(link.server.idle());
  REQUIRE(link.server.connections > 5);
  REQUIRE(outcomes.size() == to_server.size());
  check_guarantees(to_server, link.server.published);
  check_guarantees(to_client, link.delivered);
}

}  // namespace

TEST_CASE("over a link that is cut again and again QoS 1 loses nothing and QoS 2 is exactly once") {
  const auto seed = std::random_device{}();
  for (std::uint64_t i = 0; i < 60; ++i) {
    const auto v = i % 2 == 0 ? version::v5 : version::v3_1_1;
    const auto mode = i % 4 < 2 ? acknowledge_mode::on_receive : acknowledge_mode::manual;
    CAPTURE(seed, i);
    run_lossy(seed + i, v, mode);
  }
}

TEST_CASE("a connection is negotiated, and what the server allows is kept to") {
  linked link{persistent(version::v5), version::v5};
  link.server.connack.server_keep_alive = 17;
  link.server.connack.assigned_client_identifier = "given";
  link.server.connack.maximum_qos = 1;
  link.server.connack.maximum_packet_size = 100;
  link.server.connack.retain_available = 0;
  link.server.connack.wildcard_subscription_available = 0;
  link.connect();
  link.settle();
  REQUIRE(link.client.connected());
  CHECK_FALSE(link.client.session_present());
  CHECK(link.client.keep_alive() == 17s);
  CHECK(link.client.client_id() == "given");
  CHECK(link.client.limits().receive_maximum == 10);
  CHECK_FALSE(link.client.limits().wildcards_available);
  const std::string big(200, 'x');
  link.client.publish({.topic = "to/server", .payload = big, .qos = 1, .token = 1});
  link.client.publish({.topic = "to/server", .payload = "two", .qos = 2, .token = 2});
  link.client.publish({.topic = "to/server", .payload = "kept", .retain = true, .token = 3});
  link.client.publish({.topic = "", .payload = "nowhere", .token = 4});
  link.client.publish({.topic = "to/server", .payload = "fine", .qos = 1, .token = 5});
  link.settle();
  auto& outcomes = link.client.publish_outcomes();
  REQUIRE(outcomes.size() == 5);
  CHECK(outcomes[0].code == reason_code::packet_too_large);
  CHECK(outcomes[0].payload == big);
  CHECK(outcomes[1].code == reason_code::qos_not_supported);
  CHECK(outcomes[2].code == reason_code::retain_not_supported);
  CHECK(outcomes[3].code == reason_code::topic_name_invalid);
  CHECK(outcomes[4].code == reason_code::success);
  CHECK(link.server.published == std::vector<std::string>{"fine"});
}

TEST_CASE("a refused message is reported with its reason and its payload") {
  linked link{persistent(version::v5), version::v5};
  link.server.refuse_publish = true;
  link.connect();
  link.settle();
  link.client.publish({.topic = "to/server", .payload = "a", .qos = 1, .token = 1});
  link.client.publish({.topic = "to/server", .payload = "b", .qos = 2, .token = 2});
  link.settle();
  REQUIRE(link.client.publish_outcomes().size() == 2);
  for (const auto& outcome : link.client.publish_outcomes()) {
    CHECK(outcome.code == reason_code::quota_exceeded);
    CHECK(outcome.payload == (outcome.token == 1 ? "a" : "b"));
  }
  CHECK(link.client.unfinished() == 0);
}

TEST_CASE("acknowledgements go out in the order of reception, whatever the application does") {
  auto options = persistent(version::v5);
  options.acknowledge = acknowledge_mode::manual;
  linked link{options, version::v5};
  link.connect();
  link.settle();
  for (int i = 0; i < 5; ++i) link.server.publish("1-" + std::to_string(i), 1);
  link.settle();
  REQUIRE(link.unacknowledged.size() == 5);
  CHECK(link.client.unacknowledged() == 5);
  for (const std::size_t at : {4u, 2u, 1u}) link.client.acknowledge(link.unacknowledged[at]);
  CHECK(link.client.output().empty());
  link.client.acknowledge(link.unacknowledged[0]);
  CHECK(link.client.output().size() == 3 * 4);
  link.client.acknowledge(link.unacknowledged[0]);  // twice is once
  CHECK(link.client.output().size() == 3 * 4);
  link.client.acknowledge(link.unacknowledged[3]);
  link.settle();  // the model checks the order
  CHECK(link.server.idle());
}

TEST_CASE(
    "the receive maximum is the back-pressure window of an application that does not answer") {
  auto options = persistent(version::v5);
  options.acknowledge = acknowledge_mode::manual;
  linked link{options, version::v5};
  link.connect();
  for (int i = 0; i < 50; ++i) link.server.publish("1-" + std::to_string(i), 1);
  link.settle();
  CHECK(link.delivered.size() == 7);
  link.client.acknowledge(link.unacknowledged[0]);
  link.settle();
  CHECK(link.delivered.size() == 8);
}

TEST_CASE("a server that exceeds the receive maximum is told so") {
  auto options = persistent(version::v5);
  options.acknowledge = acknowledge_mode::manual;
  options.receive_maximum = 2;
  session client{options};
  client.connect(now);
  client.output().clear();
  std::string bytes;
  encode(connack_packet{}, version::v5, bytes);
  for (std::uint16_t id = 1; id <= 3; ++id) {
    encode(publish_packet{.topic = "t", .payload = "x", .packet_id = id, .qos = 1}, version::v5,
           bytes);
  }
  int messages = 0;
  const auto result = client.receive(bytes, [&](const publish_packet&, delivery_id) {
    ++messages;
    return true;
  });
  CHECK(messages == 2);
  CHECK(result.failed);
  CHECK(client.events().back().code == reason_code::receive_maximum_exceeded);
  std::string expected;
  encode(disconnect_packet{reason_code::receive_maximum_exceeded, {}}, version::v5, expected);
  CHECK(client.output() == expected);
}

TEST_CASE("a session that the server has forgotten starts anew") {
  auto options = persistent(version::v5);
  options.acknowledge = acknowledge_mode::manual;
  linked link{options, version::v5};
  link.server.receive_maximum = 2;
  link.connect();
  link.settle();
  for (std::uint64_t i = 0; i < 5; ++i) {
    link.client.publish(
        {.topic = "to/server", .payload = "m" + std::to_string(i), .qos = 2, .token = i});
  }
  link.send();  // two PUBLISH
  link.server.publish("x", 1);
  link.deliver();  // two PUBREC, and "x"
  REQUIRE(link.unacknowledged.size() == 1);
  link.cut();
  link.server.keep_session = false;
  link.pending.clear();
  link.connect();
  link.settle();
  CHECK_FALSE(link.client.session_present());
  CHECK(link.client.unfinished() == 0);
  CHECK(firsts(link.server.published).size() == 5);
  CHECK(link.server.published.size() ==
        7);                                // two of them twice: the server forgot that it had them
  CHECK(count(link.delivered, "x") == 2);  // a new session: a new message
  link.client.acknowledge(link.unacknowledged[0]);  // of the session that is gone: no effect
  CHECK(link.client.output().empty());
  link.client.acknowledge(link.unacknowledged[1]);
  link.settle();
  CHECK(link.server.idle());
}

TEST_CASE("a message that comes again with its identifier but other content is not dropped") {
  auto options = persistent(version::v5);
  options.acknowledge = acknowledge_mode::manual;
  session client{options};
  std::vector<std::string> got;
  const auto take = [&](const publish_packet& p, delivery_id) {
    got.emplace_back(p.payload);
    return true;
  };
  for (const char* payload : {"old", "other"}) {
    client.connect(now);
    std::string bytes;
    encode(connack_packet{.session_present = payload == "other"s}, version::v5, bytes);
    encode(
        publish_packet{
            .topic = "t", .payload = payload, .packet_id = 5, .qos = 1, .duplicate = true},
        version::v5, bytes);
    client.receive(bytes, take);
    client.connection_lost();
  }
  CHECK(got == std::vector<std::string>{"old", "other"});
}

TEST_CASE("topic aliases of the server are resolved, and wrong ones refused") {
  auto options = persistent(version::v5);
  options.topic_alias_maximum = 2;
  session client{options};
  client.connect(now);
  std::string bytes;
  encode(connack_packet{}, version::v5, bytes);
  const auto add = [&bytes](std::string_view topic, std::uint16_t alias) {
    encode(publish_packet{.topic = topic, .payload = "x", .topic_alias = alias}, version::v5,
           bytes);
  };
  add("first", 1);
  add("second", 2);
  add("", 1);
  add("third", 1);
  add("", 1);
  add("", 3);
  std::vector<std::string> topics;
  const auto result = client.receive(bytes, [&](const publish_packet& p, delivery_id) {
    topics.emplace_back(p.topic);
    return true;
  });
  CHECK(topics == std::vector<std::string>{"first", "second", "first", "third", "third"});
  CHECK(result.failed);
  CHECK(client.events().back().code == reason_code::topic_alias_invalid);
}

TEST_CASE("subscriptions are reported in words") {
  for (const version v : {version::v3_1_1, version::v5}) {
    linked link{persistent(v), v};
    link.connect();
    link.settle();
    link.client.events().clear();
    link.client.subscribe({{.filter = "a/#", .qos = 1}}, now);
    link.settle();
    REQUIRE(link.client.events().size() == 1);
    CHECK(link.client.events()[0].kind == event_kind::subscribed);
    CHECK(link.client.events()[0].words.empty());
    link.client.events().clear();
    link.client.subscribe({{.filter = "a/#", .qos = 1}, {.filter = "forbidden/+", .qos = 2}}, now);
    link.settle();
    REQUIRE(link.client.events().size() == 1);
    CHECK(is_failure(link.client.events()[0].code));
    CHECK(link.client.events()[0].words == (v == version::v5 ? "'forbidden/+': not authorized"
                                                             : "'forbidden/+': unspecified error"));
  }
}

TEST_CASE("keep-alive: silence is filled with PINGREQ, and an unanswered one ends the connection") {
  auto options = persistent(version::v5);
  options.keep_alive = 30s;
  options.response_timeout = 5s;
  linked link{options, version::v5};
  link.connect();
  link.settle();
  link.client.events().clear();
  REQUIRE(link.client.next_deadline() == 30s);
  link.client.note_sent(10s);
  link.client.note_received(10s);
  REQUIRE(link.client.next_deadline() == 40s);
  link.client.on_time(39s);
  CHECK(link.client.output().empty());
  link.client.on_time(40s);
  CHECK(link.client.output() == "\xc0\x00"s);
  CHECK(link.client.next_deadline() == 45s);
  link.settle();
  link.client.note_received(41s);
  CHECK(link.client.next_deadline() == 70s);
  link.client.on_time(71s);
  link.client.output().clear();  // lost on the way
  link.client.on_time(75s);
  CHECK(link.client.events().empty());
  link.client.on_time(76s);
  REQUIRE(link.client.events().size() == 1);
  CHECK(link.client.events()[0].kind == event_kind::unresponsive);
  CHECK(link.client.events()[0].words == "no answer to PINGREQ");
  CHECK_FALSE(link.client.next_deadline());
}

TEST_CASE("no answer to CONNECT ends the connection") {
  session client{persistent(version::v5)};
  client.connect(100s);
  CHECK(client.next_deadline() == 120s);
  client.on_time(120s);
  REQUIRE(client.events().size() == 1);
  CHECK(client.events()[0].words == "no answer to CONNECT");
}

TEST_CASE("a refusal and a take-over are told in the server's and our words") {
  const auto event_after = [](const std::string& bytes) {
    session client{persistent(version::v5)};
    client.connect(now);
    const auto result =
        client.receive(bytes, [](const publish_packet&, delivery_id) { return true; });
    CHECK(result.failed);
    CHECK_FALSE(client.connected());
    return client.events().back();
  };
  std::string reason;
  append_properties({.reason_string = "come back tomorrow"}, reason);
  std::string bytes;
  encode(connack_packet{false, reason_code::server_busy, property_view{reason}}, version::v5,
         bytes);
  const auto refused = event_after(bytes);
  CHECK(refused.kind == event_kind::refused);
  CHECK(refused.words == "server busy (come back tomorrow)");
  bytes.clear();
  encode(connack_packet{}, version::v5, bytes);
  encode(disconnect_packet{reason_code::session_taken_over, {}}, version::v5, bytes);
  const auto taken = event_after(bytes);
  CHECK(taken.kind == event_kind::server_disconnect);
  CHECK(taken.code == reason_code::session_taken_over);
}

TEST_CASE("packets that a server must not send are answered with 'protocol error'") {
  const std::string connected = [] {
    std::string bytes;
    encode(connack_packet{}, version::v5, bytes);
    return bytes;
  }();
  std::vector<packet> wrong{connack_packet{},
                            connect_packet{},
                            pingreq_packet{},
                            auth_packet{},
                            subscribe_packet{1, {{.filter = "a"}}, {}},
                            suback_packet{1, {{}}, {}}};
  for (const auto& p : wrong) {
    session client{persistent(version::v5)};
    client.connect(now);
    client.output().clear();
    std::string bytes = connected;
    encode(p, version::v5, bytes);
    const auto result =
        client.receive(bytes, [](const publish_packet&, delivery_id) { return true; });
    CHECK(result.failed);
    CHECK(client.events().back().code == reason_code::protocol_error);
    CHECK(client.output() == "\xe0\x01\x82"s);
  }
}

TEST_CASE("a publish before CONNACK is a protocol error, and hostile bytes never crash a session") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random{seed};
  std::string good;
  encode(connack_packet{}, version::v5, good);
  for (std::uint16_t id = 1; id < 10; ++id) {
    encode(publish_packet{.topic = "t",
                          .payload = "x",
                          .packet_id = id,
                          .qos = static_cast<std::uint8_t>(1 + id % 2)},
           version::v5, good);
    encode(acknowledge_packet{static_cast<packet_type>(4 + id % 4), id, {}, {}}, version::v5, good);
  }
  for (int i = 0; i < 20'000; ++i) {
    auto options = persistent(version::v5);
    options.acknowledge = i % 2 == 0 ? acknowledge_mode::manual : acknowledge_mode::on_receive;
    session client{options};
    for (std::uint64_t n = 0; n < 4; ++n) {
      client.publish({.topic = "t", .payload = "x", .qos = static_cast<std::uint8_t>(n % 3)});
    }
    client.connect(now);
    std::string bytes = good;
    for (std::uint64_t n = random() % 4; n > 0; --n) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    client.receive(bytes, [&](const publish_packet&, delivery_id id) {
      if (random() % 2 == 0) client.acknowledge(id);
      return true;
    });
  }
}
