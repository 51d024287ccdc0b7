// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/testing/detail/mqtt_broker_core.hpp>
#include <millrace/testing/detail/mqtt_connection.hpp>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

namespace millrace::testing::detail {

MILLRACE_DECL broker_connection::broker_connection(broker_core& core,
                                                   std::unique_ptr<net::transport> stream)
    : core_(&core),
      stream_(std::move(stream)),
      in_(16U << 10U),
      silence_allowed_(core.options().connect_timeout),
      last_received_(core.env().monotonic()) {}

MILLRACE_DECL void broker_connection::read() {
  if (closed_ || closing_) return;
  stream_->read_some(
      std::span(in_).subspan(in_end_),
      [self = shared_from_this()](const result<std::size_t>& got) { self->on_read(got); });
}

MILLRACE_DECL void broker_connection::on_read(const result<std::size_t>& got) {
  if (closed_ || closing_) return;
  if (!got) {
    cut();
    return;
  }
  last_received_ = core_->env().monotonic();
  in_end_ += *got;
  go_on();
}

MILLRACE_DECL void broker_connection::go_on() {
  if (closed_ || closing_) return;
  if (handle_input() == progress::done) read();
}

MILLRACE_DECL void broker_connection::resume() {
  core_->env().post([self = shared_from_this()] { self->go_on(); });
}

MILLRACE_DECL broker_connection::progress broker_connection::handle_input() {
  auto& core = *core_;  // the connection may lose it on the way
  auto outcome = progress::done;
  mqtt::frame frame;
  while (!closed_ && !closing_) {
    const std::string_view input(in_.data() + in_begin_, in_end_ - in_begin_);
    const auto status = mqtt::read_frame(input, core.options().maximum_packet_size, frame);
    if (status == mqtt::frame_status::incomplete) {
      make_room(frame.size);
      break;
    }
    if (status == mqtt::frame_status::failed) {
      fail(frame.failure);
      break;
    }
    // A client that is behind itself must be read from: its acknowledgements are waited for.
    if (frame.type() == mqtt::packet_type::publish && core.is_congested() && !congested_) {
      core.pause(shared_from_this());
      outcome = progress::paused;
      break;
    }
    in_begin_ += frame.size;
    handle(frame);
    if (core.count_packet()) cut();
  }
  flush();
  core.flush();
  return outcome;
}

/// Moves the incomplete packet to the front, and grows the buffer for it, or because the client
/// sends much.
MILLRACE_DECL void broker_connection::make_room(std::size_t needed) {
  constexpr std::size_t largest = 256U << 10U;
  const bool filled = in_end_ == in_.size();
  const std::size_t rest = in_end_ - in_begin_;
  if (in_begin_ != 0 && rest != 0) std::memmove(in_.data(), in_.data() + in_begin_, rest);
  in_begin_ = 0;
  in_end_ = rest;
  if (filled && in_.size() < largest) in_.resize(in_.size() * 2);
  if (needed > in_.size()) in_.resize(needed);
}

MILLRACE_DECL bool broker_connection::send(const publication& p, const delivery_header& header) {
  mqtt::publish_packet out{.topic = p.topic,
                           .payload = p.payload,
                           .packet_id = header.packet_id,
                           .qos = header.qos,
                           .retain = header.retain,
                           .duplicate = header.duplicate};
  if (version_ == mqtt::version::v5) {
    out.properties = mqtt::property_view(p.properties);
    if (p.expires_at.count() != 0 || !header.identifiers.empty()) {
      properties_.assign(p.properties);
      properties_ += header.identifiers;
      if (p.expires_at.count() != 0) {
        const auto left =
            std::chrono::ceil<std::chrono::seconds>(p.expires_at - core_->env().monotonic());
        const auto seconds = static_cast<std::uint32_t>(std::max<std::int64_t>(left.count(), 1));
        mqtt::append_property({mqtt::property_id::message_expiry_interval, seconds, {}, {}},
                              properties_);
      }
      out.properties = mqtt::property_view(properties_);
    }
  }
  constexpr std::size_t overhead = 32;
  const auto estimate =
      p.topic.size() + p.payload.size() + out.properties.bytes().size() + overhead;
  const bool close_to_limit = estimate > packet_maximum_;
  if (alias_maximum_ != 0 && !close_to_limit) {
    const auto known = aliases_out_.find(p.topic);
    if (known != aliases_out_.end()) {
      out.topic_alias = known->second;
      out.topic = {};
    } else if (aliases_out_.size() < alias_maximum_) {
      out.topic_alias = static_cast<std::uint16_t>(aliases_out_.size() + 1);
      aliases_out_.emplace(p.topic, out.topic_alias);
    }
  }
  const auto before = out_.size();
  const bool encoded = mqtt::encode(out, version_, out_);
  if (!encoded || (close_to_limit && out_.size() - before > packet_maximum_)) {
    out_.resize(before);
    return false;
  }
  ++core_->counts().messages_out;
  if (!touched_) {
    touched_ = true;
    core_->touch(shared_from_this());
  }
  return true;
}

MILLRACE_DECL bool broker_connection::is_full(std::size_t times) const noexcept {
  return output_size() >= times * core_->options().max_output_bytes;
}

MILLRACE_DECL void broker_connection::update_congestion() {
  if (closed_ || core_->options().overflow != mqtt_overflow::block) return;
  const auto& limits = core_->options();
  const std::size_t messages = session_ == nullptr ? 0 : session_->queue.size();
  const std::size_t bytes = session_ == nullptr ? 0 : session_->queued_bytes;
  const auto above = [&](std::size_t part) {
    return output_size() >= limits.max_output_bytes / part ||
           messages >= limits.max_queued_messages / part || bytes >= limits.max_queued_bytes / part;
  };
  if (congested_ == above(congested_ ? 2 : 1)) return;
  congested_ = !congested_;
  core_->change_congestion(congested_ ? 1 : -1);
}

MILLRACE_DECL void broker_connection::pump() {
  if (!connected_ || closed_ || closing_) return;
  while (window_used_ < window_ && !is_full() && repeat_or_next()) {
  }
}

/// One delivery of QoS 1 or 2: first what an earlier connection left without acknowledgement (4.4).
MILLRACE_DECL bool broker_connection::repeat_or_next() {
  auto& s = *session_;
  if (!s.to_repeat.empty()) {
    const auto id = s.to_repeat.front();
    s.to_repeat.pop_front();
    const auto found = s.in_flight.find(id);
    if (found == s.in_flight.end()) return true;
    const auto& d = found->second.delivery;
    send(publication_of(d.message), {.qos = d.qos,
                                     .retain = d.retain,
                                     .duplicate = true,
                                     .packet_id = id,
                                     .identifiers = d.identifiers});
    ++window_used_;
    return true;
  }
  if (s.queue.empty() || s.in_flight.size() >= 65'535) return false;
  auto d = std::move(s.queue.front());
  s.queue.pop_front();
  s.queued_bytes -= d.message->size();
  if (d.message->expires_at.count() != 0 && d.message->expires_at <= core_->env().monotonic()) {
    ++core_->counts().expired;
    return true;
  }
  do {
    ++s.last_packet_id;
  } while (s.last_packet_id == 0 || s.in_flight.contains(s.last_packet_id));
  const auto id = s.last_packet_id;
  if (!send(publication_of(d.message),
            {.qos = d.qos, .retain = d.retain, .packet_id = id, .identifiers = d.identifiers})) {
    ++core_->counts().dropped;
    return true;
  }
  s.in_flight.emplace(id, broker_in_flight{std::move(d), ++s.next_order});
  ++window_used_;
  return true;
}

MILLRACE_DECL void broker_connection::flush() {
  touched_ = false;
  if (closed_) return;
  const auto delay = core_->output_delay();
  if (!out_.empty() && (delay.count() != 0 || !delayed_.empty())) {
    const auto now = core_->env().monotonic();
    const auto last = delayed_.empty() ? now : delayed_.back().due;
    delayed_size_ += out_.size();
    delayed_.push_back({std::max(now + delay, last), std::exchange(out_, {})});
  }
  release_delayed();
  if (writing_.empty() && !out_.empty()) {
    std::swap(out_, writing_);
    write();
  }
  update_congestion();
  if (closing_ && output_size() == 0) finish();
}

MILLRACE_DECL void broker_connection::release_delayed() {
  if (delayed_.empty() || !writing_.empty() || closed_) return;
  const auto now = core_->env().monotonic();
  while (!delayed_.empty() && delayed_.front().due <= now) {
    delayed_size_ -= delayed_.front().bytes.size();
    writing_ += delayed_.front().bytes;
    delayed_.pop_front();
  }
  if (!writing_.empty()) {
    write();
  } else if (timer_ == 0) {
    timer_ = core_->env().call_after(delayed_.front().due - now, [self = shared_from_this()] {
      self->timer_ = 0;
      self->release_delayed();
    });
  }
}

MILLRACE_DECL void broker_connection::write() {
  const std::string_view all = writing_;
  stream_->write(std::span(&all, 1), [self = shared_from_this()](const result<std::size_t>& sent) {
    self->on_written(sent);
  });
}

MILLRACE_DECL void broker_connection::on_written(const result<std::size_t>& sent) {
  writing_.clear();
  if (closed_) return;
  if (!sent) {
    cut();
    return;
  }
  pump();
  flush();
}

MILLRACE_DECL void broker_connection::disconnect(mqtt::reason_code why) {
  if (closed_ || closing_) return;
  if (connected_ && version_ == mqtt::version::v5) {
    mqtt::encode(mqtt::disconnect_packet{.code = why}, version_, out_);
  }
  detach();
  closing_ = true;
  last_received_ = core_->env().monotonic();
  flush();
}

MILLRACE_DECL void broker_connection::fail(const mqtt::protocol_failure& failure) {
  core_->options().log.warning("mqtt broker",
                               std::string("client ") + stream_->peer() + ": " + failure.words);
  disconnect(failure.code);
}

MILLRACE_DECL void broker_connection::cut() {
  if (closed_) return;
  auto& core = *core_;
  stream_->close();
  detach();
  let_go();
  core.flush();  // its will may have gone out
}

/// All output has been sent: the transport says goodbye, for which nobody has to wait.
MILLRACE_DECL void broker_connection::finish() {
  if (closed_) return;
  stream_->shutdown([self = shared_from_this()](const result<void>&) { self->stream_.reset(); });
  let_go();
}

MILLRACE_DECL void broker_connection::detach() {
  if (congested_) {
    congested_ = false;
    core_->change_congestion(-1);
  }
  connected_ = false;
  if (session_ == nullptr) return;
  auto& session = *std::exchange(session_, nullptr);
  core_->close_session(session, std::exchange(will_, std::nullopt));
}

MILLRACE_DECL void broker_connection::let_go() {
  closed_ = true;
  core_->env().cancel_timer(std::exchange(timer_, 0));
  std::exchange(core_, nullptr)->forget(*this);
}

MILLRACE_DECL void broker_connection::abandon() {
  closed_ = true;
  stream_->close();
  core_->env().cancel_timer(std::exchange(timer_, 0));
  core_ = nullptr;
}

MILLRACE_DECL void broker_connection::check_time(std::chrono::nanoseconds now) {
  constexpr std::chrono::seconds goodbye_limit{5};
  const auto silence = now - last_received_;
  if (closing_) {
    if (silence > goodbye_limit) cut();
  } else if (silence_allowed_.count() != 0 && silence > silence_allowed_) {
    fail({mqtt::reason_code::keep_alive_timeout, "nothing was received in time"});
  }
}

}  // namespace millrace::testing::detail
