// SPDX-License-Identifier: Apache-2.0
#include <millrace/testing/mqtt_broker.hpp>

#include "catch.hpp"
#include "support/asio_environment.hpp"
#include "support/certificates.hpp"
#include "support/mqtt_probe.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using mqtt::packet_type;
using mqtt::property_id;
using mqtt::reason_code;
using mqtt::version;
using testing::mqtt_broker;
using testing::mqtt_broker_options;
using testing::mqtt_overflow;
using testing::mqtt_probe;

namespace {

/// Polls until `done()` holds, for at most ten seconds.
template <class Predicate>
bool eventually(Predicate&& done) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

mqtt_probe client(const mqtt_broker& broker, std::string_view id, version v = version::v5,
                  const mqtt::properties& properties = {}, bool clean = true) {
  mqtt_probe probe(broker.port(), v);
  const auto answer = probe.connect({.clean_start = clean, .client_id = id}, properties);
  REQUIRE(answer.code == reason_code::success);
  return probe;
}

const mqtt::properties one_minute{.session_expiry_interval = 60};

}  // namespace

TEST_CASE("a message reaches the subscribers whose filters match, in both versions") {
  mqtt_broker broker;
  for (const auto v : {version::v3_1_1, version::v5}) {
    auto plus = client(broker, "plus", v);
    auto hash = client(broker, "hash", v);
    auto other = client(broker, "other", v);
    CHECK(plus.subscribe({.filter = "bikes/+/status", .qos = 2}).codes[0] ==
          reason_code::granted_qos_2);
    hash.subscribe({.filter = "bikes/#"});
    other.subscribe({.filter = "cars/#"});
    auto sender = client(broker, "sender", v);
    sender.publish({.topic = "bikes/7/status", .payload = "hello"});
    for (auto* receiver : {&plus, &hash}) {
      const auto got = receiver->expect<mqtt::publish_packet>();
      CHECK(got.topic == "bikes/7/status");
      CHECK(got.payload == "hello");
      CHECK(got.qos == 0);
      CHECK_FALSE(got.retain);
    }
    CHECK(other.is_quiet());
  }
}

TEST_CASE("each quality of service is spoken to its end, both ways") {
  mqtt_broker broker;
  auto receiver = client(broker, "receiver");
  receiver.subscribe({.filter = "a", .qos = 2});
  auto sender = client(broker, "sender");

  sender.publish({.topic = "a", .payload = "1", .packet_id = 5, .qos = 1});
  auto answer = sender.expect<mqtt::acknowledge_packet>();
  CHECK(answer.type == packet_type::puback);
  CHECK(answer.packet_id == 5);
  auto got = receiver.expect<mqtt::publish_packet>();
  CHECK(got.qos == 1);
  receiver.acknowledge(packet_type::puback, got.packet_id);

  sender.publish({.topic = "a", .payload = "2", .packet_id = 6, .qos = 2});
  CHECK(sender.expect<mqtt::acknowledge_packet>().type == packet_type::pubrec);
  // A repetition before PUBREL is recognized.
  sender.publish({.topic = "a", .payload = "2", .packet_id = 6, .qos = 2, .duplicate = true});
  CHECK(sender.expect<mqtt::acknowledge_packet>().type == packet_type::pubrec);
  sender.acknowledge(packet_type::pubrel, 6);
  CHECK(sender.expect<mqtt::acknowledge_packet>().type == packet_type::pubcomp);
  sender.acknowledge(packet_type::pubrel, 6);
  CHECK(sender.expect<mqtt::acknowledge_packet>().code == reason_code::packet_identifier_not_found);

  got = receiver.expect<mqtt::publish_packet>();
  CHECK(got.qos == 2);
  const auto id = got.packet_id;
  receiver.acknowledge(packet_type::pubrec, id);
  answer = receiver.expect<mqtt::acknowledge_packet>();
  CHECK(answer.type == packet_type::pubrel);
  CHECK(answer.packet_id == id);
  receiver.acknowledge(packet_type::pubcomp, id);
  CHECK(receiver.is_quiet());
  CHECK(broker.statistics().messages_in == 2);
  CHECK(broker.statistics().messages_out == 2);

  sender.publish({.topic = "nobody", .packet_id = 7, .qos = 1});
  CHECK(sender.expect<mqtt::acknowledge_packet>().code == reason_code::no_matching_subscribers);
}

