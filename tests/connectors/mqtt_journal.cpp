// SPDX-License-Identifier: Apache-2.0
// The MQTT source with a journal, against the broker in the process and a disk that fails: what was
// acknowledged is on the disk, and nothing is in the stream twice.
#include <millrace/connectors/mqtt.hpp>
#include <millrace/operators/journaled.hpp>
#include <millrace/testing/faulty_file_system.hpp>
#include <millrace/testing/mqtt_broker.hpp>

#include "catch.hpp"
#include "support/mqtt_parts.hpp"

#include <optional>
#include <random>

using namespace millrace;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using testing::asio_environment;
using testing::faulty_file_system;
using testing::mqtt_broker;
using testing::numbered_messages;

namespace {

constexpr auto limit = 30s;

static_assert(source_description<journaled_source<mqtt::source>>);
static_assert(source_description<journal_source<mqtt::message>>);

mqtt::source_options persistent(const mqtt_broker& broker, std::uint8_t qos) {
  mqtt::source_options o{.url = broker.url(), .topic = "a/#", .qos = qos};
  o.connection.session_expiry = 1h;
  o.connection.client_id = "journaled";
  o.connection.reconnect = testing::fast_backoff();
  return o;
}

journal_options on(faulty_file_system& disk) {
  return {.directory = "journal",
          .commit_after = 1ms,
          .segment_bytes = 16 << 10,
          .keep_free_bytes = 0,
          .retry_when_full = 10ms,
          .files = &disk};
}

/// A source with a journal that is polled by hand, as a worker would.
struct running {
  running(environment& env, const mqtt::source_options& in, const journal_options& out,
          const std::string& position = {})
      : context(env), reader(journaled(mqtt::source{in}, out).open(context)) {
    if (position.empty()) return;
    snapshot_reader from(position);
    reader.restore(from);
    REQUIRE_FALSE(from.failed());
  }

  void poll() {
    if (seen == context.wakes.load() && !more) return;
    seen = context.wakes.load();
    batch<mqtt::message> records(64);
    source_output<mqtt::message> out(records);
    more = reader.poll(out) == poll_status::more;
    for (std::size_t i = 0; i < records.size(); ++i) {
      payloads.emplace_back(records.value(i).payload);
      last = records.value(i);
    }
  }

  std::string position() {
    snapshot_writer to;
    reader.save(to);
    return to.take();
  }

