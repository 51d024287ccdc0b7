// SPDX-License-Identifier: Apache-2.0
/// \file
/// An MQTT source and sink that run without a pipeline, for tests: they are polled and written to
/// by hand. Not thread safe.
#pragma once

#include <millrace/connectors/mqtt.hpp>

#include "support/asio_environment.hpp"
#include "support/fake_sink_context.hpp"
#include "support/fake_source_context.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::testing {

/// Polls a source whenever it asks for it, and keeps what it emits.
struct running_source {
  running_source(environment& env, const mqtt::source_options& options,
                 const std::string& name = "source")
      : context(env, name), reader(mqtt::source{options}.open(context)) {}

  void poll() {
    if (seen == context.wakes.load() && !more) return;
    seen = context.wakes.load();
    batch<mqtt::message> records(16);
    source_output<mqtt::message> out(records);
    status = reader.poll(out);
    more = status == poll_status::more;
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto& m = records.value(i);
      payloads.emplace_back(m.payload);
      topics.emplace_back(m.topic);
      if (on_message) on_message(m);
    }
  }
  bool up() const { return context.metric("connected") == 1; }

  fake_source_context context;
  std::function<void(const mqtt::message&)> on_message;
  mqtt::message_reader reader;
  std::vector<std::string> payloads;
  std::vector<std::string> topics;
  poll_status status = poll_status::wait;
  bool more = true;
  int seen = -1;
};

struct running_sink {
  running_sink(environment& env, const mqtt::sink_options& options,
               const std::string& name = "sink")
      : context(env, name), writer(mqtt::sink{options}.open(context)) {}

  void write(const std::string& text) {
    writer.write(text, timestamp{std::chrono::seconds{1}});
    writer.batch_end();
  }
  bool up() const { return context.metric("connected") == 1; }

  fake_sink_context context;
  mqtt::sink<>::writer writer;
};

/// Back-off for tests.
inline net::backoff_options fast_backoff() {
  return {.initial = std::chrono::milliseconds{20}, .longest = std::chrono::milliseconds{100}};
}

inline std::vector<std::string> numbered_messages(int n) {
  std::vector<std::string> all;
  for (int i = 0; i < n; ++i) all.push_back("message " + std::to_string(i));
  return all;
}

}  // namespace millrace::testing
