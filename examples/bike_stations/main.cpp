// SPDX-License-Identifier: Apache-2.0
// The bike-station demo: options, servers that are not given, the pipeline, a status line, Ctrl-C.

#include "city_pipeline.hpp"
#include "local_models.hpp"
#include "options.hpp"
#include "simulated_city.hpp"
#include "status_line.hpp"

#include <millrace/dashboard/dashboard.hpp>
#include <millrace/testing/mqtt_broker.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <sys/ioctl.h>
#include <unistd.h>

namespace {

using namespace bike_stations;
using namespace std::chrono_literals;

volatile std::sig_atomic_t interrupted = 0;

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col - 1U;
  return 200;
}

/// Shows the status until the time is over, a key was pressed, or the pipeline has ended.
void watch(millrace::pipeline& p, const options& o) {
  status_line status(p);
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  const auto began = std::chrono::steady_clock::now();
  auto next_line = began;
  while (interrupted == 0 && !p.ended()) {
    const auto now = std::chrono::steady_clock::now();
    if (o.duration && now - began >= *o.duration) break;
    if (o.status_line && now >= next_line) {
      next_line = now + (terminal ? 500ms : 5000ms);
      const std::string line = status.next(terminal ? terminal_width() : 400);
      std::printf(terminal ? "\r\033[K%s" : "%s\n", line.c_str());
      std::fflush(stdout);
    }
    std::this_thread::sleep_for(50ms);
  }
  if (terminal && o.status_line) std::printf("\n");
}

int run(options o) {
  std::optional<millrace::testing::mqtt_broker> broker;
  std::optional<local_models> models;
  std::optional<simulated_city> city;
  if (o.models.empty()) {
    models.emplace(std::min<std::chrono::milliseconds>(o.duration.value_or(30s) / 3, 10s));
    models->set_weather_delay(o.weather_delay);
    o.models = models->registry_url();
    o.models_every = std::min<std::chrono::milliseconds>(o.models_every, 2s);
  }
  const bool simulated = o.broker.empty();
  if (simulated) {
    broker.emplace();
    o.broker = broker->url();
  }
  std::printf("broker %s\nmodels %s\n", o.broker.c_str(), o.models.c_str());
  if (!o.output.empty())
    std::printf("output %s/{events,statistics,results,dead_letters}.jsonl\n", o.output.c_str());
  if (!o.elasticsearch.empty()) std::printf("elasticsearch %s\n", o.elasticsearch.c_str());

  millrace::pipeline p("bike-stations");
  p.parallelism(o.parallelism);
  p.log_to(
      [](const millrace::log_record& r) {
        std::fprintf(stderr, "\n%.*s: %.*s\n", static_cast<int>(r.component.size()),
                     r.component.data(), static_cast<int>(r.message.size()), r.message.data());
      },
      millrace::log_level::warning);
  add_outputs(p, assemble(p, o), o);
  p.start();
  std::optional<millrace::dashboard> board;
  if (o.dashboard) {
    board.emplace(p, millrace::dashboard_options{.port = *o.dashboard, .token = o.dashboard_token});
    std::printf("dashboard %s\n", board->url().c_str());
  }
  if (simulated) {
    while (broker->statistics().subscriptions == 0 && !p.ended()) std::this_thread::sleep_for(5ms);
    city.emplace(*broker, city_options{o.stations, o.reports_per_second, 1});
  }
  watch(p, o);

  if (city) city->stop();
  std::printf("draining ...\n");
  if (simulated) {
    // What the broker has taken is on its way: let it arrive before the source says good-bye.
    const auto until = std::chrono::steady_clock::now() + 10s;
    const auto received = [&] {
      for (const auto& s : p.status().operators) {
        if (s.name == "stations") return s.records_out;
      }
      return std::uint64_t{0};
    };
    while (received() < city->published() && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(5ms);
    }
  }
  p.stop();
  p.wait();
  bool balanced = false;
  if (city) {
    std::printf("published  %10llu, of them broken on purpose %llu\n",
                static_cast<unsigned long long>(city->published()),
                static_cast<unsigned long long>(city->broken()));
  }
  std::printf("%s", summary(p, balanced).c_str());
  return balanced ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    if (std::string_view(arguments[i]) == "--help") {
      std::printf("%s", help().c_str());
      return EXIT_SUCCESS;
    }
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  try {
    return run(parse_options(count, arguments));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bike_stations: %s\n", e.what());
    return EXIT_FAILURE;
  }
}
