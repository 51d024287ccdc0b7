// SPDX-License-Identifier: Apache-2.0
// The program that is killed: from an MQTT server through a journal, a window, a join and timers to
// files, with checkpoints. child URL TOPIC QOS FOLDER WORKERS WHAT WHERE NTH. It ends when its
// standard input does, and says "up" when it is connected.
#include <millrace/codec/json.hpp>
#include <millrace/connectors/file.hpp>
#include <millrace/connectors/mqtt.hpp>
#include <millrace/millrace.hpp>
#include <millrace/operators/journaled.hpp>
#include <millrace/runtime/checkpoint_directory.hpp>

#include "kill/events.hpp"
#include "kill/kill_files.hpp"

#include <boost/describe.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <thread>

using namespace millrace;
using namespace std::chrono_literals;

namespace kill_test {
BOOST_DESCRIBE_STRUCT(event, (), (number, key, value, at))
}  // namespace kill_test

namespace {

using kill_test::event;

struct timed {
  std::int64_t key = 0;
  std::int64_t fired = 0;
};
BOOST_DESCRIBE_STRUCT(timed, (), (key, fired))

struct settings {
  std::string url, topic, folder;
  std::uint8_t qos;
  std::size_t workers;
};

timestamp time_of(const event& e) { return timestamp{duration{e.at}}; }

void assemble(pipeline& p, const settings& s, file_system& files) {
  mqtt::source_options in{.url = s.url, .topic = s.topic, .qos = s.qos, .receive_maximum = 100};
  in.connection.session_expiry = 1h;
  in.connection.client_id = "kill-" + s.topic;
  in.connection.taken_over = mqtt::on_taken_over::reconnect;  // the one that died is still known
  const journal_options out{.directory = s.folder + "/journal",
                            .commit_after = 2ms,
                            .segment_bytes = 8 << 10,
                            .retain_bytes = 32 << 10,
                            .keep_free_bytes = 0,
                            .files = &files};
  auto events = p.source("events", journaled(mqtt::source{in}, out))
                    .decode<event>(json)
                    .event_time(time_of, bounded_lag{duration{kill_test::lag}});
  auto by_key = events.key_by(&event::key);
  auto sums = by_key.window(tumbling{duration{kill_test::window}})
                  .aggregate("sums", sum(&event::value))
                  .map([](const auto& r) {
                    return "w " + std::to_string(r.key) + " " +
                           std::to_string(r.window.start.time_since_epoch().count()) + " " +
                           std::to_string(r.value);
                  });
  auto even = events.filter([](const event& e) { return e.value % 2 == 0; }).key_by(&event::key);
  auto odd = events.filter([](const event& e) { return e.value % 2 != 0; }).key_by(&event::key);
  auto pairs =
      even.interval_join("pairs", odd, {duration{-kill_test::reach}, duration{kill_test::reach}})
          .map([](const auto& pair) {
            return "j " + std::to_string(pair.left.number) + " " +
                   std::to_string(pair.right.number);
          });
  auto timers = by_key.process<std::string>(
      "timers",
      [](const event& e, timed& state, auto& ctx) {
        state.key = e.key;
        ctx.timer_at(time_of(e) + duration{kill_test::delay});
      },
      [](timestamp t, timed& state, auto& ctx) {
        ctx.emit("t " + std::to_string(state.key) + " " +
                 std::to_string(t.time_since_epoch().count()) + " " +
                 std::to_string(++state.fired));
      });
  const auto to = [&s](const char* name) {
    return file::sink{{.path = s.folder + "/" + name, .rotate_bytes = 4'000, .keep = 0},
                      plain_text};
  };
  sums.to("to sums", to("sums.txt"));
  pairs.to("to pairs", to("pairs.txt"));
  timers.to("to timers", to("timers.txt"));
}

bool connected(const pipeline& p) {
  for (const auto& o : p.status().operators) {
    for (const auto& m : o.metrics) {
      if (m.name == "connected" && m.value == 1) return true;
    }
  }
  return false;
}

int run(char** arguments) {
  const settings s{arguments[1], arguments[2], arguments[4],
                   static_cast<std::uint8_t>(std::atoi(arguments[3])),
                   static_cast<std::size_t>(std::atoi(arguments[5]))};
  kill_test::kill_files files({arguments[6], arguments[7], std::atoi(arguments[8])});
  pipeline p("killed");
  p.parallelism(s.workers);
  p.log_to([](const log_record& line) {
    std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(line.component.size()),
                 line.component.data(), static_cast<int>(line.message.size()), line.message.data());
  });
  p.checkpoint_to(std::make_shared<checkpoint_directory>(
                      checkpoint_store_options{.directory = s.folder + "/state", .files = &files}),
                  {.every = 15ms});
  assemble(p, s, files);
  p.start();
  std::thread watch([&p] {
    while (!p.ended() && !connected(p)) std::this_thread::sleep_for(1ms);
    std::puts("up");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    p.stop();
  });
  watch.detach();
  p.wait();
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 9) return 2;
  try {
    std::_Exit(run(arguments));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