TEST_CASE(
    "overlapping subscriptions bring one copy, with the highest quality and all identifiers") {
  mqtt_broker broker;
  auto receiver = client(broker, "receiver");
  mqtt::properties first;
  first.subscription_identifiers = {7};
  mqtt::properties second;
  second.subscription_identifiers = {300};
  receiver.subscribe({.filter = "a/#", .qos = 0}, first);
  receiver.subscribe({.filter = "a/+", .qos = 1}, second);
  broker.publish({.topic = "a/b", .payload = "x", .qos = 2});
  const auto got = receiver.expect<mqtt::publish_packet>();
  CHECK(got.qos == 1);
  auto ids = mqtt::to_properties(got.properties).subscription_identifiers;
  std::sort(ids.begin(), ids.end());
  CHECK(ids == std::vector<std::uint32_t>{7, 300});
  CHECK(receiver.is_quiet());
}

TEST_CASE("a persistent session keeps subscriptions and messages, and repeats what was in flight") {
  mqtt_broker broker;
  for (const auto v : {version::v3_1_1, version::v5}) {
    auto receiver = client(broker, "keeper", v, one_minute, false);
    receiver.subscribe({.filter = "a", .qos = 2});
    broker.publish({.topic = "a", .payload = "one", .qos = 1});
    broker.publish({.topic = "a", .payload = "two", .qos = 2});
    const auto first_id = receiver.expect<mqtt::publish_packet>().packet_id;
    const auto second_id = receiver.expect<mqtt::publish_packet>().packet_id;
    receiver.acknowledge(packet_type::pubrec, second_id);
    receiver.expect<mqtt::acknowledge_packet>();
    receiver.drop();
    REQUIRE(eventually([&] { return !broker.is_connected("keeper"); }));
    broker.publish({.topic = "a", .payload = "three", .qos = 1});
    broker.publish({.topic = "a", .payload = "lost, being QoS 0", .qos = 0});

    mqtt_probe again(broker.port(), v);
    const auto answer = again.connect({.clean_start = false, .client_id = "keeper"}, one_minute);
    CHECK(answer.session_present);
    const auto released = again.expect<mqtt::acknowledge_packet>();
    CHECK(released.type == packet_type::pubrel);
    CHECK(released.packet_id == second_id);
    const auto repeated = again.expect<mqtt::publish_packet>();
    CHECK(repeated.payload == "one");
    CHECK(repeated.duplicate);
    CHECK(repeated.packet_id == first_id);
    const auto queued = again.expect<mqtt::publish_packet>();
    CHECK(queued.payload == "three");
    CHECK_FALSE(queued.duplicate);
    CHECK(again.is_quiet());
    again.send(mqtt::disconnect_packet{});
    CHECK(again.ends());

    mqtt_probe clean(broker.port(), v);
    CHECK_FALSE(clean.connect({.clean_start = true, .client_id = "keeper"}).session_present);
    CHECK(broker.statistics().subscriptions == 0);
  }
}

