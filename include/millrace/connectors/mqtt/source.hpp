// SPDX-License-Identifier: Apache-2.0
/// \file
/// A source of messages from an MQTT server. The description may be copied to any thread; the
/// reader belongs to one worker.
#pragma once

#include <millrace/connectors/mqtt/message.hpp>
#include <millrace/connectors/mqtt/source_options.hpp>
#include <millrace/operators/source.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::mqtt {

namespace detail {
class source_link;
}

/// What a worker polls. Messages are decoded out of the receive buffer during `poll`; when `poll`
/// is not called, nothing is read, and the server feels it.
class message_reader {
 public:
  /// \throws topology_error for options that cannot work
  MILLRACE_DECL message_reader(source_context& context, const source_options& options);
  message_reader(const message_reader&) = delete;
  message_reader& operator=(const message_reader&) = delete;
  MILLRACE_DECL ~message_reader();

  MILLRACE_DECL poll_status poll(source_output<message>& out);

  /// Reads no more. With `on_receive` it says goodbye to the server and ends; with `manual` it ends
  /// at once, but acknowledgements are still sent as long as the reader lives.
  MILLRACE_DECL void stop();

  /// For `on_checkpoint`. What has been handed over before `checkpoint(id)` is acknowledged by
  /// `checkpoint_complete(id)`. `save` tells it apart from what comes behind: packet identifiers
  /// and fingerprints of all that waits for its acknowledgement.
  MILLRACE_DECL void checkpoint(std::uint64_t id);
  MILLRACE_DECL void checkpoint_complete(std::uint64_t id);
  MILLRACE_DECL void save(snapshot_writer& to) const;
  MILLRACE_DECL void restore(snapshot_reader& from);

  /// For `on_journal`, see `journaled`: the memory of messages that may come again stands in the
  /// journal, and cuts are its offsets.
  MILLRACE_DECL std::uint64_t memory_begin() const;
  MILLRACE_DECL bool note(snapshot_writer& to);
  MILLRACE_DECL void recall(std::uint64_t offset, const message& m);
  MILLRACE_DECL void recall_note(std::uint64_t offset, std::string_view bytes);

 private:
  std::shared_ptr<detail::source_link> link_;
};

/// Messages from an MQTT server, over TCP, TLS or WebSocket, at QoS 0, 1 or 2; the connection is
/// kept up. A refused subscription, wrong credentials or a session taken over by another client
/// fail the pipeline, in words. Metrics: received, bytes, redelivered, retained_skipped, copied,
/// unacknowledged, connects, connection_failures, connected.
///
/// Delivery: with `on_receive`, what was handed over is acknowledged, and lost if the process dies
/// before it is processed. With `manual`, QoS 1 or 2 and `session_expiry` above 0, the server sends
/// again what `message::acknowledge` was not called for.
///
/// With a journal (`journaled(mqtt::source{...}, {.directory = ...})`), QoS 1 or 2 and
/// `session_expiry` above 0, messages are acknowledged when they are on the disk (`on_journal`, the
/// default there), and messages that come again are recognised, after a crash, too. QoS 2 is
/// exactly once into the journal: its PUBCOMP waits until the journal holds that the identifier is
/// free. With QoS 1 one case cannot be told apart: a server that uses an identifier again at once,
/// for an equal message that got lost in a crash.
///
/// With `on_checkpoint`, QoS 1 or 2 and `session_expiry` above 0, messages are acknowledged when a
/// checkpoint that holds their effect is durable. After a crash the server sends the others again;
/// those that the restored checkpoint holds already (same packet identifier, flagged as repeated,
/// same content, same session) are acknowledged and dropped (metric `recognised`): what a
/// transactional sink gets, it gets once. The server bounds how many messages may wait: version 5
/// by `receive_maximum`, version 3.1.1 by its own limit (mosquitto: max_inflight_messages, 20),
/// which then bounds the messages per checkpoint; the start says so in the log.
///
///     mqtt::source{{.url = "mqtt://localhost", .topic = "bikes/+/status", .qos = 1}}
class source {
 public:
  using value_type = message;

  explicit source(source_options options) : options_(std::move(options)) {}

  /// \throws topology_error for options that cannot work; `part` is named in it.
  MILLRACE_DECL void validate(const std::string& part = "mqtt source") const;

  message_reader open(source_context& context) const {
    validate(context.name());
    return {context, options_};
  }

  /// The source as `journaled` opens it.
  source under_journal() const {
    source with_journal(*this);
    if (!options_.acknowledge) with_journal.options_.acknowledge = acknowledge_mode::on_journal;
    with_journal.under_journal_ = true;
    return with_journal;
  }

  /// See docs/concepts/guarantees.md.
  MILLRACE_DECL delivery delivered() const;

  const source_options& options() const noexcept { return options_; }

 private:
  source_options options_;
  bool under_journal_ = false;
};

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/connectors/impl/mqtt_source.ipp>
#endif
