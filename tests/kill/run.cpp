// SPDX-License-Identifier: Apache-2.0
// Kills a pipeline again and again, and compares what it wrote with what the messages say.
//   kill_run --child PROGRAM [--rounds N] [--seed S]
// A round: some hundred messages through mosquitto, five lives of the program that end with SIGKILL
// at a named point or at any time, and one that ends well. Exit: 0 all equal, 1 not, 77 no server.
#include <millrace/connectors/memory.hpp>
#include <millrace/connectors/mqtt.hpp>
#include <millrace/millrace.hpp>

#include "kill/events.hpp"
#include "support/child_process.hpp"
#include "support/mosquitto.hpp"
#include "support/temporary_directory.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using kill_test::event;
using testing::child_process;
using testing::mosquitto;

namespace {

using clock_type = std::chrono::steady_clock;

struct point {
  const char* name;
  const char* what;
  const char* where;
  int most;  // passes before
};

constexpr point points[] = {
    {"at any time", "", "", 0},
    {"in the middle of a segment", "write", ".journal", 12},
    {"durable, not acknowledged", "sync", ".journal", 12},
    {"after acknowledgement", "sync-later", ".journal", 12},
    {"in the middle of a snapshot", "write", "/state/", 20},
    {"snapshot durable, without its name", "rename-before", "/state/", 5},
    {"after the rename of a snapshot", "rename-after", "/state/", 5},
    {"while old files go", "remove", "", 5},
};

struct statistics {
  std::map<std::string, int> reached;
  int in_time = 0;  // killed by us
};

void publish(const std::string& url, const std::string& topic, std::uint8_t qos,
             const std::vector<event>& events) {
  std::vector<std::string> texts;
  for (const auto& e : events) {
    texts.push_back("{\"number\":" + std::to_string(e.number) +
                    ",\"key\":" + std::to_string(e.key) + ",\"value\":" + std::to_string(e.value) +
                    ",\"at\":" + std::to_string(e.at) + "}");
  }
  pipeline p("publisher");
  p.source("texts", memory::source<std::string>(std::move(texts)))
      .to("out", mqtt::sink{{.url = url, .topic = topic, .qos = qos}, plain_text});
  p.run();
}

std::vector<std::string> lines_in(const std::string& folder) {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().find(".txt") == std::string::npos) continue;
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) all.push_back(line);
  }
  std::sort(all.begin(), all.end());
  return all;
}

class round_of_kills {
 public:
  round_of_kills(mosquitto& server, std::string child, std::uint32_t seed, statistics& counts)
      : server_(server),
        child_(std::move(child)),
        random_(seed),
        counts_(counts),
        topic_("k" + std::to_string(seed)),
        qos_(static_cast<std::uint8_t>(1 + random_() % 2)),
        workers_(1 + random_() % 2) {
    events_ = kill_test::make_events(random_, 200 + static_cast<int>(random_() % 200));
  }

  bool run() {
    const auto expected = kill_test::expected_lines(events_);
    begin_session();
    constexpr int lives = 5;
    for (int life = 0; life < lives; ++life) live_and_die(life, lives);
    const auto child = start({"", "", "0"});
    // When it is connected, it has cut its files to where it begins.
    if (!child->read_line(60s)) std::printf("the last life does not connect\n");
    const auto until = clock_type::now() + 60s;
    auto lines = lines_in(folder_.path());
    while (lines != expected && clock_type::now() < until) {
      std::this_thread::sleep_for(10ms);
      lines = lines_in(folder_.path());
    }
    std::this_thread::sleep_for(40ms);  // for what must not come
    lines = lines_in(folder_.path());
    if (lines == expected) return true;
    tell(expected, lines);
    return false;
  }

 private:
  std::unique_ptr<child_process> start(const std::vector<std::string>& where) {
    std::vector<std::string> arguments{child_,         server_.url(),
                                       topic_,         std::to_string(qos_),
                                       folder_.path(), std::to_string(workers_)};
    arguments.insert(arguments.end(), where.begin(), where.end());
    return std::make_unique<child_process>(arguments, folder_.file("log"));
  }

  /// The server knows the session before the first message.
  void begin_session() {
    const auto child = start({"", "", "0"});
    const auto until = clock_type::now() + 30s;
    while (server_.log().find("SUBACK to kill-" + topic_) == std::string::npos) {
      if (clock_type::now() > until) throw std::runtime_error("no session: " + folder_.read("log"));
      std::this_thread::sleep_for(3ms);
    }
  }

