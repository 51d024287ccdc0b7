// SPDX-License-Identifier: Apache-2.0
// The reference pipeline end to end. Prints rows, see harness/rows.hpp:
//
//   bench_mqtt replayed [MESSAGES [REPETITIONS]]   from the replayer, at full speed
//   bench_mqtt broker [MESSAGES]                   through mosquitto, at full speed
//   bench_mqtt latency [SECONDS]                   through mosquitto, 20,000 messages a second
//   bench_mqtt soak MINUTES                        80 % of what `replayed` comes to
#include "end_to_end/broker_process.hpp"
#include "end_to_end/pipelines.hpp"
#include "end_to_end/plain_subscriber.hpp"

#include "harness/spread.hpp"

#if defined(MILLRACE_BENCHMARK_MOSQUITTO)
#include "floors/json_documents.hpp"

#include <mosquitto.h>
#endif

#include <algorithm>
#include <cstdlib>

namespace bench {
namespace {

constexpr std::size_t stations = 1'000;

const floors::packet_block& block() {
  static const auto made = floors::make_packets(65'536, stations, 100'000);
  return made;
}

/// Runs `subscriber(port)` against a replayer in a child.
template <class Subscriber>
void with_replayer(const replayer::options& o, Subscriber&& subscriber) {
  block();
  const replayer::server server;
  child sender = child::of([&] { server.serve(block(), o); });
  subscriber(server.port());
}

/// Takes the processor time and clock of `f()`.
template <class F>
void timed(run_figures& out, F&& f) {
  const std::uint64_t before = processor_time();
  const std::uint64_t start = replayer::now();
  f();
  out.processor_ns = processor_time() - before;
  if (out.wall_ns == 0) out.wall_ns = replayer::now() - start;
}

void run_floor(std::uint16_t port, std::uint64_t messages, run_figures& out) {
  timed(out, [&] {
    const auto s = subscribe_to(port);
    reference_windows windows(block(), stations);
    const std::uint64_t start = replayer::now();
    read_packets(
        s, quick_acknowledge::no,
        [&](std::string_view payload) {
          floors::status status;
          if (!floors::read_status(payload, status)) return false;
          windows.add(status);
          return windows.count() != messages;
        },
        [] {});
    out.wall_ns = replayer::now() - start;
    windows.finish();
    out.messages = windows.count();
    out.lines = windows.lines();
  });
}

#if defined(MILLRACE_BENCHMARK_MOSQUITTO)
/// What people write by hand: libmosquitto's loop, simdjson's On-Demand reader, the floor's
/// windows.
struct hand_written_loop {
  simdjson::ondemand::parser parser;
  std::string padded;
  reference_windows windows{block(), stations};
  std::uint64_t messages = 0;
  struct mosquitto* client = nullptr;