TEST_CASE("a session ends with its connection, at its expiry, or when the client says so") {
  mqtt_broker broker;
  client(broker, "short").subscribe({.filter = "a"});
  REQUIRE(eventually([&] { return broker.statistics().sessions == 0; }));

  auto second = client(broker, "second", version::v5, {.session_expiry_interval = 1});
  second.drop();
  REQUIRE(eventually([&] { return broker.statistics().connections == 0; }));
  CHECK(broker.statistics().sessions == 1);
  REQUIRE(eventually([&] { return broker.statistics().sessions == 0; }));

  auto third = client(broker, "third", version::v5, one_minute);
  std::string encoded;
  mqtt::append_properties({.session_expiry_interval = 0}, encoded);
  third.send(mqtt::disconnect_packet{.properties = mqtt::property_view(encoded)});
  CHECK(third.ends());
  REQUIRE(eventually([&] { return broker.statistics().sessions == 0; }));
}

TEST_CASE("retained messages go to new subscribers as they ask for them") {
  mqtt_broker broker;
  broker.publish({.topic = "t/1", .payload = "one", .qos = 1, .retain = true});
  broker.publish({.topic = "t/2", .payload = "two", .retain = true});
  broker.publish({.topic = "t/3", .payload = "gone", .retain = true});
  broker.publish({.topic = "t/3", .payload = "", .retain = true});
  CHECK(broker.statistics().retained == 2);
  auto receiver = client(broker, "receiver");
  receiver.subscribe({.filter = "t/+", .qos = 2});
  std::set<std::string> got;
  for (int i = 0; i < 2; ++i) {
    const auto p = receiver.expect<mqtt::publish_packet>();
    CHECK(p.retain);
    got.insert(std::string(p.payload) + "@" + std::to_string(p.qos));
  }
  CHECK(got == std::set<std::string>{"one@1", "two@0"});
  CHECK(receiver.is_quiet());

  using mqtt::retain_handling;
  receiver.subscribe({.filter = "t/1", .retained = retain_handling::do_not_send});
  CHECK(receiver.is_quiet());
  receiver.subscribe({.filter = "t/1", .retained = retain_handling::send_if_new});
  CHECK(receiver.is_quiet());
  receiver.subscribe({.filter = "t/1", .retained = retain_handling::send});
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "one");

  receiver.subscribe({.filter = "live", .retain_as_published = true});
  broker.publish({.topic = "live", .payload = "x", .retain = true});
  CHECK(receiver.expect<mqtt::publish_packet>().retain);
}

TEST_CASE("a shared subscription gives each message to one member, in turn") {
  mqtt_broker broker;
  auto a = client(broker, "a");
  auto b = client(broker, "b");
  auto all = client(broker, "all");
  a.subscribe({.filter = "$share/group/t/#"});
  b.subscribe({.filter = "$share/group/t/#"});
  all.subscribe({.filter = "t/#"});
  for (int i = 0; i < 10; ++i) broker.publish({.topic = "t/x", .payload = std::to_string(i)});
  std::set<std::string> of_a;
  std::set<std::string> of_b;
  for (int i = 0; i < 5; ++i) {
    of_a.insert(std::string(a.expect<mqtt::publish_packet>().payload));
    of_b.insert(std::string(b.expect<mqtt::publish_packet>().payload));
  }
  CHECK(of_a == std::set<std::string>{"0", "2", "4", "6", "8"});
  CHECK(of_b == std::set<std::string>{"1", "3", "5", "7", "9"});
  for (int i = 0; i < 10; ++i) all.expect<mqtt::publish_packet>();
  CHECK(a.is_quiet());
  a.drop();
  REQUIRE(eventually([&] { return !broker.is_connected("a"); }));
  for (int i = 0; i < 4; ++i) broker.publish({.topic = "t/x"});
  for (int i = 0; i < 4; ++i) b.expect<mqtt::publish_packet>();
}

TEST_CASE("no local keeps a client's own messages from it") {
  mqtt_broker broker;
  auto both = client(broker, "both");
  both.subscribe({.filter = "a", .no_local = true});
  both.publish({.topic = "a", .payload = "own"});
  broker.publish({.topic = "a", .payload = "other"});
  CHECK(both.expect<mqtt::publish_packet>().payload == "other");
}

