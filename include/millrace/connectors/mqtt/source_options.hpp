// SPDX-License-Identifier: Apache-2.0
/// \file
/// What `mqtt::source` is told, what of it cannot work, and what is worth a warning. Plain values.
#pragma once

#include <millrace/connectors/mqtt/options.hpp>
#include <millrace/net/mqtt/outbound.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::mqtt {

/// What to do with messages that the server had stored before we subscribed.
enum class retained_policy : std::uint8_t {
  take,  ///< they are records like others, with `retain` set
  drop,  ///< only what is published from now on
  only,  ///< nothing but the stored ones
};

struct source_options {
  std::string url = "mqtt://localhost";  ///< mqtt, mqtts, ws or wss
  std::string topic{};                   ///< a filter: + and # and $share/group/... are allowed
  std::vector<std::string> topics{};     ///< more of them
  std::uint8_t qos = 0;                  ///< the most to ask for
  /// `on_receive` unless set; with a journal (`journaled`) `on_journal`.
  std::optional<acknowledge_mode> acknowledge{};
  retained_policy retained = retained_policy::take;
  /// Messages of QoS 1 and 2 without acknowledgement, at most (version 5): in mode `manual`, how
  /// far the application may lag behind.
  std::uint16_t receive_maximum = 1024;
  /// Aliases that the server may use instead of topics (version 5). Aliased messages are copied.
  std::uint16_t topic_aliases = 0;
  /// One block of received bytes; 8 of them are kept. While records hold on to all of them, new
  /// messages are copied one by one.
  std::size_t receive_buffer = 128 * 1024;
  connection_options connection{};
};

namespace detail {

/// All topic filters.
MILLRACE_DECL std::vector<std::string> filters_of(const source_options& options);

inline acknowledge_mode mode_of(const source_options& options) noexcept {
  return options.acknowledge.value_or(acknowledge_mode::on_receive);
}

/// Whether acknowledgements wait for something.
inline bool withholds(const source_options& options) noexcept {
  return mode_of(options) != acknowledge_mode::on_receive && options.qos > 0;
}

/// Parses and checks everything. \throws topology_error that names the part and the fix
MILLRACE_DECL link_options source_link_options(const source_options& options,
                                               const std::string& part);

/// What of the options the server's limits make lossy or slow, in words that name the settings on
/// both sides. Limits that a server does not tell (mosquitto: max_queued_messages) are named where
/// they matter.
MILLRACE_DECL std::vector<std::string> warnings_of(const source_options& options,
                                                   const server_limits& limits);

/// The server has sent all it may without acknowledgements, and waits.
MILLRACE_DECL std::string window_warning(const source_options& options);

}  // namespace detail
}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/mqtt_source_options.ipp>
#endif