  static void on_message(struct mosquitto*, void* self, const mosquitto_message* m) {
    static_cast<hand_written_loop*>(self)->take(
        {static_cast<const char*>(m->payload), static_cast<std::size_t>(m->payloadlen)});
  }
  void take(std::string_view text) {
    if (windows.count() == messages) return;
    padded.assign(text);
    padded.reserve(padded.size() + simdjson::SIMDJSON_PADDING);
    auto document = parser.iterate(padded);
    floors::status s;
    s.station = document["station"].get_string().value();
    s.bikes = document["bikes"].get_double().value();
    s.at = document["at"].get_int64().value();
    windows.add(s);
    if (windows.count() == messages) mosquitto_disconnect(client);
  }
};

void run_mosquitto_loop(std::uint16_t port, std::uint64_t messages, run_figures& out) {
  timed(out, [&] {
    mosquitto_lib_init();
    hand_written_loop loop;
    loop.messages = messages;
    loop.client = mosquitto_new("loop", true, &loop);
    mosquitto_message_callback_set(loop.client, hand_written_loop::on_message);
    if (mosquitto_connect(loop.client, "127.0.0.1", port, 60) != MOSQ_ERR_SUCCESS) {
      throw std::runtime_error("libmosquitto does not connect");
    }
    mosquitto_subscribe(loop.client, nullptr, "bikes/+/status", 0);
    const std::uint64_t start = replayer::now();
    while (mosquitto_loop(loop.client, -1, 1) == MOSQ_ERR_SUCCESS) {
    }
    out.wall_ns = replayer::now() - start;
    mosquitto_destroy(loop.client);
    loop.windows.finish();
    out.messages = loop.windows.count();
    out.lines = loop.windows.lines();
  });
}
#endif

double per_message(std::uint64_t value, const run_figures& f) {
  return static_cast<double>(value) / static_cast<double>(std::max<std::uint64_t>(f.messages, 1));
}

/// Another program with the same work; a slow one gets 1/share of the messages.
struct opponent {
  std::string name;
  void (*run)(std::uint16_t, std::uint64_t, run_figures&);
  std::uint64_t share = 1;
  std::vector<double> cpu{};
  std::vector<double> wall{};
};

run_figures run_of(const opponent& o, std::uint64_t messages) {
  run_figures f;
  with_replayer({.messages = messages}, [&](std::uint16_t port) { o.run(port, messages, f); });
  return f;
}

void check_equal(const run_figures& a, const run_figures& b, const std::string& name) {
  if (a.messages == b.messages && a.lines == b.lines) return;
  throw std::runtime_error(name + " does not give the same lines");
}

void print_calls(const run_figures& f) {
  const auto each = [&](std::uint64_t value) { return per_message(value, f); };
  row r{
      .name = "mqtt_replayed", .measure = "recv+send/message", .ours = each(f.receives + f.sends)};
  print_row(with_target(r, "8", relation::at_most, 0.01));
  print_row({.name = "mqtt_replayed", .measure = "epoll_wait/message", .ours = each(f.waits)});
  r = {.name = "mqtt_replayed", .measure = "allocations/message", .ours = each(2 * f.allocations)};
  r.note = "second half of the run";
  print_row(with_target(r, "8", relation::at_most, 0));
}

void replayed(std::uint64_t messages, std::size_t repetitions) {
  std::vector<opponent> others{{"floor on a socket", run_floor}};
#if defined(MILLRACE_BENCHMARK_MOSQUITTO)
  others.push_back({"libmosquitto loop", run_mosquitto_loop, 20});
#endif
  std::vector<double> cpu;
  std::vector<double> wall;
  run_figures ours;
  for (std::size_t r = 0; r <= repetitions; ++r) {
    ours = run_figures();
    with_replayer({.messages = messages}, [&](std::uint16_t port) {
      run_reference({.port = port, .messages = messages, .block = &block()}, ours);
    });
    for (opponent& o : others) {
      const run_figures its = run_of(o, messages / o.share);
      check_equal(its, o.share == 1 ? ours : run_of(others[0], messages / o.share), o.name);
      if (r == 0) continue;  // warms up
      o.cpu.push_back(per_message(its.processor_ns, its));
      o.wall.push_back(per_message(its.wall_ns, its));
    }
    if (r == 0) continue;
    cpu.push_back(per_message(ours.processor_ns, ours));
    wall.push_back(per_message(ours.wall_ns, ours));
  }
  for (const opponent& o : others) {
    print_row(compared("mqtt_replayed", "CPU ns/message", cpu, o.name, o.cpu));
    print_row(compared("mqtt_replayed", "wall ns/message", wall, o.name, o.wall));
  }
  print_calls(ours);
}

/// A publisher that starts when the subscriber is there, half a second later.
child publisher(const broker_process& broker, const replayer::options& o) {
  block();
  return child::of([&broker, o] {
    std::this_thread::sleep_for(std::chrono::milliseconds{500});
    replayer::publish(broker.port(), block(), o);
  });
}

/// True once the publisher has gone and nothing has come for half a second.
class quiet {
 public:
  explicit quiet(child& sender) : sender_(sender) {}
  bool operator()(std::uint64_t messages) {
    if (!sender_.ended() || messages != last_) {
      last_ = messages;
      since_ = replayer::now();
      return false;
    }
    return replayer::now() - since_ > 500'000'000U;
  }

