// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/net/mqtt/connection.hpp>

#include <algorithm>
#include <exception>
#include <string_view>
#include <utility>

namespace millrace::mqtt {

namespace detail {

/// A connection that lived for so long has proved that it works.
inline constexpr std::chrono::nanoseconds proven_after = std::chrono::seconds{5};

/// Codes that will be the same at the next try, most likely.
constexpr bool is_hopeless(reason_code code) noexcept {
  switch (code) {
    case reason_code::malformed_packet:
    case reason_code::protocol_error:
    case reason_code::unsupported_protocol_version:
    case reason_code::client_identifier_not_valid:
    case reason_code::bad_user_name_or_password:
    case reason_code::not_authorized:
    case reason_code::banned:
    case reason_code::bad_authentication_method:
    case reason_code::topic_filter_invalid:
    case reason_code::topic_name_invalid:
    case reason_code::packet_too_large:
    case reason_code::payload_format_invalid:
    case reason_code::retain_not_supported:
    case reason_code::qos_not_supported:
    case reason_code::shared_subscriptions_not_supported:
    case reason_code::wildcard_subscriptions_not_supported: return true;
    default: return false;
  }
}

inline link_options with_version(link_options options) {
  if (options.server.uses_websocket()) options.transport.websocket_protocol = "mqtt";
  options.session.version = options.protocol == protocol::v3_1_1 ? version::v3_1_1 : version::v5;
  return options;
}

}  // namespace detail

MILLRACE_DECL connection::connection(environment& env, metric_group& metrics, std::string name,
                                     link_options options)
    : env_(&env),
      name_(std::move(name)),
      options_(detail::with_version(std::move(options))),
      address_(options_.server.scheme + "://" + options_.server.authority()),
      session_(options_.session),
      backoff_(options_.reconnect),
      connects_(metrics.counter("connects")),
      failures_(metrics.counter("connection_failures")),
      connected_(metrics.gauge("connected")) {}

MILLRACE_DECL connection::~connection() = default;

MILLRACE_DECL void connection::warn(const std::string& text) {
  if (!log_limit_.allow(env_->monotonic())) return;
  const auto swallowed = log_limit_.take_suppressed();
  env_->log().warning(
      name_,
      swallowed == 0 ? text : text + " (and " + std::to_string(swallowed) + " lines like this)");
}

MILLRACE_DECL void connection::start() {
  if (stage_ == stage::idle) open();
}

MILLRACE_DECL void connection::open() {
  stage_ = stage::opening;
  opening_ = net::open_transport(
      *env_, options_.server, options_.transport,
      [self = shared_from_this()](result<std::unique_ptr<net::transport>> opened) {
        if (self->stage_ == stage::opening) self->on_open(std::move(opened));
      });
}

MILLRACE_DECL void connection::on_open(result<std::unique_ptr<net::transport>> opened) {
  opening_.reset();
  if (!opened) {
    closed_early_ = 0;
    return retry_or_fail(opened.error(), false);
  }
  transport_ = std::move(*opened);
  ++generation_;
  reading_ = false;
  writing_ = false;
  stage_ = stage::open;
  up_since_.reset();
  session_.connect(env_->monotonic());
  flush();
  read();
  arm_timer();
}

MILLRACE_DECL void connection::flush() {
  if (transport_ == nullptr || writing_ || session_.output().empty()) return;
  writing_ = true;
  sending_.clear();
  sending_.swap(session_.output());
  const std::string_view bytes = sending_;
  transport_->write({&bytes, 1}, [self = shared_from_this(), generation = generation_](
                                     const result<std::size_t>& transferred) {
    if (generation == self->generation_ && self->transport_) self->on_write(transferred);
  });
}

MILLRACE_DECL void connection::on_write(const result<std::size_t>& transferred) {
  writing_ = false;
  if (!transferred) return lost(transferred.error());
  session_.note_sent(env_->monotonic());
  flush();
  if (stage_ == stage::closing) {
    if (!writing_) finish_close();
    return;
  }
  on_written();
}

MILLRACE_DECL void connection::read() {
  if (transport_ == nullptr || reading_ || stage_ != stage::open) return;
  const std::span<char> space = receive_space();
  if (space.empty()) return;
  reading_ = true;
  transport_->read_some(space, [self = shared_from_this(),
                                generation = generation_](const result<std::size_t>& transferred) {
    if (generation == self->generation_ && self->transport_) self->on_read(transferred);
  });
}

MILLRACE_DECL void connection::on_read(const result<std::size_t>& transferred) {
  reading_ = false;
  if (stage_ != stage::open) return;
  if (!transferred) return lost(transferred.error());
  session_.note_received(env_->monotonic());
  on_received(*transferred);
}

MILLRACE_DECL bool connection::handled(const receive_result& result) {
  if (!session_.events().empty()) {
    const auto events = std::exchange(session_.events(), {});
    for (const auto& event : events) {
      if (!on_event(event)) return false;
    }
  }
  if (result.failed) {
    lost({errc::protocol_error, "the session has ended"});
    return false;
  }
  return true;
}

MILLRACE_DECL bool connection::on_event(const session_event& event) {
  switch (event.kind) {
    case event_kind::connected:
      up_since_ = env_->monotonic();
      closed_unanswered_ = 0;
      connects_.add();
      connected_.set(1);
      env_->log().info(name_, "connected to " + address_ + " as '" + session_.client_id() + "'" +
                                  (session_.session_present() ? ", session resumed" : ""));
      on_up();
      arm_timer();
      flush();
      return transport_ != nullptr;
    case event_kind::refused: return on_refused(event);
    case event_kind::subscribed:
      if (is_failure(event.code)) {
        fail({errc::connection_refused, address_ + " refused a subscription: " + event.words});
        return false;
      }
      if (!event.words.empty()) warn(address_ + " granted less than asked for: " + event.words);
      return true;
    case event_kind::server_disconnect: return on_server_disconnect(event);
    case event_kind::protocol_failed: {
      flush();  // DISCONNECT with the reason, as far as it gets
      error reason{errc::protocol_error, address_ + ": " + event.words};
      drop_transport();
      retry_or_fail(std::move(reason), true);
      return false;
    }
    case event_kind::unresponsive: lost({errc::timeout, event.words}); return false;
  }
  return true;
}

MILLRACE_DECL bool connection::on_refused(const session_event& event) {
  drop_transport();
  if (event.code == reason_code::unsupported_protocol_version &&
      options_.protocol == protocol::automatic && session_.options().version == version::v5) {
    session_.set_version(version::v3_1_1);
    env_->log().info(name_, address_ + " does not speak MQTT 5: going on with 3.1.1");
    open();
    return false;
  }
  retry_or_fail({errc::connection_refused, address_ + " refused the connection of '" +
                                               session_.client_id() + "': " + event.words},
                detail::is_hopeless(event.code));
  return false;
}

MILLRACE_DECL bool connection::on_server_disconnect(const session_event& event) {
  const bool taken = event.code == reason_code::session_taken_over;
  error reason{taken ? errc::session_taken_over : errc::connection_closed,
               address_ + " disconnected '" + session_.client_id() + "': " + event.words};
  if (taken) reason.message += ": another client connected with the same client identifier";
  if (taken && options_.taken_over == on_taken_over::fail) {
    fail(std::move(reason));
    return false;
  }
  drop_transport();
  retry_or_fail(std::move(reason), detail::is_hopeless(event.code));
  return false;
}

/// The connection broke. `reason` is the transport's or the session's.
MILLRACE_DECL void connection::lost(error reason) {
  if (stage_ == stage::closing) {
    drop_transport();
    stage_ = stage::closed;
    return on_closed();
  }
  if (stage_ != stage::open) return;
  const bool closed_by_peer = reason.code == make_error_code(errc::connection_closed);
  if (!up_since_ && closed_by_peer) {
    fall_back();
    reason.message = address_ + " closed the connection without an answer to CONNECT";
  } else if (closed_by_peer && reason.message.find("reset") == std::string::npos) {
    suspect_take_over();
  }
  drop_transport();
  if (reason.message.find(address_) == std::string::npos) {
    reason.message = address_ + (reason.message.empty() ? "" : ": " + reason.message);
  }
  retry_or_fail(std::move(reason), false);
}

/// Servers that do not know version 5 should refuse it, but some just close. 3.1.1 gets one try in
/// three.
MILLRACE_DECL void connection::fall_back() {
  if (options_.protocol != protocol::automatic) return;
  ++closed_unanswered_;
  session_.set_version(closed_unanswered_ % 3 == 2 ? version::v3_1_1 : version::v5);
}

/// 3.1.1 has no way to say so, and some servers of version 5 do not: they just close the older
/// connection of a client identifier. Then both come back, again and again.
MILLRACE_DECL void connection::suspect_take_over() {
  const bool early = up_since_ && env_->monotonic() - *up_since_ < detail::proven_after;
  closed_early_ = early ? closed_early_ + 1 : 0;
  if (closed_early_ >= 3) {
    env_->log().warning(name_, address_ + " closed the connection " +
                                   std::to_string(closed_early_) +
                                   " times in a row soon after it was made: the session is "
                                   "probably taken over by another client with the identifier '" +
                                   session_.client_id() + "'");
  }
}

MILLRACE_DECL void connection::retry_or_fail(error reason, bool hopeless) {
  if (stage_ == stage::abandoned || stage_ == stage::closed) return;
  failures_.add();
  const bool proven = up_since_ && env_->monotonic() - *up_since_ >= detail::proven_after;
  up_since_.reset();
  if (proven) {
    backoff_.reset();
    refusals_ = 0;
  }
  if (hopeless && ++refusals_ >= options_.refused_attempts) {
    if (refusals_ > 1) reason.message += ", " + std::to_string(refusals_) + " times in a row";
    return fail(std::move(reason));
  }
  const auto delay = backoff_.next(env_->random());
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(delay).count();
  warn(reason.to_string() + "; next try in " + std::to_string(milliseconds) + " ms");
  stage_ = stage::waiting;
  env_->cancel_timer(timer_);
  timer_ = env_->call_after(delay, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->stage_ != stage::waiting) return;
    self->timer_ = 0;
    self->open();
  });
}