  testing::fake_source_context context;
  journaled_reader<mqtt::source> reader;
  std::vector<std::string> payloads;
  std::optional<mqtt::message> last;
  bool more = true;
  int seen = -1;
};

template <class Done>
bool poll_until(asio_environment& env, running& source, Done done) {
  return env.run_until(
      [&] {
        source.poll();
        return done();
      },
      limit);
}

void publish_all(mqtt_broker& broker, const std::vector<std::string>& texts, std::uint8_t qos) {
  std::vector<testing::mqtt_message> messages;
  for (const auto& text : texts) {
    messages.push_back(
        {.topic = "a/b", .payload = text, .qos = qos, .properties = {.user = {{"unit", "bikes"}}}});
  }
  broker.publish(messages);
}

void await_subscription(asio_environment& env, running& source, mqtt_broker& broker) {
  REQUIRE(poll_until(env, source, [&] { return broker.statistics().subscriptions == 1; }));
}

std::string problem_of(const mqtt::source& source) {
  try {
    journaled(source, {.directory = "j"}).validate("stations");
  } catch (const topology_error& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("journal: options of an MQTT source that cannot work with one are refused") {
  mqtt::source_options o{.topic = "a", .qos = 1};
  CHECK_THAT(problem_of(mqtt::source{o}), ContainsSubstring("connection.session_expiry above 0"));
  o.connection.session_expiry = 1h;
  CHECK(problem_of(mqtt::source{o}).empty());
  o.acknowledge = mqtt::acknowledge_mode::manual;
  CHECK_THAT(problem_of(mqtt::source{o}), ContainsSubstring("stations: with a journal"));
  o.acknowledge = mqtt::acknowledge_mode::on_receive;
  CHECK(problem_of(mqtt::source{o}).empty());
  CHECK(problem_of(mqtt::source{{.topic = "a"}}).empty());  // nothing to acknowledge
  o.acknowledge = mqtt::acknowledge_mode::on_journal;
  CHECK_THROWS_WITH(mqtt::source{o}.validate("stations"),
                    ContainsSubstring("on_journal needs a journal: journaled("));
}

TEST_CASE("journal: the stream is what the journal holds, and then the server may forget it") {
  const auto qos = static_cast<std::uint8_t>(GENERATE(0, 1, 2));
  const auto version = GENERATE(mqtt::protocol::v5, mqtt::protocol::v3_1_1);
  INFO("QoS " << int{qos} << ", version " << static_cast<int>(version));
  mqtt_broker broker;
  faulty_file_system disk;
  asio_environment env;
  auto options = persistent(broker, qos);
  options.connection.protocol = version;
  const auto texts = numbered_messages(2'000);
  {
    running source(env, options, on(disk));
    await_subscription(env, source, broker);
    publish_all(broker, texts, qos);
    REQUIRE(poll_until(env, source, [&] {
      return source.payloads.size() == texts.size() && source.context.metric("unacknowledged") == 0;
    }));
    CHECK(source.payloads == texts);
    CHECK(source.last->topic == "a/b");
    CHECK(source.last->qos == qos);
    CHECK(source.last->received > timestamp{});
    if (version == mqtt::protocol::v5) CHECK(source.last->properties.user("unit") == "bikes");
    CHECK(source.context.metric("journal_status") == 0);
    CHECK(source.context.metric("journal_durable_end") >= 2'000);
  }
  // Nothing comes again, and the stream begins where it is told to.
  running source(env, options, on(disk));
  REQUIRE(poll_until(env, source, [&] { return source.payloads.size() >= texts.size(); }));
  env.run_for(50ms);
  source.poll();
  CHECK(source.payloads == texts);
}

TEST_CASE("journal: what was acknowledged survives, what was not comes again, nothing is twice") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto upto = [&](unsigned n) { return static_cast<std::size_t>(random() % n); };
  const auto qos = static_cast<std::uint8_t>(GENERATE(1, 2));
  const auto version = GENERATE(mqtt::protocol::v5, mqtt::protocol::v3_1_1);
  const bool cuts_power = GENERATE(true, false);
  INFO("QoS " << int{qos} << ", version " << static_cast<int>(version) << ", power cuts "
              << cuts_power);
  mqtt_broker broker;
  faulty_file_system disk;
  auto options = persistent(broker, qos);
  options.connection.protocol = version;
  options.receive_maximum = 64;
  std::vector<std::string> expected;
  std::vector<std::string> kept;  // the output at the last checkpoint
  std::string position;
  std::int64_t recognised = 0;
  for (int life = 0; life < 25; ++life) {
    asio_environment env;
    std::optional<running> source(std::in_place, env, options, on(disk), position);
    if (life == 0) await_subscription(env, *source, broker);
    source->payloads = kept;
    const auto publish = [&](std::size_t n) {
      std::vector<std::string> texts;
      for (; n > 0; --n) {
        // Of QoS 2 the content does not matter.
        texts.push_back(qos == 2 ? "same" : std::to_string(expected.size() + texts.size()));
      }
      publish_all(broker, texts, qos);
      expected.insert(expected.end(), texts.begin(), texts.end());
    };
    publish(upto(200));
    const auto until = kept.size() + upto(200);
    for (std::size_t turns = 10 + upto(2'000); turns > 0; --turns) {
      env.run_for(20us);
      source->poll();
      if (source->payloads.size() >= until) break;
      if (upto(50) == 0) broker.cut_connection("journaled");
    }
    REQUIRE_FALSE(source->context.failure);
    if (upto(2) == 0) {
      const auto received = source->context.metric("received");
      publish(1);
      poll_until(env, *source, [&] { return source->context.metric("received") > received; });
      broker.stop();
      env.run_for(5ms);  // it becomes durable, and no acknowledgement goes out
    }
    broker.stop();
    if (upto(3) > 0) {
      position = source->position();
      kept = source->payloads;
    }
    recognised += source->context.metric("recognised");
    if (cuts_power) {
      disk.cut_power();
    } else {
      disk.restart_process();  // open files are void: nothing is written any more
    }
    source.reset();
    if (cuts_power) disk.restart(random());
    broker.start();
  }
  asio_environment env;
  running source(env, options, on(disk), position);
  source.payloads = kept;
  REQUIRE(poll_until(env, source, [&] { return source.payloads.size() >= expected.size(); }));
  env.run_for(50ms);
  source.poll();
  CHECK(source.payloads == expected);
  CHECK(recognised > 0);
}

TEST_CASE("journal: a full disk stops the acknowledgements, and room lets it go on") {
  const auto qos = static_cast<std::uint8_t>(GENERATE(1, 2));
  mqtt_broker broker;
  faulty_file_system disk;
  asio_environment env;
  auto options = persistent(broker, qos);
  options.receive_maximum = 32;
  running source(env, options, on(disk));
  await_subscription(env, source, broker);
  disk.set_capacity(40'000);
  const auto texts = numbered_messages(3'000);
  publish_all(broker, texts, qos);
  REQUIRE(poll_until(env, source, [&] { return source.context.metric("journal_status") == 1; }));
  env.run_for(50ms);
  source.poll();
  const auto before = source.payloads.size();
  CHECK(before < texts.size());
  CHECK(source.context.metric("unacknowledged") <= 32);
  CHECK(source.context.metric("unacknowledged") > 0);
  CHECK_FALSE(source.context.failure);
  disk.set_capacity(UINT64_MAX);
  REQUIRE(poll_until(env, source, [&] {
    return source.payloads.size() >= texts.size() && source.context.metric("unacknowledged") == 0;
  }));
  CHECK(source.payloads == texts);
  CHECK(source.context.metric("journal_status") == 0);
}

TEST_CASE("journal: a failed fsync ends the pipeline, and nothing of it was acknowledged") {
  mqtt_broker broker;
  faulty_file_system disk;
  const auto texts = numbered_messages(100);
  {
    asio_environment env;
    running source(env, persistent(broker, 1), on(disk));
    await_subscription(env, source, broker);
    env.run_for(20ms);
    // The next group: space_left, write, sync.
    disk.plan(disk.operations() + 2, testing::disk_fault::io_error);
    publish_all(broker, texts, 1);
    REQUIRE(poll_until(env, source, [&] { return source.context.failure.has_value(); }));
    CHECK_THAT(source.context.failure->to_string(),
               ContainsSubstring("cannot make records durable"));
    CHECK(source.payloads.empty());
    broker.cut_connection("journaled");
  }
  disk.restart(1);
  asio_environment env;
  running source(env, persistent(broker, 1), on(disk));
  REQUIRE(poll_until(env, source, [&] { return source.payloads.size() >= texts.size(); }));
  CHECK(source.payloads == texts);
}

TEST_CASE("journal: a message larger than it takes is a dead letter, and is acknowledged") {
  mqtt_broker broker;
  faulty_file_system disk;
  asio_environment env;
  auto out = on(disk);
  out.most_record_bytes = 1'000;
  running source(env, persistent(broker, 1), out);
  await_subscription(env, source, broker);
  publish_all(broker, {"one", std::string(2'000, 'x'), "two"}, 1);
  REQUIRE(poll_until(env, source, [&] {
    return source.payloads.size() == 2 && source.context.metric("unacknowledged") == 0;
  }));
  CHECK(source.payloads == std::vector<std::string>{"one", "two"});
  REQUIRE(source.context.letters.size() == 1);
  CHECK_THAT(source.context.letters[0].reason, ContainsSubstring("most_record_bytes"));
  CHECK(source.context.letters[0].payload.size() == 2'000);
}

TEST_CASE("mqtt: a server whose limits make the options lossy or slow is named at the start") {
  using mqtt::detail::warnings_of;
  mqtt::source_options o{.topic = "a", .qos = 2, .receive_maximum = 100};
  o.connection.session_expiry = 1h;
  mqtt::server_limits limits;
  limits.session_expiry = 1h;
  CHECK(warnings_of(o, limits).empty());
  o.acknowledge = mqtt::acknowledge_mode::on_journal;
  CHECK(warnings_of(o, limits).empty());
  limits.receive_maximum = 20;
  REQUIRE(warnings_of(o, limits).size() == 1);
  CHECK_THAT(warnings_of(o, limits)[0], ContainsSubstring("max_inflight_messages") &&
                                            ContainsSubstring("max_queued_messages") &&
                                            ContainsSubstring("allows 20"));
  limits.receive_maximum = 100;
  limits.session_expiry = 60s;
  REQUIRE(warnings_of(o, limits).size() == 1);
  CHECK_THAT(warnings_of(o, limits)[0], ContainsSubstring("persistent_client_expiration"));
  limits.session_expiry = 1h;
  limits.maximum_qos = 1;
  REQUIRE(warnings_of(o, limits).size() == 1);
  CHECK_THAT(warnings_of(o, limits)[0], ContainsSubstring("maximum QoS is 1, qos asks for 2"));
  limits.maximum_qos = 2;
  limits.version = mqtt::version::v3_1_1;
  REQUIRE(warnings_of(o, limits).size() == 1);
  CHECK_THAT(warnings_of(o, limits)[0], ContainsSubstring("MQTT 3.1.1") &&
                                            ContainsSubstring("per commit of the journal") &&
                                            ContainsSubstring("max_inflight_messages"));
  o.acknowledge = mqtt::acknowledge_mode::on_receive;
  CHECK(warnings_of(o, limits).empty());
}

TEST_CASE("mqtt: a window that is full of withheld acknowledgements is said once") {
  mqtt_broker broker;
  std::vector<std::string> lines;
  asio_environment env(logger([&](const log_record& line) {
    if (line.level == log_level::warning)
      lines.push_back(std::string(line.component) + ": " + std::string(line.message));
  }));
  auto options = persistent(broker, 1);
  options.acknowledge = mqtt::acknowledge_mode::on_checkpoint;
  options.receive_maximum = 10;
  testing::running_source source(env, options);
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return broker.statistics().subscriptions == 1;
      },
      limit));
  publish_all(broker, numbered_messages(30), 1);
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return source.payloads.size() == 10;
      },
      limit));
  source.reader.checkpoint(1);
  source.reader.checkpoint_complete(1);
  REQUIRE(env.run_until(
      [&] {
        source.poll();
        return source.payloads.size() == 20;
      },
      limit));
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], ContainsSubstring("source: 10 messages wait for their acknowledgement") &&
                           ContainsSubstring("receive_maximum"));
}
