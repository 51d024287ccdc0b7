// SPDX-License-Identifier: Apache-2.0
// Follows single records through a pipeline: a file for ui.perfetto.dev, and a trace context that
// comes with a record and goes along with a call.

#include <millrace/base/trace_context.hpp>
#include <millrace/connectors/memory.hpp>
#include <millrace/millrace.hpp>

#include <cstdio>
#include <filesystem>
#include <thread>

using namespace std::chrono_literals;

/// A record from another program, which may have brought a trace along.
struct order {
  std::string station;
  int bikes = 0;
  std::string traceparent;
};

millrace::incoming_trace incoming_trace_of(const order& o) {
  return {o.traceparent, "", o.traceparent.empty() ? 0u : 1u};
}

int main() {
  const auto file = (std::filesystem::temp_directory_path() / "orders.trace.json").string();
  millrace::pipeline p("orders");
  p.parallelism(2).trace_to({
      .file = file,
      .every = 50ms,  // one record of each source, at most that often
      .propagation = millrace::trace_propagation::contexts,
  });

  millrace::memory::queue<order> orders;
  millrace::memory::sink<std::string> answers;
  std::string carried;  // what a model elsewhere would get to see
  const auto ask = [&carried](const order& o, millrace::async_reply<std::string> reply) {
    const auto* trace = reply.env().trace();
    if (trace != nullptr && !o.traceparent.empty()) carried = millrace::to_traceparent(*trace);
    reply(o.station + ": " + std::to_string(o.bikes * 3));
  };
  p.source("orders", orders).async_map<std::string>("score", ask, {}).to("answers", answers);

  p.start();
  for (int i = 0; i < 200; ++i) {
    orders.push({i % 2 == 0 ? "Grünerløkka" : "Aker brygge", i, ""});
    std::this_thread::sleep_for(1ms);
  }
  orders.push({"Tjuvholmen", 7, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"});
  orders.close();
  p.wait();

  const auto trace = p.status().trace;
  std::printf("%llu records in %llu bytes of %s\nthe call carried %s\n",
              static_cast<unsigned long long>(trace.records),
              static_cast<unsigned long long>(trace.bytes), file.c_str(), carried.c_str());
  const bool same_trace = carried.find("00-4bf92f3577b34da6a3ce929d0e0e4736-") == 0;
  std::filesystem::remove(file);
  return same_trace && trace.records >= 2 && answers.values().size() == 201 ? 0 : 1;
}