  void live_and_die(int life, int lives) {
    const auto share =
        events_.size() * static_cast<std::size_t>(life) / static_cast<std::size_t>(lives);
    const auto next =
        events_.size() * static_cast<std::size_t>(life + 1) / static_cast<std::size_t>(lives);
    std::thread publisher([this, share, next] {
      using offset = std::vector<event>::difference_type;
      publish(server_.url(), topic_, qos_,
              {events_.begin() + static_cast<offset>(share),
               events_.begin() + static_cast<offset>(next)});
    });
    const auto& at = points[random_() % std::size(points)];
    const auto nth =
        at.most == 0 ? 0 : static_cast<int>(random_() % static_cast<unsigned>(at.most));
    const auto child = start({at.what, at.where, std::to_string(nth)});
    const auto patience = at.most == 0 ? std::chrono::milliseconds{random_() % 250} : 700ms;
    if (child->wait(patience)) {
      ++counts_.reached[at.name];
    } else {
      ++counts_.in_time;
      child->signal(SIGKILL);
      child->wait(10s);
    }
    publisher.join();
  }

  void tell(const std::vector<std::string>& expected, const std::vector<std::string>& lines) {
    std::vector<std::string> missing, extra;
    std::set_difference(expected.begin(), expected.end(), lines.begin(), lines.end(),
                        std::back_inserter(missing));
    std::set_difference(lines.begin(), lines.end(), expected.begin(), expected.end(),
                        std::back_inserter(extra));
    std::printf("QoS %d, %zu workers: %zu lines are missing, %zu are too many\n", int{qos_},
                workers_, missing.size(), extra.size());
    for (const auto& line : missing) std::printf("- %s\n", line.c_str());
    for (const auto& line : extra) std::printf("+ %s\n", line.c_str());
    std::printf("%s\n", folder_.read("log").c_str());
    std::error_code ignored;
    std::filesystem::copy(folder_.path(), "kill-" + topic_,
                          std::filesystem::copy_options::recursive, ignored);
  }

  mosquitto& server_;
  std::string child_;
  std::mt19937 random_;
  statistics& counts_;
  std::string topic_;
  std::uint8_t qos_;
  std::size_t workers_;
  std::vector<event> events_;
  testing::temporary_directory folder_;
};

int run(const std::string& child, int rounds, std::uint32_t seed) {
  std::printf("seed %u\n", seed);
  std::unique_ptr<mosquitto> server;
  statistics counts;
  int failures = 0;
  int done = 0;
  for (; done < rounds; ++done) {
    if (done % 25 == 0) {  // its log grows
      server.reset();
      server = std::make_unique<mosquitto>(
          "", "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n");
    }
    const auto own = seed + static_cast<std::uint32_t>(done);
    if (!round_of_kills(*server, child, own, counts).run()) {
      ++failures;
      std::printf("round %d failed, to repeat it: --rounds 1 --seed %u\n", done, own);
    }
    if ((done + 1) % 50 == 0) std::printf("%d rounds, %d failures\n", done + 1, failures);
    std::fflush(stdout);
  }
  int kills = counts.in_time;
  for (const auto& [name, n] : counts.reached) {
    std::printf("%6d killed %s\n", n, name.c_str());
    kills += n;
  }
  std::printf("%6d killed at any time, or before their point was reached\n", counts.in_time);
  std::printf("%d rounds, %d kills, %d failures\n", done, kills, failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  std::string child;
  int rounds = 50;
  auto seed = static_cast<std::uint32_t>(std::random_device{}() % 1'000'000'000);
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    if (name == "--child") child = arguments[i + 1];
    if (name == "--rounds") rounds = std::atoi(arguments[i + 1]);
    if (name == "--seed")
      seed = static_cast<std::uint32_t>(std::strtoul(arguments[i + 1], nullptr, 10));
  }
  if (child.empty()) {
    std::puts("kill_run --child PROGRAM [--rounds N] [--seed S]");
    return 2;
  }
  if (!mosquitto::available()) {
    std::printf("skipped: %s\n", mosquitto::how_to_get);
    return 77;
  }
  try {
    return run(child, rounds, seed);
  } catch (const std::exception& e) {
    std::printf("%s\n", e.what());
    return 1;
  }
}
