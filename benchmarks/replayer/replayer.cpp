// SPDX-License-Identifier: Apache-2.0
// The replayer as a program, for subscribers of any kind:
//
//   bench_replayer MESSAGES [PER_SECOND]
//
// prints its port, takes one MQTT client and sends it that many messages of the reference pipeline
// (1,000 stations) on topics bikes/STATION/status. Prints seconds and messages per second.
#include "replayer/replayer.hpp"

#include <cstdio>
#include <exception>
#include <string>

int main(int argc, char** argv) {
  try {
    if (argc < 2) throw std::runtime_error("usage: bench_replayer MESSAGES [PER_SECOND]");
    replayer::options o{.messages = std::stoull(argv[1])};
    if (argc > 2) o.per_second = std::stoull(argv[2]);
    const auto block = floors::make_packets(65'536, 1'000, 100'000);
    const replayer::server server;
    std::printf("%u\n", static_cast<unsigned>(server.port()));
    std::fflush(stdout);
    const std::uint64_t start = replayer::now();
    server.serve(block, o);
    const double seconds = static_cast<double>(replayer::now() - start) * 1e-9;
    std::printf("%.3f %.0f\n", seconds, static_cast<double>(o.messages) / seconds);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 2;
  }
}