TEST_CASE("a will is published when the client vanishes, not when it says goodbye") {
  mqtt_broker broker;
  auto receiver = client(broker, "receiver");
  receiver.subscribe({.filter = "will/#", .qos = 1});
  const auto connect = [&](std::string_view id) {
    mqtt_probe probe(broker.port());
    probe.connect({.client_id = id,
                   .will = mqtt::will_message{.topic = "will/of", .payload = id, .retain = true}});
    return probe;
  };
  auto polite = connect("polite");
  polite.send(mqtt::disconnect_packet{});
  CHECK(polite.ends());
  auto explicit_will = connect("explicit");
  explicit_will.send(mqtt::disconnect_packet{.code = reason_code::disconnect_with_will});
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "explicit");
  connect("vanished").drop();
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "vanished");
  auto cut = connect("cut");
  broker.cut_connection("cut");
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "cut");
  CHECK(cut.ends());
  CHECK(broker.statistics().retained == 1);
}

TEST_CASE("a will with delay is not published if the client comes back in time") {
  mqtt_broker broker;
  auto receiver = client(broker, "receiver");
  receiver.subscribe({.filter = "will"});
  std::string delay;
  mqtt::append_properties({.will_delay_interval = 1}, delay);
  const auto connect = [&](std::string_view payload) {
    mqtt_probe probe(broker.port());
    probe.connect({.clean_start = false,
                   .client_id = "restless",
                   .will = mqtt::will_message{.topic = "will",
                                              .payload = payload,
                                              .properties = mqtt::property_view(delay)}},
                  one_minute);
    return probe;
  };
  connect("first").drop();
  REQUIRE(eventually([&] { return !broker.is_connected("restless"); }));
  connect("second").drop();
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "second");
  CHECK(receiver.is_quiet());
}

TEST_CASE("the receive maximum of a client bounds what is in flight to it") {
  mqtt_broker broker;
  auto receiver =
      client(broker, "slow", version::v5, {.session_expiry_interval = 60, .receive_maximum = 2});
  receiver.subscribe({.filter = "a", .qos = 1});
  for (int i = 0; i < 5; ++i) {
    broker.publish({.topic = "a", .payload = std::to_string(i), .qos = 1});
  }
  auto first = receiver.expect<mqtt::publish_packet>().packet_id;
  auto second = receiver.expect<mqtt::publish_packet>().packet_id;
  CHECK(receiver.is_quiet());
  receiver.acknowledge(packet_type::puback, second);
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "2");
  CHECK(receiver.is_quiet());
  receiver.acknowledge(packet_type::puback, first);
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "3");
}

TEST_CASE("more unfinished QoS 2 messages than the broker's receive maximum end the connection") {
  mqtt_broker_options options;
  options.receive_maximum = 2;
  mqtt_broker broker(options);
  auto sender = client(broker, "sender");
  for (std::uint16_t id = 1; id <= 3; ++id) {
    sender.publish({.topic = "a", .packet_id = id, .qos = 2});
  }
  sender.expect<mqtt::acknowledge_packet>();
  sender.expect<mqtt::acknowledge_packet>();
  CHECK(sender.expect<mqtt::disconnect_packet>().code == reason_code::receive_maximum_exceeded);
  CHECK(sender.ends());
}

TEST_CASE("topic aliases are understood, and used towards clients that want them") {
  mqtt_broker broker;
  auto receiver = client(broker, "receiver", version::v5, {.topic_alias_maximum = 1});
  receiver.subscribe({.filter = "#"});
  auto sender = client(broker, "sender");
  sender.publish({.topic = "long/topic", .payload = "1", .topic_alias = 3});
  sender.publish({.topic = "", .payload = "2", .topic_alias = 3});
  sender.publish({.topic = "other", .payload = "3"});
  auto got = receiver.expect<mqtt::publish_packet>();
  CHECK(got.topic == "long/topic");
  CHECK(got.topic_alias == 1);
  got = receiver.expect<mqtt::publish_packet>();
  CHECK(got.topic.empty());
  CHECK(got.topic_alias == 1);
  CHECK(got.payload == "2");
  got = receiver.expect<mqtt::publish_packet>();
  CHECK(got.topic == "other");
  CHECK(got.topic_alias == 0);
  sender.publish({.topic = "", .topic_alias = 4});
  CHECK(sender.expect<mqtt::disconnect_packet>().code == reason_code::protocol_error);
  auto greedy = client(broker, "greedy");
  greedy.publish({.topic = "a", .topic_alias = 101});
  CHECK(greedy.expect<mqtt::disconnect_packet>().code == reason_code::topic_alias_invalid);
}

