// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/connectors/mqtt/source_options.hpp>
#include <millrace/net/mqtt/text.hpp>

namespace millrace::mqtt::detail {

MILLRACE_DECL std::vector<std::string> filters_of(const source_options& options) {
  std::vector<std::string> all = options.topics;
  if (!options.topic.empty()) all.insert(all.begin(), options.topic);
  return all;
}

inline const char* name_of(acknowledge_mode mode) noexcept {
  switch (mode) {
    case acknowledge_mode::on_receive: return "on_receive";
    case acknowledge_mode::manual: return "manual";
    case acknowledge_mode::on_checkpoint: return "on_checkpoint";
    case acknowledge_mode::on_journal: break;
  }
  return "on_journal";
}

MILLRACE_DECL link_options source_link_options(const source_options& options,
                                               const std::string& part) {
  link_options link = make_link_options(options.connection, options.url, part);
  const auto& c = options.connection;
  const auto mode = mode_of(options);
  link.session.clean_start = c.clean_start.value_or(c.session_expiry.count() == 0);
  link.session.acknowledge = mode;
  link.session.receive_maximum = options.receive_maximum;
  link.session.topic_alias_maximum = options.topic_aliases;
  const auto filters = filters_of(options);
  if (filters.empty()) wrong_option(part, "no topic: set the option topic or topics");
  for (const auto& filter : filters) {
    if (!is_valid_topic_filter(filter)) {
      wrong_option(part, "'" + filter +
                             "' is no topic filter: + and # stand alone in their level, # comes "
                             "last, a shared subscription is $share/group/filter");
    }
  }
  if (options.qos > 2) wrong_option(part, "qos must be 0, 1 or 2");
  if (options.receive_maximum == 0) wrong_option(part, "receive_maximum must be at least 1");
  const bool forgotten = c.session_expiry.count() == 0;
  if (mode == acknowledge_mode::on_checkpoint && (options.qos == 0 || forgotten)) {
    wrong_option(part,
                 "acknowledge on_checkpoint needs qos 1 or 2 and a session_expiry above 0, or the "
                 "server forgets what was not acknowledged");
  }
  if (mode == acknowledge_mode::on_journal && options.qos > 0 && forgotten) {
    wrong_option(part,
                 "acknowledge on_journal with qos 1 or 2 needs connection.session_expiry above 0, "
                 "or the server forgets what was not acknowledged; with acknowledge = on_receive "
                 "messages can be lost");
  }
  if (options.receive_buffer < 4096) wrong_option(part, "receive_buffer must be at least 4096");
  return link;
}

inline std::string withholding_at_3_1_1(acknowledge_mode mode) {
  const std::string until = mode == acknowledge_mode::on_journal      ? "commit of the journal"
                            : mode == acknowledge_mode::on_checkpoint ? "checkpoint"
                                                                      : "acknowledgement";
  return std::string("acknowledge ") + name_of(mode) +
         " with MQTT 3.1.1: the server sends no more messages per " + until +
         " than it allows in flight (mosquitto: max_inflight_messages, 20 by default) and may drop "
         "what it queues meanwhile (max_queued_messages, 1000); use version 5 with "
         "receive_maximum, "
         "or raise those limits";
}

MILLRACE_DECL std::vector<std::string> warnings_of(const source_options& options,
                                                   const server_limits& limits) {
  std::vector<std::string> all;
  const bool v5 = limits.version == version::v5;
  const auto expiry = options.connection.session_expiry;
  if (withholds(options) && !v5) all.push_back(withholding_at_3_1_1(mode_of(options)));
  if (withholds(options) && v5 && limits.receive_maximum < options.receive_maximum) {
    all.push_back("the server allows " + std::to_string(limits.receive_maximum) +
                  " messages in flight (its receive maximum; mosquitto: max_inflight_messages), "
                  "receive_maximum asks for " +
                  std::to_string(options.receive_maximum) +
                  ": it may send no more than that until an acknowledgement, and drop what it "
                  "queues meanwhile (mosquitto: max_queued_messages); raise the server's limit");
  }
  if (v5 && limits.session_expiry < expiry) {
    all.push_back("the server keeps the session for " +
                  std::to_string(limits.session_expiry.count()) + " s, session_expiry asks for " +
                  std::to_string(expiry.count()) +
                  " s (mosquitto: persistent_client_expiration): what is published while this "
                  "program is away for longer is lost");
  }
  if (limits.maximum_qos < options.qos) {
    all.push_back("the server's maximum QoS is " + std::to_string(limits.maximum_qos) +
                  ", qos asks for " + std::to_string(options.qos) +
                  ": messages come with less (mosquitto: max_qos)");
  }
  return all;
}

MILLRACE_DECL std::string window_warning(const source_options& options) {
  return std::to_string(options.receive_maximum) +
         " messages wait for their acknowledgement (acknowledge " + name_of(mode_of(options)) +
         "), as many as receive_maximum allows: the server sends no more until then; raise "
         "receive_maximum" +
         (mode_of(options) == acknowledge_mode::on_checkpoint ? ", or take checkpoints more often"
                                                              : "");
}

}  // namespace millrace::mqtt::detail