MILLRACE_DECL void connection::fail(error reason) {
  drop_transport();
  stage_ = stage::closed;
  on_failed(std::move(reason));
}

MILLRACE_DECL void connection::drop_transport() {
  env_->cancel_timer(std::exchange(timer_, 0));
  if (transport_ == nullptr) return;
  ++generation_;
  transport_->close();
  transport_.reset();
  connected_.set(0);
  session_.connection_lost();
  on_down();
}

MILLRACE_DECL void connection::close(session::goodbye how) {
  if (stage_ == stage::closing || stage_ == stage::closed || stage_ == stage::abandoned) return;
  if (!up()) {
    if (opening_) opening_->cancel();
    opening_.reset();
    drop_transport();
    env_->cancel_timer(std::exchange(timer_, 0));
    stage_ = stage::closed;
    return on_closed();
  }
  session_.disconnect(how);
  stage_ = stage::closing;
  flush();
}

MILLRACE_DECL void connection::finish_close() {
  transport_->shutdown([self = shared_from_this(), generation = generation_](const result<void>&) {
    if (generation == self->generation_ && self->transport_) self->lost({});
  });
}

MILLRACE_DECL void connection::abandon(session::goodbye how) noexcept {
  if (stage_ == stage::abandoned) return;
  const bool say_goodbye = up() && stage_ == stage::open && !writing_;
  stage_ = stage::abandoned;
  env_->cancel_timer(std::exchange(timer_, 0));
  if (opening_) opening_->cancel();
  opening_.reset();
  if (transport_ == nullptr) return;
  try {
    if (say_goodbye) {
      session_.disconnect(how);
      flush();
    }
  } catch (const std::exception&) {  // out of memory: go without goodbye
  }
  ++generation_;
  connected_.set(0);
  transport_->close();
  transport_.reset();
}

MILLRACE_DECL void connection::arm_timer() {
  const auto deadline = session_.next_deadline();
  if (!deadline || stage_ != stage::open) return;
  if (timer_ != 0 && timer_at_ <= *deadline) return;  // looks again when it fires
  env_->cancel_timer(timer_);
  timer_at_ = *deadline;
  const auto delay = std::max(*deadline - env_->monotonic(), std::chrono::nanoseconds{0});
  timer_ = env_->call_after(delay, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->on_timer();
  });
}

MILLRACE_DECL void connection::on_timer() {
  timer_ = 0;
  if (stage_ != stage::open) return;
  const auto now = env_->monotonic();
  if (behind()) session_.note_received(now);
  session_.on_time(now);
  flush();
  if (handled({})) arm_timer();
}

}  // namespace millrace::mqtt