TEST_CASE("properties are handed on, the expiry with what is left of it") {
  mqtt_broker broker;
  auto receiver = client(broker, "receiver");
  receiver.subscribe({.filter = "#"});
  auto sender = client(broker, "sender");
  mqtt::properties sent{.payload_format_indicator = 1,
                        .message_expiry_interval = 100,
                        .content_type = "text/plain",
                        .response_topic = "answer",
                        .correlation_data = "id"};
  sent.user = {{"a", "1"}, {"a", "2"}};
  sender.publish({.topic = "t", .payload = "p"}, sent);
  auto got = mqtt::to_properties(receiver.expect<mqtt::publish_packet>().properties);
  CHECK(got.message_expiry_interval.value_or(0) >= 98);
  CHECK(got.message_expiry_interval.value_or(0) <= 100);
  got.message_expiry_interval = 100;
  CHECK(got == sent);
}

TEST_CASE("a queued message that expires is not delivered, and counted") {
  mqtt_broker broker;
  auto receiver = client(broker, "receiver", version::v5, one_minute, false);
  receiver.subscribe({.filter = "a", .qos = 1});
  receiver.drop();
  REQUIRE(eventually([&] { return !broker.is_connected("receiver"); }));
  broker.publish(
      {.topic = "a", .payload = "old", .qos = 1, .properties = {.message_expiry_interval = 0}});
  broker.publish({.topic = "a", .payload = "new", .qos = 1});
  auto again = client(broker, "receiver", version::v5, one_minute, false);
  CHECK(again.expect<mqtt::publish_packet>().payload == "new");
  CHECK(broker.statistics().expired == 1);
}

TEST_CASE("a client that connects with a used id takes the session over") {
  mqtt_broker broker;
  auto first = client(broker, "same", version::v5, one_minute, false);
  first.subscribe({.filter = "a"});
  mqtt_probe second(broker.port());
  CHECK(second.connect({.clean_start = false, .client_id = "same"}, one_minute).session_present);
  CHECK(first.expect<mqtt::disconnect_packet>().code == reason_code::session_taken_over);
  CHECK(first.ends());
  broker.publish({.topic = "a", .payload = "x"});
  CHECK(second.expect<mqtt::publish_packet>().payload == "x");
}

TEST_CASE("the application decides who may connect") {
  mqtt_broker_options options;
  options.authenticate = [](const testing::mqtt_credentials& c) {
    return c.user_name == "ann" && c.password == "secret" ? reason_code::success
                                                          : reason_code::bad_user_name_or_password;
  };
  mqtt_broker broker(options);
  for (const auto v : {version::v3_1_1, version::v5}) {
    mqtt_probe good(broker.port(), v);
    CHECK(good.connect({.client_id = "a", .user_name = "ann", .password = "secret"}).code ==
          reason_code::success);
    mqtt_probe bad(broker.port(), v);
    CHECK(bad.connect({.client_id = "b", .user_name = "ann", .password = "guess"}).code ==
          reason_code::bad_user_name_or_password);
    CHECK(bad.ends());
  }
}

