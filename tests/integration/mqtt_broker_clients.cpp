// SPDX-License-Identifier: Apache-2.0
// The test broker as mosquitto's command line clients see it.
#include <millrace/testing/mqtt_broker.hpp>

#include "catch.hpp"
#include "support/certificates.hpp"
#include "support/child_process.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using testing::child_process;
using testing::mqtt_broker;
using testing::mqtt_broker_options;

namespace {

constexpr auto limit = 20s;

void need_clients() {
  for (const char* program : {"/usr/bin/mosquitto_pub", "/usr/bin/mosquitto_sub"}) {
    if (::access(program, X_OK) != 0) {
      MILLRACE_SKIP("no mosquitto_pub and mosquitto_sub: apt install mosquitto-clients");
    }
  }
}

using arguments = std::vector<std::string>;

arguments command(const std::string& program, const mqtt_broker& broker, arguments more,
                  std::size_t listener = 0) {
  arguments all = {program, "-h", "127.0.0.1", "-p", std::to_string(broker.port(listener))};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// Runs mosquitto_pub to its end and returns its status.
int publish(const mqtt_broker& broker, arguments more, std::size_t listener = 0) {
  const auto status =
      testing::run_program(command("mosquitto_pub", broker, std::move(more), listener), 20s);
  return status.value_or(-2);
}

/// mosquitto_sub with its output by lines, subscribed when construction is over.
class subscriber {
 public:
  subscriber(const mqtt_broker& broker, arguments more, std::size_t listener = 0)
      : process_(command("mosquitto_sub", broker, std::move(more), listener)) {
    process_.close_input();
  }
  std::string line() { return process_.read_line(limit).value_or("(nothing)"); }
  std::vector<std::string> lines(std::size_t count) {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(line());
    return all;
  }
  int status() { return process_.wait(limit).value_or(-2); }
  child_process& process() { return process_; }

 private:
  child_process process_;
};

template <class Predicate>
bool eventually(Predicate&& done) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

bool wait_for_subscriptions(const mqtt_broker& broker, std::size_t count) {
  return eventually([&] { return broker.statistics().subscriptions == count; });
}

}  // namespace

TEST_CASE("mosquitto's clients exchange messages at every quality, in every version they speak") {
  need_clients();
  for (const std::string version : {"mqttv311", "mqttv5"}) {
    for (const std::string qos : {"0", "1", "2"}) {
      INFO(version << ", QoS " << qos);
      mqtt_broker broker;
      subscriber sub(broker, {"-V", version, "-q", qos, "-t", "bikes/+/status", "-F", "%t %q %r %p",
                              "-C", "200"});
      REQUIRE(wait_for_subscriptions(broker, 1));
      child_process pub(command("mosquitto_pub", broker,
                                {"-V", version, "-q", qos, "-t", "bikes/7/status", "-l"}));
      for (int i = 0; i < 200; ++i) {
        REQUIRE(pub.write_line("message " + std::to_string(i)));
      }
      pub.close_input();
      CHECK(pub.wait(limit) == 0);
      const auto got = sub.lines(200);
      for (int i = 0; i < 200; ++i) {
        const auto text = "bikes/7/status " + qos + " 0 message " + std::to_string(i);
        if (got[static_cast<std::size_t>(i)] != text) {
          FAIL("line " << i << " is " << got[static_cast<std::size_t>(i)]);
        }
      }
      CHECK(sub.status() == 0);
      CHECK(broker.statistics().dropped == 0);
    }
  }
}

TEST_CASE("a retained message reaches a mosquitto_sub that comes later") {
  need_clients();
  mqtt_broker broker;
  CHECK(publish(broker, {"-t", "a/b", "-m", "kept", "-r", "-q", "1"}) == 0);
  subscriber sub(broker, {"-t", "a/#", "-F", "%r %p", "-C", "1"});
  CHECK(sub.line() == "1 kept");
  CHECK(publish(broker, {"-t", "a/b", "-n", "-r"}) == 0);
  CHECK(broker.statistics().retained == 0);
}

TEST_CASE("a persistent session of mosquitto_sub gets what was published while it was away") {
  need_clients();
  for (const arguments& how :
       {arguments{"-V", "mqttv311", "-c"}, arguments{"-V", "mqttv5", "-c", "-x", "600"}}) {
    mqtt_broker broker;
    arguments first = {"-i", "keeper", "-q", "2", "-t", "a", "-E"};
    first.insert(first.end(), how.begin(), how.end());
    CHECK(subscriber(broker, first).status() == 0);
    REQUIRE(eventually([&] { return broker.statistics().connections == 0; }));
    CHECK(broker.statistics().sessions == 1);
    CHECK(publish(broker, {"-t", "a", "-m", "one", "-q", "1"}) == 0);
    CHECK(publish(broker, {"-t", "a", "-m", "two", "-q", "2"}) == 0);
    arguments again = {"-i", "keeper", "-q", "2", "-t", "a", "-C", "2", "-F", "%q %p"};
    again.insert(again.end(), how.begin(), how.end());
    subscriber sub(broker, again);
    CHECK(sub.lines(2) == std::vector<std::string>{"1 one", "2 two"});
  }
}

TEST_CASE("properties of version 5 pass from mosquitto_pub to mosquitto_sub") {
  need_clients();
  mqtt_broker broker;
  // libmosquitto takes no topic aliases from a broker; it sends them.
  subscriber sub(broker, {"-V", "mqttv5", "-t", "a", "-C", "2", "-F", "%C %D %R %P %p"});
  REQUIRE(wait_for_subscriptions(broker, 1));
  for (int i = 0; i < 2; ++i) {
    CHECK(publish(broker, {"-V",
                           "mqttv5",
                           "-t",
                           "a",
                           "-m",
                           "hello",
                           "-D",
                           "publish",
                           "content-type",
                           "text/plain",
                           "-D",
                           "publish",
                           "response-topic",
                           "back",
                           "-D",
                           "publish",
                           "correlation-data",
                           "77",
                           "-D",
                           "publish",
                           "user-property",
                           "city",
                           "Oslo",
                           "-D",
                           "publish",
                           "topic-alias",
                           "5"}) == 0);
    CHECK(sub.line() == "text/plain 77 back city:Oslo hello");
  }
}

TEST_CASE("shared subscriptions divide messages between mosquitto_subs") {
  need_clients();
  mqtt_broker broker;
  subscriber a(broker, {"-V", "mqttv5", "-t", "$share/g/t", "-C", "5"});
  subscriber b(broker, {"-V", "mqttv5", "-t", "$share/g/t", "-C", "5"});
  REQUIRE(wait_for_subscriptions(broker, 2));
  for (int i = 0; i < 10; ++i) broker.publish({.topic = "t", .payload = std::to_string(i)});
  auto all = a.lines(5);
  const auto rest = b.lines(5);
  all.insert(all.end(), rest.begin(), rest.end());
  std::sort(all.begin(), all.end());
  CHECK(all == std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
}

TEST_CASE("the will of a mosquitto_sub that is killed is published") {
  need_clients();
  mqtt_broker broker;
  subscriber watcher(broker, {"-t", "will", "-C", "1"});
  subscriber victim(broker, {"-t", "x", "--will-topic", "will", "--will-payload", "gone"});
  REQUIRE(wait_for_subscriptions(broker, 2));
  victim.process().signal(SIGKILL);
  CHECK(watcher.line() == "gone");
}

TEST_CASE("mosquitto_pub is refused with the wrong password") {
  need_clients();
  mqtt_broker_options options;
  options.authenticate = [](const testing::mqtt_credentials& c) {
    return c.user_name == "ann" && c.password == "secret"
               ? mqtt::reason_code::success
               : mqtt::reason_code::bad_user_name_or_password;
  };
  mqtt_broker broker(options);
  for (const std::string version : {"mqttv311", "mqttv5"}) {
    CHECK(publish(broker, {"-V", version, "-t", "a", "-m", "x", "-u", "ann", "-P", "secret"}) == 0);
    CHECK(publish(broker, {"-V", version, "-t", "a", "-m", "x", "-u", "ann", "-P", "no"}) != 0);
    CHECK(publish(broker, {"-V", version, "-t", "a", "-m", "x"}) != 0);
  }
  CHECK(broker.statistics().messages_in == 2);
}

TEST_CASE("mosquitto's clients speak TLS with the broker, and mutual TLS") {
  need_clients();
  testing::certificate_authority ca;
  const net::tls_options plain{.certificate_file = ca.server().certificate,
                               .private_key_file = ca.server().key};
  auto mutual = plain;
  mutual.ca_file = ca.ca_file();
  mqtt_broker_options options;
  options.listeners = {{.tls = plain}, {.tls = mutual}};
  mqtt_broker broker(options);
  subscriber sub(broker, {"-t", "a", "-C", "2", "--cafile", ca.ca_file()});
  REQUIRE(wait_for_subscriptions(broker, 1));
  CHECK(publish(broker, {"-t", "a", "-m", "one", "-q", "1", "--cafile", ca.ca_file()}) == 0);
  CHECK(publish(broker, {"-t", "a", "-m", "none", "-q", "1", "--cafile", ca.ca_file()}, 1) != 0);
  CHECK(publish(broker,
                {"-t", "a", "-m", "two", "-q", "1", "--cafile", ca.ca_file(), "--cert",
                 ca.client().certificate, "--key", ca.client().key},
                1) == 0);
  CHECK(sub.lines(2) == std::vector<std::string>{"one", "two"});
}

TEST_CASE("mosquitto_pub repeats what was not acknowledged, and QoS 2 brings it once") {
  need_clients();
  mqtt_broker broker;
  subscriber sub(broker, {"-q", "2", "-t", "a", "-C", "100"});
  REQUIRE(wait_for_subscriptions(broker, 1));
  child_process pub(
      command("mosquitto_pub", broker, {"-i", "restless", "-c", "-q", "2", "-t", "a", "-l"}));
  for (int i = 0; i < 100; ++i) {
    REQUIRE(pub.write_line(std::to_string(i)));
    if (i % 25 == 10) {
      // It reconnects after a second at the earliest: the messages meanwhile are kept by it.
      REQUIRE(eventually([&] { return broker.is_connected("restless"); }));
      broker.cut_connection("restless");
    }
  }
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) expected.push_back(std::to_string(i));
  CHECK(sub.lines(100) == expected);
}
