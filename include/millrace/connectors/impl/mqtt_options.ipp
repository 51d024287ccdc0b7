// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/mqtt/options.hpp>
#include <millrace/net/mqtt/text.hpp>

#include <unistd.h>

namespace millrace::mqtt::detail {

MILLRACE_DECL void wrong_option(const std::string& part, const std::string& what) {
  throw topology_error(part + ": " + what);
}

inline void check_will(const std::string& part, const will& w) {
  if (!is_valid_topic_name(w.topic)) {
    wrong_option(part, "the topic of the will, '" + w.topic +
                           "', is no topic name: it must not be empty nor contain + or #");
  }
  if (w.qos > 2) wrong_option(part, "the QoS of the will must be 0, 1 or 2");
  if (w.payload.size() > maximum_field_length) {
    wrong_option(part, "the payload of the will must not be longer than 65,535 bytes");
  }
}

inline void check_durations(const std::string& part, const connection_options& options) {
  using std::chrono::seconds;
  if (options.keep_alive < seconds{0} || options.keep_alive > seconds{65'535}) {
    wrong_option(part, "keep_alive must be 0 to 65,535 seconds");
  }
  if (options.session_expiry < seconds{0}) {
    wrong_option(part, "session_expiry must not be negative");
  }
  if (options.response_timeout < seconds{1}) {
    wrong_option(part, "response_timeout must be at least one second");
  }
  if (const auto valid = net::validate(options.reconnect); !valid) {
    wrong_option(part, "reconnect: " + valid.error().message);
  }
}

inline net::url parse_server(const std::string& url, const std::string& part) {
  auto parsed = net::parse_url(url);
  if (!parsed) wrong_option(part, "url: " + parsed.error().to_string());
  if (parsed->scheme == "http" || parsed->scheme == "https") {
    wrong_option(part, "url: the scheme must be mqtt, mqtts, ws or wss, not " + parsed->scheme);
  }
  if (!parsed->uses_websocket() && parsed->path.size() > 1) {
    wrong_option(part, "url: an MQTT server has no path; '" + parsed->path +
                           "' belongs into the option topic");
  }
  return *std::move(parsed);
}

MILLRACE_DECL link_options make_link_options(const connection_options& options,
                                             const std::string& url, const std::string& part) {
  link_options link;
  link.server = parse_server(url, part);
  check_durations(part, options);
  if (options.will) check_will(part, *options.will);
  link.transport.tls = options.tls;
  if (link.server.uses_tls()) {
    if (const auto valid = net::validate(options.tls); !valid) {
      wrong_option(part, "tls: " + valid.error().to_string());
    }
  }
  link.transport.connect_timeout = options.connect_timeout;
  link.reconnect = options.reconnect;
  link.protocol = options.protocol;
  link.taken_over = options.taken_over;
  link.refused_attempts = options.refused_attempts;
  auto& session = link.session;
  session.client_id = options.client_id;
  session.session_expiry = options.session_expiry;
  session.keep_alive = options.keep_alive;
  session.response_timeout = options.response_timeout;
  session.maximum_packet_size = options.maximum_packet_size;
  session.user_name = options.user_name ? options.user_name : link.server.user;
  session.password = options.password ? options.password : link.server.password;
  session.will = options.will;
  session.user_properties = options.user_properties;
  return link;
}

/// FNV-1a with a separator after each text. Part of the format of client ids: must not change.
MILLRACE_DECL std::string make_client_id(std::string_view pipeline, std::string_view part,
                                         std::string_view host, std::string_view unique) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&hash](unsigned byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (const std::string_view text : {pipeline, part, host, unique}) {
    for (const char c : text) mix(static_cast<unsigned char>(c));
    mix(0x100);
  }
  std::string id = "mr-";
  for (int shift = 60; shift >= 0; shift -= 4) id += "0123456789abcdef"[hash >> shift & 0xf];
  return id;
}

MILLRACE_DECL void set_client_id(link_options& link, id_lifetime lifetime,
                                 const std::string& pipeline, const std::string& part,
                                 environment& env) {
  if (!link.session.client_id.empty()) return;
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  const std::string unique = lifetime == id_lifetime::installation
                                 ? ""
                                 : std::to_string(::getpid()) + "/" + std::to_string(env.random());
  link.session.client_id = make_client_id(pipeline, part, host, unique);
}

}  // namespace millrace::mqtt::detail