TEST_CASE("an empty client id gets one from the broker, or a refusal if the session is to stay") {
  mqtt_broker broker;
  mqtt_probe five(broker.port());
  const auto answer = five.connect({.client_id = ""});
  CHECK(answer.properties.text(property_id::assigned_client_identifier) == "anonymous-1");
  mqtt_probe three(broker.port(), version::v3_1_1);
  CHECK(three.connect({.clean_start = false, .client_id = ""}).code ==
        reason_code::client_identifier_not_valid);
}

TEST_CASE("a filter that is not valid is refused alone") {
  mqtt_broker broker;
  auto probe = client(broker, "probe");
  probe.send(mqtt::subscribe_packet{9, {{.filter = "a/#/b"}, {.filter = "good"}}, {}});
  const auto answer = probe.expect<mqtt::suback_packet>();
  CHECK(answer.packet_id == 9);
  CHECK(answer.codes == std::vector{reason_code::topic_filter_invalid, reason_code::success});
  probe.send(mqtt::unsubscribe_packet{10, {"good", "never"}, {}});
  CHECK(probe.expect<mqtt::unsuback_packet>().codes ==
        std::vector{reason_code::success, reason_code::no_subscription_existed});
}

TEST_CASE("bytes that break the protocol end their connection, and no other") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  mqtt_broker broker;
  auto bystander = client(broker, "bystander");
  mqtt_probe early(broker.port());
  early.publish({.topic = "a"});
  CHECK(early.ends());
  auto twice = client(broker, "twice");
  twice.send(mqtt::connect_packet{.client_id = "twice"});
  CHECK(twice.expect<mqtt::disconnect_packet>().code == reason_code::protocol_error);
  mqtt_probe large(broker.port());
  large.send_bytes("\x10\xff\xff\xff\x7f");
  CHECK(large.ends());
  for (int round = 0; round < 200; ++round) {
    mqtt_probe probe(broker.port());
    if (round % 2 == 0) probe.connect({.client_id = "garbage"});
    std::string bytes(1 + random() % 60, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    probe.send_bytes(bytes);
  }
  CHECK(bystander.is_quiet());
}

TEST_CASE("a silent client is cut after one and a half of its keep-alive intervals") {
  mqtt_broker broker;
  mqtt_probe probe(broker.port());
  probe.connect({.keep_alive = 1, .client_id = "silent"});
  CHECK(probe.expect<mqtt::disconnect_packet>().code == reason_code::keep_alive_timeout);
  CHECK(probe.ends());
}

TEST_CASE("a full queue drops the newest or the oldest message, and counts it") {
  for (const auto policy : {mqtt_overflow::drop_newest, mqtt_overflow::drop_oldest}) {
    mqtt_broker_options options;
    options.max_queued_messages = 3;
    options.overflow = policy;
    mqtt_broker broker(options);
    client(broker, "away", version::v5, one_minute, false).subscribe({.filter = "a", .qos = 1});
    REQUIRE(eventually([&] { return !broker.is_connected("away"); }));
    for (int i = 0; i < 5; ++i) {
      broker.publish({.topic = "a", .payload = std::to_string(i), .qos = 1});
    }
    CHECK(broker.statistics().dropped == 2);
    auto again = client(broker, "away", version::v5, one_minute, false);
    std::string got;
    for (int i = 0; i < 3; ++i) got += again.expect<mqtt::publish_packet>().payload;
    CHECK(got == (policy == mqtt_overflow::drop_newest ? "012" : "234"));
  }
}

