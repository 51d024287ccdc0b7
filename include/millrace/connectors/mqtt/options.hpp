// SPDX-License-Identifier: Apache-2.0
/// \file
/// What `mqtt::source` and `mqtt::sink` have in common: how to reach the server, and the session.
/// Plain values.
#pragma once

#include <millrace/net/backoff.hpp>
#include <millrace/net/mqtt/connection.hpp>
#include <millrace/net/mqtt/session_options.hpp>
#include <millrace/net/tls.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::mqtt {

struct connection_options {
  mqtt::protocol protocol = mqtt::protocol::automatic;

  /// Must be unique on the server. Empty: one is made, of 19 characters. That of a source whose
  /// session is to outlive the process (`session_expiry` above 0) follows from the names of
  /// pipeline, source and host, so that the next start finds the session; if you run two copies on
  /// one host you must set it. Others also depend on the process id and a random number.
  std::string client_id{};

  std::optional<std::string> user_name{};  ///< these two win over those in the URL
  std::optional<std::string> password{};
  net::tls_options tls{};  ///< for mqtts:// and wss://

  /// How long the server keeps session and queued messages while we are away. 0: not at all. In
  /// 3.1.1 anything above 0 means as long as the server likes.
  std::chrono::seconds session_expiry{0};
  /// Whether to start with an empty session. Unset: a source resumes if `session_expiry` is above
  /// 0; a sink with a client identifier of yours starts anew, because its memory of what was in
  /// flight has gone with the process.
  std::optional<bool> clean_start{};

  std::chrono::seconds keep_alive{60};
  std::chrono::seconds response_timeout{20};  ///< for CONNACK, SUBACK and PINGRESP
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds{10};
  net::backoff_options reconnect{};    ///< 10 ms to 200 ms at first, doubling to 30 s; for ever
  std::uint32_t refused_attempts = 3;  ///< refusals in a row (credentials, rights) until it fails
  on_taken_over taken_over = on_taken_over::fail;

  std::optional<mqtt::will> will{};
  mqtt::user_properties user_properties{};                          ///< of CONNECT (version 5)
  std::uint32_t maximum_packet_size = default_maximum_packet_size;  ///< received, in bytes
};

namespace detail {

/// Parses and checks everything. \throws topology_error that names the part and the fix
MILLRACE_DECL link_options make_link_options(const connection_options& options,
                                             const std::string& url, const std::string& part);

/// See `connection_options::client_id`. `unique` is empty where the id must be stable.
MILLRACE_DECL std::string make_client_id(std::string_view pipeline, std::string_view part,
                                         std::string_view host, std::string_view unique);

enum class id_lifetime : std::uint8_t { process, installation };

/// Gives the session an id unless it has one.
MILLRACE_DECL void set_client_id(link_options& link, id_lifetime lifetime,
                                 const std::string& pipeline, const std::string& part,
                                 environment& env);

[[noreturn]] MILLRACE_DECL void wrong_option(const std::string& part, const std::string& what);

}  // namespace detail
}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/mqtt_options.ipp>
#endif
