// SPDX-License-Identifier: Apache-2.0
// From an MQTT server to a file, with acknowledgements under checkpoints: a pipeline that is given
// up again and again leaves every message in the file, once.

#include <millrace/connectors/file.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/connectors/mqtt.hpp>
#include <millrace/millrace.hpp>

#include "catch.hpp"
#include "support/mosquitto.hpp"
#include "support/temporary_directory.hpp"

#include <boost/describe.hpp>

#include <chrono>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using testing::mosquitto;

namespace {

struct numbered {
  int number = 0;
};
struct seen {
  std::int64_t count = 0;
};
BOOST_DESCRIBE_STRUCT(numbered, (), (number))
BOOST_DESCRIBE_STRUCT(seen, (), (count))

/// All lines of a file and of those it was rotated to.
std::vector<std::string> lines_of(const testing::temporary_directory& directory) {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) all.push_back(line);
  }
  return all;
}

void assemble(pipeline& p, const std::string& url, const std::string& path) {
  mqtt::source_options in{.url = url,
                          .topic = "n/+",
                          .qos = 1,
                          .acknowledge = mqtt::acknowledge_mode::on_checkpoint,
                          .receive_maximum = 65535};
  in.connection.session_expiry = 1h;
  in.connection.client_id = "exactly-once";
  p.source("messages", mqtt::source{in})
      .decode<numbered>(json)
      .key_by([](const numbered& n) { return n.number % 8; })
      .process<std::string>("count",
                            [](const numbered& n, seen& s, auto& ctx) {
                              ++s.count;
                              ctx.emit(std::to_string(n.number) + " " + std::to_string(s.count));
                            })
      .to("lines", file::sink{{.path = path, .rotate_bytes = 20'000, .keep = 0}, plain_text});
}

void publish(const std::string& url, int messages) {
  std::vector<std::string> texts;
  for (int i = 0; i < messages; ++i) texts.push_back("{\"number\":" + std::to_string(i) + "}");
  pipeline p("publisher");
  p.source("texts", memory::source<std::string>(std::move(texts)))
      .to("out", mqtt::sink{{.url = url, .topic = "n/1", .qos = 1}, plain_text});
  p.run();
}

}  // namespace

TEST_CASE("from mosquitto to a file, exactly once, though the pipeline is given up eight times") {
  if (!mosquitto::available()) MILLRACE_SKIP(mosquitto::how_to_get);
  constexpr int messages = 12'000;
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (const std::size_t workers : {1U, 2U}) {
    INFO(workers << " workers");
    mosquitto server("", "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n");
    const testing::temporary_directory directory;
    const auto path = directory.file("lines.txt");
    auto storage = std::make_shared<memory_checkpoints>();
    std::thread publisher;
    std::int64_t recognised = 0;
    std::uint64_t completed = 0;
    for (int life = 0; life <= 8; ++life) {
      pipeline p("exactly-once");
      p.parallelism(workers).checkpoint_to(storage, {.every = 20ms});
      assemble(p, server.url(), path);
      p.start();
      if (life == 0) {  // the session has to be there before the first message
        const auto until = std::chrono::steady_clock::now() + 20s;
        while (server.log().find("SUBACK") == std::string::npos) {
          REQUIRE(std::chrono::steady_clock::now() < until);
          std::this_thread::sleep_for(5ms);
        }
        publisher = std::thread([&] { publish(server.url(), messages); });
      }
      if (life < 8) {
        std::this_thread::sleep_for(std::chrono::milliseconds{30 + random() % 120});
        p.cancel();
      } else {
        const auto until = std::chrono::steady_clock::now() + 60s;
        while (lines_of(directory).size() < messages && std::chrono::steady_clock::now() < until) {
          std::this_thread::sleep_for(20ms);
        }
        p.stop();
      }
      p.wait();
      const auto status = p.status();
      completed += status.checkpoints.completed;
      for (const auto& o : status.operators) {
        for (const auto& m : o.metrics) recognised += m.name == "recognised" ? m.value : 0;
      }
    }
    publisher.join();
    std::map<int, int> times;
    std::map<int, std::int64_t> counts;
    for (const auto& line : lines_of(directory)) {
      const int number = std::stoi(line);
      ++times[number];
      auto& count = counts[number % 8];
      count = std::max<std::int64_t>(count, std::stoll(line.substr(line.find(' '))));
    }
    CHECK(times.size() == messages);
    int twice = 0;
    for (const auto& [number, n] : times) twice += n - 1;
    CHECK(twice == 0);
    for (int key = 0; key < 8; ++key) CHECK(counts[key] == messages / 8);
    WARN(workers << " workers: " << completed << " checkpoints, " << recognised
                 << " messages came again and were recognised");
  }
}