TEST_CASE("a subscriber that does not read costs bounded memory, and its drops are counted") {
  mqtt_broker_options options;
  options.max_output_bytes = 100'000;
  mqtt_broker broker(options);
  auto stuck = client(broker, "stuck");
  stuck.subscribe({.filter = "a"});
  const std::vector<testing::mqtt_message> many(
      2000, {.topic = "a", .payload = std::string(10'000, 'x')});
  broker.publish(many);
  const auto counts = broker.statistics();
  CHECK(counts.messages_out + counts.dropped == 2000);
  CHECK(counts.dropped > 0);
}

TEST_CASE("with the blocking policy a slow subscriber slows the publisher, and nothing is lost") {
  mqtt_broker_options options;
  options.max_output_bytes = 200'000;
  options.overflow = mqtt_overflow::block;
  mqtt_broker broker(options);
  auto slow = client(broker, "slow");
  slow.subscribe({.filter = "a"});
  constexpr int count = 20'000;
  std::thread sender([&] {
    mqtt_probe probe(broker.port());
    probe.connect({.client_id = "sender"});
    const std::string payload(1000, 'x');
    for (int i = 0; i < count; ++i) probe.publish({.topic = "a", .payload = payload});
  });
  REQUIRE(eventually([&] { return broker.statistics().messages_in > 300; }));
  for (int i = 0; i < count; ++i) slow.expect<mqtt::publish_packet>();
  sender.join();
  CHECK(broker.statistics().dropped == 0);
}

TEST_CASE("faults: acknowledgements are swallowed as often as asked") {
  mqtt_broker broker;
  broker.drop_acknowledgements(packet_type::puback, 1);
  broker.drop_acknowledgements(packet_type::pubcomp, 1);
  auto sender = client(broker, "sender");
  sender.publish({.topic = "a", .packet_id = 1, .qos = 1});
  CHECK(sender.is_quiet());
  sender.publish({.topic = "a", .packet_id = 2, .qos = 1});
  CHECK(sender.expect<mqtt::acknowledge_packet>().packet_id == 2);
  sender.publish({.topic = "a", .packet_id = 3, .qos = 2});
  CHECK(sender.expect<mqtt::acknowledge_packet>().type == packet_type::pubrec);
  sender.acknowledge(packet_type::pubrel, 3);
  CHECK(sender.is_quiet());
  CHECK(broker.statistics().acknowledgements_dropped == 2);
}

TEST_CASE("faults: a connection is cut after a number of packets, before the answer to the last") {
  mqtt_broker broker;
  auto receiver = client(broker, "receiver");
  receiver.subscribe({.filter = "a"});
  auto sender = client(broker, "sender");
  broker.cut_after(2);
  sender.publish({.topic = "a", .payload = "1", .packet_id = 1, .qos = 1});
  sender.expect<mqtt::acknowledge_packet>();
  sender.publish({.topic = "a", .payload = "2", .packet_id = 2, .qos = 1});
  CHECK(sender.ends());
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "1");
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "2");
  CHECK(receiver.is_quiet());
}

TEST_CASE("faults: everything is delayed, in order") {
  mqtt_broker broker;
  auto receiver = client(broker, "receiver");
  receiver.subscribe({.filter = "a"});
  broker.delay(50ms);
  const auto start = std::chrono::steady_clock::now();
  broker.publish({.topic = "a", .payload = "1"});
  broker.delay(0ms);
  broker.publish({.topic = "a", .payload = "2"});
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "1");
  CHECK(std::chrono::steady_clock::now() - start >= 50ms);
  CHECK(receiver.expect<mqtt::publish_packet>().payload == "2");
}

TEST_CASE("faults: connections are refused for as long as asked") {
  mqtt_broker broker;
  broker.refuse_connections(reason_code::server_unavailable);
  {
    mqtt_probe probe(broker.port(), version::v3_1_1);
    CHECK(probe.connect({.client_id = "a"}).code == reason_code::server_unavailable);
    CHECK(probe.ends());
  }
  broker.refuse_connections(reason_code::success);
  client(broker, "a");
}

TEST_CASE("a broker that was stopped comes back on its port with its sessions") {
  mqtt_broker broker;
  const auto port = broker.port();
  auto receiver = client(broker, "keeper", version::v5, one_minute, false);
  receiver.subscribe({.filter = "a", .qos = 1});
  broker.stop();
  CHECK_FALSE(broker.is_running());
  CHECK(receiver.ends());
  CHECK_THROWS(mqtt_probe(port));
  broker.publish({.topic = "a", .payload = "meanwhile", .qos = 1});
  broker.start();
  broker.start();
  CHECK(broker.port() == port);
  auto again = client(broker, "keeper", version::v5, one_minute, false);
  CHECK(again.expect<mqtt::publish_packet>().payload == "meanwhile");
}

