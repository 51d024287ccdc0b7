// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/testing/detail/mqtt_broker_core.hpp>
#include <millrace/testing/io_thread.hpp>
#include <millrace/testing/mqtt_broker.hpp>

#include <future>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace millrace::testing {

struct mqtt_broker::state {
  std::unique_ptr<io_thread> thread;  // null on a given environment
  environment* env = nullptr;
  std::unique_ptr<detail::broker_core> core;

  void run(const std::function<void()>& action) {
    if (thread != nullptr) {
      thread->run(action);
    } else if (env->on_worker()) {
      action();
    } else {
      std::packaged_task<void()> task(action);
      auto done = task.get_future();
      env->post([&task] { task(); });
      done.get();
    }
  }

  void start() {
    run([this] {
      const auto started = core->start();
      if (!started) {
        throw std::system_error(started.error().code, "mqtt_broker: " + started.error().message);
      }
    });
  }

  void create(mqtt_broker_options options) {
    run([&] { core = std::make_unique<detail::broker_core>(*env, std::move(options)); });
    try {
      start();
    } catch (...) {
      run([this] { core.reset(); });
      throw;
    }
  }
};

MILLRACE_DECL mqtt_broker::mqtt_broker(mqtt_broker_options options)
    : state_(std::make_unique<state>()) {
  state_->thread = std::make_unique<io_thread>(options.log);
  state_->env = &state_->thread->env();
  state_->create(std::move(options));
}

MILLRACE_DECL mqtt_broker::mqtt_broker(environment& env, mqtt_broker_options options)
    : state_(std::make_unique<state>()) {
  state_->env = &env;
  state_->create(std::move(options));
}

MILLRACE_DECL mqtt_broker::~mqtt_broker() {
  state_->run([this] { state_->core.reset(); });
}

MILLRACE_DECL std::uint16_t mqtt_broker::port(std::size_t listener) const {
  std::uint16_t found = 0;
  state_->run([&] { found = state_->core->port(listener); });
  return found;
}

MILLRACE_DECL std::string mqtt_broker::url(std::size_t listener) const {
  std::string text;
  state_->run([&] {
    const auto& where = state_->core->options().listeners.at(listener);
    const bool websocket = where.framing == net::transport_framing::websocket;
    text = websocket ? "ws" : "mqtt";
    if (where.tls) text += 's';
    const bool v6 = where.address.find(':') != std::string::npos;
    text += "://" + (v6 ? "[" + where.address + "]" : where.address);
    text += ":" + std::to_string(where.port);
    if (websocket) text += "/mqtt";
  });
  return text;
}

MILLRACE_DECL void mqtt_broker::publish(mqtt_message message) {
  publish(std::span<const mqtt_message>(&message, 1));
}

MILLRACE_DECL void mqtt_broker::publish(std::span<const mqtt_message> messages) {
  for (const auto& m : messages) {
    if (!mqtt::is_valid_topic_name(m.topic)) {
      throw std::invalid_argument("mqtt_broker: '" + m.topic + "' is no topic to publish to");
    }
  }
  state_->run([&] {
    auto& core = *state_->core;
    for (const auto& m : messages) {
      auto properties = m.properties;
      std::chrono::nanoseconds expires_at{};
      if (properties.message_expiry_interval) {
        expires_at =
            core.env().monotonic() + std::chrono::seconds{*properties.message_expiry_interval};
      }
      properties.message_expiry_interval.reset();
      properties.topic_alias.reset();
      std::string encoded;
      mqtt::append_properties(properties, encoded);
      detail::publication p{.topic = m.topic,
                            .payload = m.payload,
                            .properties = encoded,
                            .expires_at = expires_at,
                            .qos = m.qos,
                            .retain = m.retain};
      core.route(p);
    }
    core.flush();
  });
}

MILLRACE_DECL void mqtt_broker::delay(std::chrono::nanoseconds by) {
  state_->run([&] { state_->core->set_delay(by); });
}

MILLRACE_DECL void mqtt_broker::cut_connections() {
  state_->run([&] { state_->core->cut_connections({}); });
}

MILLRACE_DECL void mqtt_broker::cut_connection(std::string_view client_id) {
  if (client_id.empty()) return;
  state_->run([&] { state_->core->cut_connections(client_id); });
}

MILLRACE_DECL void mqtt_broker::cut_after(std::uint64_t packets) {
  state_->run([&] { state_->core->cut_after(packets); });
}

MILLRACE_DECL void mqtt_broker::drop_acknowledgements(mqtt::packet_type type, std::uint64_t count) {
  state_->run([&] { state_->core->drop_acknowledgements(type, count); });
}

MILLRACE_DECL void mqtt_broker::refuse_connections(mqtt::reason_code with) {
  state_->run([&] { state_->core->refuse_connections(with); });
}

MILLRACE_DECL void mqtt_broker::stop() {
  state_->run([&] { state_->core->stop(); });
}

MILLRACE_DECL void mqtt_broker::start() { state_->start(); }

MILLRACE_DECL bool mqtt_broker::is_running() const {
  bool running = false;
  state_->run([&] { running = state_->core->is_running(); });
  return running;
}

MILLRACE_DECL mqtt_broker_statistics mqtt_broker::statistics() const {
  mqtt_broker_statistics present;
  state_->run([&] { present = state_->core->statistics(); });
  return present;
}

MILLRACE_DECL bool mqtt_broker::is_connected(std::string_view client_id) const {
  bool connected = false;
  state_->run([&] { connected = state_->core->is_connected(client_id); });
  return connected;
}

}  // namespace millrace::testing
