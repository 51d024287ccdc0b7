// SPDX-License-Identifier: Apache-2.0
/// \file
/// A client's connection to an MQTT server that is kept up: it opens the transport, runs the
/// session over it, keeps it alive, and comes back after failures. Sources and sinks derive from
/// it. Everything on the thread of the environment. Light: the transport hides Asio.
#pragma once

#include <millrace/base/environment.hpp>
#include <millrace/base/error.hpp>
#include <millrace/base/metrics.hpp>
#include <millrace/net/backoff.hpp>
#include <millrace/net/mqtt/session.hpp>
#include <millrace/net/transport.hpp>
#include <millrace/net/url.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace millrace::mqtt {

/// Which version to speak.
enum class protocol : std::uint8_t {
  automatic,  ///< 5, and 3.1.1 with servers that do not know it
  v3_1_1,
  v5,
};

/// What to do when another client has connected with our client identifier.
enum class on_taken_over : std::uint8_t {
  fail,       ///< the pipeline fails and says so: two that come back take turns for ever
  reconnect,  ///< take it back, with back-off
};

/// All that a connection needs to know.
struct link_options {
  net::url server{};
  net::transport_options transport{};
  net::backoff_options reconnect{};
  mqtt::protocol protocol = mqtt::protocol::automatic;
  on_taken_over taken_over = on_taken_over::fail;
  /// After how many refusals in a row that a retry will hardly cure (credentials, authorization, a
  /// peer that breaks the protocol) to give up. Everything else is retried for ever, with back-off.
  std::uint32_t refused_attempts = 3;
  session_options session{};
};

/// Base of what talks MQTT. Derived classes are held by `std::shared_ptr`, because transfers under
/// way own the buffers they use; `abandon` must be called before the environment goes away.
class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  MILLRACE_DECL virtual ~connection();

  /// Begins to connect. Once.
  MILLRACE_DECL void start();

  /// Sends what the session has to say.
  MILLRACE_DECL void flush();

  /// Reads if `receive_space` has room and no read is under way.
  MILLRACE_DECL void read();

  /// Says goodbye, then `on_closed`. Without a connection at once.
  MILLRACE_DECL void close(session::goodbye how);

  /// Drops everything, saying goodbye if that can be done at once. No hook is called any more.
  MILLRACE_DECL void abandon(session::goodbye how) noexcept;

  bool up() const noexcept { return session_.connected() && transport_ != nullptr; }

 protected:
  MILLRACE_DECL connection(environment& env, metric_group& metrics, std::string name,
                           link_options options);

  /// Where received bytes go; empty: do not read now, `read()` will be called.
  virtual std::span<char> receive_space() = 0;
  /// So many bytes have arrived there.
  virtual void on_received(std::size_t bytes) = 0;
  /// CONNACK with success. Subscribe now.
  virtual void on_up() = 0;
  /// The transport is gone; received bytes that are not whole packets are worth nothing.
  virtual void on_down() = 0;
  /// A write has completed: there is room in `session().output()`.
  virtual void on_written() {}
  /// After `close`.
  virtual void on_closed() = 0;
  /// Given up; the connection is closed.
  virtual void on_failed(error reason) = 0;
  /// Whether received bytes wait to be processed: then silence is our own fault.
  virtual bool behind() const noexcept { return false; }

  mqtt::session& session() noexcept { return session_; }
  const mqtt::session& session() const noexcept { return session_; }

  /// To be called with the outcome of every `session().receive`: handles events and failures. False
  /// if the connection is gone.
  MILLRACE_DECL bool handled(const receive_result& result);

  environment& env() const noexcept { return *env_; }
  bool abandoned() const noexcept { return stage_ == stage::abandoned; }
  /// "mqtt://host:1883", for messages.
  const std::string& address() const noexcept { return address_; }
  MILLRACE_DECL void warn(const std::string& text);

  /// Gives up: closes, then `on_failed`.
  MILLRACE_DECL void fail(error reason);

 private:
  enum class stage : std::uint8_t { idle, opening, open, waiting, closing, closed, abandoned };

  void open();
  void on_open(result<std::unique_ptr<net::transport>> opened);
  void on_read(const result<std::size_t>& transferred);
  void on_write(const result<std::size_t>& transferred);
  bool on_event(const session_event& event);
  bool on_refused(const session_event& event);
  bool on_server_disconnect(const session_event& event);
  void lost(error reason);
  void suspect_take_over();
  void fall_back();
  void retry_or_fail(error reason, bool hopeless);
  void drop_transport();
  void finish_close();
  void arm_timer();
  void on_timer();

  environment* env_;
  std::string name_;
  link_options options_;
  std::string address_;
  mqtt::session session_;
  stage stage_ = stage::idle;
  net::backoff backoff_;
  std::shared_ptr<net::transport_opening> opening_;
  std::unique_ptr<net::transport> transport_;
  std::string sending_;
  bool reading_ = false;
  bool writing_ = false;
  std::uint64_t generation_ = 0;  // of the transport: completions of older ones are stale
  timer_id timer_ = 0;            // back-off, or the session's deadline
  std::chrono::nanoseconds timer_at_{0};
  std::optional<std::chrono::nanoseconds> up_since_;
  std::uint32_t refusals_ = 0;           // in a row
  std::uint32_t closed_early_ = 0;       // in a row, soon after CONNACK
  std::uint32_t closed_unanswered_ = 0;  // in a row, before CONNACK
  rate_limit log_limit_;
  counter& connects_;
  counter& failures_;
  gauge& connected_;
};

}  // namespace millrace::mqtt

#if defined(MILLRACE_HEADER_ONLY)
#include <millrace/net/mqtt/impl/connection.ipp>
#endif