TEST_CASE("a broker listens for TCP, TLS and WebSocket at once, and names their URLs") {
  testing::certificate_authority ca;
  const net::tls_options tls{.certificate_file = ca.server().certificate,
                             .private_key_file = ca.server().key};
  using net::transport_framing;
  mqtt_broker_options options;
  options.listeners = {
      {},
      {.tls = tls},
      {.framing = transport_framing::websocket, .websocket_protocol = "mqtt"},
      {.tls = tls, .framing = transport_framing::websocket, .websocket_protocol = "mqtt"}};
  mqtt_broker broker(options);
  const char* schemes[] = {"mqtt://", "mqtts://", "ws://", "wss://"};
  for (std::size_t i = 0; i < 4; ++i) {
    INFO(broker.url(i));
    CHECK(broker.url(i).find(schemes[i]) == 0);
    testing::asio_environment env;
    net::transport_options connecting{.tls = {.ca_file = ca.ca_file()}};
    if (i >= 2) connecting.websocket_protocol = "mqtt";
    std::unique_ptr<net::transport> stream;
    net::open_transport(
        env, net::parse_url(broker.url(i)).value(), connecting,
        [&](result<std::unique_ptr<net::transport>> r) { stream = std::move(r).value(); });
    REQUIRE(env.run_until([&] { return stream != nullptr; }));
    std::string hello;
    mqtt::encode(mqtt::connect_packet{.client_id = "c" + std::to_string(i)}, hello);
    const std::string_view buffers[] = {hello};
    bool done = false;
    stream->write(buffers, [](const result<std::size_t>&) {});
    std::array<char, 100> answer{};
    stream->read_some(answer, [&](const result<std::size_t>& r) { done = r.has_value(); });
    REQUIRE(env.run_until([&] { return done; }));
    CHECK(answer[0] == 0x20);
  }
  CHECK_THROWS_AS(mqtt_broker(mqtt_broker_options{.listeners = {{.port = broker.port()}}}),
                  std::system_error);
}

TEST_CASE("a broker runs on a given environment") {
  testing::asio_environment env;
  mqtt_broker broker(env, {});
  std::thread peer([port = broker.port(), &env] {
    {
      mqtt_probe probe(port);
      probe.connect({.client_id = "peer"});
      probe.subscribe({.filter = "a"});
      probe.publish({.topic = "a", .payload = "x"});
      if (probe.expect<mqtt::publish_packet>().payload != "x") throw std::runtime_error("x");
    }
    env.post([&env] { env.stop(); });
  });
  env.run_until([&] { return broker.statistics().messages_out == 1; });
  env.run_for(5ms);
  peer.join();
  CHECK(broker.statistics().messages_out == 1);
}

TEST_CASE("a broker goes away while clients are connected and messages are under way") {
  for (int round = 0; round < 5; ++round) {
    std::vector<mqtt_probe> probes;
    mqtt_broker broker;  // goes first
    for (int i = 0; i < 3; ++i) {
      probes.push_back(client(broker, "p" + std::to_string(i), version::v5, one_minute));
      probes.back().subscribe({.filter = "#", .qos = 1});
    }
    const std::vector<testing::mqtt_message> many(
        1000, {.topic = "a", .payload = std::string(1000, 'x'), .qos = 1});
    broker.publish(many);
    broker.delay(10ms);
    broker.publish(many);
  }
}

TEST_CASE("a topic with wildcards cannot be published to") {
  mqtt_broker broker;
  CHECK_THROWS_AS(broker.publish({.topic = "a/#"}), std::invalid_argument);
}