 private:
  child& sender_;
  std::uint64_t last_ = 0;
  std::uint64_t since_ = replayer::now();
};

/// Reads and counts; stamps, where given, are those of the n-th message.
void run_null(std::uint16_t port, quick_acknowledge quick, const replayer::options& o,
              run_figures& out) {
  const auto s = subscribe_to(port);
  timeval patience{5, 0};  // the broker has dropped the rest
  setsockopt(s.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  read_packets(
      s, quick,
      [&](std::string_view) {
        if (o.sent != nullptr) out.delays.add(replayer::now() - o.sent->get(out.messages));
        return ++out.messages != o.messages;
      },
      [] {});
}

void broker(std::uint64_t messages) {
  std::vector<double> ours_cpu;
  std::vector<double> broker_cpu;
  std::vector<double> delivered;
  std::vector<double> null_delivered;
  for (int r = 0; r < 5; ++r) {
    {
      const broker_process server;
      run_figures f;
      child sender = publisher(server, {.messages = messages});
      quiet done(sender);
      const std::uint64_t before = server.processor_time();
      run_reference({.port = server.port(),
                     .messages = messages,
                     .block = &block(),
                     .give_up = [&] { return done(f.messages); }},
                    f);
      ours_cpu.push_back(per_message(f.processor_ns, f));
      broker_cpu.push_back(per_message(server.processor_time() - before, f));
      delivered.push_back(static_cast<double>(f.messages) / static_cast<double>(messages));
    }
    const broker_process server;
    run_figures f;
    child sender = publisher(server, {.messages = messages});
    run_null(server.port(), quick_acknowledge::no, {.messages = messages}, f);
    null_delivered.push_back(static_cast<double>(f.messages) / static_cast<double>(messages));
  }
  const row cpu =
      compared("mqtt_broker", "CPU ns/message", ours_cpu, "mosquitto itself", broker_cpu);
  print_row(with_target(cpu, "6", relation::at_most, 0.05));
  const row share =
      compared("mqtt_broker", "share delivered", delivered, "null subscriber", null_delivered);
  print_row(with_target(share, "6", relation::at_least, 0.98));
}

void latency(std::uint64_t seconds) {
  constexpr std::uint64_t rate = 20'000;
  const replayer::stamps sent;
  auto& writable = const_cast<replayer::stamps&>(sent);
  const replayer::options o{.messages = rate * seconds, .per_second = rate, .sent = &writable};
  std::vector<double> ours[3];
  std::vector<double> bare[3];
  for (int r = 0; r < 5; ++r) {
    const auto take = [](std::vector<double>(&to)[3], const run_figures& f) {
      const double quantiles[] = {0.5, 0.99, 0.999};
      for (int i = 0; i < 3; ++i) to[i].push_back(f.delays.quantile(quantiles[i]) / 1000);
    };
    {
      const broker_process server;
      run_figures f;
      child sender = publisher(server, o);
      quiet done(sender);
      run_short({.port = server.port(),
                 .messages = o.messages,
                 .block = &block(),
                 .sent = &sent,
                 .give_up = [&] { return done(f.messages); }},
                f);
      take(ours, f);
    }
    const broker_process server;
    run_figures f;
    child sender = publisher(server, o);
    run_null(server.port(), quick_acknowledge::yes, o, f);
    take(bare, f);
  }
  const char* names[] = {"p50, us", "p99, us", "p99.9, us"};
  for (int i = 0; i < 3; ++i) {
    const row r = compared("mqtt_latency", names[i], ours[i], "bare QUICKACK", bare[i]);
    print_row(i == 0 ? with_target(r, "7", relation::at_most, 1.3) : r);
  }
}

void soak(double minutes) {
  run_figures fast;
  constexpr std::uint64_t trial = 4'000'000;
  with_replayer({.messages = trial}, [&](std::uint16_t port) {
    run_reference({.port = port, .messages = trial, .block = &block()}, fast);
  });
  const double greatest = 1e9 / per_message(fast.wall_ns, fast);
  const auto rate = static_cast<std::uint64_t>(0.8 * greatest);
  const auto messages = static_cast<std::uint64_t>(static_cast<double>(rate) * minutes * 60);
  std::fprintf(stderr, "soak: %.0f messages/s at most, %llu messages/s for %g minutes\n", greatest,
               static_cast<unsigned long long>(rate), minutes);
  replayer::stamps sent(64);
  run_figures f;
  std::vector<double> memory;  // MiB, a sample per second
  with_replayer({.messages = messages, .per_second = rate, .sent = &sent}, [&](std::uint16_t port) {
    run_reference({.port = port,
                   .messages = messages,
                   .block = &block(),
                   .sent = &sent,
                   .every_second =
                       [&](std::uint64_t so_far) {
                         memory.push_back(static_cast<double>(resident_memory()) / (1 << 20));
                         if (memory.size() % 60 != 0) return;
                         std::fprintf(stderr, "soak: %llu messages, %.1f MiB\n",
                                      static_cast<unsigned long long>(so_far), memory.back());
                       }},
                  f);
  });
  // The first fifth warms up: windows of 10 s, buffers that grow to what is needed.
  const std::size_t warm = memory.size() / 5;
  const double before = memory.empty() ? unknown : memory[warm];
  const double after = memory.empty() ? unknown : memory.back();
  const std::string note = std::to_string(minutes) + " minutes";
  print_row(
      {.name = "soak", .measure = "messages/s", .ours = static_cast<double>(rate), .note = note});
  print_row({.name = "soak",
             .measure = "messages lost",
             .ours = static_cast<double>(messages) - static_cast<double>(f.messages),
             .target = "soak",
             .wants = relation::at_most,
             .limit = 0});
  print_row({.name = "soak",
             .measure = "MiB after / before",
             .ours = after,
             .against = "warm",
             .its = before,
             .ratio = after / before,
             .target = "soak",
             .wants = relation::at_most,
             .limit = 1.02});
  print_row({.name = "soak", .measure = "p50, us", .ours = f.delays.quantile(0.5) / 1000});
  print_row({.name = "soak", .measure = "p99.9, us", .ours = f.delays.quantile(0.999) / 1000});
  print_row({.name = "soak",
             .measure = "greatest, us",
             .ours = static_cast<double>(f.delays.greatest()) / 1000});
}

int run(const std::vector<std::string>& a) {
  const auto number = [&](std::size_t i, std::uint64_t otherwise) {
    return a.size() > i ? std::stoull(a[i]) : otherwise;
  };
  if (a.empty()) throw std::runtime_error("replayed, broker, latency or soak");
  if (a[0] == "replayed") {
    replayed(number(1, 4'000'000), number(2, 5));
  } else if (a[0] == "broker") {
    broker(number(1, 500'000));
  } else if (a[0] == "latency") {
    latency(number(1, 5));
  } else if (a[0] == "soak" && a.size() > 1) {
    soak(std::stod(a[1]));
  } else {
    throw std::runtime_error("replayed, broker, latency or soak");
  }
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    return bench::run({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}
