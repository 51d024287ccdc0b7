// SPDX-License-Identifier: Apache-2.0
/// \file
/// The reference pipeline behind an MQTT server, and a shorter one for latencies. Each call runs
/// one pipeline until all messages are there, or `give_up` says so. For one thread.
#pragma once

#include "floors/reference.hpp"
#include "harness/latencies.hpp"
#include "harness/process.hpp"
#include "replayer/replayer.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace bench {

/// What a run came to.
struct run_figures {
  std::uint64_t messages = 0;
  std::uint64_t processor_ns = 0;
  std::uint64_t wall_ns = 0;  ///< from the first message to the last
  std::uint64_t receives = 0;
  std::uint64_t sends = 0;
  std::uint64_t waits = 0;
  std::uint64_t allocations = 0;  ///< between the middle of the run and its end
  std::uint64_t dead_letters = 0;
  floors::digest lines;
  latencies delays;
};

struct run_options {
  std::uint16_t port = 0;
  std::uint64_t messages = 0;  ///< to wait for
  const floors::packet_block* block = nullptr;
  const replayer::stamps* sent = nullptr;  ///< latencies, where given
  std::function<bool()> give_up{};         ///< asked every 50 ms
  std::function<void(std::uint64_t messages)> every_second{};
};

/// MQTT -> JSON -> windows of 10 s by 1 s per station -> lines of text. With `sent` the decoded
/// messages go to a second sink, too, which takes the time.
void run_reference(const run_options& o, run_figures& out);

/// MQTT -> JSON -> sink.
void run_short(const run_options& o, run_figures& out);

}  // namespace bench
